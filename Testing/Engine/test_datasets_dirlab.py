"""Readers of DIR-Lab's sets, on tiny folders in the layouts in which these are distributed."""

from __future__ import annotations

import numpy as np
import pytest
from datasets_made import SIZE, SPACING, refusal
from scipy.io import savemat

from DeepRegistrationLib.data import dirlab, dirlab_refined
from DeepRegistrationLib.data.dirlab import PublishedCase
from DeepRegistrationLib.data.layouts import open_dataset
from DeepRegistrationLib.evaluation.landmarks import read_landmarks
from DeepRegistrationLib.images.image import read_image


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
