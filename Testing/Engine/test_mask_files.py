"""Structures of files that are masks, and damaged ones."""

from __future__ import annotations

import json
import re

import dicom_pair
import numpy as np
import pydicom
import pytest
import torch
import trivial
from contours_made import CENTER, GRID, ball, masks, tube

from DeepRegistrationLib import (
    Grid,
    Image,
    RegistrationError,
    read_mask,
    write_image,
    write_transform,
)
from DeepRegistrationLib.cli import function, main
from DeepRegistrationLib.files.dicom_series import read_series
from DeepRegistrationLib.files.structures import propagate_structures
from DeepRegistrationLib.images.label_files import read_labels, write_labels
from DeepRegistrationLib.images.labels import Labels, Segment
from DeepRegistrationLib.transforms import Affine


def test_structures_that_are_named_become_a_mask(tmp_path, drawn_on):
    rois = {"Lung_L": ball(12.0), "Lung, R": ball(12.0, CENTER + (25.0, 0, 0)), "Body": tube(35.0)}
    file = dicom_pair.structures(tmp_path / "rs.dcm", drawn_on, rois)
    each = masks(file)
    for names, expected in (
        ("lung_l", each["Lung_L"]),
        ("Lung, R", each["Lung, R"]),
        ("Lung_L, BODY", each["Lung_L"] | each["Body"]),
    ):
        found = read_mask(f"{file}:{names}", GRID)
        assert (found.data.numpy() == expected).all() and found.notes == ()
        assert found.source.series == {drawn_on.uid}
    with pytest.raises(RegistrationError, match="several structures .Lung_L, Lung, R, Body.; name"):
        read_mask(file, GRID)
    with pytest.raises(RegistrationError, match="no structure 'Heart'; it holds Lung_L, Lung, R"):
        read_mask(f"{file}:Lung_L,Heart", GRID)
    with pytest.raises(RegistrationError, match="does not exist"):
        read_mask(f"{tmp_path / 'no.dcm'}:Heart", GRID)


@pytest.mark.parametrize(
    "names", [("Lung_L", "Lung_R"), ("Left lung", "RIGHT LUNG"), ("Lungs",), ("Lung lt", "Lung_R")]
)
def test_lungs_are_known_by_their_names(tmp_path, drawn_on, names):
    shapes = ball(12.0), ball(12.0, CENTER + (25.0, 0, 0))
    rois = {"Body": tube(35.0), **dict(zip(names, shapes, strict=False)), "Lungs-GTV": ball(5.0)}
    file = dicom_pair.structures(tmp_path / "rs.dcm", drawn_on, rois)
    each, known = masks(file), [name for name in names if name != "Lung lt"]
    found = read_mask(file, GRID, lungs=True)
    assert (found.data.numpy() == np.any([each[name] for name in known], axis=0)).all()
    assert found.notes == (f"rs.dcm: the mask of the lungs is {' and '.join(known)}",)


def test_a_single_structure_and_a_label_map_need_no_name(tmp_path, drawn_on):
    file = dicom_pair.structures(tmp_path / "rs.dcm", drawn_on, {"ball": ball(18.2)})
    assert (read_mask(file, GRID).data.numpy() == masks(file)["ball"]).all()
    write_image(Image(read_mask(file, GRID).data * 5, GRID), tmp_path / "mask.nii.gz")
    assert set(read_mask(tmp_path / "mask.nii.gz").data.unique().tolist()) == {0, 5}
    with pytest.raises(RegistrationError, match="no structure 'ball'; it names none"):
        read_mask(f"{tmp_path / 'mask.nii.gz'}:ball")


def test_segments_of_a_file_are_a_mask_by_their_names(tmp_path):
    layer = Image(torch.arange(27).reshape(3, 3, 3) % 3, Grid((3, 3, 3)))
    write_labels(
        Labels((layer,), (Segment("A", 0, 1), Segment("B", 0, 2))), tmp_path / "s.seg.nrrd"
    )
    found = read_mask(f"{tmp_path / 's.seg.nrrd'}:b")
    assert (found.data == (layer.data == 2)).all()


def test_named_structures_are_read_as_labels_and_the_others_are_not(tmp_path, drawn_on):
    rois = {"Lung_L": ball(12.0), "Lung, R": ball(12.0, CENTER + (25.0, 0, 0)), "Body": tube(35.0)}
    file = dicom_pair.structures(tmp_path / "rs.dcm", drawn_on, rois)
    expected = masks(file)
    found = masks(f"{file}:body,LUNG_L")
    assert set(found) == {"Lung_L", "Body"}
    assert all((found[name] == expected[name]).all() for name in found)
    write_labels(read_labels(file, GRID), tmp_path / "all.seg.nrrd")
    one = read_labels(f"{tmp_path / 'all.seg.nrrd'}:Lung_L")
    assert [each.name for each in one.segments] == ["Lung_L"] and len(one.layers) == 1
    assert ((one.layers[0].data.numpy() != 0) == expected["Lung_L"]).all()
    for name in (file, tmp_path / "all.seg.nrrd"):
        with pytest.raises(RegistrationError, match="holds no structure 'Heart'; it holds Lung_L"):
            read_labels(f"{name}:Body,Heart", GRID)


def test_named_structures_are_measured_and_brought_over_on_the_command_line(
    tmp_path, drawn_on, capsys
):
    rois = {"Heart": tube(9.1), "ball": ball(18.2), "Body": tube(35.0)}
    file = dicom_pair.structures(tmp_path / "rs.dcm", drawn_on, rois)
    write_image(Image(torch.rand(GRID.shape) * 900, GRID), tmp_path / "f.nii.gz")
    write_transform(Affine(), tmp_path / "t.h5")
    words = [str(tmp_path / name) for name in ("t.h5", "f.nii.gz", "f.nii.gz")]
    words = ["evaluate", words[0], "--fixed", words[1], "--moving", words[2], "--fixed-labels"]
    assert main([*words, f"{file}:ball", "--moving-labels", str(file)]) == 0
    overlap = json.loads(capsys.readouterr().out)["overlap"]
    assert {name for name, of in overlap.items() if of["after"]["dice"] == 1} == {"ball"}
    target = dicom_pair.series(tmp_path / "target", GRID).folder
    words = ["apply", str(tmp_path / "t.h5"), f"{file}:heart,Ball", "--reference", str(target)]
    assert main([*words, "-o", str(tmp_path / "out.dcm")]) == 0
    assert set(masks(tmp_path / "out.dcm")) == {"Heart", "ball"}
    names = [roi.ROIName for roi in pydicom.dcmread(tmp_path / "out.dcm").StructureSetROISequence]
    assert names == ["Heart", "ball"]
    words[2] = f"{file}:Hart"
    assert main([*words, "-o", str(tmp_path / "no.dcm")]) == 2
    assert "holds no structure 'Hart'; it holds Heart, ball, Body" in capsys.readouterr().err
    damage(file, "cut")
    words[2] = f"{file}:Heart"
    assert main([*words, "-o", str(tmp_path / "no.dcm")]) == 2
    assert "Heart is damaged" in capsys.readouterr().err


def test_the_lungs_of_a_structure_set_are_those_that_ventilation_measures(
    tmp_path, capsys, monkeypatch
):
    given = []

    def ventilation(*_images, lungs, **_more):
        given.append(lungs)
        raise RegistrationError("Only the lungs are of interest.")

    monkeypatch.setattr(function, "ventilation", ventilation)
    pair = [dicom_pair.series(tmp_path / name, GRID) for name in ("inhale", "exhale")]
    rois = {"Lung_L": ball(18.2), "Body": tube(35.0)}
    file = dicom_pair.structures(tmp_path / "rs.dcm", pair[0], rois)
    write_transform(Affine(), tmp_path / "t.h5")
    words = ["ventilation", *(made.folder for made in pair), "-o", tmp_path / "out", "--transform"]
    words = [str(word) for word in (*words, tmp_path / "t.h5", "--lungs")]
    assert main([*words, str(file)]) == 2 and "Only the lungs" in capsys.readouterr().err
    assert (given[0].data.numpy() == masks(file)["Lung_L"]).all()
    dicom_pair.structures(file, pair[1], rois)
    assert main([*words, str(file)]) == 2
    assert "drawn on the moving image" in capsys.readouterr().err


def test_a_mask_of_contours_is_registered_with_and_said(tmp_path, shift, drawn_on, capsys):
    other = dicom_pair.series(tmp_path / "other", GRID, frame=drawn_on.frame)
    image = Image(torch.rand(GRID.shape) * 900, GRID)
    write_image(image, tmp_path / "f.nii.gz")
    rois = {"ball": ball(18.2), "Body": tube(35.0)}
    file = dicom_pair.structures(tmp_path / "rs.dcm", other, rois)
    damage(file, "far")
    words = trivial.register(tmp_path / "f.nii.gz", tmp_path / "f.nii.gz", tmp_path / "out")
    words = [str(word) for word in (*words, "--fixed-mask", f"{file}:Body")]
    assert main(words) == 0
    assert "rs.dcm: ball is damaged" in capsys.readouterr().out
    used = shift.calls[0][2].fixed_mask.data.numpy() != 0
    assert (used == masks(file)["Body"]).all()
    assert main(["register", str(file), str(file), "-o", str(tmp_path / "no")]) == 2
    assert "holds contours (an RT Structure Set) and no image" in capsys.readouterr().err


def test_no_name_of_a_mask_s_file_is_in_the_page_and_no_page_replaces_it(
    tmp_path, drawn_on, capsys
):
    write_image(Image(torch.rand(GRID.shape) * 900, GRID), tmp_path / "f.nii.gz")
    rois = {"Heart": tube(9.1), "Body": tube(35.0)}
    file = dicom_pair.structures(tmp_path / "Jane_rs.dcm", drawn_on, rois)
    damage(file, "cut")
    write_transform(Affine(), tmp_path / "t.h5")
    words = ["evaluate", "t.h5", "--fixed", "f.nii.gz", "--moving", "f.nii.gz", "--fixed-mask"]
    words = [str(tmp_path / word) if "." in word else word for word in words] + [f"{file}:Body"]
    assert main([*words, "--report", str(tmp_path / "p.html"), "-q"]) == 0
    page = (tmp_path / "p.html").read_text("utf-8")
    assert "the fixed mask: Heart is damaged" in page and "Jane_" not in page
    assert main([*words, "--output", str(file)]) == 2
    assert "would be overwritten" in capsys.readouterr().err


# Damage


def damage(file, what):
    """Spoil the first structure of a file."""
    dataset = pydicom.dcmread(file)
    first = dataset.ROIContourSequence[0].ContourSequence[0]
    if what == "cut":
        first.ContourData = first.ContourData[:-3]
    elif what == "no triples":
        first.ContourData = first.ContourData[:-1]
    elif what == "far":
        first.ContourData = ["9999999", *first.ContourData[1:]]
    else:
        del first.ContourData
    dataset.save_as(file)


@pytest.mark.parametrize("what", ["cut", "no triples", "far", "gone"])
def test_a_damaged_structure_is_named_and_the_others_are_read(tmp_path, drawn_on, what):
    rois = {"Heart": tube(9.1), "ball": ball(18.2)}
    file = dicom_pair.structures(tmp_path / "rs.dcm", drawn_on, rois)
    whole = masks(file)["ball"]
    damage(file, what)
    labels = read_labels(file, GRID)
    assert [s.name for s in labels.segments] == ["ball"]
    assert (masks(file)["ball"] == whole).all()
    (note,) = labels.notes
    assert note.startswith("rs.dcm: Heart is damaged (") and note.endswith("), and so not read")
    with pytest.raises(RegistrationError, match=r"Heart cannot be drawn .*Heart is damaged"):
        read_mask(f"{file}:Heart,ball", GRID)
    dicom_pair.structures(file, drawn_on, {"Heart": rois["Heart"]})
    damage(file, what)
    with pytest.raises(RegistrationError, match="no structure .*Heart is damaged"):
        read_labels(file, GRID)


def test_one_damaged_item_of_a_structure_in_two_spoils_the_whole_structure(tmp_path, drawn_on):
    whole = ball(18.2)
    rois = {"ball": whole[:9], "rest": whole[9:], "tube": tube(9.1)}
    file = dicom_pair.structures(tmp_path / "rs.dcm", drawn_on, rois)
    dataset = pydicom.dcmread(file)
    dataset.ROIContourSequence[1].ReferencedROINumber = 1
    dataset.save_as(file)
    damage(file, "cut")
    assert [s.name for s in read_labels(file, GRID).segments] == ["tube"]


@pytest.mark.parametrize(
    ("sequence", "kept", "why"),
    [
        ("StructureSetROISequence", False, "it has no ROI number"),
        ("StructureSetROISequence", True, "it has no ROI number"),
        ("ROIContourSequence", False, "its contours do not name its ROI number"),
        ("ROIContourSequence", True, "its contours do not name its ROI number"),
    ],
)
def test_structures_without_a_number_are_named(tmp_path, drawn_on, sequence, kept, why):
    target = read_series(dicom_pair.series(tmp_path / "target", GRID).folder)
    keyword = "ROINumber" if sequence == "StructureSetROISequence" else "ReferencedROINumber"
    said = rf"Heart is damaged \({why}\), and so not read"
    for rois in ({"Heart": tube(9.1), "ball": ball(18.2)}, {"Heart": tube(9.1)}):
        file = dicom_pair.structures(tmp_path / "rs.dcm", drawn_on, rois)
        dataset = pydicom.dcmread(file)
        setattr(dataset[sequence][0], keyword, None)
        if not kept:
            delattr(dataset[sequence][0], keyword)
        dataset.save_as(file)
        with pytest.raises(RegistrationError, match=said):
            read_mask(f"{file}:Heart", GRID)
        if "ball" in rois:
            assert "ball" in masks(file) and re.search(said, str(read_labels(file, GRID).notes))
            notes = propagate_structures(Affine(), file, target, tmp_path / "out.dcm")
            assert re.search(said, str(notes)) and "ball" in masks(tmp_path / "out.dcm")


def test_structures_that_are_damaged_are_left_behind_and_named(tmp_path, drawn_on):
    target = read_series(dicom_pair.series(tmp_path / "target", GRID).folder)
    tilted = [*ball(12.0), *(c + np.outer(c[:, 0], [0, 0, 0.4]) for c in ball(12.0)[:2])]
    rois = {"Heart": tube(9.1), "ball": ball(18.2), "tilted": tilted}
    file = dicom_pair.structures(tmp_path / "rs.dcm", drawn_on, rois)
    damage(file, "cut")
    notes = propagate_structures(Affine(), file, target, tmp_path / "out.dcm")
    assert [note.split(" (")[0].split(":")[0] for note in notes] == [
        "Heart is damaged",
        "tilted was not brought over",
    ]
    assert list(masks(tmp_path / "out.dcm")) == ["ball"]
    dicom_pair.structures(file, drawn_on, {"Heart": rois["Heart"]})
    damage(file, "cut")
    with pytest.raises(RegistrationError, match="Heart is damaged"):
        propagate_structures(Affine(), file, target, tmp_path / "none.dcm")
    assert not (tmp_path / "none.dcm").exists()


def test_a_structure_in_two_items_is_brought_over_once(tmp_path, drawn_on):
    target = read_series(dicom_pair.series(tmp_path / "target", GRID).folder)
    whole = ball(18.2)
    plain = dicom_pair.structures(tmp_path / "plain.dcm", drawn_on, {"ball": whole})
    file = dicom_pair.structures(tmp_path / "rs.dcm", drawn_on, {"ball": whole[:9], "x": whole[9:]})
    dataset = pydicom.dcmread(file)
    dataset.ROIContourSequence[1].ReferencedROINumber = 1
    del dataset.StructureSetROISequence[1]
    dataset.save_as(file)
    counts = []
    for source in (plain, file):
        assert propagate_structures(Affine(), source, target, tmp_path / "out.dcm") == []
        items = pydicom.dcmread(tmp_path / "out.dcm").ROIContourSequence
        counts.append(sum(len(item.get("ContourSequence") or []) for item in items))
    assert counts[0] == counts[1] > 0
