"""Images at lower resolution: same place, no aliasing, thick slices kept."""

import numpy as np
import pytest
import torch
from references import GRIDS, blobs, stored_along
from scipy import ndimage

from DeepRegistrationLib.images.geometry import Grid
from DeepRegistrationLib.images.image import Image
from DeepRegistrationLib.images.pyramid import antialiased, level_spacing, smoothed


def linear_image(grid, slope=(3.0, -2.0, 1.0)):
    points = grid.points(dtype=torch.float64)
    return Image((points @ torch.tensor(slope, dtype=torch.float64)).float(), grid)


def test_axes_of_slices_more_than_twice_as_thick_keep_their_spacing():
    assert level_spacing(Grid((9, 9, 9), (1.0, 1.5, 10.0)), 4.0) == (4.0, 4.0, 10.0)
    assert level_spacing(Grid((9, 9, 9), (1.0, 1.0, 8.0)), 4.0) == (4.0, 4.0, 4.0)


@pytest.mark.parametrize("name", GRIDS)
@pytest.mark.parametrize("spacing", [6.0, 3.0, 1.5])
def test_the_coarse_image_fills_the_same_box(name, spacing):
    image = blobs(GRIDS[name]((33, 29, 27)))
    coarse = smoothed(image, spacing)
    assert np.allclose(coarse.grid.corners(), image.grid.corners(), atol=1e-9)
    assert np.allclose(coarse.grid.spacing, spacing, rtol=0.15)


@pytest.mark.parametrize("name", GRIDS)
def test_an_image_that_rises_linearly_keeps_its_values_in_place(name):
    image = linear_image(GRIDS[name]((33, 29, 27)))
    coarse = smoothed(image, 5.0)
    expected = linear_image(coarse.grid).data
    inner = 3 * (slice(2, -2),)
    assert float((coarse.data - expected)[inner].abs().max()) < 0.1  # HU; slope 3 HU a mm


def test_a_constant_stays_constant_up_to_the_border():
    image = Image(torch.full((20, 20, 20), -640.0), Grid((20, 20, 20), (1.0, 1.0, 2.0)))
    assert torch.allclose(smoothed(image, 6.0).data, torch.tensor(-640.0), atol=1e-2)


def test_a_pattern_finer_than_the_new_voxels_vanishes_and_does_not_alias():
    grid = Grid((60, 20, 20))
    x = torch.arange(60.0)
    image = Image(torch.cos(2 * torch.pi * x / 4.4).expand(20, 20, 60), grid)
    coarse = smoothed(image, 4.0)
    inner = coarse.data[:, :, 2:-2]
    # exp(-(2 pi sigma / 4.4)^2 / 2) is what a Gaussian of half a new voxel leaves
    sigma = 0.5 * np.sqrt(4.0**2 - 1)
    left = np.exp(-((2 * np.pi * sigma / 4.4) ** 2) / 2)
    assert float(inner.abs().max()) < 1.3 * left + 0.01
    plain = image.resampled(coarse.grid, interpolation="cubic", fill=None)
    assert float(plain.data[:, :, 2:-2].abs().max()) > 0.5


def test_smoothing_is_a_gaussian_of_half_a_new_voxel_less_the_old_one():
    image = blobs(Grid((41, 41, 41)))
    coarse = smoothed(image, 2.0)
    sigma = 0.5 * np.sqrt(3.0)
    reference = ndimage.gaussian_filter(image.data.numpy().astype(np.float64), sigma)[::2, ::2, ::2]
    difference = (coarse.data.numpy() - reference)[3:-3, 3:-3, 3:-3]
    assert np.abs(difference).max() < 0.01 * np.ptp(reference)


def test_thick_slices_are_not_mixed():
    data = torch.zeros(5, 24, 24)
    data[2] = 100.0
    image = Image(data, Grid((24, 24, 5), (1.5, 1.5, 10.0)))
    coarse = smoothed(image, 3.0)
    assert coarse.grid.size[2] == 5
    assert torch.allclose(coarse.data[2], torch.tensor(100.0), atol=1e-3)
    assert float(coarse.data[[0, 1, 3, 4]].abs().max()) < 1e-3


def test_a_level_finer_than_the_voxels_interpolates_and_does_not_blur():
    image = blobs(Grid((17, 15, 13), (4.0, 4.0, 4.0)))
    fine = smoothed(image, 2.0)
    assert fine.grid.size == (33, 29, 25)
    assert torch.allclose(fine.data[::2, ::2, ::2], image.data, atol=0.05)


@pytest.mark.parametrize("name", GRIDS)
def test_larger_voxels_smooth_the_same_axes_of_space_however_an_image_is_stored(name):
    image = blobs(GRIDS[name]((33, 29, 27), (1.0, 1.0, 4.0)))
    target = image.grid.with_spacing((4.0, 4.0, 4.0))
    turned = antialiased(stored_along(image, (2, 0, 1)), target)
    straight = antialiased(image, target)
    assert (straight.data - image.data).abs().max() > 1  # the two short axes
    back = stored_along(turned, (1, 2, 0))
    assert back.grid.same_as(image.grid)
    assert torch.allclose(back.data, straight.data, atol=1e-3)


@pytest.mark.parametrize("spacing", [0.6, 1.3, 3.0])
def test_a_long_axis_is_smoothed_and_interpolated_as_scipy_does_in_float64(spacing):
    """Longer than what is multiplied at once; the reference knows no matrices."""
    line = np.random.default_rng(0).normal(-400, 300, 400)
    image = Image(torch.from_numpy(line).float().expand(6, 6, 400).contiguous(), Grid((400, 6, 6)))
    coarse = smoothed(image, spacing)
    sigma = 0.5 * np.sqrt(max(spacing**2 - 1, 0.0))
    if sigma > 0:
        offset = np.arange(-int(2.6 * sigma) - 2, int(2.6 * sigma) + 3)
        kernel = np.exp(-0.5 * (offset / sigma) ** 2)
        kernel[kernel < 0.03] = 0.0
        ones = ndimage.correlate1d(np.ones(400), kernel, mode="constant")
        line = ndimage.correlate1d(line, kernel, mode="constant") / ones
    index = np.linspace(0, 399, coarse.grid.size[0])
    order = 3 if spacing < 1.5 else 1
    expected = ndimage.map_coordinates(line, [index], order=order, mode="mirror")
    assert np.abs(coarse.data[1, 1].double().numpy() - expected).max() < 2e-3  # HU
