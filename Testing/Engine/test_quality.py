"""All measures of a registration in one call, against cases with known answers."""

from __future__ import annotations

import numpy as np
import pytest
import SimpleITK as sitk
import torch

from DeepRegistrationLib.errors import RegistrationError
from DeepRegistrationLib.evaluation.consistency import inverse_consistency
from DeepRegistrationLib.evaluation.quality import measure_quality, quality_in_parts
from DeepRegistrationLib.images.geometry import Grid
from DeepRegistrationLib.images.plain_data import AffineMap, FieldMap, Volume
from DeepRegistrationLib.reports.verdict import verdict
from DeepRegistrationLib.transforms import Affine, DisplacementField

GRID = Grid((24, 22, 20), (2.0, 2.0, 2.5), (-24, -22, -25))
SHIFT = np.array([4.0, 0.0, 0.0])  # two voxels


def ball(center, radius: float, grid: Grid = GRID) -> np.ndarray:
    return np.linalg.norm(grid.points().numpy() - np.asarray(center), axis=-1) < radius


def texture(shift=(0.0, 0.0, 0.0)) -> np.ndarray:
    points = GRID.points().numpy() - np.asarray(shift)
    return np.sin(points[..., 0] / 4) + np.cos(points[..., 1] / 5) + np.sin(points[..., 2] / 6)


@pytest.fixture
def case() -> dict:
    """A shift of two voxels, exactly known."""
    return {
        "transform": AffineMap(np.eye(3), SHIFT),
        "fixed": Volume(texture().astype(np.float32), GRID, "fixed"),
        "moving": Volume(texture(SHIFT).astype(np.float32), GRID, "moving"),
        "fixed_labels": Volume(ball((0, 0, 0), 12).astype(np.int32), GRID, "fixed labels"),
        "moving_labels": Volume(ball(SHIFT, 12).astype(np.int32), GRID, "moving labels"),
        "label_names": {"1": "heart"},
    }


def test_a_known_shift_gets_the_measures_that_it_must(case):
    inner = Volume(ball((0, 0, 0), 16).astype(np.uint8), GRID, "mask")
    found = measure_quality(**case, fixed_mask=inner)
    overlap = found["overlap"]["heart"]
    assert overlap["after"]["dice"] == 1 and overlap["after"]["hausdorff95"] == 0
    a, b = ball((0, 0, 0), 12), ball(SHIFT, 12)
    assert overlap["before"]["dice"] == pytest.approx(2 * (a & b).sum() / (a.sum() + b.sum()))
    assert found["similarity"]["after"]["ncc"] > 0.99 > found["similarity"]["before"]["ncc"]
    segment = found["segments"]["heart"]
    assert segment["volume_ml"] == pytest.approx(a.sum() * 0.010)
    assert segment["displacement_mm"]["mean"] == pytest.approx(4.0, abs=1e-5)
    assert found["jacobian"]["min"] == pytest.approx(1) and found["folding"] == []
    assert found["inverse_consistency"]["max"] < 1e-4
    assert verdict(found).level == "unknown"  # nothing wrong, no landmarks


def as_itk(volume: Volume) -> sitk.Image:
    image = sitk.GetImageFromArray(volume.data.astype(np.uint8))
    image.SetSpacing(volume.grid.spacing)
    image.SetOrigin(volume.grid.origin)
    return image


def test_labels_and_masks_on_another_grid_are_brought_to_the_images(case):
    fine = Grid((48, 44, 40), (1.0, 1.0, 1.25), (-24, -22, -25))
    case["fixed_labels"] = Volume(ball((0, 0, 0), 12, fine).astype(np.uint8), fine, "labels")
    case["fixed_mask"] = Volume(ball((0, 0, 0), 15, fine), fine, "mask")
    found = measure_quality(**case)
    a, b = (as_itk(case[f"{side}_labels"]) for side in ("fixed", "moving"))
    shift = sitk.TranslationTransform(3, SHIFT.tolist())
    reference = sitk.LabelOverlapMeasuresImageFilter()
    reference.Execute(a, sitk.Resample(b, a, shift, sitk.sitkLabelLinear))
    dice = found["overlap"]["heart"]["after"]["dice"]
    assert dice == pytest.approx(reference.GetDiceCoefficient(1), abs=1e-3) and dice > 0.9
    assert found["jacobian"]["in_mask"]["mean"] == pytest.approx(1)


def test_folding_is_located(case):
    vectors = np.zeros((3, *GRID.shape), np.float32)
    vectors[0, 4, 5, 17] = 8.0  # x + u turns back behind this voxel
    case["transform"] = FieldMap(vectors, GRID)
    images = {name: case[name] for name in ("transform", "fixed", "moving")}
    found = measure_quality(**images)
    assert found["jacobian"]["percent_nonpositive"] > 0
    expected = GRID.to_physical(np.array([18, 5, 4]))
    assert np.allclose(found["folding"][0]["point"], expected)
    assert found["folding"][0]["where"] == "lower, left, anterior"
    assert any(
        finding.level == "caution" and "lower, left, anterior in the image" in finding.text
        for finding in verdict(found).findings
    )


def test_extremes_and_the_farthest_surface_are_located(case):
    vectors = np.zeros((3, *GRID.shape), np.float32)
    vectors[2, 15, 5, 17] = 11.0  # central differences: J = 1 + 11 / (2 * 2.5) one voxel below
    images = {name: case[name] for name in ("fixed", "moving", "fixed_labels", "moving_labels")}
    images["moving_labels"].data[17:19, 10, 11] = 1  # a spike upwards
    found = measure_quality(
        FieldMap(vectors, GRID), **images, fixed_mask=Volume(np.ones(GRID.shape), GRID, "all")
    )
    largest = found["extremes"]["largest"]
    assert np.allclose(largest["point"], GRID.to_physical(np.array([17, 5, 14])))
    assert largest["value"] == pytest.approx(3.2) and largest["where"] == "upper, left, anterior"
    after = found["overlap"]["1"]["after"]
    assert np.allclose(after["farthest"], GRID.to_physical(np.array([11, 10, 18])))
    assert after["where"] == "upper"


def test_an_inverse_that_is_wrong_by_3_mm_is_inconsistent_by_3_mm(case):
    backward = AffineMap(np.eye(3), -SHIFT + [0.0, 3.0, 0.0])
    found = measure_quality(**case, inverse=backward)["inverse_consistency"]
    assert found["source"] == "given"
    assert found["mean"] == pytest.approx(3.0, abs=1e-5)
    assert found["max"] == pytest.approx(3.0, abs=1e-5)


def test_inverse_consistency_counts_points_of_the_mask_that_stay_in_the_moving_image():
    forward, backward = Affine(translation=(20.0, 0, 0)), Affine(translation=(-20.0, 0, 0))
    found = inverse_consistency(forward, backward, GRID, GRID)
    xs = np.arange(0, 24, 2) * 2.0 - 24 + 2 * ((24 - 1) % 2 // 2)
    stay = int((xs + 20 <= -24 + 23.5 * 2).sum())
    assert found["n"] == stay * 11 * 10
    assert inverse_consistency(Affine(translation=(900.0, 0, 0)), None, GRID, GRID) is None


def test_a_smooth_field_is_inverted_numerically_where_no_inverse_is_given():
    points = GRID.points(dtype=torch.float64)
    u = torch.stack([torch.sin(points[..., 1] / 9), points[..., 0] * 0, points[..., 0] * 0]) * 2
    found = inverse_consistency(DisplacementField(u.float(), GRID), None, GRID, GRID)
    assert found["source"] == "numeric"
    assert found["p95"] < 0.1


def test_what_takes_long_comes_after_the_rest_and_changes_nothing_of_it(case):
    steps = quality_in_parts(**case)
    folding, first = next(steps), next(steps)
    assert folding["pending"] == ["agreement of the images", "inverse consistency"]
    assert folding["similarity"] is None and folding["region"] == first["region"]
    for key in ("jacobian", "folding", "extremes", "voxel_mm"):
        assert folding[key] == first[key] is not None
    assert first["pending"] == ["inverse consistency"] and first["inverse_consistency"] is None
    assert torch.is_grad_enabled()  # a generator that waits must not switch it off for others
    with pytest.raises(StopIteration) as end:
        next(steps)
    whole = end.value.value
    assert whole["pending"] == [] and whole["inverse_consistency"]["max"] < 1e-4
    late = ("pending", "inverse_consistency")
    assert all(first[key] == value for key, value in whole.items() if key not in late)
    assert whole == measure_quality(**case)


def test_progress_is_told_and_can_cancel(case):
    told: list[float] = []
    measure_quality(**case, progress=lambda fraction, message: told.append(fraction))
    assert told == sorted(told) and told[-1] == 1

    def cancel(fraction, message):
        raise InterruptedError

    with pytest.raises(InterruptedError):
        measure_quality(**case, progress=cancel)


def test_an_empty_mask_is_a_sentence(case):
    case["fixed_mask"] = Volume(np.zeros(GRID.shape, np.uint8), GRID, "mask")
    with pytest.raises(RegistrationError, match="mask"):
        measure_quality(**case)
