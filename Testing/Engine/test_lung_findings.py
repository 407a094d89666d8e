"""Lungs that are no masks, or of which much is missing, reach the verdict wherever it is read."""

import json
import shutil
from dataclasses import replace

import numpy as np
import pytest
import torch

from DeepRegistrationLib.cli import main
from DeepRegistrationLib.data.cases import Case
from DeepRegistrationLib.data.phantoms import thorax
from DeepRegistrationLib.evaluation.quality import measure_quality
from DeepRegistrationLib.evaluation.region import region_of
from DeepRegistrationLib.images.image import Image, write_image
from DeepRegistrationLib.options import Outputs, RegistrationOptions
from DeepRegistrationLib.reports.lung_findings import lung_findings
from DeepRegistrationLib.reports.verdict import verdict
from DeepRegistrationLib.studies.benchmark.protocol import BenchmarkPair
from DeepRegistrationLib.studies.cohort.pair_task import PairTask, register_pair
from DeepRegistrationLib.transforms import Affine
from DeepRegistrationLib.transforms.tensors import map_of, volume_of

UNUSED = "so the lungs are not used as masks, and errors in them are easily missed: look at the "
UNUSED += "images, or give masks."
LACKING = "what is filled, collapsed or cut off was hardly fitted, and is not judged here; if it "
LACKING += "matters, give masks that include it."


@pytest.fixture(scope="module")
def chest():
    return thorax((64, 50, 58), (5.0, 5.0, 5.0), landmarks=0)


def filled(image, lungs, below=1000.0, above=-1000.0):
    """The left lung between two heights, as dense as tissue."""
    points = image.grid.points()
    x, z = points[..., 0], points[..., 2]
    inside = (lungs.data != 0) & (x > 0) & (z < below) & (z > above)
    return replace(image, data=torch.where(inside, torch.tensor(40.0), image.data))


def both_filled(chest, **heights):
    return tuple(
        filled(getattr(chest, side), getattr(chest, f"{side}_lungs"), **heights)
        for side in ("fixed", "moving")
    )


def solid(image):
    """No lungs: a body of tissue in air."""
    points = image.grid.points()
    ball = torch.where(points.norm(dim=-1) < 100, torch.tensor(40.0), torch.tensor(-1000.0))
    return Image(ball, image.grid, image.name)


def abdomen(image, lungs, keep=20.0):
    """What lies below the lungs' lower ends, with some mm of these: as much tissue as lung is air.

    All that is lung above the ends is tissue, so that the scan is of another part of the body.
    """
    z = image.grid.points()[..., 2]
    lowest = float(z[lungs.data != 0].min())
    gone = (lungs.data != 0) & (z > lowest + keep)
    return replace(image, data=torch.where(gone, torch.tensor(40.0), image.data))


def longer(image, slices):
    """With more slices of what the lowest one shows."""
    more = image.data[:1].expand(slices, *image.data.shape[1:])
    x, y, z = image.grid.size
    grid = replace(
        image.grid,
        size=(x, y, z + slices),
        origin=tuple(image.grid.to_physical(np.array([0.0, 0.0, -slices]))),
    )
    return Image(torch.cat([more, image.data]), grid, image.name)


def said(*images):
    return lung_findings(region_of(*images).lungs)


def test_lungs_of_one_image_alone_are_a_caution(chest):
    (finding,) = said(chest.fixed, solid(chest.moving))
    assert finding.level == "caution"
    assert finding.text == f"No lungs were found in the moving image, {UNUSED}"


def test_lungs_that_do_not_agree_are_a_caution_with_the_reason(chest):
    (finding,) = said(chest.fixed, filled(chest.moving, chest.moving_lungs))
    assert finding.level == "caution"
    assert finding.text.startswith("The lungs that were found may be wrong (two lungs of 2.1 and")
    assert finding.text.endswith(f"in the moving one), {UNUSED}")


def test_a_whole_lung_that_is_missing_in_both_images_is_a_caution(chest):
    (finding,) = said(*both_filled(chest))
    assert finding.level == "caution"
    found = "In both images one lung was found where the body has room for two"
    assert finding.text == f"{found}: {LACKING}"


def test_a_lung_that_is_missing_from_a_scan_of_the_whole_body_is_a_caution(chest):
    """Both lungs are 0.08 of the body in the scan, one alone is 0.04."""
    pair = [longer(image, 130) for image in (chest.fixed, chest.moving)]
    lungs = [longer(mask, 130) for mask in (chest.fixed_lungs, chest.moving_lungs)]
    assert said(*pair) == []
    (finding,) = said(*(filled(*each) for each in zip(pair, lungs, strict=True)))
    assert finding.level == "caution" and "room for two" in finding.text


def test_that_one_lung_is_much_smaller_is_said_and_no_fault(chest):
    (finding,) = said(*both_filled(chest, below=0.0))
    assert finding.level == "unknown"
    assert finding.text.startswith("In the fixed image the left lung has only 4")
    assert " and in the moving image the left lung has only 4" in finding.text
    assert finding.text.endswith(LACKING)


def test_healthy_lungs_and_scans_of_no_chest_are_no_doubt(chest):
    assert said(chest.fixed, chest.moving) == []
    assert said(solid(chest.fixed), solid(chest.moving)) == []


def test_the_ends_of_the_lungs_in_scans_of_an_abdomen_are_no_doubt(chest):
    pair = [
        abdomen(getattr(chest, side), getattr(chest, f"{side}_lungs"))
        for side in ("fixed", "moving")
    ]
    assert region_of(*pair).mask is None  # they are no masks
    assert said(*pair) == []
    assert said(chest.fixed, pair[1])[0].level == "caution"  # a chest on an abdomen


def test_what_a_user_gives_for_one_image_is_no_doubt(chest):
    points = chest.moving.grid.points()
    heart = (points - torch.tensor([20.0, -30.0, -30.0])).norm(dim=-1) < 45.0
    given = Image(heart.to(torch.uint8), chest.moving.grid)
    assert lung_findings(region_of(chest.fixed, chest.moving, moving_mask=given).lungs) == []


@pytest.fixture(scope="module")
def lone(chest, tmp_path_factory):
    """Files of a chest whose left lung is filled in both images."""
    folder = tmp_path_factory.mktemp("lone")
    for image, side in zip(both_filled(chest), ("fixed", "moving"), strict=True):
        write_image(image, folder / f"{side}.nii.gz")
    return folder


def test_the_sentence_is_the_same_in_every_report_and_strict_heeds_it(
    chest, lone, tmp_path, capsys
):
    files = [str(lone / f"{side}.nii.gz") for side in ("fixed", "moving")]
    made = ["register", *files, "-o", str(tmp_path / "out"), "--method", "affine", "-q"]
    assert main([*made, "--report", "--strict"]) == 3
    text = f"In both images one lung was found where the body has room for two: {LACKING}"
    assert text[:-1] in capsys.readouterr().err
    report = json.loads((tmp_path / "out" / "report.json").read_text("utf-8"))
    assert text in [finding["text"] for finding in report["verdict"]["findings"]]
    assert text in (tmp_path / "out" / "report.html").read_text("utf-8")
    kept, alone = tmp_path / "out" / "transform.h5", tmp_path / "alone.h5"
    shutil.copy(kept, alone)
    for transform in (kept, alone):  # with the report beside it, and without
        images = ["--fixed", files[0], "--moving", files[1], "--strict"]
        assert main(["evaluate", str(transform), *images]) == 3
        told = capsys.readouterr()
        assert json.loads(told.out)["region"]["lungs"] == report["region"]["lungs"]
        assert text[:-1] in told.err
    cases = [Case("lone", "test", lone / f"{side}.nii.gz") for side in ("fixed", "moving")]
    pair = BenchmarkPair("lone", *cases)
    options = RegistrationOptions(method="affine", device="cpu")
    row = register_pair(PairTask(pair, tmp_path / "cohort", {}, options, Outputs()))
    assert row["verdict"] in ("caution", "problem")
    assert text[:-1] in row["verdict_text"]


def test_the_panels_measures_of_a_kept_mask_bring_it_along(chest):
    pair = both_filled(chest)
    region = region_of(*pair)
    images = [volume_of(image) for image in pair]
    kept = {"kept_mask": volume_of(region.mask), "kept_lungs": dict(region.lungs)}
    measures = measure_quality(map_of(Affine()), *images, **kept)
    assert measures["region"]["lungs"] == region.lungs
    assert f"room for two: {LACKING}" in verdict(measures).text()
