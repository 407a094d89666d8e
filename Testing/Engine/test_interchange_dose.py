"""Dose under known maps, against analytic values."""

import dicom_pair
import numpy as np
import pydicom
import pytest
import SimpleITK as sitk
import torch
from dicom_pair import FIXED, MAP, MOVING
from references import inner_points, straight_grid, wave_field

from DeepRegistrationLib.errors import RegistrationError
from DeepRegistrationLib.files.dicom_series import read_series
from DeepRegistrationLib.files.dose import read_dose, warped_dose, write_dose
from DeepRegistrationLib.images.geometry import Grid
from DeepRegistrationLib.transforms import Affine, Composite

CENTER = np.array([4.0, -3.0, 40.0])


@pytest.fixture
def pair(tmp_path):
    fixed = dicom_pair.series(tmp_path / "fixed", FIXED)
    moving = dicom_pair.series(tmp_path / "moving", MOVING)
    return fixed, moving


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
