"""Transforms of NiftyReg and Plastimatch, against those programs' own rules."""

import struct

import numpy as np
import pytest
import SimpleITK as sitk
import torch
from references import (
    SHEAR,
    at,
    inner_points,
    itk_points,
    oblique_grid,
    sitk_field,
    straight_grid,
    wave_field,
    waves,
)
from scipy.interpolate import BSpline

from DeepRegistrationLib.errors import RegistrationError
from DeepRegistrationLib.files.foreign_transforms import read_foreign
from DeepRegistrationLib.images.geometry import Grid
from DeepRegistrationLib.transforms import DisplacementField

RAS = np.array([-1.0, -1.0, 1.0])


def voxels(grid):
    """Voxel centers well inside a grid: [n, 3]."""
    points = grid.points(dtype=torch.float64).numpy()
    return points[3:-3, 3:-3, 3:-3].reshape(-1, 3)


# NiftyReg


def niftyreg_file(path, values, grid, kind):
    """A NIfTI-1 file by its own layout (nifti1.h): x, y, z, 1, 3 in RAS, named NREG_TRANS."""
    to_ras = np.diag([-1.0, -1.0, 1.0])
    matrix, origin = to_ras @ grid.matrix, to_ras @ np.array(grid.origin)
    header = bytearray(352)
    struct.pack_into("<i", header, 0, 348)
    struct.pack_into("<8h", header, 40, 5, *grid.size, 1, 3, 1, 1)
    struct.pack_into("<fffh", header, 56, float(kind), 0, 0, 1007)
    struct.pack_into("<hh", header, 70, 16, 32)
    struct.pack_into("<8f", header, 76, 1, *grid.spacing, 1, 1, 1, 1)
    struct.pack_into("<f", header, 108, 352)
    struct.pack_into("<f", header, 112, 1)
    header[123] = 2  # mm
    struct.pack_into("<hh", header, 252, 0, 1)
    for row in range(3):
        struct.pack_into("<4f", header, 280 + 16 * row, *matrix[row], origin[row])
    header[328:338] = b"NREG_TRANS"
    header[344:348] = b"n+1\0"
    path.write_bytes(bytes(header) + np.moveaxis(values, -1, 0).astype("<f4").tobytes())
    return path


@pytest.mark.parametrize("kind", [0, 1], ids=["positions", "displacements"])
def test_niftyreg_fields_are_turned_from_ras(tmp_path, kind):
    grid = oblique_grid()
    positions = grid.points(dtype=torch.float64).numpy()
    values = waves(positions) * RAS + (positions * RAS if kind == 0 else 0)
    path = niftyreg_file(tmp_path / "def.nii", values, grid, kind)
    imported = read_foreign([path])
    assert isinstance(imported.transform, DisplacementField)
    assert "RAS" in imported.direction
    points = voxels(grid)
    np.testing.assert_allclose(at(imported.transform, points), points + waves(points), atol=2e-4)


def cubic(coefficients, grid, points):
    """Sum over control points of a uniform cubic B-spline, by SciPy's basis: [n, 3]."""
    basis = BSpline.basis_element(np.arange(-2.0, 3.0), extrapolate=False)
    index = grid.to_index(points)
    weights = [np.nan_to_num(basis(index[:, k, None] - np.arange(grid.size[k]))) for k in range(3)]
    return np.einsum("nx,ny,nz,zyxc->nc", *weights, coefficients, optimize=True)


def control_grid(grid, step):
    """Control points ``step`` voxels apart, the first one a step before the grid."""
    size = tuple(int(n) for n in (np.array(grid.size) - 1) // step + 4)
    origin = grid.to_physical(-np.array(step, dtype=float))
    spacing = tuple(np.array(step) * grid.spacing)
    return Grid(size, spacing, tuple(origin), grid.direction)


def test_niftyreg_control_points_are_positions_of_a_cubic_spline(tmp_path):
    grid = oblique_grid()
    control = control_grid(grid, (5, 4, 3))
    places = control.points(dtype=torch.float64).numpy()
    noise = np.random.default_rng(5).normal(0, 3, places.shape)
    path = niftyreg_file(tmp_path / "cpp.nii", (places + noise) * RAS, control, 2)
    points = voxels(grid)
    expected = cubic(places + noise, control, points)
    assert np.abs(expected - points).max() > 2
    found = at(read_foreign([path], grid=grid).transform, points)
    np.testing.assert_allclose(found, expected, atol=5e-4)
    with pytest.raises(RegistrationError, match="--reference"):
        read_foreign([path])


def test_niftyreg_velocities_are_refused(tmp_path):
    grid = straight_grid((5, 4, 3))
    path = niftyreg_file(tmp_path / "v.nii", np.zeros((*grid.shape, 3)), grid, 5)
    with pytest.raises(RegistrationError, match="reg_transform -ref"):
        read_foreign([path], grid=grid)


def test_a_reg_aladin_matrix_is_ras_and_has_to_be_named(tmp_path):
    to_ras = np.diag([*RAS, 1.0])
    matrix = np.eye(4)
    matrix[:3, :3], matrix[:3, 3] = SHEAR.matrix, SHEAR.translation
    np.savetxt(tmp_path / "affine.txt", to_ras @ matrix @ to_ras)
    points = inner_points(straight_grid())
    read = read_foreign([tmp_path / "affine.txt"], "niftyreg")
    assert read.direction.endswith("fixed to moving points in RAS mm: x and y changed sign")
    found = at(read.transform, points)
    np.testing.assert_allclose(found, points @ SHEAR.matrix.T + SHEAR.translation, atol=1e-9)
    with pytest.raises(RegistrationError, match="--from"):
        read_foreign([tmp_path / "affine.txt"])


# Plastimatch


def test_a_plastimatch_vector_field_is_lps_and_fixed_to_moving(tmp_path):
    grid = oblique_grid()
    image = sitk_field(wave_field(grid)).GetDisplacementField()
    sitk.WriteImage(sitk.Cast(image, sitk.sitkVectorFloat32), str(tmp_path / "vf.mha"))
    points = inner_points(grid)
    found = at(read_foreign([tmp_path / "vf.mha"], "plastimatch").transform, points)
    np.testing.assert_allclose(found, itk_points(sitk_field(wave_field(grid)), points), atol=1e-5)


def plastimatch_file(path, grid, step, coefficients):
    lines = ["MGH_GPUIT_BSP <experimental>"]
    for name, values in (
        ("img_origin", grid.origin),
        ("img_spacing", grid.spacing),
        ("img_dim", grid.size),
        ("roi_offset", (0, 0, 0)),
        ("roi_dim", grid.size),
        ("vox_per_rgn", step),
        ("direction_cosines", grid.direction),
    ):
        lines.append(f"{name} = {' '.join(f'{v:.10g}' for v in values)}")
    lines += [f"{v:.10g}" for v in np.moveaxis(coefficients, -1, 0).ravel()]
    path.write_text("\n".join(lines) + "\n")
    return path


def test_a_plastimatch_spline_starts_one_region_before_the_image(tmp_path):
    grid, step = oblique_grid(), (5, 4, 3)
    control = control_grid(grid, step)
    coefficients = np.random.default_rng(6).normal(0, 3, (*control.shape, 3))
    path = plastimatch_file(tmp_path / "bspline.txt", grid, step, coefficients)
    points = voxels(grid)
    expected = points + cubic(coefficients, control, points)
    np.testing.assert_allclose(at(read_foreign([path]).transform, points), expected, atol=5e-4)
