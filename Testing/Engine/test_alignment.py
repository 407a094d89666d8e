"""What is seen without landmarks follows the true error, and the verdict finds what is wrong."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from scipy import ndimage

from DeepRegistrationLib.data.phantoms import PhantomPair, thorax
from DeepRegistrationLib.evaluation.alignment import _DEPTH, VESSELS, alignment, deep
from DeepRegistrationLib.evaluation.region import Region
from DeepRegistrationLib.images.geometry import Grid
from DeepRegistrationLib.images.image import Image
from DeepRegistrationLib.images.plain_data import GIVEN, LUNGS
from DeepRegistrationLib.reports.alignment_findings import SHIFT_MM
from DeepRegistrationLib.reports.report import evaluation_report
from DeepRegistrationLib.reports.verdict import faulty
from DeepRegistrationLib.transforms import Affine, Composite, Transform, warp

SIZE, SPACING = (80, 64, 72), (4.0, 4.0, 4.0)


@pytest.fixture(scope="module")
def chest() -> PhantomPair:
    return thorax(SIZE, SPACING, motion=14.0, seed=5)


def lungs(pair: PhantomPair) -> Region:
    return Region(LUNGS, pair.fixed_lungs)


def measured(pair: PhantomPair, transform: Transform, region: Region | None = None):
    warped = warp(pair.moving, transform, pair.fixed.grid, fill=-1000.0)
    return alignment(transform, pair.fixed, pair.moving, warped, region or lungs(pair))


def judged(pair: PhantomPair, transform: Transform, **changes) -> dict:
    images = {"fixed": pair.fixed, "moving": pair.moving, "kept": lungs(pair), **changes}
    return evaluation_report(transform, **images)["verdict"]


def true_error(pair: PhantomPair, transform: Transform) -> float:
    points = torch.from_numpy(pair.fixed_landmarks)
    return float((transform(points) - pair.transform(points)).norm(dim=1).mean())


@pytest.mark.parametrize("mm", [0.0, 2.0, 4.0, 7.0])
def test_the_remaining_shift_is_about_the_true_error_at_landmarks(chest, mm):
    wrong = Composite([chest.transform, Affine(translation=(0.6 * mm, 0.0, 0.8 * mm))])
    found = measured(chest, wrong)
    assert found["kind"] == VESSELS
    assert found["shift"]["mean"] == pytest.approx(true_error(chest, wrong), abs=0.6)


def test_the_identity_is_off_by_the_motion(chest):
    error = true_error(chest, Affine())
    assert error > 4
    assert measured(chest, Affine())["shift"]["mean"] == pytest.approx(error, rel=0.3)


def test_the_true_transform_is_not_faulted_and_says_what_it_was_measured_by(chest):
    found = judged(chest, chest.transform)
    assert not faulty(found["level"])
    text = next(f["text"] for f in found["findings"] if "Vessels" in f["text"])
    assert "mm apart on average" in text
    assert "in the lungs" in text


@pytest.mark.parametrize(
    "change",
    [
        lambda good, grid: Affine(),
        lambda good, grid: Composite([good, Affine(translation=(0.0, 0.0, 3.0))]),
        lambda good, grid: Composite([good, Affine(translation=(30.0, 0.0, 0.0))]),
        lambda good, grid: Composite([Affine(np.diag([-1.0, 1.0, 1.0])), good]),
    ],
    ids=["identity", "shifted by 3 mm", "shifted by 30 mm", "mirrored"],
)
def test_a_wrong_transform_is_faulted(chest, change):
    assert faulty(judged(chest, change(chest.transform, chest.fixed.grid))["level"])


def test_the_lungs_of_another_patient_are_a_fault(chest):
    other = thorax(SIZE, SPACING, motion=14.0, seed=6)
    assert faulty(judged(chest, chest.transform, moving=other.moving)["level"])


def test_an_error_in_one_place_alone_is_found_there(chest):
    """A bump of 12 mm around one point deep in the left lung (left is high x)."""
    center = torch.tensor([80.0, 10.0, 0.0], dtype=torch.float64)

    class Bump(Affine):
        def __call__(self, points: torch.Tensor) -> torch.Tensor:
            far = (points - center.to(points)).square().sum(-1, keepdim=True)
            push = 12.0 * torch.exp(-far / (2 * 22.0**2))
            return points + push * torch.tensor([0.0, 0.0, 1.0]).to(points)

    wrong = Composite([Bump(), chest.transform])
    found = measured(chest, wrong)
    assert found["shift"]["mean"] < SHIFT_MM
    assert found["area"]["shift"] > 5.0
    assert np.linalg.norm(np.array(found["area"]["point"]) - center.numpy()) < 40
    assert "left" in found["area"]["where"]
    report = evaluation_report(wrong, fixed=chest.fixed, moving=chest.moving, kept=lungs(chest))
    assert faulty(report["verdict"]["level"])
    assert "point" not in report["alignment"]["area"]  # no coordinates in a report


def test_a_mask_of_one_lung_is_told_from_one_of_both(chest):
    x = chest.fixed.grid.points()[..., 0]
    half = replace(chest.fixed_lungs, data=chest.fixed_lungs.data * (x < 0))
    found = judged(chest, chest.transform, kept=Region(GIVEN, half))
    assert found["level"] == "caution"
    assert "of the lungs that the fixed image shows" in found["headline"]
    whole = measured(chest, chest.transform, Region(GIVEN, chest.fixed_lungs))
    assert whole["percent_covered"] > 90


def test_a_mask_that_is_not_meant_for_the_lungs_is_not_compared_with_them(chest):
    heart = torch.zeros(chest.fixed.grid.shape, dtype=torch.uint8)
    heart[30:42, 26:38, 36:46] = 1
    found = measured(chest, chest.transform, Region(GIVEN, Image(heart, chest.fixed.grid)))
    assert found is None or found["percent_covered"] is None


def test_what_leaves_the_moving_image_is_said(chest):
    found = judged(chest, Composite([chest.transform, Affine(translation=(0.0, 0.0, 150.0))]))
    assert any("outside the moving image" in f["text"] for f in found["findings"])


def test_an_image_with_too_few_places_is_not_judged_by_them(chest):
    tiny = torch.zeros(chest.fixed.grid.shape, dtype=torch.uint8)
    tiny[36:38, 30:32, 20:22] = 1
    assert measured(chest, chest.transform, Region(GIVEN, Image(tiny, chest.fixed.grid))) is None


@pytest.mark.parametrize("spacing", [(2.0, 2.0, 2.0), (1.7, 2.3, 1.1), (2.0, 2.0, 9.0)])
@pytest.mark.parametrize("size", [(40, 30, 20), (40, 3, 2)])
def test_well_inside_is_what_a_distance_transform_says(spacing, size):
    mask = np.random.default_rng(0).random(size[::-1]) < 0.999
    mask[0, 1, 3] = False
    depth = ndimage.distance_transform_edt(mask, sampling=spacing[::-1])
    found = deep(torch.from_numpy(mask), Grid(size, spacing))
    assert np.array_equal(found.numpy(), depth >= _DEPTH)
    assert 0 < found.sum() < found.numel()
