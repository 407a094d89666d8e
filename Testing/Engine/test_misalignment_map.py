"""The error that the images themselves show: known shifts, apart in the lungs and around them."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from references import straight_grid
from scipy.stats import spearmanr

from DeepRegistrationLib import register
from DeepRegistrationLib.data.phantoms import thorax
from DeepRegistrationLib.evaluation.local_shifts import misalignment_map
from DeepRegistrationLib.images.image import Image
from DeepRegistrationLib.transforms import Affine, DisplacementField

APART = np.array([0.0, 3.0, -4.0])  # mm: 5 together
FINE = 1.0  # mm, a quarter of a voxel


@pytest.fixture(scope="module")
def chest():
    return thorax((80, 64, 72), (4.0, 4.0, 4.0), motion=15.0, noise=20.0, landmarks=0, seed=3)


def moved(grid):
    """The grid, further on by APART."""
    return replace(grid, origin=tuple(np.add(grid.origin, APART)))


def seen(transform, fixed, moving, mask=None):
    """The map after a transform."""
    found = misalignment_map(transform, fixed, moving, mask)
    assert found is not None and found.grid is fixed.grid and found.data.dtype == torch.float32
    return found.data


@pytest.mark.parametrize("masked", [False, True])
def test_a_known_shift_is_seen_inside_and_outside_of_the_lungs(chest, masked):
    moving = replace(chest.fixed, grid=moved(chest.fixed.grid))
    mask, inside = chest.fixed_lungs if masked else None, chest.fixed_lungs.data != 0
    right = seen(Affine(translation=APART), chest.fixed, moving, mask)
    assert right.median() < 0.1 and right.max() < FINE
    wrong = seen(Affine(), chest.fixed, moving, mask)
    for where in (inside, ~inside):
        assert wrong[where].median() == pytest.approx(5.0, abs=FINE)


def test_what_lies_apart_in_the_lungs_alone_is_said_of_the_lungs_alone(chest):
    inside = chest.fixed_lungs.data != 0
    vectors = torch.from_numpy(APART).float()[:, None, None, None] * inside
    lungs_off = DisplacementField(vectors, chest.fixed.grid)
    found = seen(lungs_off, chest.fixed, chest.fixed, chest.fixed_lungs)
    assert found[inside].median() == pytest.approx(5.0, abs=FINE)
    assert found[~inside].median() < 0.5


def test_values_that_are_stored_with_an_offset_show_the_same(chest):
    stored = [replace(i, data=(i.data + 1024).clamp(min=0)) for i in (chest.fixed, chest.moving)]
    plain = seen(Affine(), chest.fixed, chest.moving, chest.fixed_lungs)
    assert torch.allclose(seen(Affine(), *stored, chest.fixed_lungs), plain, atol=0.3)


def test_of_unlike_images_and_of_images_without_structure_there_is_none(chest):
    grid = straight_grid((40, 40, 40))
    mri = Image(
        500 + 100 * torch.randn(grid.shape, generator=torch.Generator().manual_seed(0)), grid
    )
    flat = Image(torch.full(grid.shape, 5.0), grid)
    for fixed, moving in ((chest.fixed, mri), (mri, chest.moving), (flat, flat)):
        assert misalignment_map(Affine(), fixed, moving) is None


def test_the_estimate_of_a_poor_result_is_of_the_size_of_its_error(chest):
    """Both directions of an affine alignment agree, whatever it leaves: they cannot tell."""
    found = register(chest.fixed, chest.moving, method="affine", uncertainty=True, device="cpu")
    inside = np.argwhere(chest.fixed_lungs.data.numpy() != 0)[::50, ::-1]
    points = torch.from_numpy(chest.fixed.grid.to_physical(inside))
    error = (found.transform(points) - chest.transform(points)).norm(dim=1).numpy()
    maps = {k: v.sample(points, fill=None).numpy() for k, v in found.uncertainty.maps().items()}
    assert error.mean() > 5 * maps["consistency"].mean()
    assert maps["predicted"].mean() == pytest.approx(error.mean(), rel=0.3)
    rank = {name: spearmanr(values, error)[0] for name, values in maps.items()}
    assert rank["predicted"] > max(0.3, rank["consistency"] + 0.1)
