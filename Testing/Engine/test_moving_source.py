"""Where the optimization finds the moving image's values: behind an affine start, or any other."""

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from references import rotation

from DeepRegistrationLib.images.geometry import Grid
from DeepRegistrationLib.images.image import Image
from DeepRegistrationLib.methods.optimize.moving_source import source_behind
from DeepRegistrationLib.transforms import Affine, Composite


def wave(points):
    """A smooth function of LPS positions in mm, with a shortest wavelength of 7 voxels."""
    x, y, z = np.moveaxis(np.asarray(points), -1, 0)
    return np.sin(x / 2.4) * np.cos(y / 3.0 + 1) + np.sin(z / 2.3 + x / 4)


@pytest.fixture(scope="module")
def moving():
    """The wave on a turned grid of 2.2 x 2 x 2.5 mm, 66 x 64 x 60 mm around the origin."""
    direction = rotation(11, -17, 24)
    spacing, size = (2.2, 2.0, 2.5), (31, 33, 25)
    half = direction @ (np.array(spacing) * (np.array(size) - 1) / 2)
    grid = Grid(size, spacing, tuple(-half), tuple(direction.ravel()))
    return Image(torch.from_numpy(wave(grid.points().numpy())).float(), grid)


@pytest.fixture(scope="module")
def fixed_grid():
    direction = rotation(-5, 9, 14)
    return Grid((9, 8, 7), (2.0, 2.0, 2.0), (-6.0, -8.0, -7.0), tuple(direction.ravel()))


@pytest.fixture(scope="module")
def start():
    return Affine(rotation(2, -4, 11) @ np.diag([1.05, 0.97, 1.02]), (2.0, -3.0, 1.5))


def looked_up(source, displacement):
    """Values at the fixed image's voxels displaced by mm along its axes, [3]."""
    units = source.matrix @ torch.tensor(displacement, dtype=torch.float32)
    places = (source.base + units[:, None, None, None]).movedim(0, -1)
    found = F.grid_sample(
        source.values[None, None], places[None], padding_mode="border", align_corners=True
    )
    return found[0, 0].numpy()


def expected(grid, start, displacement):
    shift = np.reshape(grid.direction, (3, 3)) @ np.array(displacement)
    points = grid.points(dtype=torch.float64).numpy() + shift
    return wave(points @ start.matrix.T + start.translation)


@pytest.mark.parametrize("displacement", [(0.0, 0.0, 0.0), (1.7, -2.4, 3.1)])
def test_values_are_those_at_the_points_of_the_start_after_the_displacement(
    moving, fixed_grid, start, displacement
):
    truth = expected(fixed_grid, start, displacement)
    near = looked_up(source_behind(moving, start, fixed_grid, 12.0), displacement)
    assert np.abs(near - truth).max() < 0.1  # voxel^2 / 8 times the second derivatives of the wave


def test_any_other_start_is_applied_once_to_the_same_end(moving, fixed_grid, start):
    shift = (1.0, -1.0, 1.0)  # half a voxel
    truth = expected(fixed_grid, start, shift)
    resampled = source_behind(moving, Composite([start]), fixed_grid, 12.0)
    assert np.abs(looked_up(resampled, shift) - truth).max() < 0.1


def test_an_image_at_its_own_voxels_is_itself(moving):
    own = looked_up(source_behind(moving, Affine(), moving.grid, 30.0), (0.0, 0.0, 0.0))
    assert np.abs(own - moving.data.numpy()).max() < 1e-4


def test_past_its_end_the_image_goes_on_as_at_its_border(moving):
    x, y, z = moving.grid.size
    away = Affine(translation=np.reshape(moving.grid.direction, (3, 3)) @ (500.0, 0.0, 0.0))
    outside = looked_up(source_behind(moving, away, moving.grid, 30.0), (0.0, 0.0, 0.0))
    assert np.allclose(outside, moving.data[..., -1:].numpy(), atol=1e-4)
    plane = Image(moving.data[:1], moving.grid.cropped((0, 0, 0), (x, y, 1)))
    found = looked_up(source_behind(plane, Affine(), plane.grid, 30.0), (0.0, 0.0, 0.0))
    assert np.allclose(found, plane.data.numpy(), atol=1e-4)


def test_only_what_is_within_reach_is_kept(moving, fixed_grid, start):
    sizes = [
        source_behind(moving, start, fixed_grid, reach).values.numel() for reach in (4.0, 100.0)
    ]
    assert sizes[0] < 0.6 * sizes[1]
