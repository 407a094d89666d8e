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
from trivial import SHIFT

from DeepRegistrationLib import __version__
from DeepRegistrationLib.cli import main
from DeepRegistrationLib.options import QUALITIES
from DeepRegistrationLib.transforms import Affine, write_transform

ROOT = Path(__file__).parents[2]
RESULTS = {"transform.h5", "warped.nii.gz", "jacobian.nii.gz", "report.json"}


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
    assert len(captured.err.splitlines()) == 1  # the images of this pair are unrelated noise
    assert captured.err.startswith("Warning: Look closely: Local correlation")
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
    same = np.abs(there - ours) < 0.55  # CT is written in whole HU
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


def test_swapped_landmark_files_are_noticed(shift, pair, landmarks, tmp_path, capsys):
    swapped = (landmarks[0], landmarks[3], landmarks[2], landmarks[1])
    assert register(pair, tmp_path / "out", *swapped) == 0
    assert "landmarks swapped" in capsys.readouterr().out
    report = json.loads((tmp_path / "out" / "report.json").read_text())
    assert report["swapped"]["swapped"] == pytest.approx(1.0, abs=1e-4)
    assert report["swapped"]["given"] == report["tre"]["after"]["mean"]


def test_quiet_prints_nothing_but_a_warning(shift, good, pair, tmp_path, capfd):
    options = "--quiet", "--set", "scale=0"  # one image twice, left where it is: no fault
    assert register(good, tmp_path / "same", *options) == 0
    captured = capfd.readouterr()
    assert captured.out + captured.err == ""
    assert register(pair, tmp_path / "out", "--quiet") == 0
    captured = capfd.readouterr()
    assert captured.out == ""
    assert captured.err.startswith("Warning: ")


def test_strict_ends_with_3_where_the_verdict_finds_fault_and_writes_all_the_same(
    shift, good, pair, tmp_path, capfd
):
    assert register(good, tmp_path / "same", "--strict", "--set", "scale=0") == 0
    capfd.readouterr()
    assert register(pair, tmp_path / "out", "--strict") == 3
    captured = capfd.readouterr()
    assert len(captured.err.splitlines()) == 1
    report = json.loads((tmp_path / "out" / "report.json").read_text())
    assert captured.err.strip() == f"Warning: {report['verdict']['headline']}"
    assert {path.name for path in (tmp_path / "out").iterdir()} == RESULTS


def test_an_evaluation_warns_and_is_strict_in_the_same_way(pair, tmp_path, capfd):
    write_transform(Affine(), tmp_path / "identity.h5")
    images = "--fixed", str(pair[0]), "--moving", str(pair[1]), "-o", str(tmp_path / "e.json")
    assert main(["evaluate", str(tmp_path / "identity.h5"), *images]) == 0
    assert capfd.readouterr().err.startswith("Warning: ")
    assert main(["evaluate", str(tmp_path / "identity.h5"), *images, "--strict"]) == 3
    assert (tmp_path / "e.json").exists()


def test_a_comparison_warns_of_both_and_is_strict_about_both(pair, tmp_path, capfd):
    images = "--fixed", str(pair[0]), "--moving", str(pair[0]), "-o", str(tmp_path / "e.json")
    files = [str(tmp_path / name) for name in ("good.h5", "bad.h5")]
    write_transform(Affine(), files[0])
    write_transform(Affine(np.diag([1.0, 1.0, -1.0])), files[1])  # turned inside out
    page = "--report", str(tmp_path / "p.html"), "--strict", "-q"
    assert main(["evaluate", files[0], *images, *page]) == 0
    assert capfd.readouterr().err == ""
    for first, second, name in ((*files, "B"), (*files[::-1], "A")):
        assert main(["evaluate", first, "--compare", second, *images, *page]) == 3
        (line,) = capfd.readouterr().err.splitlines()
        assert line.startswith(f"Warning: {name}: ")


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
