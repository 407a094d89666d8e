"""Landmark files and the target registration error, against hand-computed numbers."""

import json

import numpy as np
import pytest
import torch

from DeepRegistrationLib.errors import RegistrationError
from DeepRegistrationLib.evaluation import (
    check_landmarks,
    read_landmarks,
    target_registration_error,
    write_landmarks,
)
from DeepRegistrationLib.files.landmark_files import read_landmark_list
from DeepRegistrationLib.images.geometry import Grid
from DeepRegistrationLib.transforms import Affine, DisplacementField

LPS = np.array([[1.5, -2.25, 300.125], [-40.0, 50.0, -60.0]])
RAS = LPS * (-1, -1, 1)
GRID = Grid((101, 101, 101), (1.0, 1.0, 2.0), (-50.0, -50.0, -100.0))


def rows(points, separator=","):
    return "\n".join(separator.join(str(v) for v in p) for p in points) + "\n"


@pytest.mark.parametrize(
    "text",
    [
        rows(LPS),
        "# x,y,z mm (ITK/LPS physical point)\n" + rows(LPS),
        "x,y,z\n" + rows(LPS),
        "X (mm), Y (mm), Z (mm)\n" + rows(LPS),
        "label,l,p,s\n" + "".join(f"F-{k},{r}\n" for k, r in enumerate(rows(LPS).split())),
        "label,r,a,s,selected\n" + "".join(f"F,{r},1\n" for r in rows(RAS).split()),
        rows(LPS, ", "),
        rows(LPS, ";"),
        rows(LPS, "\t"),
        rows(LPS, "  "),
        "\ufeff" + rows(LPS).replace("\n", "\r\n") + "\r\n\r\n",
    ],
)
def test_csv_is_read_as_lps_with_or_without_header(tmp_path, text):
    path = tmp_path / "points.csv"
    path.write_bytes(text.encode())
    np.testing.assert_array_equal(read_landmarks(path), LPS)


FCSV = "# columns = id,x,y,z,ow,ox,oy,oz,vis,sel,lock,label,desc,associatedNodeID\n"


@pytest.mark.parametrize(
    ("head", "stored"),
    [
        ("# Markups fiducial file version = 4.11\n# CoordinateSystem = LPS\n", LPS),
        ("# Markups fiducial file version = 4.11\n# CoordinateSystem = RAS\n", RAS),
        ("# Markups fiducial file version = 4.10\n# CoordinateSystem = 0\n", RAS),
        ("# Markups fiducial file version = 4.6\n# CoordinateSystem = 1\n", LPS),
        ("# Markups fiducial file version = 4.11\n", LPS),
        ("", RAS),
    ],
)
def test_fcsv_is_read_in_its_own_coordinate_system(tmp_path, head, stored):
    path = tmp_path / "F.fcsv"
    points = [f"id_{k},{r},0,0,0,1,1,1,0,F-{k},," for k, r in enumerate(rows(stored).split())]
    path.write_text(head + FCSV + "\n".join(points) + "\n")
    np.testing.assert_array_equal(read_landmarks(path), LPS)


@pytest.mark.parametrize(("system", "stored"), [("LPS", LPS), ("RAS", RAS), (None, LPS)])
def test_markups_json_is_read_in_its_own_coordinate_system(tmp_path, system, stored):
    path = tmp_path / "F.mrk.json"
    markup = {"type": "Fiducial", "controlPoints": [{"position": p.tolist()} for p in stored]}
    if system:
        markup["coordinateSystem"] = system
    path.write_text(json.dumps({"@schema": "", "markups": [markup]}))
    np.testing.assert_array_equal(read_landmarks(path), LPS)


@pytest.mark.parametrize("name", ["p.csv", "p.fcsv", "p.mrk.json", "p.txt"])
def test_written_landmarks_are_read_back(tmp_path, name):
    write_landmarks(LPS, tmp_path / name)
    np.testing.assert_allclose(read_landmarks(tmp_path / name), LPS, atol=1e-6)


@pytest.mark.parametrize("name", ["p.csv", "p.fcsv", "p.mrk.json", "p.txt"])
def test_written_labels_and_selection_are_read_back(tmp_path, name):
    labels = tuple(f'#{k}, "carina"' for k in range(len(LPS)))
    selected = np.arange(len(LPS)) != 1
    write_landmarks(LPS, tmp_path / name, labels, selected)
    found = read_landmark_list(tmp_path / name)
    np.testing.assert_allclose(found.points, LPS, atol=1e-6)
    assert found.labels == labels
    assert found.selected.tolist() == selected.tolist()


@pytest.mark.parametrize("name", ["p.fcsv", "p.mrk.json"])
def test_slicer_reads_written_landmarks_at_the_same_place(tmp_path, name):
    slicer = pytest.importorskip("slicer")
    write_landmarks(LPS, tmp_path / name)
    scene = slicer.vtkMRMLScene()
    logic = slicer.vtkSlicerMarkupsLogic()
    logic.SetMRMLScene(scene)
    kinds = {
        "p.fcsv": slicer.vtkMRMLMarkupsFiducialStorageNode,
        "p.mrk.json": slicer.vtkMRMLMarkupsJsonStorageNode,
    }
    storage = kinds[name]()
    storage.SetFileName(str(tmp_path / name))
    node = scene.AddNewNodeByClass("vtkMRMLMarkupsFiducialNode", "F")
    assert storage.ReadData(node) == 1
    ras = [node.GetNthControlPointPosition(k) for k in range(node.GetNumberOfControlPoints())]
    np.testing.assert_allclose(ras, RAS, atol=1e-5)


@pytest.mark.parametrize(
    ("name", "text", "says"),
    [
        ("p.csv", "", "holds no landmarks"),
        ("p.csv", "x,y,z\n", "holds no landmarks"),
        ("p.csv", "1,2,3\n4,five,6\n", "line 2"),
        ("p.csv", "1,2\n", "line 1"),
        ("p.txt", "3\n1 2 3\n4 5 6\n7 8 9\n", "line 1: '3' is not"),  # their number, as elastix
        ("p.csv", "1,2,nan\n", "landmark 1"),
        ("p.csv", "name,comment,date\n1,2,3\n", "header"),
        ("p.csv", "\x00\x01binary,\x02\n", "p.csv"),
        ("p.fcsv", "# CoordinateSystem = IJK\n1,2,3,4\n", "'IJK'"),
        ("p.fcsv", "# CoordinateSystem = 2\n1,2,3,4\n", "'2'"),
        ("p.fcsv", "# CoordinateSystem = LPS\nid,a,b,c\n", "line 2"),
        ("p.mrk.json", "not json", "not a Slicer markups file"),
        ("p.mrk.json", "[1, 2]", "not a Slicer markups file"),
        ("p.mrk.json", '{"markups": []}', "0 point lists"),
        ("p.mrk.json", '{"markups": [{"controlPoints": []}]}', "holds no landmarks"),
        (
            "p.mrk.json",
            '{"markups":[{"controlPoints":[{"position":[1,2,3],"positionStatus":"undefined"}]}]}',
            "point 1 has no position",
        ),
    ],
)
def test_a_bad_landmark_file_is_refused_with_a_sentence(tmp_path, name, text, says):
    path = tmp_path / name
    path.write_text(text)
    with pytest.raises(RegistrationError, match=says) as error:
        read_landmarks(path)
    assert "\n" not in str(error.value)


def test_a_missing_landmark_file_is_refused_with_its_name(tmp_path):
    with pytest.raises(RegistrationError, match="nowhere.csv does not exist"):
        read_landmarks(tmp_path / "nowhere.csv")


def test_lists_of_different_length_are_no_pairs():
    with pytest.raises(RegistrationError, match="2 fixed but 1 moving"):
        check_landmarks(LPS, LPS[:1])


def test_empty_lists_are_refused():
    with pytest.raises(RegistrationError, match="empty"):
        check_landmarks(LPS[:0], LPS[:0])


def test_a_landmark_outside_its_image_is_named_by_row_and_position():
    inside = np.zeros((3, 3))
    outside = inside.copy()
    outside[1] = (0.0, 51.0, 0.0)
    check_landmarks(inside, inside, GRID, GRID)
    with pytest.raises(RegistrationError, match=r"1 of 3 moving .* landmark 2 at 0, 51, 0 mm"):
        check_landmarks(inside, outside, GRID, GRID)


def test_ras_landmarks_given_as_lps_are_recognized():
    grid = Grid((50, 50, 50), origin=(10.0, 10.0, 10.0))
    lps = np.array([[20.0, 30.0, 40.0], [25.0, 12.0, 55.0]])
    with pytest.raises(RegistrationError, match="so they are RAS"):
        check_landmarks(lps * (-1, -1, 1), lps, grid, grid)


def test_tre_of_a_shift_is_computed_by_hand():
    fixed = np.array([[0.0, 0, 0], [10, 0, 0], [0, 10, 0], [0, 0, 10]])
    moving = fixed + [[3.0, 4, 0], [0, 0, 1], [1, 0, 0], [0, 2, 0]]
    errors = target_registration_error(Affine(), fixed, moving)
    before = errors["before"]
    assert errors["n"] == 4
    assert before["mean"] == pytest.approx((5 + 1 + 1 + 2) / 4)
    assert before["median"] == pytest.approx(1.5)
    assert before["max"] == pytest.approx(5)
    assert before["p95"] == pytest.approx(2 + 0.85 * 3)  # linear between the ranks 2 and 3
    assert before["std"] == pytest.approx(np.sqrt((25 + 1 + 1 + 4) / 4 - 2.25**2))
    assert before["per_component"] == pytest.approx({"x": 1.0, "y": 1.5, "z": 0.25})
    assert errors["after"] == before
    assert errors["snapped"] is None


def test_the_true_transform_has_no_error_in_the_pull_back_direction():
    truth = Affine([[1.1, 0.1, 0], [0, 0.9, 0], [0.05, 0, 1]], (3.0, -2, 7))
    fixed = np.random.default_rng(1).uniform(-50, 50, (20, 3))
    moving = fixed @ truth.matrix.T + truth.translation
    assert target_registration_error(truth, fixed, moving)["after"]["max"] < 1e-9
    assert target_registration_error(truth.inverse(), fixed, moving)["after"]["mean"] > 5


def test_tre_is_computed_in_double_precision_far_from_the_origin():
    far = np.array([[123456.789, -98765.4321, 5555.5555]])
    moving = far + [[1e-5, 0, 0]]
    after = target_registration_error(Affine(translation=(0, 0, 0)), far, moving)["after"]
    assert after["mean"] == pytest.approx(1e-5, rel=1e-4)


def test_snapped_error_rounds_the_mapped_point_to_a_moving_voxel_center():
    direction = (0, -1, 0, 1, 0, 0, 0, 0, 1)  # x and y indices exchanged
    grid = Grid((20, 20, 20), (1.0, 2.0, 3.0), (5.0, -5.0, 7.0), direction)
    center = grid.to_physical(np.array([[4.0, 5.0, 6.0]]))
    near = center + grid.to_physical([[0.3, -0.4, 0.45]]) - grid.to_physical([[0, 0, 0]])
    errors = target_registration_error(Affine(), near, center, grid)
    assert errors["snapped"]["max"] < 1e-9
    assert errors["after"]["mean"] == pytest.approx(np.sqrt(0.3**2 + 0.8**2 + 1.35**2))


def test_a_displacement_field_is_followed_between_its_voxels():
    grid = Grid((11, 11, 11), (2.0, 2.0, 2.0))
    vectors = torch.zeros(3, *grid.shape)
    vectors[0] = torch.arange(11.0)  # 0.5 mm a mm along x
    fixed = np.array([[3.3, 7.0, 9.0]])
    moving = fixed + [[3.3 / 2, 0, 0]]
    errors = target_registration_error(DisplacementField(vectors, grid), fixed, moving, grid)
    assert errors["after"]["mean"] < 1e-6
