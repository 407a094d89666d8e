"""Readers of public data sets, on tiny folders in the layouts in which these are distributed."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from datasets_made import SIZE, refusal, volume

from DeepRegistrationLib.data.cases import read_cases
from DeepRegistrationLib.data.layouts import open_dataset
from DeepRegistrationLib.evaluation.landmarks import read_landmarks

REAL = Path(__file__).resolve().parents[2].parent / "shared" / "data"


def test_popi_pairs_phases_with_their_landmarks(tmp_path):
    points = np.array([[1.0, 2.0, 3.0], [4.0, 5.0, 6.0]])
    for patient in ("Pat1", "Pat2"):
        for phase in ("00", "50"):
            volume(tmp_path / f"set/{patient}/MHD/{phase}.mhd")
            file = tmp_path / f"set/{patient}/Landmarks/{phase}.pts"
            file.parent.mkdir(exist_ok=True)
            np.savetxt(file, points + float(phase) / 100, header="x y z")
    cases = open_dataset("popi", tmp_path / "set", tmp_path / "out", shares=(1, 0, 1))
    assert [case.patient for case in cases] == ["Pat1", "Pat1", "Pat2", "Pat2"]
    assert {case.split for case in cases} == {"train", "test"}
    assert np.allclose(read_landmarks(cases[1].landmarks), points + 0.5)


def test_popi_landmarks_in_ras_are_named(tmp_path):
    volume(tmp_path / "set/p/00.mhd", origin=(5.0, 5.0, 0.0))
    (tmp_path / "set/p/00.pts").write_text("-7 -8 3\n-9 -9 2\n")
    assert "RAS" in refusal("popi", tmp_path / "set", tmp_path)


def test_empire10_takes_the_masks_along(tmp_path):
    for side in ("Fixed", "Moving"):
        volume(tmp_path / f"set/scans/01_{side}.mhd")
        volume(tmp_path / f"set/lungMasks/01_{side}.mhd", np.ones(SIZE[::-1], np.uint8))
    cases = open_dataset("empire10", tmp_path / "set", tmp_path / "out")
    assert [case.image.name for case in cases] == ["01_Fixed.mhd", "01_Moving.mhd"]
    assert all(case.mask is not None and case.mask.parent.name == "lungMasks" for case in cases)
    (tmp_path / "set/scans/01_Moving.mhd").unlink()
    assert "only its fixed scan" in refusal("empire10", tmp_path / "set", tmp_path)


@pytest.fixture
def learn2reg_folder(tmp_path):
    """Three patients with a pair each; the second one is for validation and listed twice."""
    folder = tmp_path / "NLST"
    names = [f"NLST_{p:04d}_{t:04d}" for p in (1, 2, 3) for t in (0, 1)]
    for name in names:
        volume(folder / f"imagesTr/{name}.nii.gz", spacing=(1.5, 1.5, 2.0), origin=(3.0, 0.0, 0.0))
        volume(
            folder / f"masksTr/{name}.nii.gz",
            np.ones(SIZE[::-1], np.uint8),
            (1.5, 1.5, 2.0),
            (3.0, 0.0, 0.0),
        )
        (folder / "keypointsTr").mkdir(exist_ok=True)
        (folder / f"keypointsTr/{name}.csv").write_text("0,1,2\n11,9,7\n")
    content = {
        "training": [{"image": f"./imagesTr/{n}.nii.gz"} for n in names],
        "registration_val": [
            {
                "fixed": "./imagesTr/NLST_0002_0000.nii.gz",
                "moving": "./imagesTr/NLST_0002_0001.nii.gz",
            }
        ],
    }
    (folder / "NLST_dataset.json").write_text(json.dumps(content))
    return folder


def test_learn2reg_keeps_validation_patients_out_of_training(learn2reg_folder, tmp_path):
    cases = open_dataset("learn2reg", learn2reg_folder, tmp_path / "out")
    splits = {case.patient: case.split for case in cases}
    assert splits == {"NLST_0001": "train", "NLST_0002": "validation", "NLST_0003": "train"}
    assert len(cases) == 6 and all(case.mask is not None for case in cases)
    expected = [[3.0, 1.5, 4.0], [19.5, 13.5, 14.0]]
    assert np.allclose(read_landmarks(cases[0].landmarks), expected)


def test_learn2reg_keypoints_outside_the_image_are_refused(learn2reg_folder, tmp_path):
    (learn2reg_folder / "keypointsTr/NLST_0003_0001.csv").write_text("12,10,8\n")
    assert "count from 1" in refusal("learn2reg", learn2reg_folder, tmp_path)


def test_learn2reg_with_a_missing_image_is_refused(learn2reg_folder, tmp_path):
    (learn2reg_folder / "imagesTr/NLST_0001_0001.nii.gz").unlink()
    assert "NLST_0001_0001" in refusal("learn2reg", learn2reg_folder, tmp_path)


@pytest.fixture
def acdc_folder(tmp_path):
    """Two patients, the second one in ``testing``."""
    folder = tmp_path / "database"
    for place, frame in (("training/patient001", 12), ("testing/patient101", 9)):
        name = place.split("/")[1]
        for number in (1, frame):
            volume(folder / place / f"{name}_frame{number:02d}.nii.gz")
            labels = np.random.default_rng(0).integers(0, 4, SIZE[::-1]).astype(np.uint8)
            volume(folder / place / f"{name}_frame{number:02d}_gt.nii.gz", labels)
        (folder / place / "Info.cfg").write_text(f"ED: 1\nES: {frame}\nGroup: DCM\n")
    return folder


def test_acdc_lists_diastole_before_systole(acdc_folder, tmp_path):
    cases = open_dataset("acdc", acdc_folder, tmp_path / "out")
    assert [case.image.name for case in cases if case.patient == "patient001"] == [
        "patient001_frame01.nii.gz",
        "patient001_frame12.nii.gz",
    ]
    assert {case.patient: case.split for case in cases} == {
        "patient001": "train",
        "patient101": "test",
    }
    assert all(case.labels is not None for case in cases)


def test_acdc_labels_of_another_set_are_refused(acdc_folder, tmp_path):
    path = acdc_folder / "training/patient001/patient001_frame01_gt.nii.gz"
    volume(path, np.full(SIZE[::-1], 7, np.uint8))
    assert "0 to 3" in refusal("acdc", acdc_folder, tmp_path)


def test_acdc_without_the_systolic_frame_is_refused(acdc_folder, tmp_path):
    (acdc_folder / "training/patient001/patient001_frame12.nii.gz").unlink()
    assert "no frame 12" in refusal("acdc", acdc_folder, tmp_path)


def test_the_list_may_be_moved_with_its_folder_and_read_again(acdc_folder, tmp_path):
    first = open_dataset("acdc", acdc_folder, tmp_path / "out")
    again = open_dataset("acdc", acdc_folder, tmp_path / "out")  # over the first
    assert first == again == read_cases(tmp_path / "out" / "cases.csv")
    assert sorted(p.name for p in (tmp_path / "out").iterdir()) == ["cases.csv"]


@pytest.mark.parametrize(
    "layout", ["dirlab-4dct", "dirlab-copdgene", "popi", "empire10", "learn2reg", "acdc"]
)
def test_a_folder_of_another_layout_is_refused_with_what_is_expected(layout, tmp_path):
    (tmp_path / "set").mkdir()
    assert "which has files such as" in refusal(layout, tmp_path / "set", tmp_path)


def test_shares_divide_by_patient_and_are_always_the_same(tmp_path):
    for number in range(10):
        for phase in ("00", "50"):
            volume(tmp_path / f"set/p{number}/{phase}.mha")
    runs = [
        open_dataset("popi", tmp_path / "set", tmp_path / f"out{k}", shares=(60, 20, 20))
        for k in (0, 1)
    ]
    splits = [{case.patient: case.split for case in run} for run in runs]
    assert splits[0] == splits[1]
    assert sorted(splits[0].values()) == ["test"] * 2 + ["train"] * 6 + ["validation"] * 2


def test_the_command_writes_the_list_and_says_what_is_in_it(acdc_folder, tmp_path, capfd):
    from DeepRegistrationLib.cli import main

    command = ["dataset", "acdc", str(acdc_folder), "--output", str(tmp_path / "out")]
    assert main(command) == 0
    assert "4 images of 2 patients" in capfd.readouterr().out
    assert main([*command, "--split", "a/b"]) == 2
    assert "70/15/15" in capfd.readouterr().err
    assert main(["dataset", "dicomdir", *command[2:]]) == 2
    assert "the layouts are" in capfd.readouterr().err


@pytest.mark.skipif(not (REAL / "cardiac_acdc").is_dir(), reason="the ACDC data are not here")
def test_real_acdc_patients_are_read(tmp_path):
    few = tmp_path / "set"
    few.mkdir()
    for number in (1, 57):
        name = f"patient{number:03d}"
        (few / name).symlink_to(REAL / "cardiac_acdc" / name)
    cases = open_dataset("acdc", few, tmp_path / "out")
    assert [case.patient for case in cases] == ["patient001"] * 2 + ["patient057"] * 2
    assert all(case.labels is not None for case in cases)
