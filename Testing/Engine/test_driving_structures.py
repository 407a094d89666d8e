"""Structures that drive a registration: organs that the images do not show move as they did."""

from __future__ import annotations

import json

import numpy as np
import pytest
import torch

from DeepRegistrationLib import Image, RegistrationError, register, write_image
from DeepRegistrationLib.cli import main
from DeepRegistrationLib.evaluation.driving_record import read_driving_labels, write_driving_labels
from DeepRegistrationLib.evaluation.landmarks import mapped_points
from DeepRegistrationLib.evaluation.overlap import registered_overlap
from DeepRegistrationLib.evaluation.tolerance import tolerance
from DeepRegistrationLib.images.geometry import Grid
from DeepRegistrationLib.images.labels import Labels, Segment
from DeepRegistrationLib.methods.context import Context
from DeepRegistrationLib.methods.guide import Structures
from DeepRegistrationLib.methods.optimize.class_term import ClassTerm
from DeepRegistrationLib.methods.optimize.structures import centers, outside
from DeepRegistrationLib.registration.driving_structures import MOST, driving_structures
from DeepRegistrationLib.reports.overlap_findings import overlap_findings
from DeepRegistrationLib.reports.verdict import verdict

GRID = Grid((64, 60, 56), (3.0, 3.0, 3.0), (-94.0, -90.0, -80.0))
MOVES, STAYS = np.array([-20.0, 10.0, 5.0]), np.array([40.0, -20.0, -10.0])  # mm, LPS
SHIFT = np.array([20.0, -10.0, 10.0])
BLANK = (Image(torch.zeros(GRID.shape), GRID),) * 2


def ball(center, radius):
    return (GRID.points() - torch.as_tensor(center).float()).norm(dim=-1) < radius


def image(seed):
    """A body of one tissue, with noise: nothing tells where its organs are."""
    noise = torch.randn(GRID.shape, generator=torch.Generator().manual_seed(seed))
    return Image(torch.where(ball((0.0, 0.0, 0.0), 75.0), 40.0, -1000.0) + 5 * noise, GRID)


def organs(shift):
    """1: an organ that has moved; 2: one that has not."""
    labels = ball(MOVES + shift, 22.0).to(torch.uint8)
    labels[ball(STAYS, 15.0)] = 2
    return Image(labels, GRID)


@pytest.fixture(scope="module")
def pair():
    return image(0), image(1)


@pytest.fixture(scope="module")
def labels():
    return organs(0 * SHIFT), organs(SHIFT)


def missed(transform, point, shift):
    return np.linalg.norm(mapped_points(transform, point[None])[0] - point - shift)


def dice(transform, labels):
    found = registered_overlap([labels[0]], [labels[1]], transform, GRID)
    return {number: values["dice"] for number, values in found.items()}


def test_organs_that_the_images_do_not_show_are_brought_together(pair, labels):
    free = register(*pair, device="cpu")
    driven = register(*pair, guide_labels=labels, device="cpu", jacobian=True)
    assert missed(free.transform, MOVES, SHIFT) > 20
    assert dice(free.transform, labels)[1] < 0.3
    assert missed(driven.transform, MOVES, SHIFT) < 7
    assert missed(driven.transform, STAYS, 0.0) < 2
    assert min(dice(driven.transform, labels).values()) > 0.9
    assert float(driven.jacobian.data.min()) > 0
    assert driven.driving_labels == ("1", "2") and free.driving_labels == ()


def test_the_weight_says_how_much_they_count(pair, labels):
    found = [
        register(*pair, guide_labels=labels, label_weight=w, quality="fast", device="cpu").transform
        for w in (0.02, 4.0)
    ]
    little, much = (dice(transform, labels)[1] for transform in found)
    assert little < 0.4 and much > 0.9


def test_both_directions_and_the_refinement_are_driven(pair, labels):
    short = {"parameters": {"iterations": 0.6}}
    best = register(*pair, guide_labels=labels, quality="best", device="cpu", **short)
    assert missed(best.transform, MOVES, SHIFT) < 7
    refined = register(*pair, guide_labels=labels, method="affine", refine=True, device="cpu")
    assert dice(refined.transform, labels)[1] > 0.8
    with pytest.raises(RegistrationError, match="cannot be driven by landmarks or segments"):
        register(*pair, guide_labels=labels, method="affine")


def test_the_backward_direction_gets_them_exchanged(labels):
    one = Structures(("liver",), labels[:1], labels[1:], 2.0)
    back = Context(structures=one).exchanged().structures
    assert (back.fixed, back.moving) == (one.moving, one.fixed)
    assert (back.names, back.weight) == (("liver",), 2.0)


def test_images_apart_come_together_by_three_structures(pair, labels):
    away = np.array([30.0, 0.0, 900.0])
    third = [replaced(side, ball((30.0, 40.0, 20.0), 12.0), 3) for side in labels]
    moved = Grid(GRID.size, GRID.spacing, tuple(np.array(GRID.origin) + away))
    moving, theirs = Image(pair[1].data, moved), Image(third[1].data, moved)
    found = register(pair[0], moving, guide_labels=(third[0], theirs), quality="fast", device="cpu")
    assert missed(found.transform, STAYS, away) < 5
    assert any("3 driving segment(s) together" in note for note in found.notes)


def replaced(side, where, number):
    return Image(side.data.masked_fill(where, number), side.grid)


def test_the_term_is_the_mean_of_squared_differences_wherever_structures_are():
    rng = torch.Generator().manual_seed(0)
    fixed, moving = torch.rand((2, 6, 7, 8), generator=rng)
    axes = [torch.linspace(-1, 1, n) for n in (6, 7, 8)]
    z, y, x = torch.meshgrid(*axes, indexing="ij")
    counted = torch.tensor(50.0)
    term = ClassTerm([fixed], [moving], torch.ones_like(fixed), counted, [9.0] * 3)
    expected = (fixed - moving).square().sum() / 50
    assert float(term(torch.stack([x, y, z]))) == pytest.approx(float(expected), rel=1e-5)


# Which structures


def test_structures_are_paired_by_name_over_layers_and_grids():
    cropped = GRID.cropped((5, 4, 3), (50, 50, 50))
    layers = [Image(side.data[3:50, 4:50, 5:50].int(), cropped) for side in (organs(0 * SHIFT),)]
    ours = Labels((*layers,), (Segment("liver", 0, 1), Segment("spleen", 0, 2)))
    theirs = Labels((organs(SHIFT),), (Segment("spleen", 0, 2), Segment("kidney", 0, 1)))
    notes: list[str] = []
    found = driving_structures(ours, theirs, BLANK, 1.0, notes)
    assert found.names == ("spleen",)
    assert notes == [
        "Not used, as not in both segmentations under a name of their own and inside both images: "
        "liver, kidney."
    ]
    fixed, moving = centers(found)
    assert fixed[0] == pytest.approx(STAYS, abs=0.5) and moving[0] == pytest.approx(STAYS, abs=0.5)


def test_what_cannot_drive_is_refused_in_one_sentence():
    apart = Image(organs(0 * SHIFT).data * 3, GRID)
    with pytest.raises(RegistrationError, match="no structure of the same name"):
        driving_structures(organs(SHIFT), apart, BLANK, 1.0, [])
    many = Image(torch.arange(GRID.shape[0]).view(-1, 1, 1).expand(GRID.shape), GRID)
    with pytest.raises(RegistrationError, match=f"at most {MOST} can drive"):
        driving_structures(many, many, BLANK, 1.0, [])
    with pytest.raises(RegistrationError, match="weight of the segments is -1"):
        register(image(0), image(1), label_weight=-1)


def test_a_body_that_slides_is_driven_by_what_lies_outside_the_lungs(labels):
    both = Structures(
        ("moves", "stays"),
        tuple(Image((labels[0].data == n).to(torch.uint8), GRID) for n in (1, 2)),
        tuple(Image((labels[1].data == n).to(torch.uint8), GRID) for n in (1, 2)),
        1.0,
    )
    lungs = Image(ball(MOVES, 25.0).to(torch.uint8), GRID)
    assert outside(both, lungs).names == ("stays",)
    assert outside(both.of([0]), lungs) is None and outside(None, lungs) is None


# What drove proves nothing


def overlap(drove):
    after = {"dice": 0.97, "hausdorff95": 1.0, "mean_surface_distance": 0.5, "hausdorff": 2.0}
    return {"liver": {"before": {**after, "dice": 0.6}, "after": after, "drove": drove}}


def test_a_structure_that_drove_is_no_proof():
    driven, free = (verdict({"overlap": overlap(drove), "voxel_mm": 2.0}) for drove in (1, 0))
    assert "Accuracy is not known" not in free.headline
    assert "Accuracy is not known" in driven.headline and driven.level == "unknown"
    assert "no segmentations of both images but those that drove it" in driven.headline
    (finding,) = overlap_findings(overlap(True), tolerance(2.0))
    assert "Liver drove the registration and does not count as proof (Dice 0.97)" in finding.text


def test_the_record_comes_back_and_damage_is_said(tmp_path):
    file, names = tmp_path / "driving_labels.csv", ('left "lung", upper', "ü", "3")
    write_driving_labels(names, file)
    assert read_driving_labels(file) == names
    for text in ("", "name\nliver\n", "label\na,b\n"):
        file.write_text(text, encoding="utf-8")
        with pytest.raises(RegistrationError, match="does not say which segments drove"):
            read_driving_labels(file)


def test_commands_drive_say_so_and_remember(pair, labels, tmp_path, capsys):
    names = ("f", "m", "fl", "ml")
    for name, each in zip(names, (*pair, *labels), strict=True):
        write_image(each, tmp_path / f"{name}.nii.gz")
    f, m, fl, ml = (str(tmp_path / f"{name}.nii.gz") for name in names)
    out, again = tmp_path / "out", tmp_path / "again"
    words = ("register", f, m, "--quality", "fast", "--set", "iterations=0.5", "-o")
    assert main([*words, str(out), "--guide-labels", fl, ml, "--label-weight", "2"]) == 0
    report = json.loads((out / "report.json").read_text())
    assert report["driving_labels"] == ["1", "2"]
    assert any("2 segment(s) drove the registration (1, 2)" in note for note in report["notes"])
    assert read_driving_labels(out / "driving_labels.csv") == ("1", "2")

    capsys.readouterr()
    transform = str(out / "transform.h5")
    assert main(["evaluate", transform, "--fixed-labels", fl, "--moving-labels", ml]) == 0
    report = json.loads(capsys.readouterr().out)
    assert report["overlap"]["1"]["drove"] and report["verdict"]["level"] == "unknown"

    assert main([*words, str(again), "--initial", transform]) == 0
    report = json.loads((again / "report.json").read_text())
    assert report["driving_labels"] == ["1", "2"]  # they are in the start
