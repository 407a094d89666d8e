"""Block matching finds a known shift, wherever the axes point, and none where there is none."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from scipy import ndimage

from DeepRegistrationLib.evaluation.block_matching import REACH, match_blocks
from DeepRegistrationLib.images.geometry import IDENTITY, Grid
from DeepRegistrationLib.images.image import Image
from DeepRegistrationLib.transforms import Affine, warp

NOISE = 1e-3
TURNED = (0.8, -0.6, 0.0, 0.6, 0.8, 0.0, 0.0, 0.0, 1.0)


def texture(grid: Grid, seed: int = 0) -> Image:
    """Blobs of about 4 mm, of variance 1."""
    noise = np.random.default_rng(seed).normal(size=grid.shape)
    values = ndimage.gaussian_filter(noise, [4.0 / s for s in grid.spacing[::-1]])
    return Image(torch.from_numpy((values / values.std()).astype(np.float32)), grid)


def matched(grid: Grid, shift: tuple[float, float, float]):
    """second(x + shift) = first(x)."""
    first = texture(grid)
    second = warp(first, Affine(translation=np.negative(shift)), grid)
    return match_blocks(first, second, torch.ones(grid.shape, dtype=torch.bool), NOISE)


def test_matching_loads_no_package_for_its_indices(monkeypatch):
    """The first call of ``torch.unravel_index`` imports sympy."""
    monkeypatch.delattr(torch, "unravel_index")
    grid = Grid((40, 36, 32), (2.0, 2.0, 2.0))
    assert len(matched(grid, (0.0, 0.0, 0.0)).points)


@pytest.mark.parametrize("direction", [IDENTITY, TURNED, tuple(-v for v in IDENTITY)])
@pytest.mark.parametrize("shift", [(0.0, 0.0, 0.0), (3.0, -1.5, 2.2), (-6.4, 0.0, 4.0)])
def test_a_known_shift_is_found_in_mm_along_the_patients_axes(direction, shift):
    found = matched(Grid((48, 44, 40), (2.0, 2.0, 2.0), (5.0, -9.0, 100.0), direction), shift)
    assert len(found.points) > 50
    assert np.median(found.shift, axis=0) == pytest.approx(shift, abs=0.35)
    off = np.linalg.norm(found.shift - shift, axis=1)
    assert np.percentile(off, 90) < 1.0


def test_what_lies_right_is_alike_and_what_lies_apart_is_not():
    grid = Grid((48, 44, 40), (2.0, 2.0, 2.0))
    assert np.median(matched(grid, (0.0, 0.0, 0.0)).alike) > 0.99
    assert np.median(matched(grid, (6.0, 0.0, 0.0)).alike) < 0.6


def test_a_shift_within_thick_slices_is_found_and_none_across_them():
    found = matched(Grid((60, 60, 10), (2.0, 2.0, 10.0)), (4.0, -3.0, 0.0))
    assert np.median(found.shift, axis=0) == pytest.approx((4.0, -3.0, 0.0), abs=0.35)
    assert np.all(found.shift[:, 2] == 0)


def test_no_shift_is_longer_than_is_looked_for():
    found = matched(Grid((48, 44, 40), (2.0, 2.0, 2.0)), (30.0, 0.0, 0.0))
    assert np.abs(found.shift).max() <= REACH
    assert np.median(found.alike) < 0.3


def test_places_lie_in_the_region_and_have_structure():
    grid = Grid((48, 44, 40), (2.0, 2.0, 2.0))
    image = texture(grid)
    image.data[:, :, 24:] = 0.0
    where = torch.zeros(grid.shape, dtype=torch.bool)
    where[:20] = True
    found = match_blocks(image, image, where, NOISE)
    index = np.rint(grid.to_index(found.points)).astype(int)
    assert len(found.points) > 10
    assert index[:, 2].max() < 20
    assert index[:, 0].max() < 24 + 6  # a block reaches a little into what is flat


def test_a_flat_image_has_no_places():
    grid = Grid((48, 44, 40), (2.0, 2.0, 2.0))
    flat = Image(torch.zeros(grid.shape), grid)
    assert (
        len(match_blocks(flat, flat, torch.ones(grid.shape, dtype=torch.bool), NOISE).points) == 0
    )
