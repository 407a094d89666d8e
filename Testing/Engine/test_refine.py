"""Refinement by instance optimization, after any method."""

import numpy as np
import pytest
import trivial

from DeepRegistrationLib import register
from DeepRegistrationLib.evaluation import target_registration_error
from DeepRegistrationLib.phantoms.thorax import thorax
from DeepRegistrationLib.transforms import Affine


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
    result = register(pair.fixed, pair.moving, method="shift", refine=True, device="cpu", **masks)
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


def test_without_refine_the_methods_result_is_given(pair, monkeypatch):
    trivial.install(monkeypatch)
    result = register(pair.fixed, pair.moving, method="shift", device="cpu")
    point = np.array([[1.0, 2.0, 3.0]])
    moved = target_registration_error(result.transform, point, point + trivial.SHIFT)
    assert moved["after"]["mean"] < 1e-9
    assert result.provenance["refine"] is False and "refine" not in result.seconds
