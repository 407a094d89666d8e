"""The commands besides register: methods, info, evaluate, apply."""

import json

import numpy as np
import pytest
import SimpleITK as sitk
import torch
from trivial import SHIFT, volume

from DeepRegistrationLib.cli import main
from DeepRegistrationLib.evaluation import read_landmarks
from DeepRegistrationLib.files.landmark_files import read_landmark_list
from DeepRegistrationLib.transforms import Affine, write_transform


def register(pair, out, *options):
    return main(["register", *map(str, pair), "-o", str(out), "--method", "shift", *options])


# methods, info --------------------------------------------------------------------------------


def test_methods_are_listed_with_parameters_units_and_ranges(shift, capsys):
    assert main(["methods", "--json"]) == 0
    listed = {entry["name"]: entry for entry in json.loads(capsys.readouterr().out)}
    parameters = {entry["name"]: entry for entry in listed["shift"]["parameters"]}
    assert parameters["scale"] == {
        "name": "scale",
        "type": "float",
        "default": 1.0,
        "help": "factor of the shift",
        "unit": "",
        "minimum": 0.0,
        "maximum": 5.0,
        "choices": None,
    }
    assert parameters["kind"]["choices"] == ["rigid", "loose"]
    assert listed["shift"]["card"]["licence"] == "no weights"
    assert main(["methods"]) == 0
    assert "shift: Known shift" in capsys.readouterr().out


def test_info_tells_device_memory_and_versions(capsys):
    assert main(["info", "--json"]) == 0
    info = json.loads(capsys.readouterr().out)
    assert info["versions"]["torch"] == torch.__version__
    assert info["cpu_threads"] >= 1
    assert main(["info"]) == 0
    assert "Device:" in capsys.readouterr().out


# evaluate -------------------------------------------------------------------------------------


@pytest.fixture
def transform(tmp_path):
    """A written transform that shifts by SHIFT."""
    write_transform(Affine(translation=SHIFT), tmp_path / "t.h5")
    return str(tmp_path / "t.h5")


def test_evaluate_prints_the_same_report_as_register_writes(
    shift, pair, landmarks, tmp_path, capsys
):
    register(pair, tmp_path / "out", *landmarks, "-q")
    written = json.loads((tmp_path / "out" / "report.json").read_text())
    images = ["--fixed", str(pair[0]), "--moving", str(pair[1])]
    assert main(["evaluate", str(tmp_path / "out" / "transform.h5"), *images, *landmarks]) == 0
    printed = json.loads(capsys.readouterr().out)
    assert list(printed) == list(written)
    assert printed["tre"] == written["tre"]
    assert printed["similarity"]["after"]["ncc"] == pytest.approx(
        written["similarity"]["after"]["ncc"], abs=1e-4
    )


def test_evaluate_needs_only_landmarks_and_writes_a_file(transform, landmarks, tmp_path, capsys):
    out = tmp_path / "report.json"
    assert main(["evaluate", transform, *landmarks, "-o", str(out)]) == 0
    report = json.loads(out.read_text())
    assert report["tre"]["after"]["mean"] == pytest.approx(1, abs=1e-5)
    assert report["tre"]["snapped"] is None
    assert report["similarity"] is None
    assert f"Wrote {out}" in capsys.readouterr().out


def test_evaluate_notices_a_transform_of_the_other_direction(landmarks, tmp_path, capsys):
    transform = tmp_path / "inverse.tfm"
    write_transform(Affine(translation=[-value for value in SHIFT]), transform)
    assert main(["evaluate", str(transform), *landmarks, "-o", str(tmp_path / "r.json")]) == 0
    assert "the transform inverted" in capsys.readouterr().out


def test_evaluate_measures_labels(transform, pair, tmp_path, capsys):
    labels = np.zeros((10, 12, 14), dtype=np.uint8)
    labels[3:7, 4:9, 4:9] = 2
    volume(tmp_path / "fl.nii.gz", values=labels)
    moved = volume(tmp_path / "ml.nii.gz", values=labels, origin=tuple(np.add((-10, 5, 30), SHIFT)))
    options = ["--fixed-labels", str(tmp_path / "fl.nii.gz"), "--moving-labels", str(moved)]
    assert main(["evaluate", transform, *options]) == 0
    overlap = json.loads(capsys.readouterr().out)["overlap"]["2"]
    assert overlap["after"]["dice"] == 1
    assert overlap["before"]["dice"] < 1


def test_applied_labels_have_the_overlap_that_evaluate_gives(pair, tmp_path, capsys):
    """Thick slices half a slice apart, where nearest neighbors and shares of labels differ."""
    values = np.zeros((10, 12, 14), dtype=np.uint8)
    z, y, x = np.indices(values.shape)
    values[np.hypot(np.hypot(2 * (x - 7), 1.8 * (y - 6)), 2.2 * (z - 5)) < 8] = 4
    fixed = volume(tmp_path / "fl.nii.gz", values=values)
    moving = volume(tmp_path / "ml.nii.gz", values=np.roll(values, 1, axis=0))
    transform = str(tmp_path / "half.tfm")
    sitk.WriteTransform(sitk.TranslationTransform(3, (0.9, 0.3, 1.0)), transform)
    given = ["--fixed-labels", str(fixed), "--moving-labels", str(moving)]
    assert main(["evaluate", transform, *given]) == 0
    measured = json.loads(capsys.readouterr().out)["overlap"]["4"]["after"]["dice"]
    out = str(tmp_path / "warped.nii.gz")
    assert (
        main(["apply", transform, str(moving), "--labels", "--reference", str(fixed), "-o", out])
        == 0
    )
    overlap = sitk.LabelOverlapMeasuresImageFilter()
    overlap.Execute(*(sitk.Cast(sitk.ReadImage(str(f)), sitk.sitkUInt8) for f in (fixed, out)))
    assert measured == pytest.approx(overlap.GetDiceCoefficient(4)) and 0.5 < measured < 1


def test_evaluate_measures_the_overlap_of_two_masks(transform, pair, tmp_path, capsys):
    mask = np.zeros((10, 12, 14), dtype=np.uint8)
    mask[3:7, 4:9, 4:9] = 255
    fixed = volume(tmp_path / "fm.nii.gz", values=mask)
    moving = volume(tmp_path / "mm.nii.gz", values=mask, origin=tuple(np.add((-10, 5, 30), SHIFT)))
    options = ["--fixed-mask", str(fixed), "--moving-mask", str(moving)]
    assert main(["evaluate", transform, *options]) == 0
    report = json.loads(capsys.readouterr().out)
    assert report["overlap"]["mask"]["after"]["dice"] == 1
    assert report["overlap"]["mask"]["before"]["dice"] < 1
    assert report["jacobian"]["in_mask"]["mean"] == pytest.approx(1, abs=1e-4)


# apply ----------------------------------------------------------------------------------------


def test_apply_warps_an_image_as_simpleitk_does_and_keeps_its_type(transform, pair, tmp_path):
    out = tmp_path / "w.nii.gz"
    assert (
        main(["apply", transform, str(pair[1]), "--reference", str(pair[0]), "-o", str(out)]) == 0
    )
    fixed, moving, ours = (sitk.ReadImage(str(p)) for p in (*pair, out))
    reference = sitk.Resample(
        moving, fixed, sitk.ReadTransform(transform), sitk.sitkLinear, -1000.0
    )
    assert ours.GetPixelID() == moving.GetPixelID() == sitk.sitkInt16
    difference = sitk.GetArrayFromImage(ours).astype(int) - sitk.GetArrayFromImage(reference)
    assert (np.abs(difference) <= 1).mean() > 0.97


def test_apply_keeps_labels_whole(transform, pair, tmp_path):
    labels = np.random.default_rng(0).choice([0, 3, 9], (12, 14, 15)).astype(np.uint8)
    source = volume(
        tmp_path / "labels.nrrd", values=labels, spacing=(2.0, 1.8, 2.2), size=(15, 14, 12)
    )
    out = tmp_path / "l.nii.gz"
    options = ["--reference", str(pair[0]), "-o", str(out), "--labels"]
    assert main(["apply", transform, str(source), *options]) == 0
    warped = sitk.ReadImage(str(out))
    assert warped.GetPixelID() == sitk.sitkUInt8
    assert set(np.unique(sitk.GetArrayFromImage(warped))) == {0, 3, 9}


@pytest.mark.parametrize("kind", [np.uint8, np.int16, np.float64])
def test_a_label_map_that_is_applied_as_an_image_gets_a_warning(
    transform, pair, tmp_path, capsys, kind
):
    labels = np.random.default_rng(0).choice([0, 3, 9], (12, 14, 15)).astype(kind)
    made = {"spacing": (2.0, 1.8, 2.2), "size": (15, 14, 12)}
    options = ["--reference", str(pair[0]), "-o", str(tmp_path / "l.nii.gz")]
    asked = "give --labels"
    source = str(volume(tmp_path / "labels.nrrd", values=labels, **made))
    assert main(["apply", transform, source, *options]) == 0
    assert asked in capsys.readouterr().out
    for way in (["--labels"], ["--interpolation", "nearest"]):
        assert main(["apply", transform, source, *options, *way]) == 0
        assert asked not in capsys.readouterr().out
    mask = str(volume(tmp_path / "mask.nrrd", values=(labels > 0).astype(kind), **made))
    for image in (mask, str(pair[1])):  # rounded at the half level; an image
        assert main(["apply", transform, image, *options]) == 0
        assert asked not in capsys.readouterr().out


def test_points_go_from_fixed_to_moving_and_back(transform, landmarks, tmp_path):
    source = landmarks[1]
    there, back = str(tmp_path / "there.mrk.json"), str(tmp_path / "back.csv")
    assert main(["apply", transform, source, "-o", there]) == 0
    points = read_landmarks(source)
    np.testing.assert_allclose(read_landmarks(there), points + SHIFT, atol=1e-5)
    assert main(["apply", transform, there, "-o", back, "--inverse"]) == 0
    np.testing.assert_allclose(read_landmarks(back), points, atol=1e-3)


@pytest.mark.parametrize("name", ["there.mrk.json", "there.fcsv", "there.csv"])
def test_applied_points_keep_their_labels_and_what_is_unselected(transform, tmp_path, name):
    source, there = tmp_path / "given.csv", tmp_path / name
    source.write_text("label,x,y,z,selected\n3,1,2,3,1\n1,-4,5,6,0\n2,7,8,9,1\n")
    assert main(["apply", transform, str(source), "-o", str(there)]) == 0
    found = read_landmark_list(there)
    assert found.labels == ("3", "1", "2")  # numbers from 1 would pair the wrong points
    assert found.selected.tolist() == [True, False, True]


def test_an_image_goes_back_by_the_inverse(transform, pair, tmp_path):
    out = tmp_path / "w.nii.gz"
    options = ["--inverse", "--reference", str(pair[1]), "-o", str(out), "-q"]
    assert main(["apply", transform, str(pair[0]), *options]) == 0
    fixed, moving, ours = (sitk.ReadImage(str(p)) for p in (*pair, out))
    inverse = sitk.TranslationTransform(3, tuple(-s for s in SHIFT))
    reference = sitk.Resample(fixed, moving, inverse, sitk.sitkLinear, -1000.0)
    difference = sitk.GetArrayFromImage(ours) - sitk.GetArrayFromImage(reference)
    assert (np.abs(difference) < 1).mean() > 0.95


# demo -----------------------------------------------------------------------------------------


def test_the_demo_registers_a_phantom_and_writes_it_with_its_landmarks(shift, tmp_path, capsys):
    out = tmp_path / "demo"
    options = ["--method", "shift", "--spacing", "8", "-o", str(out)]
    assert main(["demo", *options]) == 0
    assert "Target registration error" in capsys.readouterr().out
    report = json.loads((out / "report.json").read_text())
    fixed = sitk.ReadImage(str(out / "fixed.nii.gz"))
    assert report["fixed"]["size"] == list(fixed.GetSize())
    assert report["jacobian"]["in_mask"]["mean"] == pytest.approx(1, abs=1e-3)
    points = [read_landmarks(out / f"{side}_landmarks.csv") for side in ("fixed", "moving")]
    distance = np.linalg.norm(points[0] - points[1], axis=1).mean()
    assert report["tre"]["before"]["mean"] == pytest.approx(distance, abs=1e-4)
