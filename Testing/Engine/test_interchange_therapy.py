"""Structures under known maps, against analytic volumes."""

import dicom_pair
import numpy as np
import pydicom
import pytest
import torch
from dicom_pair import FIXED, MAP, MOVING
from references import wave_field

from DeepRegistrationLib.errors import RegistrationError
from DeepRegistrationLib.files.dicom_series import read_series
from DeepRegistrationLib.files.isolines import isolines
from DeepRegistrationLib.files.structures import propagate_structures
from DeepRegistrationLib.images.contours import filled, signed_distance, without_copies
from DeepRegistrationLib.transforms import Composite

CENTER = np.array([4.0, -3.0, 40.0])
RADIUS = 14.0


def ball_contours(center=CENTER, radius=RADIUS, inner=0.0, grid=MOVING):
    """Circles of a ball (with a concentric hole) in the slices of a grid."""
    angles = np.linspace(0, 2 * np.pi, 120, endpoint=False)
    contours = []
    for z in grid.origin[2] + grid.spacing[2] * np.arange(grid.size[2]):
        for r in (radius, inner):
            half = r**2 - (z - center[2]) ** 2
            if half > 0.5:
                circle = np.sqrt(half) * np.stack([np.cos(angles), np.sin(angles)], 1)
                contours.append(np.column_stack([circle + center[:2], np.full(120, z)]))
    return contours


def contours_of(path, number=1):
    """Contours of an ROI: points [n, 3] and type, and the slice each refers to."""
    dataset = pydicom.dcmread(path)
    item = next(i for i in dataset.ROIContourSequence if i.ReferencedROINumber == number)
    return [
        (
            np.array(c.ContourData, dtype=float).reshape(-1, 3),
            str(c.ContourGeometricType),
            c.ContourImageSequence[0].ReferencedSOPInstanceUID
            if "ContourImageSequence" in c
            else "",
        )
        for c in item.get("ContourSequence", [])
    ]


def volume_of(contours, thickness):
    """Sum of signed areas (holes turn the other way) times the slices' distance."""
    total = 0.0
    for points, _, _ in contours:
        x, y = points[:, 0], points[:, 1]
        total += 0.5 * np.sum(x * np.roll(y, -1) - np.roll(x, -1) * y)
    return total * thickness


@pytest.fixture
def pair(tmp_path):
    fixed = dicom_pair.series(tmp_path / "fixed", FIXED)
    moving = dicom_pair.series(tmp_path / "moving", MOVING)
    return fixed, moving


def test_a_ball_comes_to_the_fixed_image_through_the_inverse(tmp_path, pair):
    fixed, moving = pair
    drawn = dicom_pair.structures(tmp_path / "rs.dcm", moving, {"ball": ball_contours()})
    notes = propagate_structures(MAP, drawn, read_series(fixed.folder), tmp_path / "out.dcm")
    assert notes == []
    contours = contours_of(tmp_path / "out.dcm")
    points = np.concatenate([p for p, _, _ in contours])
    radii = np.linalg.norm(points @ MAP.matrix.T + MAP.translation - CENTER, axis=1)
    # the caps are drawn as flat slices, so away from them
    heights = (points @ MAP.matrix.T + MAP.translation - CENTER)[:, 2]
    belt = np.abs(heights) < RADIUS - 3
    assert belt.sum() > 500
    assert np.abs(radii[belt] - RADIUS).max() < 0.25
    expected = 4 / 3 * np.pi * RADIUS**3 / np.linalg.det(MAP.matrix)
    assert volume_of(contours, FIXED.spacing[2]) == pytest.approx(expected, rel=0.01)


def test_the_other_way_needs_the_inverse_flag(tmp_path, pair):
    fixed, moving = pair
    contours = ball_contours(grid=FIXED)
    drawn = dicom_pair.structures(tmp_path / "rs.dcm", fixed, {"ball": contours})
    target = read_series(moving.folder)
    propagate_structures(MAP, drawn, target, tmp_path / "out.dcm", inverse=True)
    points = np.concatenate([p for p, _, _ in contours_of(tmp_path / "out.dcm")])
    back = (points - MAP.translation) @ np.linalg.inv(MAP.matrix).T - CENTER
    belt = np.abs(back[:, 2]) < RADIUS - 3
    assert np.abs(np.linalg.norm(back[belt], axis=1) - RADIUS).max() < 0.25


def test_contours_lie_in_the_slices_that_they_refer_to(tmp_path, pair):
    fixed, moving = pair
    drawn = dicom_pair.structures(tmp_path / "rs.dcm", moving, {"ball": ball_contours()})
    propagate_structures(MAP, drawn, read_series(fixed.folder), tmp_path / "out.dcm")
    for points, kind, instance in contours_of(tmp_path / "out.dcm"):
        k = fixed.instances.index(instance)
        assert np.abs(points[:, 2] - FIXED.to_physical(np.array([0, 0, k]))[2]).max() < 1e-3
        assert kind == "CLOSED_PLANAR"


def test_a_hole_stays_a_hole(tmp_path, pair):
    fixed, moving = pair
    rois = {"shell": ball_contours(inner=7.0)}
    drawn = dicom_pair.structures(tmp_path / "rs.dcm", moving, rois)
    propagate_structures(MAP, drawn, read_series(fixed.folder), tmp_path / "out.dcm")
    contours = contours_of(tmp_path / "out.dcm")
    expected = 4 / 3 * np.pi * (RADIUS**3 - 7.0**3) / np.linalg.det(MAP.matrix)
    assert volume_of(contours, FIXED.spacing[2]) == pytest.approx(expected, rel=0.015)
    assert {kind for _, kind, _ in contours} == {"CLOSEDPLANAR_XOR"}


def test_a_deformed_ball_agrees_with_its_label_map(tmp_path, pair):
    fixed, moving = pair
    transform = Composite([wave_field(FIXED, amplitude=3.0), MAP])
    drawn = dicom_pair.structures(tmp_path / "rs.dcm", moving, {"ball": ball_contours()})
    propagate_structures(transform, drawn, read_series(fixed.folder), tmp_path / "out.dcm")
    moved = transform(FIXED.points(dtype=torch.float64)).numpy() - CENTER
    expected = np.linalg.norm(moved, axis=-1) < RADIUS
    found = np.zeros(FIXED.shape, dtype=bool)
    for points, _, instance in contours_of(tmp_path / "out.dcm"):
        index = FIXED.to_index(points)
        found[fixed.instances.index(instance)] ^= filled([index[:, :2]], FIXED.shape[1:])
    dice = 2 * (found & expected).sum() / (found.sum() + expected.sum())
    assert dice > 0.98


def test_points_move_by_the_inverse_and_outside_structures_are_told(tmp_path, pair):
    fixed, moving = pair
    far = ball_contours(center=CENTER + [500.0, 0, 0])
    rois = {"mark": [np.array([[3.0, 4.0, 42.0]])], "far": far}
    drawn = dicom_pair.structures(tmp_path / "rs.dcm", moving, rois, kinds={"mark": "POINT"})
    target = read_series(fixed.folder)
    notes = propagate_structures(MAP, drawn, target, tmp_path / "out.dcm")
    assert "without contours: far" in notes[0]
    assert contours_of(tmp_path / "out.dcm", 2) == []
    point = contours_of(tmp_path / "out.dcm", 1)[0][0][0]
    np.testing.assert_allclose(MAP.matrix @ point + MAP.translation, [3, 4, 42], atol=2e-3)


def test_names_colors_and_references_are_those_of_a_valid_structure_set(tmp_path, pair):
    fixed, moving = pair
    drawn = dicom_pair.structures(tmp_path / "rs.dcm", moving, {"ball": ball_contours()})
    propagate_structures(MAP, drawn, read_series(fixed.folder), tmp_path / "out.dcm")
    dataset = pydicom.dcmread(tmp_path / "out.dcm")
    assert dicom_pair.missing_attributes(dataset, "rt-structure-set") == []
    assert dicom_pair.strange_attributes(dataset) == []
    assert dataset.StructureSetROISequence[0].ROIName == "ball"
    assert dataset.StructureSetROISequence[0].ReferencedFrameOfReferenceUID == fixed.frame
    assert list(dataset.ROIContourSequence[0].ROIDisplayColor) == [255, 0, 10]
    study = dataset.ReferencedFrameOfReferenceSequence[0].RTReferencedStudySequence[0]
    assert study.RTReferencedSeriesSequence[0].SeriesInstanceUID == fixed.uid
    assert dataset.SOPInstanceUID != pydicom.dcmread(drawn).SOPInstanceUID


def test_structures_are_refused_where_they_cannot_be_meant(tmp_path, pair):
    fixed, moving = pair
    target = read_series(fixed.folder)
    out = tmp_path / "out.dcm"
    drawn = dicom_pair.structures(tmp_path / "rs.dcm", moving, {"ball": ball_contours()})
    propagate_structures(MAP, drawn, target, out)
    with pytest.raises(RegistrationError, match="drawn on the reference itself"):
        propagate_structures(MAP, out, target, tmp_path / "again.dcm")
    with pytest.raises(RegistrationError, match="not an RT Structure Set"):
        propagate_structures(MAP, next(fixed.folder.iterdir()), target, tmp_path / "again.dcm")
    tilted = [c + np.outer(c[:, 0], [0, 0, 0.3]) for c in ball_contours()[:2]]
    uneven = [ball_contours()[k] for k in (0, 1)] + [ball_contours()[1] + [0, 0, 3.9]]
    for contours, message in (([*tilted, *ball_contours()], "parallel"), (uneven, "unevenly")):
        drawn = dicom_pair.structures(tmp_path / "bad.dcm", moving, {"odd": contours})
        with pytest.raises(RegistrationError, match=message):
            propagate_structures(MAP, drawn, target, tmp_path / "again.dcm")
    assert not (tmp_path / "again.dcm").exists()


def test_the_signed_distance_of_a_square_is_exact_beside_it():
    square = np.array([[0.0, 0, 5], [10, 0, 5], [10, 10, 5], [0, 10, 5]])
    shape = signed_distance([square, square + [0, 0, 3.0]], "square", 1.0, 3.0)
    for point, expected in (((5, 1, 5), -1), ((5, -1.5, 8), 1.5), ((5, 9.5, 6.5), -0.5)):
        found = shape.sample(torch.tensor([point], dtype=torch.float64), fill=None)
        assert float(found[0]) == pytest.approx(expected, abs=0.07)
    middle = torch.tensor([[5.0, 5.0, 5.0 - 1.49], [5.0, 5.0, 5.0 - 1.51]], dtype=torch.float64)
    inside, outside = shape.sample(middle).tolist()
    assert inside < 0 < outside


def test_isolines_of_a_ring_have_its_areas():
    y, x = np.mgrid[:40, :50]
    radius = np.hypot(x - 25.3, y - 18.7)
    lines = isolines(np.maximum(radius - 12, 5 - radius))
    areas = [
        0.5 * np.sum(p[:, 0] * np.roll(p[:, 1], -1) - np.roll(p[:, 0], -1) * p[:, 1]) for p in lines
    ]
    assert sorted(areas) == pytest.approx([-np.pi * 25, np.pi * 144], rel=0.01)


def test_a_contour_drawn_twice_counts_once():
    circle = np.linspace(0, 2 * np.pi, 40, endpoint=False)
    outer = np.column_stack([9 * np.cos(circle), 9 * np.sin(circle), np.full(40, 3.0)])
    finer = np.repeat(outer, 2, axis=0)
    finer[1::2] = (outer + np.roll(outer, -1, axis=0)) / 2  # the same line, other points
    hole = outer * [0.97, 0.97, 1]  # a wall of 0.27 mm is no copy
    again = [np.roll(outer, 7, axis=0), outer[::-1], np.round(outer, 1), finer]
    assert len(without_copies([outer, *again])) == 1
    assert len(without_copies([outer, hole])) == 2
    assert len(without_copies([outer, outer + [0, 0, 3.0]])) == 2
