"""Readers of public data sets, on tiny folders in the layouts in which these are distributed."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import SimpleITK as sitk
from scipy.io import savemat

from DeepRegistrationLib.data import dirlab, dirlab_refined
from DeepRegistrationLib.data.cases import read_cases
from DeepRegistrationLib.data.dirlab import PublishedCase
from DeepRegistrationLib.data.layouts import open_dataset
from DeepRegistrationLib.errors import RegistrationError
from DeepRegistrationLib.evaluation.landmarks import read_landmarks
from DeepRegistrationLib.images.image import read_image

SIZE, SPACING = (12, 10, 8), (0.97, 0.97, 2.5)
REAL = Path(__file__).resolve().parents[2].parent / "shared" / "data"


def volume(path, values=None, spacing=(1.0, 1.0, 1.0), origin=(0.0, 0.0, 0.0)):
    """Write an image of SIZE; [z, y, x]."""
    path.parent.mkdir(parents=True, exist_ok=True)
    if values is None:
        values = np.random.default_rng(0).integers(-900, 100, SIZE[::-1]).astype(np.int16)
    image = sitk.GetImageFromArray(values)
    image.SetSpacing(spacing)
    image.SetOrigin(origin)
    sitk.WriteImage(image, str(path))
    return path


def indices(count=300, seed=0):
    return np.random.default_rng(seed).integers((1, 1, 1), np.array(SIZE) + 1, (count, 3))


def write_indices(path, index):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("\n".join("\t".join(map(str, row)) for row in index) + "\n")


def write_raw(path, offset=1024):
    """HU -900 to 99 that rise with the voxel's number, stored with an offset."""
    path.parent.mkdir(parents=True, exist_ok=True)
    hu = (np.arange(np.prod(SIZE)) % 1000 - 900).astype("<i2")
    (hu + np.int16(offset)).astype("<i2").tofile(path)
    return hu.reshape(SIZE[::-1])


@pytest.fixture
def dirlab_folder(tmp_path, monkeypatch):
    """Cases 1 and 6 of 4DCT in the two ways of naming, with tiny volumes."""
    folder = tmp_path / "dirlab"
    table = {}
    for case, image, points in (
        (1, "Case1Pack/Images/case1_{}_s.img", "Case1Pack/ExtremePhases/Case1_300_{}_xyz.txt"),
        (6, "Case6Pack/Images/case6_{}.img", "Case6Pack/ExtremePhases/case6_dirLab300_{}_xyz.txt"),
    ):
        pair = indices(seed=case), indices(seed=case + 50)
        apart = float(np.linalg.norm((pair[0] - pair[1]) * SPACING, axis=1).mean())
        table[case] = PublishedCase(SIZE, SPACING, round(apart, 2))
        for phase, index in zip(("T00", "T50"), pair, strict=True):
            write_raw(folder / image.format(phase))
            write_indices(folder / points.format(phase), index)
    monkeypatch.setattr(dirlab, "CASES_4DCT", table)
    return folder


def landmark_file(folder, phase="T50"):
    return folder / f"Case1Pack/ExtremePhases/Case1_300_{phase}_xyz.txt"


def refusal(layout, folder, tmp_path):
    """The sentence with which a data set is refused; nothing was written."""
    with pytest.raises(RegistrationError) as caught:
        open_dataset(layout, folder, tmp_path / "refused")
    assert not (tmp_path / "refused").exists()
    return str(caught.value)


def test_dirlab_comes_out_in_hounsfield_units_and_millimeters(dirlab_folder, tmp_path):
    cases = open_dataset("dirlab-4dct", dirlab_folder, tmp_path / "out")
    assert [case.patient for case in cases] == ["case1", "case1", "case6", "case6"]
    assert {case.split for case in cases} == {"test"}
    image = read_image(cases[0].image)
    assert np.allclose(image.grid.spacing, SPACING)
    hu = (np.arange(np.prod(SIZE)) % 1000 - 900).reshape(SIZE[::-1])
    assert np.array_equal(image.data.numpy(), hu)
    expected = (indices(seed=1) - 1) * np.array(SPACING)
    assert np.allclose(read_landmarks(cases[0].landmarks), expected, atol=1e-4)


def test_dirlab_volumes_that_hold_hounsfield_units_are_not_copied(dirlab_folder, tmp_path):
    raw = dirlab_folder / "Case1Pack/Images/case1_T00_s.img"
    hu = write_raw(raw, offset=0)
    cases = open_dataset("dirlab-4dct", dirlab_folder, tmp_path / "out")
    assert cases[0].image.suffix == ".mhd"
    assert cases[0].image.stat().st_size < 1000
    assert np.array_equal(read_image(cases[0].image).data.numpy(), hu)


def test_copdgene_runs_from_head_to_feet(tmp_path, monkeypatch):
    pair = indices(seed=2), indices(seed=3)
    apart = float(np.linalg.norm((pair[0] - pair[1]) * SPACING, axis=1).mean())
    monkeypatch.setattr(
        dirlab, "CASES_COPDGENE", {3: PublishedCase(SIZE, SPACING, round(apart, 2))}
    )
    for phase, index in zip(("iBH", "eBH"), pair, strict=True):
        write_raw(tmp_path / f"set/copd3/copd3/copd3_{phase}CT.img")
        write_indices(tmp_path / f"set/copd3/copd3/copd3_300_{phase}_xyz_r1.txt", index)
    cases = open_dataset("dirlab-copdgene", tmp_path / "set", tmp_path / "out")
    points = read_landmarks(cases[1].landmarks)
    assert np.allclose(points, (pair[1] - 1) * np.array(SPACING) * (1, 1, -1), atol=1e-4)
    assert read_image(cases[1].image).grid.contains(points).all()


@pytest.fixture
def refined_folder(dirlab_folder):
    """Fu et al.'s files as they are published: y before x, unsigned bytes, one refined list."""
    for case in (1, 6):
        inhale, exhale = (indices(seed=seed)[:, [1, 0, 2]] for seed in (case, case + 50))
        changed = np.random.default_rng(case).integers(0, 2, (300, 1))
        values = {
            "landmark_EE": exhale.astype(np.uint8),
            "landmark_dirlab_EI": inhale.astype(np.uint8),
            "landmark_new_EI": np.clip(inhale - 0.3 * changed, 1, None),
            "landmark_changed_idx": changed.astype(np.uint8),
        }
        for place in ("New Landmark Pairs", "Dense Sets of Landmark Pairs"):
            (dirlab_folder / place).mkdir(exist_ok=True)
        savemat(dirlab_folder / f"New Landmark Pairs/case{case}.mat", values)
        dense = {"landmark_EE": exhale[:9], "landmark_EI": inhale[:9]}
        savemat(dirlab_folder / f"Dense Sets of Landmark Pairs/case{case}.mat", dense)
    return dirlab_folder


def test_refined_landmarks_are_fractions_at_inhale(refined_folder, tmp_path):
    cases = open_dataset("dirlab-4dct-refined", refined_folder, tmp_path / "out")
    assert [case.patient for case in cases] == ["case1", "case1", "case6", "case6"]
    changed = np.random.default_rng(6).integers(0, 2, (300, 1))
    assert 100 < changed.sum() < 200
    expected = np.clip(indices(seed=6) - 0.3 * changed, 1, None) - 1
    assert np.allclose(read_landmarks(cases[2].landmarks), expected * SPACING, atol=1e-4)
    assert np.allclose(
        read_landmarks(cases[3].landmarks), (indices(seed=56) - 1) * np.array(SPACING), atol=1e-4
    )


def test_refined_landmarks_of_another_case_or_kind_are_refused(refined_folder, tmp_path):
    first, sixth = (refined_folder / f"New Landmark Pairs/case{case}.mat" for case in (1, 6))
    whole = first.read_bytes()
    first.write_bytes(sixth.read_bytes())
    assert "another case" in refusal("dirlab-4dct-refined", refined_folder, tmp_path)
    first.write_bytes(whole[: len(whole) // 2])
    assert "cannot be read" in refusal("dirlab-4dct-refined", refined_folder, tmp_path)
    first.write_bytes((refined_folder / "Dense Sets of Landmark Pairs/case1.mat").read_bytes())
    assert "New Landmark Pairs" in refusal("dirlab-4dct-refined", refined_folder, tmp_path)
    savemat(first, {name: np.zeros((4, 2)) for name in dirlab_refined._NAMES})
    assert "lists of x, y, z" in refusal("dirlab-4dct-refined", refined_folder, tmp_path)


def test_a_flipped_axis_is_named(dirlab_folder, tmp_path):
    index = indices(seed=51)
    index[:, 2] = SIZE[2] + 1 - index[:, 2]
    write_indices(landmark_file(dirlab_folder), index)
    sentence = refusal("dirlab-4dct", dirlab_folder, tmp_path)
    assert "case1" in sentence and "z axis flipped" in sentence


def test_indices_from_0_are_named(dirlab_folder, tmp_path):
    write_indices(landmark_file(dirlab_folder), indices(seed=51) - 1)
    assert "count from 0" in refusal("dirlab-4dct", dirlab_folder, tmp_path)


def test_landmarks_of_another_case_are_named(dirlab_folder, tmp_path):
    write_indices(landmark_file(dirlab_folder), indices(seed=99))
    assert "another case" in refusal("dirlab-4dct", dirlab_folder, tmp_path)


def test_exchanged_axes_are_named(dirlab_folder, tmp_path):
    write_indices(landmark_file(dirlab_folder), indices(seed=51)[:, ::-1])
    assert "exchanged" in refusal("dirlab-4dct", dirlab_folder, tmp_path)


def test_a_volume_of_another_size_is_refused_with_both_sizes(dirlab_folder, tmp_path):
    raw = dirlab_folder / "Case1Pack/Images/case1_T50_s.img"
    raw.write_bytes(raw.read_bytes()[:-2])
    sentence = refusal("dirlab-4dct", dirlab_folder, tmp_path)
    assert "1918 bytes" in sentence and "12 x 10 x 8" in sentence and "1920" in sentence


def test_a_missing_phase_is_named(dirlab_folder, tmp_path):
    (dirlab_folder / "Case1Pack/Images/case1_T50_s.img").unlink()
    assert "case1_T50*.img" in refusal("dirlab-4dct", dirlab_folder, tmp_path)


def test_the_published_distances_are_those_of_the_sets():
    mean = np.mean([v.distance for v in dirlab.CASES_4DCT.values() if v.distance])
    assert mean == pytest.approx(8.46, abs=0.01)  # as every paper on DIR-Lab 4DCT gives it
    assert dirlab.CASES_4DCT[7].size == (512, 512, 136)
    assert dirlab.CASES_COPDGENE[2].spacing == (0.645, 0.645, 2.5)


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
