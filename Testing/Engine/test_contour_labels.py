"""Contours of RT Structure Sets as labels: analytic shapes, written by pydicom alone."""

from __future__ import annotations

import argparse
import json
from dataclasses import replace

import dicom_pair
import numpy as np
import pydicom
import pytest
import torch
from contours_made import CENTER, CIRCLE, GRID, ball, masks, tube
from references import rotation

from DeepRegistrationLib import Image, RegistrationError, read_image, write_image
from DeepRegistrationLib.cli import main
from DeepRegistrationLib.cli.page import file_pair
from DeepRegistrationLib.images.geometry import Grid
from DeepRegistrationLib.images.label_files import read_labels
from DeepRegistrationLib.images.labels import Labels, Segment, paired
from DeepRegistrationLib.images.segment_names import common_numbers
from DeepRegistrationLib.registration.driving_structures import driving_structures


def dice(one, two):
    return 2 * (one & two).sum() / (one.sum() + two.sum())


def test_voxels_inside_the_contours_get_the_label_and_holes_none(tmp_path, drawn_on):
    file = dicom_pair.structures(
        tmp_path / "rs.dcm", drawn_on, {"tube": tube(20.3, 9.1), "ball": ball(18.2)}
    )
    found = masks(file)
    x, y, z = np.moveaxis(GRID.points(dtype=torch.float64).numpy() - CENTER, -1, 0)
    radius, within = np.hypot(x, y), (z > -26.3) & (z < 26.3)
    assert dice(found["tube"], (radius < 20.3) & (radius > 9.1) & within) > 0.998
    assert dice(found["ball"], x**2 + y**2 + z**2 < 18.2**2) > 0.998
    # volumes by formula; the cylinder reaches half a slice beyond its first and last contours
    voxel = np.prod(GRID.spacing)
    assert found["tube"].sum() * voxel == pytest.approx(
        np.pi * (20.3**2 - 9.1**2) * 21 * 2.5, rel=0.01
    )
    assert found["ball"].sum() * voxel == pytest.approx(4 / 3 * np.pi * 18.2**3, rel=0.01)


def test_the_grid_may_be_oblique_and_of_other_voxels(tmp_path, drawn_on):
    file = dicom_pair.structures(tmp_path / "rs.dcm", drawn_on, {"ball": ball(18.2)})
    axes = rotation(12, -8, 20)
    origin = CENTER - axes @ np.array([28.0, 29.0, 30.0])
    oblique = Grid((30, 42, 40), (2.0, 1.4, 1.6), tuple(origin), tuple(axes.ravel()))
    found = masks(file, oblique)["ball"]
    true = np.linalg.norm(oblique.points(dtype=torch.float64).numpy() - CENTER, axis=-1) < 18.2
    assert dice(found, true) > 0.985  # between the slices, contours do not say how round it is


def test_structures_that_overlap_stay_whole_and_strange_ones_are_named(tmp_path, drawn_on):
    tilted = [c + np.outer(c[:, 0], [0, 0, 0.3]) for c in tube(9.0)]
    rois = {
        "big": tube(20.0),
        "small": tube(8.0),
        "isocenter": [CENTER[None]],
        "tilted": [*tilted, *tube(9.0)],
    }
    file = dicom_pair.structures(tmp_path / "rs.dcm", drawn_on, rois, {"isocenter": "POINT"})
    labels = read_labels(file, GRID)
    found = masks(file)
    assert list(found) == ["big", "small"] and len(labels.layers) == 2
    assert (found["big"] & found["small"]).sum() == found["small"].sum() > 0
    assert any("without closed contours" in n and "isocenter" in n for n in labels.notes)
    assert any("tilted was not read" in n and "parallel planes" in n for n in labels.notes)


def test_structures_without_a_voxel_of_the_image_are_named(tmp_path, drawn_on):
    rois = {
        "ball": ball(18.2),
        "far": ball(18.2, CENTER + (500.0, 0, 0)),
        "dot": [0.2 * CIRCLE + GRID.to_physical(np.array([20.5, 20.5, 9.0]))],
    }
    file = dicom_pair.structures(tmp_path / "rs.dcm", drawn_on, rois)
    labels = read_labels(file, GRID)
    assert [s.name for s in labels.segments] == ["ball"]
    assert any("outside the image or smaller" in n and "far, dot" in n for n in labels.notes)
    alone = dicom_pair.structures(tmp_path / "far.dcm", drawn_on, {"far": rois["far"]})
    with pytest.raises(RegistrationError, match="outside the image or smaller .*: far"):
        read_labels(alone, GRID)


def test_contours_of_one_structure_in_two_items_belong_together(tmp_path, drawn_on):
    whole = ball(18.2)
    rois = {"ball": whole[:9], "rest": whole[9:]}
    file = dicom_pair.structures(tmp_path / "rs.dcm", drawn_on, rois)
    dataset = pydicom.dcmread(file)
    dataset.ROIContourSequence[1].ReferencedROINumber = 1
    del dataset.StructureSetROISequence[1]
    dataset.save_as(file)
    plain = dicom_pair.structures(tmp_path / "plain.dcm", drawn_on, {"ball": whole})
    assert (masks(file)["ball"] == masks(plain)["ball"]).all()


def test_contours_need_a_grid_and_a_folder_must_not_hold_two_files(tmp_path, drawn_on):
    folder = tmp_path / "sets"
    folder.mkdir()
    file = dicom_pair.structures(folder / "rs.dcm", drawn_on, {"ball": ball(18.2)})
    with pytest.raises(RegistrationError, match="give that image too"):
        read_labels(file)
    assert [s.name for s in read_labels(folder, GRID).segments] == ["ball"]
    dicom_pair.structures(folder / "rs2.dcm", drawn_on, {"ball": ball(18.2)})
    with pytest.raises(RegistrationError, match="several RT Structure Sets"):
        read_labels(folder, GRID)
    empty = dicom_pair.structures(tmp_path / "rs.dcm", drawn_on, {"point": [CENTER[None]]})
    with pytest.raises(RegistrationError, match="no structure with closed contours"):
        read_labels(empty, GRID)


# Names


def test_names_agree_in_any_case_and_two_of_one_name_agree_with_none():
    ours = {1: "Lung_L", 2: "GTV", 3: "gtv", 4: "Heart", 5: "Cord", 6: "cord "}
    theirs = {1: "LUNG_L ", 2: "gtv", 3: "heart", 4: "Heart", 5: "CORD", 9: "Liver"}
    numbers, names = common_numbers(ours, theirs)
    assert {theirs[t]: ours.get(n) for t, n in numbers.items()} == {
        "LUNG_L ": "Lung_L",
        "gtv": "gtv",
        "Heart": "Heart",
        "heart": None,
        "CORD": None,
        "Liver": None,
    }
    assert len(names) == len(set(numbers.values()) | set(ours)) == 9


def test_segments_of_names_in_another_case_are_one_structure():
    layer = Image(torch.ones(GRID.shape, dtype=torch.uint8), GRID)
    one, two = (Labels((layer,), (Segment(name, 0, 1),)) for name in ("Liver", "LIVER"))
    ours, theirs, names = paired(one, two)
    assert names == {1: "Liver"} and bool((ours[0].data == theirs[0].data).all())


# Whose they are


@pytest.fixture
def pair(tmp_path, drawn_on):
    """Two series, each with an image, and structures drawn on each."""
    other = dicom_pair.series(tmp_path / "other", GRID)
    sides = []
    for name, made in (("fixed", drawn_on), ("moving", other)):
        file = dicom_pair.structures(tmp_path / f"{name}.dcm", made, {"ball": ball(18.2)})
        sides.append((made, read_image(made.folder), file))
    return sides


def noted(pair, fixed_file, moving_file):
    notes: list[str] = []
    images = tuple(side[1] for side in pair)
    labels = [read_labels(file, GRID) for file in (fixed_file, moving_file)]
    driving_structures(*labels, images, 1.0, notes)
    return notes


def test_structures_of_the_right_images_drive_without_a_word(pair):
    assert noted(pair, pair[0][2], pair[1][2]) == []


def test_structures_of_the_other_image_are_refused(pair):
    with pytest.raises(RegistrationError, match=r"moving.dcm was drawn on the moving image"):
        noted(pair, pair[1][2], pair[0][2])


def test_another_frame_of_reference_or_series_is_said(pair, tmp_path):
    (own, *_, fixed), (*_, moving) = pair
    stranger = dicom_pair.series(tmp_path / "stranger", GRID)
    phase = dicom_pair.series(tmp_path / "phase", GRID, frame=own.frame)
    for made, says in (
        (stranger, "Warning: rs.dcm has another frame of reference than the fixed image"),
        (phase, "rs.dcm was drawn on another series than the fixed image"),
        (replace(own, uid=""), None),
    ):
        file = dicom_pair.structures(tmp_path / "rs.dcm", made, {"ball": ball(18.2)})
        notes = noted(pair, file, moving)
        assert len(notes) == (says is not None)
        assert says is None or notes[0].startswith(says)


# The command line


def test_names_of_files_that_drove_stay_off_the_page():
    words = {"fixed": None, "moving": None, "patient_data": False, "guide": None}
    given = argparse.Namespace(**words, guide_labels=["a/doe.dcm", "b/roe.dcm"])
    assert file_pair(given, None, None, None).hidden == {
        "doe.dcm": "the fixed driving labels",
        "roe.dcm": "the moving driving labels",
    }


def test_contours_drive_and_measure_on_the_command_line(tmp_path, pair, capsys):
    torch.manual_seed(0)
    grid = Grid((24, 22, 20), (4.0, 4.0, 4.0), (-45.0, -42.0, 10.0))
    body = (grid.points() - torch.tensor(CENTER).float()).norm(dim=-1) < 36
    images = [str(tmp_path / name) for name in ("f.nii.gz", "m.nii.gz")]
    for path in images:
        noise = 5 * torch.randn(grid.shape)
        write_image(Image(torch.where(body, 40.0, -1000.0) + noise, grid), path)
    moved = {"BALL": ball(14.0, CENTER + (8.0, 0, 0)), "heart": ball(5.0, CENTER - (20.0, 0, 0))}
    ours = dicom_pair.structures(tmp_path / "1.dcm", pair[0][0], {"Ball": ball(14.0)})
    theirs = dicom_pair.structures(tmp_path / "2.dcm", pair[1][0], moved)
    out = tmp_path / "out"
    options = "--guide-labels", str(ours), str(theirs), "--label-weight", "4", "--quiet"
    assert main(["register", *images, "-o", str(out), *options]) == 0
    report = json.loads((out / "report.json").read_text())
    assert report["driving_labels"] == ["Ball"]
    assert sum("heart" in note and "Not used" in note for note in report["notes"]) == 1
    capsys.readouterr()
    words = "--fixed", images[0], "--moving", images[1]
    words += "--fixed-labels", str(ours), "--moving-labels", str(theirs)
    assert main(["evaluate", str(out / "transform.h5"), *words]) == 0
    found = json.loads(capsys.readouterr().out)["overlap"]["Ball"]
    assert found["before"]["dice"] < 0.65 < 0.8 < found["after"]["dice"] and found["drove"]
