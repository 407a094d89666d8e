"""Instance optimization leaves in place what fits, and what the images cannot show."""

import numpy as np
import pytest
import torch
from scipy import ndimage

from DeepRegistrationLib import register
from DeepRegistrationLib.data.phantoms import thorax
from DeepRegistrationLib.images.geometry import Grid
from DeepRegistrationLib.images.image import Image


@pytest.fixture(scope="module")
def crops():
    """Part of a chest at 4 mm, where the anatomy goes on past the border, and of its lungs."""
    chest = thorax((80, 64, 72), (4.0, 4.0, 4.0))
    part, box = (slice(10, 55), slice(12, 50), slice(15, 60)), ((15, 12, 10), (60, 50, 55))
    return [
        Image(image.data[part].contiguous(), image.grid.cropped(*box), image.name)
        for image in (chest.fixed, chest.fixed_lungs)
    ]


@pytest.mark.parametrize("quality", ["fast", "default"])
@pytest.mark.parametrize("masked", [False, True])
def test_an_image_registered_to_itself_stays_in_place_up_to_the_border(crops, quality, masked):
    image, lungs = crops
    mask = lungs if masked else None
    masks = {"fixed_mask": mask, "moving_mask": mask}
    found = register(image, image, quality=quality, jacobian=True, **masks)
    points = image.grid.points()
    assert float((found.transform(points) - points).abs().max()) < 1e-3
    assert float((found.jacobian.data - 1).abs().max()) < 1e-3


def test_an_image_of_a_few_voxels_is_registered_on_levels_of_its_size():
    values = np.random.default_rng(1).normal(0, 300, (14, 14, 14))
    values = torch.from_numpy(ndimage.gaussian_filter(values, 1.5)).float() * 10
    grid = Grid((12, 12, 12), (2.0, 2.0, 2.0))
    fixed, moving = (Image(values[:12, :12, a : a + 12].contiguous(), grid) for a in (0, 1))
    found = register(fixed, moving, quality="fast")
    inner = grid.points()[2:-2, 2:-2, 2:-2]
    moved = found.transform(inner) - inner
    assert moved.reshape(-1, 3).mean(0).numpy() == pytest.approx([-2, 0, 0], abs=0.4)


@pytest.mark.parametrize("slices", [2, 3])
def test_of_two_or_three_thick_slices_nothing_moves_across_them(slices):
    values = np.random.default_rng(0).normal(0, 1, (20, 40, 44))
    values = torch.from_numpy(ndimage.gaussian_filter(values, 2.5)[:slices]).float() * 1000
    grid = Grid((44, 40, slices), (1.5, 1.5, 10.0))
    pair = Image(values, grid), Image(values.roll(1, 2), grid)
    found = register(*pair, quality="fast", jacobian=True)
    points = grid.points()
    moved = found.transform(points) - points
    assert float(moved[..., 2].abs().max()) < 1e-4
    assert float(moved[:, 8:-8, 8:-8, 0].median()) == pytest.approx(1.5, abs=0.2)
    assert float(found.jacobian.data.median()) == pytest.approx(1, abs=0.05)
