"""The command line does what its contract says. A method that only shifts keeps this fast."""

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import SimpleITK as sitk
import torch
from trivial import SHIFT, install, volume

from DeepRegistrationLib import __version__
from DeepRegistrationLib.cli import main
from DeepRegistrationLib.evaluation import read_landmarks, write_landmarks
from DeepRegistrationLib.methods import QUALITIES
from DeepRegistrationLib.transforms import Affine, write_transform

ROOT = Path(__file__).parents[2]
RESULTS = {"transform.h5", "warped.nii.gz", "jacobian.nii.gz", "report.json"}


@pytest.fixture
def shift(monkeypatch):
    """The trivial method, offered as ``shift``."""
    return install(monkeypatch)


@pytest.fixture
def pair(tmp_path):
    """Paths of a fixed and a moving image of different geometry."""
    fixed = volume(tmp_path / "fixed.nii.gz")
    moving = volume(
        tmp_path / "moving.mha",
        size=(15, 14, 12),
        spacing=(2.0, 1.8, 2.2),
        values=np.random.default_rng(1).normal(-400, 200, (12, 14, 15)).astype(np.int16),
    )
    return fixed, moving


@pytest.fixture
def landmarks(tmp_path):
    """Two landmark files that the shift brings to within 1 mm."""
    fixed = np.array([[0.0, 12.0, 40.0], [4.0, 14.0, 38.0], [2.0, 16.0, 42.0]])
    write_landmarks(fixed, tmp_path / "fixed.csv")
    write_landmarks(fixed + SHIFT + [1.0, 0, 0], tmp_path / "moving.fcsv")
    return (
        "--fixed-landmarks",
        str(tmp_path / "fixed.csv"),
        "--moving-landmarks",
        str(tmp_path / "moving.fcsv"),
    )


def register(pair, out, *options):
    return main(["register", *map(str, pair), "-o", str(out), "--method", "shift", *options])


def environment(**more):
    return {**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1", **more}


def shell(*command, **more):
    return subprocess.run(
        [sys.executable, *command],
        capture_output=True,
        text=True,
        check=False,
        env=environment(**more),
    )


# Help and version -----------------------------------------------------------------------------

COMMANDS = ("register", "methods", "evaluate", "apply", "demo", "info")


def test_help_and_version_come_without_importing_torch():
    code = (
        "import sys; from DeepRegistrationLib.cli import main\n"
        "codes = [main(a) for a in (['--help'], ['--version'], ['register', '--help'], ['bad'])]\n"
        "print(codes, [m for m in ('torch', 'SimpleITK', 'scipy') if m in sys.modules])"
    )
    ran = shell("-c", code)
    assert ran.stdout.splitlines()[-1] == "[0, 0, 0, 2] []"
    assert f"deepreg {__version__}" in ran.stdout


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_has_help(command, capsys):
    assert main([command, "--help"]) == 0
    assert command in capsys.readouterr().out


def test_the_module_can_be_run():
    ran = shell("-m", "DeepRegistrationLib", "--version")
    assert (ran.returncode, ran.stdout.strip()) == (0, f"deepreg {__version__}")


def test_the_offered_qualities_are_the_engines(capsys):
    main(["register", "--help"])
    assert "{" + ",".join(QUALITIES) + "}" in capsys.readouterr().out


@pytest.mark.parametrize(
    "arguments",
    [
        [],
        ["register"],
        ["register", "a", "b"],
        ["register", "a", "b", "-o", "c", "--quality", "perfect"],
        ["register", "a", "b", "-o", "c", "--seed", "x"],
        ["nonsense"],
        ["evaluate"],
        ["apply", "t.h5", "a.nii", "-o", "b.nii", "--labels", "--interpolation", "cubic"],
    ],
)
def test_a_wrong_command_line_is_one_line_and_exit_2(arguments, capsys):
    assert main(arguments) == 2
    captured = capsys.readouterr()
    assert captured.out == ""
    assert len(captured.err.splitlines()) == 1
    assert "--help" in captured.err


# register -------------------------------------------------------------------------------------


def test_register_writes_exactly_the_promised_files(shift, pair, tmp_path, capfd):
    out = tmp_path / "deep" / "er" / "out"
    assert register(pair, out) == 0
    assert {path.name for path in out.iterdir()} == RESULTS
    captured = capfd.readouterr()
    assert captured.err == ""
    assert f"Wrote {out}" in captured.out
    assert list(tmp_path.rglob("*partial*")) == []


def test_the_inverse_is_written_when_asked_for_and_its_residual_reported(shift, pair, tmp_path):
    assert register(pair, tmp_path / "out", "--inverse", "--quiet") == 0
    assert {path.name for path in (tmp_path / "out").iterdir()} == RESULTS | {"inverse.h5"}
    report = json.loads((tmp_path / "out" / "report.json").read_text())
    assert report["inverse_residual_mm"]["max"] < 0.01
    inverse = sitk.ReadTransform(str(tmp_path / "out" / "inverse.h5"))
    forward = sitk.ReadTransform(str(tmp_path / "out" / "transform.h5"))
    point = (0.0, 12.0, 40.0)
    np.testing.assert_allclose(
        inverse.TransformPoint(forward.TransformPoint(point)), point, atol=0.02
    )


def test_the_warped_image_is_what_simpleitk_makes_of_the_written_transform(shift, pair, tmp_path):
    register(pair, tmp_path / "out", "--quiet")
    fixed, moving = (sitk.ReadImage(str(path), sitk.sitkFloat32) for path in pair)
    transform = sitk.ReadTransform(str(tmp_path / "out" / "transform.h5"))
    np.testing.assert_allclose(transform.TransformPoint((1.0, 2.0, 3.0)), np.add((1, 2, 3), SHIFT))
    reference = sitk.Resample(moving, fixed, transform, sitk.sitkLinear, -1000.0)
    warped = sitk.ReadImage(str(tmp_path / "out" / "warped.nii.gz"))
    assert warped.GetSize() == fixed.GetSize()
    np.testing.assert_allclose(warped.GetOrigin(), fixed.GetOrigin(), atol=1e-5)
    there, ours = sitk.GetArrayFromImage(reference), sitk.GetArrayFromImage(warped)
    same = np.abs(there - ours) < 0.05
    assert same.mean() > 0.97  # ITK and we decide differently on voxels exactly at the border
    jacobian = sitk.GetArrayFromImage(sitk.ReadImage(str(tmp_path / "out" / "jacobian.nii.gz")))
    np.testing.assert_allclose(jacobian, 1, atol=1e-4)


def test_the_report_is_json_and_measures_the_landmarks(shift, pair, landmarks, tmp_path, capsys):
    assert register(pair, tmp_path / "out", *landmarks, "--seed", "7") == 0
    report = json.loads((tmp_path / "out" / "report.json").read_text())
    assert report["method"] == "shift"
    assert report["seed"] == 7
    assert report["versions"]["deepregistration"] == __version__
    assert report["tre"]["n"] == 3
    assert report["tre"]["before"]["mean"] == pytest.approx(
        np.linalg.norm(np.add(SHIFT, (1, 0, 0)))
    )
    assert report["tre"]["after"]["mean"] == pytest.approx(1.0, abs=1e-5)
    assert report["jacobian"]["percent_nonpositive"] == 0
    assert {"read", "register", "warp", "jacobian", "total"} <= set(report["seconds"])
    assert str(tmp_path) not in json.dumps(report)
    assert "1.00 mm after" in capsys.readouterr().out


def test_quiet_prints_nothing(shift, pair, tmp_path, capfd):
    assert register(pair, tmp_path / "out", "--quiet") == 0
    captured = capfd.readouterr()
    assert captured.out + captured.err == ""


def test_parameters_reach_the_method_with_their_types(shift, pair, tmp_path):
    options = ("--set", "scale=0.5", "--set", "count=3", "--set", "strict=false", "-q")
    assert register(pair, tmp_path / "out", *options) == 0
    parameters = shift.calls[0][3]
    assert (parameters.scale, parameters.count, parameters.strict) == (0.5, 3, False)


def test_masks_and_initial_transform_reach_the_method(shift, pair, tmp_path):
    image = sitk.ReadImage(str(pair[0]))
    mask = sitk.Cast(image > -600, sitk.sitkUInt8)
    sitk.WriteImage(mask, str(tmp_path / "mask.nii.gz"))
    write_transform(Affine(translation=(1.0, 0, 0)), tmp_path / "initial.tfm")
    options = ("--fixed-mask", str(tmp_path / "mask.nii.gz"))
    options += ("--initial", str(tmp_path / "initial.tfm"), "-q")
    assert register(pair, tmp_path / "out", *options) == 0
    context = shift.calls[0][2]
    np.testing.assert_array_equal(context.fixed_mask.data, sitk.GetArrayFromImage(mask))
    np.testing.assert_array_equal(context.initial.translation, (1, 0, 0))
    report = json.loads((tmp_path / "out" / "report.json").read_text())
    assert report["jacobian"]["in_mask"]["mean"] == pytest.approx(1, abs=1e-4)


def test_landmarks_never_reach_the_method(shift, pair, landmarks, tmp_path):
    register(pair, tmp_path / "without", "-q")
    register(pair, tmp_path / "with", *landmarks, "-q")
    (fixed_a, moving_a, context_a, values_a), (fixed_b, moving_b, context_b, values_b) = shift.calls
    for a, b in ((fixed_a, fixed_b), (moving_a, moving_b)):
        assert a.grid == b.grid
        assert a.name == b.name
        assert torch.equal(a.data, b.data)
    assert values_a == values_b
    for name in ("initial", "fixed_mask", "moving_mask", "quality", "device", "seed", "notes"):
        assert getattr(context_a, name) == getattr(context_b, name)
    assert set(vars(context_a)) == set(vars(context_b))


def test_an_earlier_result_is_replaced_whole_and_other_files_stay(shift, pair, tmp_path):
    out = tmp_path / "out"
    register(pair, out, "--inverse", "-q")
    (out / "notes.txt").write_text("mine")
    assert register(pair, out, "--set", "scale=2", "-q") == 0
    assert {path.name for path in out.iterdir()} == RESULTS | {"notes.txt"}
    transform = sitk.ReadTransform(str(out / "transform.h5"))
    np.testing.assert_allclose(transform.TransformPoint((0.0, 0, 0)), np.multiply(2, SHIFT))


def test_a_dicom_folder_is_read(shift, pair, tmp_path):
    folder = tmp_path / "series"
    folder.mkdir()
    image = sitk.Cast(sitk.ReadImage(str(pair[0])), sitk.sitkInt16)
    writer = sitk.ImageFileWriter()
    writer.KeepOriginalImageUIDOn()
    for z in range(image.GetDepth()):
        part = image[:, :, z]
        for tag, value in {
            "0008|0060": "CT",
            "0020|000e": "1.2.3",
            "0020|000d": "1.2.3.4",
            "0020|0032": "\\".join(map(str, image.TransformIndexToPhysicalPoint((0, 0, z)))),
            "0020|0037": "1\\0\\0\\0\\1\\0",
            "0020|0013": str(z),
        }.items():
            part.SetMetaData(tag, value)
        writer.SetFileName(str(folder / f"{z}.dcm"))
        writer.Execute(part)
    assert register((folder, pair[1]), tmp_path / "out", "-q") == 0
    fixed = shift.calls[0][0]
    assert fixed.grid.size == image.GetSize()
    np.testing.assert_allclose(fixed.grid.origin, image.GetOrigin(), atol=1e-4)


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


def test_points_go_from_fixed_to_moving_and_back(transform, landmarks, tmp_path):
    source = landmarks[1]
    there, back = str(tmp_path / "there.mrk.json"), str(tmp_path / "back.csv")
    assert main(["apply", transform, source, "-o", there]) == 0
    points = read_landmarks(source)
    np.testing.assert_allclose(read_landmarks(there), points + SHIFT, atol=1e-5)
    assert main(["apply", transform, there, "-o", back, "--inverse"]) == 0
    np.testing.assert_allclose(read_landmarks(back), points, atol=1e-3)


def test_an_image_goes_back_by_the_inverse(transform, pair, tmp_path):
    out = tmp_path / "w.nii.gz"
    options = ["--inverse", "--reference", str(pair[1]), "-o", str(out), "-q"]
    assert main(["apply", transform, str(pair[0]), *options]) == 0
    fixed, moving, ours = (sitk.ReadImage(str(p)) for p in (*pair, out))
    inverse = sitk.TranslationTransform(3, tuple(-s for s in SHIFT))
    reference = sitk.Resample(fixed, moving, inverse, sitk.sitkLinear, -1000.0)
    difference = sitk.GetArrayFromImage(ours) - sitk.GetArrayFromImage(reference)
    assert (np.abs(difference) < 1).mean() > 0.95
