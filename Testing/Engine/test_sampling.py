"""Interpolation against SimpleITK and brute force in float64."""

import numpy as np
import pytest
import SimpleITK as sitk
import torch
import torch.nn.functional as F
from operation_counter import OperationCounter
from references import (
    GRIDS,
    blobs,
    inner_points,
    oblique_grid,
    ras_grid,
    sitk_image,
    straight_grid,
    trilinear,
)
from scipy.ndimage import spline_filter

from DeepRegistrationLib.images.geometry import Grid
from DeepRegistrationLib.images.image import Image
from DeepRegistrationLib.images.sampling import (
    bspline_coefficients,
    looked_up,
    map_points,
    sample,
    sample_at_indices,
)
from DeepRegistrationLib.images.separable import parallel_positions, sample_parallel


@pytest.mark.parametrize("name", GRIDS)
def test_linear_values_are_those_of_brute_force(name, device):
    image = blobs(GRIDS[name]())
    points = inner_points(image.grid, margin=-0.02)
    expected = trilinear(image.data.double().numpy()[None], image.grid, points)[:, 0]
    values = image.data.to(device)[None]
    found = sample(values, image.grid, torch.from_numpy(points).float().to(device), fill=None)[0]
    scale = image.data.abs().max()
    # float32 coordinates at 100 mm are good to 1e-5 voxel, so values to 1e-5 of the range
    np.testing.assert_allclose(found.cpu(), expected, atol=3e-5 * scale)


@pytest.mark.parametrize(
    ("ours", "itk"),
    [
        ("linear", sitk.sitkLinear),
        ("cubic", sitk.sitkBSpline),
        ("nearest", sitk.sitkNearestNeighbor),
    ],
)
@pytest.mark.parametrize("name", GRIDS)
def test_resampling_to_another_geometry_is_that_of_simpleitk(name, ours, itk):
    image = blobs(GRIDS[name]())
    nudge = np.array([0.013, 0.027, -0.019])  # no voxel just half-way between two others
    center = image.grid.center() + nudge
    target = oblique_grid((20, 24, 21), (1.5, 0.9, 1.9), (0.0, 0.0, 0.0))
    target = Grid(target.size, target.spacing, tuple(center - target.center()), target.direction)
    expected = sitk.GetArrayFromImage(
        sitk.Resample(
            sitk_image(image),
            target.size,
            sitk.Transform(3, sitk.sitkIdentity),
            itk,
            target.origin,
            target.spacing,
            target.direction,
            -1000.0,
        )
    )
    found = image.resampled(target, interpolation=ours, fill=-1000.0).data.numpy()
    inside = expected != -1000
    assert 0.2 < inside.mean() < 0.99  # the grids overlap, and not wholly
    # A voxel that float32 puts on the other side of the border may differ, none within it.
    assert np.mean(inside != (found != -1000)) < 1e-3
    both = inside & (found != -1000)
    difference = np.abs(found - expected)[both]
    scale = np.abs(image.data.numpy()).max()
    if ours == "nearest":
        assert np.mean(difference > 0) < 1e-3  # float32 rounding at the half-way planes
    else:
        assert difference.max() < 1e-4 * scale


def test_cubic_coefficients_are_those_of_scipy(device):
    image = blobs(straight_grid())
    expected = spline_filter(image.data.double().numpy(), order=3, mode="mirror", output=np.float64)
    found = bspline_coefficients(image.data.to(device)[None])[0].cpu()
    np.testing.assert_allclose(found, expected, atol=2e-6 * np.abs(expected).max())


@pytest.mark.parametrize("size", [(1, 1, 1), (2, 3, 1), (2, 2, 2), (3, 17, 40)])
def test_cubic_interpolation_returns_the_voxels(size):
    grid = Grid(size)
    values = torch.from_numpy(np.random.default_rng(0).normal(size=grid.shape)).float()[None]
    found = sample(
        bspline_coefficients(values), grid, grid.points(), interpolation="cubic", fill=None
    )
    # a float32 position in 40 voxels is good to 2e-6, and neighbours differ by up to 10
    torch.testing.assert_close(found, values, rtol=0, atol=2e-5)


def test_cubic_interpolation_has_the_accuracy_of_its_order():
    def error(n):
        grid = Grid((n, n, n), (48 / (n - 1),) * 3)
        x = torch.from_numpy(inner_points(Grid((48, 48, 48)), margin=0.2))
        wave = torch.sin(grid.points(dtype=torch.float64) * 0.4).prod(-1)[None]
        found = sample(bspline_coefficients(wave), grid, x, interpolation="cubic", fill=None)[0]
        return float((found - torch.sin(x * 0.4).prod(-1)).abs().max())

    assert error(25) / error(49) > 11  # fourth order: 16 for half the spacing, less noise


def test_cubic_without_fill_repeats_the_border_far_outside():
    grid = Grid((8, 8, 8))
    values = torch.arange(512.0).reshape(1, 8, 8, 8)
    far = torch.tensor([[-5.0, 3.0, 3.0], [3.0, 3.0, 30.0]])
    found = sample(bspline_coefficients(values), grid, far, interpolation="cubic", fill=None)[0]
    torch.testing.assert_close(found, torch.stack([values[0, 3, 3, 0], values[0, 7, 3, 3]]))


def test_the_border_reaches_half_a_voxel_and_then_comes_the_fill():
    values = torch.full((1, 5, 5, 5), 7.0)
    for axis in range(3):
        index = torch.full((4, 3), 2.0)
        index[:, axis] = torch.tensor([-0.49, -0.51, 4.49, 4.51])
        for kind in ("linear", "cubic", "nearest"):
            source = bspline_coefficients(values) if kind == "cubic" else values
            found = sample_at_indices(source, index, interpolation=kind, fill=-1000.0)[0]
            torch.testing.assert_close(found, torch.tensor([7.0, -1000.0, 7.0, -1000.0]))


@pytest.mark.parametrize("kind", ["linear", "cubic", "nearest"])
def test_a_single_plane_can_be_sampled(kind):
    grid = Grid((6, 5, 1))
    values = torch.arange(30.0).reshape(1, 1, 5, 6)
    source = bspline_coefficients(values) if kind == "cubic" else values
    torch.testing.assert_close(
        sample(source, grid, grid.points(), interpolation=kind), values, rtol=0, atol=2e-5
    )
    above = torch.tensor([[2.0, 2.0, 0.4], [2.0, 2.0, 0.6], [2.0, 2.0, -0.4], [2.0, 2.0, -0.6]])
    found = sample(source, grid, above, interpolation=kind, fill=-1.0)[0]
    torch.testing.assert_close(found, torch.tensor([14.0, -1.0, 14.0, -1.0]), rtol=0, atol=2e-5)


def test_halves_go_up_in_nearest_sampling_as_in_itk():
    values = torch.arange(6.0).reshape(1, 1, 1, 6)
    index = torch.tensor([[k + 0.5, 0.0, 0.0] for k in range(5)])
    found = sample_at_indices(values, index, interpolation="nearest")[0]
    assert found.tolist() == [1, 2, 3, 4, 5]


def test_labels_on_a_grid_of_half_the_spacing_are_those_of_simpleitk():
    labels = np.random.default_rng(2).integers(0, 9, (5, 6, 7)).astype(np.uint8)
    for make in GRIDS.values():
        image = Image(torch.from_numpy(labels), make((7, 6, 5)))
        target = image.grid.with_spacing(tuple(np.asarray(image.grid.spacing) / 2))
        found = image.resampled(target, interpolation="nearest").data
        straight = Grid(target.size, (0.5, 0.5, 0.5))  # where ITK's own rounding is exact
        expected = sitk.Resample(
            sitk.GetImageFromArray(labels),
            target.size,
            sitk.Transform(),
            sitk.sitkNearestNeighbor,
            straight.origin,
            straight.spacing,
        )
        assert np.array_equal(found, sitk.GetArrayFromImage(expected))


def test_points_keep_their_precision_under_autocast():
    points = torch.tensor([[301.37, -402.11, 250.53]])
    matrix, offset = np.eye(3) * 1.01, np.array([0.1, 0.2, 0.3])
    with torch.autocast("cpu", dtype=torch.bfloat16):
        found = map_points(points, matrix, offset)
    expected = points.double().numpy() @ matrix.T + offset
    np.testing.assert_allclose(found, expected, atol=1e-4)


def parallel_cases():
    for name, make in GRIDS.items():
        source = make()
        yield name + " finer", source, source.with_spacing((0.7, 0.6, 0.9))
        yield name + " coarser", source, source.with_spacing((4.0, 5.0, 3.0))
        shifted = tuple(source.to_physical([-3.3, 2.4, 5.7]))
        yield (
            name + " shifted",
            source,
            Grid((30, 12, 14), (1.0, 2.0, 3.0), shifted, source.direction),
        )
    flipped = straight_grid()
    turned = Grid(
        flipped.size, flipped.spacing, tuple(flipped.corners()[-1]), (-1, 0, 0, 0, -1, 0, 0, 0, -1)
    )
    yield "flipped", flipped, turned
    yield "from one plane", Grid((9, 8, 1)), Grid((17, 15, 3), (0.5, 0.5, 0.4), (0, 0, -0.5))
    yield "far away", Grid((5, 5, 5)), Grid((5, 5, 5), origin=(20, -20, 20))
    yield "one plane outside", Grid((5, 5, 5)), Grid((5, 5, 1), origin=(0, 0, -7))


@pytest.mark.parametrize("fill", [None, -1000.0])
@pytest.mark.parametrize(
    ("source", "target"),
    [case[1:] for case in parallel_cases()],
    ids=[c[0] for c in parallel_cases()],
)
def test_sampling_axis_by_axis_is_sampling_point_by_point(source, target, fill, device):
    values = torch.from_numpy(np.random.default_rng(1).normal(size=(2, *source.shape))).to(device)
    positions = parallel_positions(source, target)
    assert positions is not None
    kept = values.clone()
    found = torch.cat([sample_parallel(values, positions, s, fill) for s in target.slabs(500)], 1)
    points = target.points(device=device, dtype=torch.float64)
    torch.testing.assert_close(found, sample(values, source, points, fill=fill), rtol=0, atol=1e-9)
    parts = [sample_parallel(values, positions, s, fill, field=True) for s in target.slabs(500)]
    torch.testing.assert_close(torch.cat(parts, 1), found, rtol=0, atol=1e-9)
    near = sample_parallel(values, positions, None, fill, nearest=True)
    expected = sample(values, source, points, interpolation="nearest", fill=fill)
    nudged = sample(values, source, points + 1e-7, interpolation="nearest", fill=fill)
    tie = expected != nudged  # half-way between two voxels rounding decides
    assert torch.equal(near[~tie], expected[~tie])
    assert torch.equal(values, kept)


def test_grids_that_are_turned_against_each_other_are_not_parallel():
    source = straight_grid()
    assert parallel_positions(source, oblique_grid()) is None
    angle = 2e-4  # over 23 voxels of 1.1 mm: 0.005 mm, a three-hundredth of a voxel
    turn = (np.cos(angle), -np.sin(angle), 0, np.sin(angle), np.cos(angle), 0, 0, 0, 1)
    assert (
        parallel_positions(source, Grid(source.size, source.spacing, source.origin, turn)) is None
    )
    assert parallel_positions(ras_grid(), straight_grid()) is not None  # only flipped


def test_whole_numbers_become_float_only_where_they_are_needed():
    values = torch.arange(8 * 9 * 10, dtype=torch.int16).reshape(1, 8, 9, 10)
    source = Grid((10, 9, 8))
    target = Grid((10, 9, 15), (1.0, 1.0, 0.5))
    positions = parallel_positions(source, target)
    found = sample_parallel(values, positions, slice(5, 7))
    assert found.dtype == torch.float32
    torch.testing.assert_close(found, sample(values.float(), source, target.points(slice(5, 7))))


def test_sampling_carries_gradients():
    grid = oblique_grid((6, 5, 7))
    values = torch.rand(1, *grid.shape, dtype=torch.float64, requires_grad=True)
    points = torch.from_numpy(inner_points(grid, 5)).requires_grad_()
    assert torch.autograd.gradcheck(lambda v, p: sample(v, grid, p, fill=None), (values, points))
    positions = parallel_positions(grid, grid.with_spacing(1.3))
    for field in (False, True):
        assert torch.autograd.gradcheck(
            lambda v, field=field: sample_parallel(v, positions, None, field=field), (values,)
        )


@pytest.mark.parametrize("shape", [(7, 30, 20), (5000,), (5,), (1, 1, 9), (0,), ()])
def test_places_in_one_volume_are_a_batch_for_the_threads_and_change_no_value(shape):
    """PyTorch divides a batch among its threads, but not the places in one volume."""
    rng = np.random.default_rng(0)
    values = torch.from_numpy(rng.normal(size=(2, 6, 7, 8))).float()
    places = torch.from_numpy(rng.uniform(-1.2, 1.2, (*shape, 3))).float()
    with OperationCounter() as counter:
        found = looked_up(values, places)
    whole = F.grid_sample(
        values[None], places.reshape(1, 1, 1, -1, 3), padding_mode="border", align_corners=True
    )
    assert torch.equal(found, whole.reshape(2, *shape))
    if shape in ((7, 30, 20), (5000,)):
        batches = {sizes[0] for _, sizes in counter.shapes if len(sizes) == 5}
        assert max(batches) == (7 if len(shape) > 1 else 16)
