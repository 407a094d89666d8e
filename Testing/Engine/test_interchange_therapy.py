"""Structures and dose under known maps, against analytic volumes and values."""

import dicom_pair
import numpy as np
import pydicom
import pytest
import SimpleITK as sitk
import torch
from references import inner_points, rotation, straight_grid, wave_field

from DeepRegistrationLib.errors import RegistrationError
from DeepRegistrationLib.files.contours import filled, signed_distance, without_copies
from DeepRegistrationLib.files.dicom_series import read_series
from DeepRegistrationLib.files.dose import read_dose, warped_dose, write_dose
from DeepRegistrationLib.files.isolines import isolines
from DeepRegistrationLib.files.structures import propagate_structures
from DeepRegistrationLib.images.geometry import Grid
from DeepRegistrationLib.transforms import Affine, Composite

CENTER = np.array([4.0, -3.0, 40.0])
RADIUS = 14.0
MAP = Affine.about(np.array([0.0, 0, 40]), rotation(6, -9, 14) * [1.1, 0.95, 1.0], (5.0, -4, 3))
FIXED = Grid((40, 36, 24), (1.6, 1.6, 2.0), (-28.0, -27.0, 14.0))
MOVING = Grid((40, 40, 18), (1.6, 1.6, 2.5), (-28.0, -34.0, 20.0))


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


# dose


def smooth_dose(points):
    """Gy at points."""
    return 60 * np.exp(-np.sum(((points - CENTER) / [20, 25, 15]) ** 2, axis=-1))


def test_a_dose_is_read_in_gray_where_it_lies(tmp_path, pair):
    grid = straight_grid((20, 18, 16), (2.0, 2.5, 3.0), (-20.0, -22.0, 20.0))
    gray = smooth_dose(grid.points(dtype=torch.float64).numpy())
    path = dicom_pair.dose(tmp_path / "rd.dcm", pair[1], grid, gray)
    dose, _ = read_dose(path)
    assert dose.grid.same_as(grid, tolerance=1e-5)
    np.testing.assert_allclose(dose.data.numpy(), gray, atol=gray.max() / 65535)
    image = sitk.ReadImage(str(path))  # GDCM places the grid by itself
    assert dose.grid.same_as(
        Grid(image.GetSize(), image.GetSpacing(), image.GetOrigin(), image.GetDirection())
    )


@pytest.mark.parametrize("deformed", [False, True])
def test_dose_is_what_the_moving_point_has(tmp_path, pair, deformed):
    fixed, moving = pair
    grid = straight_grid((42, 40, 40), (2.0, 2.0, 1.5), (-40.0, -42.0, 10.0))
    gray = smooth_dose(grid.points(dtype=torch.float64).numpy())
    path = dicom_pair.dose(tmp_path / "rd.dcm", moving, grid, gray)
    transform = Composite([wave_field(FIXED), MAP]) if deformed else MAP
    target = read_series(fixed.folder)
    dose, source = read_dose(path)
    write_dose(
        warped_dose(dose, transform, target.grid), source, transform, target, tmp_path / "o.dcm"
    )
    back, dataset = read_dose(tmp_path / "o.dcm")
    assert back.grid.same_as(FIXED, tolerance=1e-4)
    points = FIXED.points(dtype=torch.float64)
    moved = transform(points).numpy()
    inside = grid.contains(moved, margin=-1)
    assert inside.mean() > 0.3
    expected = smooth_dose(moved)
    assert np.abs(back.data.numpy() - expected)[inside].max() < 0.45  # h^2/8 |f''| of 60 Gy
    outside = ~grid.contains(moved, margin=0.6)
    assert back.data.numpy()[outside].max() == 0
    assert dataset.SpatialTransformOfDose == "NON_RIGID"
    assert dataset.FrameOfReferenceUID == fixed.frame


def test_dose_of_the_fixed_image_goes_to_the_moving_one_by_the_inverse(tmp_path, pair):
    fixed, moving = pair
    gray = smooth_dose(FIXED.points(dtype=torch.float64).numpy())
    dose, _ = read_dose(dicom_pair.dose(tmp_path / "rd.dcm", fixed, FIXED, gray))
    found = warped_dose(dose, MAP, read_series(moving.folder).grid, inverse=True)
    points = inner_points(MOVING, margin=0.3)
    expected = smooth_dose(points @ np.linalg.inv(MAP.matrix).T + MAP.inverse().translation)
    values = found.sample(torch.from_numpy(points)).numpy()
    assert np.abs(values - expected).max() < 0.9  # h^2/8 |f''|, of both grids


def test_a_dose_of_the_fixed_image_can_give_the_grid(tmp_path, pair):
    fixed, moving = pair
    grid = straight_grid((10, 9, 8), (4.0, 4.0, 5.0), (-16.0, -20.0, 22.0))
    gray = np.ones(grid.shape)
    target = read_series(dicom_pair.dose(tmp_path / "grid.dcm", fixed, grid, gray))
    dose, source = read_dose(dicom_pair.dose(tmp_path / "rd.dcm", moving, grid, gray))
    shift = Affine(translation=(0.0, 0.0, 5.0))
    write_dose(warped_dose(dose, shift, target.grid), source, shift, target, tmp_path / "o.dcm")
    back, dataset = read_dose(tmp_path / "o.dcm")
    assert back.grid.same_as(grid, tolerance=1e-5)
    np.testing.assert_allclose(back.data[:-1], 1.0, atol=1e-6)
    assert float(back.data[-1].max()) == 0.0
    assert dataset.SpatialTransformOfDose == "RIGID"


def test_a_left_handed_grid_keeps_every_dose_in_its_place(tmp_path, pair):
    fixed, _ = pair
    grid = Grid((9, 8, 7), (2.0, 3.0, 4.0), (10.0, 5.0, 60.0), (1, 0, 0, 0, 1, 0, 0, 0, -1))
    gray = smooth_dose(grid.points(dtype=torch.float64).numpy())
    dose, source = read_dose(
        dicom_pair.dose(tmp_path / "rd.dcm", fixed, FIXED, np.ones(FIXED.shape))
    )
    turned = type(dose)(torch.from_numpy(gray.astype(np.float32)), grid)
    write_dose(turned, source, Affine(), read_series(fixed.folder), tmp_path / "o.dcm")
    back, _ = read_dose(tmp_path / "o.dcm")
    points = grid.points(dtype=torch.float64)
    np.testing.assert_allclose(back.sample(points).numpy(), gray, atol=1e-4)


def test_the_dose_object_has_what_the_standard_requires(tmp_path, pair):
    fixed, moving = pair
    dose, source = read_dose(
        dicom_pair.dose(tmp_path / "rd.dcm", moving, MOVING, np.ones(MOVING.shape))
    )
    target = read_series(fixed.folder)
    write_dose(warped_dose(dose, MAP, target.grid), source, MAP, target, tmp_path / "o.dcm")
    dataset = pydicom.dcmread(tmp_path / "o.dcm")
    assert dicom_pair.missing_attributes(dataset, "rt-dose") == []
    assert dicom_pair.strange_attributes(dataset) == []


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"DoseUnits": "RELATIVE"}, "not Gy"),
        ({"DoseType": "ERROR"}, "dose errors"),
        ({"GridFrameOffsetVector": [0, 3, 9]}, "not evenly spaced"),
        ({"GridFrameOffsetVector": [0, 3]}, "not a 3D dose grid"),
        ({"GridFrameOffsetVector": [5, 8, 11]}, "neither 0 nor the z"),
        (
            {"ImageOrientationPatient": [1, 0, 0, 0.5, 1, 0]},
            "not a pair of perpendicular directions",
        ),
        ({"DoseGridScaling": "0"}, "no Dose Grid Scaling"),
        ({"SOPClassUID": dicom_pair.CT}, "not an RT Dose"),
    ],
)
def test_unclear_doses_are_refused(tmp_path, pair, changes, message):
    grid = straight_grid((4, 4, 3))
    path = dicom_pair.dose(tmp_path / "rd.dcm", pair[1], grid, np.ones(grid.shape), **changes)
    with pytest.raises(RegistrationError, match=message):
        read_dose(path)


@pytest.mark.parametrize("row", [1, -1])  # head first and feet first
@pytest.mark.parametrize("absolute", [True, False])
@pytest.mark.parametrize("upward", [True, False])
def test_dose_lies_where_either_kind_of_offsets_puts_it(tmp_path, pair, row, absolute, upward):
    size, step = (6, 5, 7), 3.0
    normal = row * 1.0
    z = 50 + step * np.arange(size[2]) * (1 if upward else -1)
    offsets = z if absolute else (z - 50) * normal  # along the planes' normal, or z itself
    origin = (-10.0 * row, -12.0, 50.0)
    axes = np.diag([row, 1.0, normal])
    grid = Grid(size, (4, 4, step), origin, tuple(axes.ravel()))
    gray = np.broadcast_to((30 + 0.25 * z)[:, None, None], grid.shape)
    path = dicom_pair.dose(
        tmp_path / "rd.dcm", pair[1], grid, gray, GridFrameOffsetVector=[f"{v:g}" for v in offsets]
    )
    image, _ = read_dose(path)
    index = np.stack(np.meshgrid(*(range(n) for n in size), indexing="ij"), -1).reshape(-1, 3)
    places = image.grid.to_physical(index)
    found = image.data.numpy()[index[:, 2], index[:, 1], index[:, 0]]
    np.testing.assert_allclose(found, 30 + 0.25 * places[:, 2], atol=1e-3)
    assert (places[:, 2].min(), places[:, 2].max()) == pytest.approx((z.min(), z.max()))


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
