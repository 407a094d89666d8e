"""Which landmarks belong together: by label, by row, or refused."""

import json

import numpy as np
import pytest

from DeepRegistrationLib.errors import RegistrationError
from DeepRegistrationLib.evaluation.landmark_pairs import pair_labels, read_landmark_pairs
from DeepRegistrationLib.images.geometry import Grid

GRID = Grid((100, 100, 100))
POINTS = np.array([[10.0, 20, 30], [40, 50, 60], [70, 80, 90], [11, 22, 33]])
SHIFT = np.array([3.0, 4.0, 0.0])


def csv(path, points, labels=None):
    head = "x,y,z" if labels is None else "label,x,y,z"
    rows = [",".join(str(v) for v in p) for p in points]
    if labels is not None:
        rows = [f"{label},{row}" for label, row in zip(labels, rows, strict=True)]
    path.write_text("\n".join([head, *rows]) + "\n")
    return path


def fcsv(path, points, labels, selected=None):
    chosen = selected or [1] * len(points)
    rows = [
        f"vtkMRMLMarkupsFiducialNode_{k},{','.join(map(str, p))},0,0,0,1,1,{sel},0,{label},,"
        for k, (p, label, sel) in enumerate(zip(points, labels, chosen, strict=True))
    ]
    head = ["# Markups fiducial file version = 4.11", "# CoordinateSystem = LPS"]
    path.write_text("\n".join([*head, *rows]) + "\n")
    return path


def markups(path, points, labels, selected=None):
    control = [
        {"label": label, "position": list(p), "selected": bool(sel)}
        for p, label, sel in zip(points, labels, selected or [1] * len(points), strict=True)
    ]
    content = {"type": "Fiducial", "coordinateSystem": "LPS", "controlPoints": control}
    path.write_text(json.dumps({"markups": [content]}))
    return path


@pytest.mark.parametrize("write", [csv, fcsv, markups])
def test_equal_labels_make_pairs_whatever_the_order(tmp_path, write):
    order = [2, 0, 3, 1]
    labels = ["carina", "vein", "apex", "base"]
    fixed = write(tmp_path / f"a.{_suffix(write)}", POINTS, labels)
    moving = write(
        tmp_path / f"b.{_suffix(write)}", (POINTS + SHIFT)[order], [labels[k] for k in order]
    )
    pairs = read_landmark_pairs(fixed, moving, GRID, GRID)
    np.testing.assert_allclose(pairs.moving - pairs.fixed, np.tile(SHIFT, (4, 1)))
    assert pairs.labels == labels and pairs.notes == ()


def _suffix(write):
    return {csv: "csv", fcsv: "fcsv", markups: "mrk.json"}[write]


def test_a_file_without_labels_is_paired_row_by_row(tmp_path):
    fixed = csv(tmp_path / "a.csv", POINTS)
    moving = markups(tmp_path / "b.mrk.json", POINTS + SHIFT, ["4", "3", "2", "1"])
    pairs = read_landmark_pairs(fixed, moving)
    np.testing.assert_allclose(pairs.moving - pairs.fixed, np.tile(SHIFT, (4, 1)))
    assert pairs.notes == ()


def test_labels_of_which_none_is_in_both_files_are_paired_row_by_row_and_it_is_said(tmp_path):
    fixed = fcsv(tmp_path / "a.fcsv", POINTS, ["F-1", "F-2", "F-3", "F-4"])
    moving = fcsv(tmp_path / "b.fcsv", POINTS + SHIFT, ["M-1", "M-2", "M-3", "M-4"])
    pairs = read_landmark_pairs(fixed, moving)
    np.testing.assert_allclose(pairs.moving - pairs.fixed, np.tile(SHIFT, (4, 1)))
    assert pairs.notes == ("The landmarks were paired by their order, as their labels differ.",)


def test_a_point_deleted_in_one_file_leaves_the_others_paired_and_is_noted(tmp_path):
    fixed = fcsv(tmp_path / "a.fcsv", POINTS, ["1", "2", "3", "4"])
    moving = fcsv(tmp_path / "b.fcsv", (POINTS + SHIFT)[1:], ["2", "3", "4"])
    pairs = read_landmark_pairs(fixed, moving)
    np.testing.assert_allclose(pairs.fixed, POINTS[1:])
    assert "1 fixed landmark(s) without" in pairs.notes[0]


def test_pairs_unselected_in_slicer_do_not_count(tmp_path):
    fixed = markups(tmp_path / "a.mrk.json", POINTS, list("abcd"), [1, 0, 1, 1])
    moving = fcsv(tmp_path / "b.fcsv", POINTS + SHIFT, list("abcd"), [1, 1, 1, 0])
    pairs = read_landmark_pairs(fixed, moving)
    np.testing.assert_allclose(pairs.fixed, POINTS[[0, 2]])
    assert "2 landmark pair(s) that are unselected" in pairs.notes[0]
    none = fcsv(tmp_path / "c.fcsv", POINTS, list("abcd"), [0, 0, 0, 0])
    with pytest.raises(RegistrationError, match="no pair of selected landmarks"):
        read_landmark_pairs(fixed, none)


@pytest.mark.parametrize(
    ("fixed", "moving", "why"),
    [
        (["a", "b", "c"], ["b", "a", "x"], "'c' is in one of them only"),
        (["a", "b", "a"], ["b", "a", "a"], "'a' occurs twice"),
        (["a", "", "b"], ["", "a", "b"], "a point has no label"),
        (["a", "b", "c", "d"], ["x", "c", "d"], "'a' is in one of them only"),
    ],
)
def test_labels_that_leave_it_open_are_refused(tmp_path, fixed, moving, why):
    files = [
        fcsv(tmp_path / f"{k}.fcsv", POINTS[: len(labels)], labels)
        for k, labels in enumerate((fixed, moving))
    ]
    with pytest.raises(RegistrationError, match="same label") as error:
        read_landmark_pairs(*files)
    assert why in str(error.value)


@pytest.mark.parametrize(
    ("fixed", "moving", "indices", "by_label"),
    [
        (["a", "b"], ["b", "a"], [[0, 1], [1, 0]], True),
        (["1", "2", "tip"], ["1", "2", "top"], [[0, 0], [1, 1], [2, 2]], False),
        (["F", "F"], ["F", "F"], [[0, 0], [1, 1]], False),
        (["", ""], ["a", "b"], [[0, 0], [1, 1]], False),
        ([], ["a"], [], False),
        (["a", "b"], ["b", "a", "x", "x"], [[0, 1], [1, 0]], True),
    ],
)
def test_pairs_by_hand(fixed, moving, indices, by_label):
    found = pair_labels(fixed, moving)
    assert found.indices.tolist() == indices
    assert found.by_label == by_label and found.problem is None


def test_what_is_clear_stays_paired_where_the_rest_is_not():
    found = pair_labels(["a", "b", "c"], ["x", "a", "b"])
    assert found.indices.tolist() == [[0, 1], [1, 2]] and "'c'" in found.problem


def test_lists_of_different_length_without_labels_are_refused(tmp_path):
    files = csv(tmp_path / "a.csv", POINTS), csv(tmp_path / "b.csv", POINTS[:3])
    with pytest.raises(RegistrationError, match="4 fixed but 3 moving"):
        read_landmark_pairs(*files)


def test_a_note_says_that_whole_numbers_may_be_voxel_indices(tmp_path):
    index = np.random.default_rng(5).integers(1, 90, (12, 3))
    found = read_landmark_pairs(csv(tmp_path / "f.csv", index), csv(tmp_path / "m.csv", index + 2))
    assert any("as voxel indices are" in note for note in found.notes)
    for other in (index + 0.5, index - 80):
        found = read_landmark_pairs(tmp_path / "f.csv", csv(tmp_path / "m.csv", other))
        assert not any("voxel indices" in note for note in found.notes)
