"""Refinement by instance optimization, after any method."""

import numpy as np
import pytest
import torch
import trivial

from DeepRegistrationLib import register
from DeepRegistrationLib.data.phantoms.thorax import thorax
from DeepRegistrationLib.evaluation import target_registration_error
from DeepRegistrationLib.images.geometry import Grid
from DeepRegistrationLib.images.image import Image
from DeepRegistrationLib.methods.optimize.refine import nearest_affine
from DeepRegistrationLib.transforms import Affine, DisplacementField, field_jacobian


@pytest.fixture(scope="module")
def pair():
    """A small chest that breathes."""
    return thorax((64, 52, 58), (5.0,) * 3, motion=12.0, seed=4)


def _error(transform, pair):
    return target_registration_error(transform, pair.fixed_landmarks, pair.moving_landmarks)[
        "after"
    ]["mean"]


def test_a_refined_shift_is_better_than_the_shift(pair, monkeypatch):
    trivial.install(monkeypatch)
    masks = {"fixed_mask": pair.fixed_lungs, "moving_mask": pair.moving_lungs}
    result = register(
        pair.fixed, pair.moving, method="shift", refine=True, device="cpu", jacobian=True, **masks
    )
    start = _error(Affine(translation=np.array(trivial.SHIFT)), pair)
    assert _error(result.transform, pair) < 0.5 * start
    assert result.provenance["refine"] is True and "refine" in result.seconds
    assert any("refined by instance optimization" in note for note in result.notes)
    assert float(result.jacobian.data.min()) > 0


def test_refining_the_truth_keeps_it(pair, monkeypatch):
    shift = trivial.install(monkeypatch)
    monkeypatch.setattr(shift, "register", lambda self, fixed, moving, context: pair.transform)
    masks = {"fixed_mask": pair.fixed_lungs, "moving_mask": pair.moving_lungs}
    result = register(pair.fixed, pair.moving, method="shift", refine=True, device="cpu", **masks)
    assert _error(result.transform, pair) < 1.0  # a fifth of a voxel, from an exact start


def test_folds_of_the_start_do_not_stay(pair, monkeypatch):
    """A start that is right on the whole but folds from voxel to voxel."""
    grid = pair.fixed.grid
    field = DisplacementField.of(pair.transform, grid)
    noise = torch.randn(field.vectors.shape, generator=torch.Generator().manual_seed(0))
    rough = DisplacementField(field.vectors + 4.0 * noise, grid)
    assert float((field_jacobian(rough) <= 0).float().mean()) > 0.05
    shift = trivial.install(monkeypatch)
    monkeypatch.setattr(shift, "register", lambda self, fixed, moving, context: rough)
    masks = {"fixed_mask": pair.fixed_lungs, "moving_mask": pair.moving_lungs}
    result = register(
        pair.fixed, pair.moving, method="shift", refine=True, device="cpu", jacobian=True, **masks
    )
    assert float(result.jacobian.data.min()) > 0
    assert _error(result.transform, pair) < 0.5 * _error(rough, pair)


@pytest.mark.parametrize("size", [(12, 11, 10), (12, 11, 1)])
def test_the_nearest_affine_of_an_affine_is_itself(size):
    grid = Grid(size, (2.0, 3.0, 4.0), (-50.0, 20.0, 7.0))
    matrix = np.array([[1.1, 0.05, 0.0], [-0.02, 0.9, 0.0], [0.03, 0.01, 1.0]])
    affine = Affine(matrix, (5.0, -3.0, 2.0))
    found = nearest_affine(affine, grid, None)
    points = grid.points().reshape(-1, 3)
    np.testing.assert_allclose(found(points), affine(points), atol=1e-3)  # float32 points


def test_the_nearest_affine_is_that_of_the_mask():
    """Two halves that move differently: each mask gives its own half's shift."""
    grid = Grid((20, 10, 10))
    vectors = torch.zeros(3, 10, 10, 20)
    vectors[1, :, :, :10], vectors[1, :, :, 10:] = 2.0, -1.0
    for half, shift in ((slice(0, 10), 2.0), (slice(10, 20), -1.0)):
        inside = torch.zeros(10, 10, 20)
        inside[:, :, half] = 1
        found = nearest_affine(DisplacementField(vectors, grid), grid, Image(inside, grid))
        np.testing.assert_allclose(found.matrix, np.eye(3), atol=1e-6)
        np.testing.assert_allclose(found.translation, [0, shift, 0], atol=1e-5)


def test_without_refine_the_methods_result_is_given(pair, monkeypatch):
    trivial.install(monkeypatch)
    result = register(pair.fixed, pair.moving, method="shift", device="cpu")
    point = np.array([[1.0, 2.0, 3.0]])
    moved = target_registration_error(result.transform, point, point + trivial.SHIFT)
    assert moved["after"]["mean"] < 1e-9
    assert result.provenance["refine"] is False and "refine" not in result.seconds
