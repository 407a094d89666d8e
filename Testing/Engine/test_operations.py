"""Warp and Jacobian against SimpleITK and analytic derivatives."""

import dataclasses

import numpy as np
import pytest
import SimpleITK as sitk
import torch
from references import (
    GRIDS,
    as_field,
    blobs,
    oblique_grid,
    rotation,
    sitk_field,
    sitk_image,
    straight_grid,
    wave_field,
)

from DeepRegistrationLib.errors import Cancelled
from DeepRegistrationLib.images.geometry import Grid
from DeepRegistrationLib.transforms import (
    Affine,
    Composite,
    DisplacementField,
    field_gradient,
    field_jacobian,
    jacobian,
    operations,
    warp,
)
from DeepRegistrationLib.transforms.operations import gradient_at

KINDS = [("linear", sitk.sitkLinear), ("cubic", sitk.sitkBSpline)]


def differing_pair(fixed_name, moving_name):
    """A fixed grid and a moving image that share nothing but their place."""
    fixed = GRIDS[fixed_name]((25, 31, 22), (1.4, 1.0, 1.9))
    moving = GRIDS[moving_name]((33, 24, 28), (1.0, 1.5, 1.2))
    origin = fixed.center() - moving.center() + np.asarray(moving.origin)
    return fixed, blobs(Grid(moving.size, moving.spacing, tuple(origin), moving.direction))


@pytest.mark.parametrize(("ours", "itk"), KINDS)
@pytest.mark.parametrize(
    ("fixed_name", "moving_name"),
    [("straight", "ras"), ("ras", "oblique"), ("oblique", "straight"), ("straight", "straight")],
)
def test_warping_is_resampling_by_simpleitk(fixed_name, moving_name, ours, itk, device):
    fixed, moving = differing_pair(fixed_name, moving_name)
    field = wave_field(fixed.with_spacing(2.5), 3.0, 45.0)
    affine = Affine.about(fixed.center(), rotation(3, -5, 8) * 1.04, np.array([2.0, -1.0, 1.5]))
    chain = sitk.CompositeTransform(
        [sitk.AffineTransform(affine.matrix.ravel().tolist(), affine.translation.tolist()),
         sitk_field(field)]  # ITK applies the last first
    )  # fmt: skip
    expected = sitk.GetArrayFromImage(
        sitk.Resample(sitk_image(moving), fixed.size, chain, itk, fixed.origin, fixed.spacing,
                      fixed.direction, -1000.0)
    )  # fmt: skip
    found = warp(
        moving.to(device),
        Composite([field, affine]).to(device),
        fixed,
        interpolation=ours,
        fill=-1000.0,
    ).data.cpu().numpy()  # fmt: skip
    filled = expected == -1000
    assert 0.02 < filled.mean() < 0.6
    assert np.mean(filled != (found == -1000)) < 2e-3  # rounding at the border itself
    both = ~filled & (found != -1000)
    assert np.abs(found - expected)[both].max() < 2e-4 * np.abs(moving.data.numpy()).max()


@pytest.mark.parametrize("transform", ["field", "affine", "both", "affine first"])
def test_the_tiled_warp_is_the_warp_at_all_points_at_once(transform, monkeypatch):
    fixed, moving = differing_pair("oblique", "ras")
    field = wave_field(fixed.with_spacing(2.5), 3.0, 45.0)
    affine = Affine.about(fixed.center(), rotation(3, -5, 8), np.array([2.0, -1.0, 1.5]))
    chain = {
        "field": field,
        "affine": affine,
        "both": Composite([field, affine]),
        "affine first": Composite([affine, field]),
    }[transform]
    small = [slice(z, z + 1) for z in range(fixed.size[2])]
    monkeypatch.setattr(Grid, "slabs", lambda grid, voxels=0: small[: grid.size[2]])
    found = warp(moving, chain, fixed, fill=-1000.0)
    points = fixed.points(dtype=torch.float64)
    expected = moving.sample(chain(points), fill=-1000.0)
    border = (found.data == -1000) != (expected == -1000)
    assert border.double().mean() < 1e-3
    difference = (found.data - expected)[~border].abs().max()
    assert difference < 1e-4 * moving.data.abs().max()


def test_outside_the_moving_image_is_air_if_asked():
    fixed, moving = differing_pair("straight", "straight")
    away = Affine(translation=(500.0, 0.0, 0.0))
    assert (warp(moving, away, fixed, fill=-1000.0).data == -1000).all()
    by_field = as_field(np.broadcast_to([500.0, 0, 0], (*fixed.shape, 3)), fixed)
    assert (warp(moving, by_field, fixed, fill=-1000.0).data == -1000).all()


def test_voxels_of_whole_numbers_are_warped_as_their_float_values():
    fixed, moving = differing_pair("ras", "oblique")
    whole = dataclasses.replace(moving, data=moving.data.round().short())
    field = wave_field(fixed)
    for kind in ("linear", "cubic", "nearest"):
        found = warp(whole, field, fixed, interpolation=kind)
        expected = warp(
            dataclasses.replace(whole, data=whole.data.float()), field, fixed, interpolation=kind
        )
        assert torch.equal(found.data, expected.data)


def test_label_maps_keep_their_labels():
    fixed, moving = differing_pair("oblique", "straight")
    labels = dataclasses.replace(moving, data=(moving.data > 50).to(torch.uint8) * 7)
    found = warp(labels, wave_field(fixed), fixed, interpolation="nearest")
    assert set(found.data.unique().tolist()) == {0.0, 7.0}


def bend(points, amplitude, length):
    """u of a smooth map and its exact derivative du/dx, [..., 3] and [..., 3, 3], in float64."""
    k = 2 * np.pi / length
    x, y, z = np.moveaxis(points, -1, 0)
    u = amplitude * np.stack([np.sin(k * y) * np.cos(k * z), np.sin(k * z), np.sin(k * x + 1)], -1)
    zero = np.zeros_like(x)
    rows = [
        [zero, k * np.cos(k * y) * np.cos(k * z), -k * np.sin(k * y) * np.sin(k * z)],
        [zero, zero, k * np.cos(k * z)],
        [k * np.cos(k * x + 1), zero, zero],
    ]
    return u, amplitude * np.stack([np.stack(row, -1) for row in rows], -2)


@pytest.mark.parametrize("name", GRIDS)
def test_jacobian_of_a_bend_is_the_analytic_determinant_whatever_the_grid(name, device):
    grid = GRIDS[name]((40, 36, 32), (0.8, 1.0, 1.2))
    u, slope = bend(grid.points(dtype=torch.float64).numpy(), 5.0, 60.0)
    expected = np.linalg.det(np.eye(3) + slope)
    assert expected.min() < 0.9
    assert expected.max() > 1.1
    found = field_jacobian(as_field(u, grid).to(device)).cpu().numpy()
    inner = (slice(1, -1),) * 3
    # central differences: k^2 h^2 / 6 = 0.3 % of slopes of 0.5; one-sided ones at the border
    np.testing.assert_allclose(found[inner], expected[inner], atol=4e-3)
    np.testing.assert_allclose(found, expected, atol=0.05)


@pytest.mark.parametrize("name", GRIDS)
def test_jacobian_of_field_then_affine_is_the_product_of_both(name):
    grid = GRIDS[name]((40, 36, 32), (0.8, 1.0, 1.2))
    u, slope = bend(grid.points(dtype=torch.float64).numpy(), 5.0, 60.0)
    affine = Affine(rotation(10, -20, 30) @ np.diag([1.2, 0.8, 1.1]), (30.0, -20.0, 10.0))
    expected = np.linalg.det(affine.matrix) * np.linalg.det(np.eye(3) + slope)
    found = jacobian(Composite([as_field(u, grid), affine]), grid).data.numpy()
    inner = (slice(1, -1),) * 3
    np.testing.assert_allclose(found[inner], expected[inner], atol=5e-3)


@pytest.mark.parametrize("name", GRIDS)
def test_derivatives_of_a_linear_field_are_its_matrix_in_physical_axes(name):
    grid = GRIDS[name]()
    slope = np.array([[0.1, 0.2, -0.3], [0.05, -0.1, 0.15], [-0.2, 0.12, 0.07]])
    field = as_field(grid.points(dtype=torch.float64).numpy() @ slope.T, grid)
    found = field_gradient(field.vectors, grid)
    expected = torch.from_numpy(slope).float()[..., None, None, None].expand_as(found)
    torch.testing.assert_close(found, expected, rtol=0, atol=2e-5)


def test_derivatives_agree_with_numpy():
    grid = straight_grid()
    field = wave_field(grid)
    found = field_gradient(field.vectors, grid).numpy()
    for component in range(3):
        for axis, (array_axis, step) in enumerate(zip((2, 1, 0), grid.spacing, strict=True)):
            expected = np.gradient(
                field.vectors[component].double().numpy(), step, axis=array_axis, edge_order=1
            )
            np.testing.assert_allclose(found[component, axis], expected, atol=1e-6)


def test_simpleitk_computes_the_same_jacobian_where_the_direction_is_the_identity():
    """Only there: on other directions its filter ignores how the axes are turned."""
    grid = straight_grid()
    field = wave_field(grid, 4.0, 40.0)

    def by_itk(field):
        return sitk.GetArrayFromImage(
            sitk.DisplacementFieldJacobianDeterminant(
                sitk.Cast(sitk_field(field).GetDisplacementField(), sitk.sitkVectorFloat32)
            )
        )

    inner = (slice(1, -1),) * 3
    np.testing.assert_allclose(field_jacobian(field)[inner], by_itk(field)[inner], atol=2e-5)
    turned = oblique_grid()
    affine = DisplacementField.of(Affine(np.diag([1.3, 1.0, 1.0]) @ rotation(0, 0, 15)), turned)
    ours = field_jacobian(affine).numpy()[inner]
    np.testing.assert_allclose(ours, 1.3, atol=1e-4)
    assert np.abs(by_itk(affine)[inner] - 1.3).min() > 0.005


def test_the_tiled_jacobian_is_the_jacobian_of_the_whole(monkeypatch):
    grid = oblique_grid()
    field = wave_field(grid.with_spacing(3.0), 4.0, 40.0)
    whole = jacobian(field, grid).data
    for depth in (1, 2, 5):
        parts = [slice(z, min(z + depth, 17)) for z in range(0, 17, depth)]
        monkeypatch.setattr(Grid, "slabs", lambda grid, voxels=0, parts=parts: parts)
        torch.testing.assert_close(jacobian(field, grid).data, whole, rtol=0, atol=1e-6)


@pytest.mark.parametrize("cached", [1, 700, 10**9])
@pytest.mark.parametrize("planes", [1, 2, 3, 11])
def test_the_jacobian_is_numpys_however_many_planes_are_looked_at_together(
    cached, planes, monkeypatch
):
    monkeypatch.setattr(operations, "_CACHED", cached)
    grid = Grid((18, 16, planes), (1.0, 1.5, 2.0))
    u = torch.rand(3, *grid.shape, dtype=torch.float64)
    steps = grid.spacing[: 3 if planes > 1 else 2]
    slope = np.zeros((*grid.shape, 3, 3))
    for k, spacing in enumerate(steps):
        slope[..., k] = np.moveaxis(np.gradient(u.numpy(), spacing, axis=3 - k), 0, -1)
    found = jacobian(DisplacementField(u.float(), grid), grid).data
    np.testing.assert_allclose(found, np.linalg.det(np.eye(3) + slope), atol=1e-5)


def test_jacobian_above_one_means_larger_tissue_in_the_moving_image():
    grid = straight_grid()
    grown = Affine.about(grid.center(), np.eye(3) * 1.1, np.zeros(3))
    assert jacobian(grown, grid).data.mean() == pytest.approx(1.331, abs=1e-5)
    mirrored = DisplacementField.of(Affine(np.diag([-1.0, 1.0, 1.0])), grid)
    assert jacobian(mirrored, grid).data.max() < -0.999


@pytest.mark.parametrize("size", [(9, 8, 1), (1, 8, 7), (2, 2, 2), (1, 1, 1)])
def test_along_an_axis_of_one_voxel_the_jacobian_takes_tissue_as_rigid(size):
    grid = oblique_grid(size)
    factors = [1.2 if n > 1 else 1.0 for n in size]
    direction = np.asarray(grid.direction).reshape(3, 3)
    stretch = DisplacementField.of(Affine(direction @ np.diag([1.2, 1.2, 1.2]) @ direction.T), grid)
    found = jacobian(stretch, grid).data
    np.testing.assert_allclose(found, np.prod(factors), atol=5e-5)


@pytest.mark.parametrize("operation", ["warp", "jacobian"])
def test_long_work_can_be_cancelled(operation, monkeypatch):
    fixed, moving = differing_pair("straight", "ras")
    planes = [slice(z, z + 1) for z in range(fixed.size[2])]
    monkeypatch.setattr(Grid, "slabs", lambda grid, voxels=0: planes)
    seen = []

    def progress(fraction, message):
        seen.append(fraction)
        if len(seen) == 3:
            raise Cancelled

    field = wave_field(fixed)
    work = {
        "warp": lambda: warp(moving, field, fixed, progress=progress),
        "jacobian": lambda: jacobian(field, fixed, progress),
    }[operation]
    with pytest.raises(Cancelled):
        work()
    assert seen == sorted(seen)
    assert seen[-1] < 0.2


@pytest.mark.parametrize("size", [(9, 7, 8), (5, 2, 1)])
def test_a_gradient_at_some_voxels_is_that_of_the_whole_grid(size):
    grid = oblique_grid(size, (1.4, 1.0, 1.9))
    values = torch.from_numpy(np.random.default_rng(0).normal(size=grid.shape)).float()
    places = torch.arange(0, grid.voxels, 2)
    whole = field_gradient(values[None], grid)[0].flatten(1)
    assert torch.equal(gradient_at(values, places, grid), whole[:, places])
