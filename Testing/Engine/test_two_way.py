"""The mean of a forward registration and the inverse of a backward one."""

from __future__ import annotations

import numpy as np
import torch

from DeepRegistrationLib.data.phantoms.thorax import thorax
from DeepRegistrationLib.images.geometry import Grid
from DeepRegistrationLib.methods import make_parameters, method_class
from DeepRegistrationLib.methods.context import Context
from DeepRegistrationLib.methods.optimize.two_way import two_way_mean
from DeepRegistrationLib.transforms import Affine, Composite, DisplacementField

GRID = Grid((24, 20, 16), (4.0, 5.0, 6.0), (-40.0, -50.0, -45.0))
INSIDE = torch.tensor([[0.0, 0.0, 0.0], [12.0, -9.0, 8.0], [-15.0, 20.0, -11.0]])


def wave(amplitude: float, phase: float) -> DisplacementField:
    """A smooth field that varies along z."""
    points = GRID.points()
    vectors = torch.zeros(3, *GRID.shape)
    vectors[0] = amplitude * torch.sin(points[..., 2] / 15.0 + phase)
    return DisplacementField(vectors, GRID)


def test_errors_of_opposite_sign_cancel():
    """Forward is the truth and e, backward the inverse of the truth less e."""
    forward, truth = wave(3.5, 0.3), wave(3.0, 0.3)
    # A displacement along x that depends on z alone is inverted by its negative, exactly.
    backward = DisplacementField(-wave(2.5, 0.3).vectors, GRID)
    mean, inverse = two_way_mean(forward, backward)
    assert torch.allclose(mean(INSIDE), truth(INSIDE), atol=2e-3)
    assert torch.allclose(inverse(INSIDE), wave(2.5, 0.3)(INSIDE), atol=2e-3)


def test_an_affine_start_stays_the_last_member():
    start = Affine.about(np.zeros(3), np.diag([1.05, 0.97, 1.1]), np.array([6.0, -4.0, 9.0]))
    forward = Composite([wave(2.0, 0.1), start])
    backward = Composite([start.inverse(), DisplacementField(-wave(2.0, 0.1).vectors, GRID)])
    mean, _ = two_way_mean(forward, backward)
    assert mean.members[-1].matrix.tolist() == start.matrix.tolist()
    assert torch.allclose(mean(INSIDE), forward(INSIDE), atol=2e-3)


def test_where_the_two_lie_far_apart_the_forward_one_stands():
    forward = wave(2.0, 0.0)
    far = Affine(translation=(0.0, 20.0, 0.0))
    mean, inverse = two_way_mean(forward, far)
    assert torch.allclose(inverse(INSIDE), INSIDE - torch.tensor([0.0, 20.0, 0.0]), atol=1e-3)
    assert torch.allclose(mean(INSIDE), forward(INSIDE), atol=1e-3)


def test_best_is_the_mean_of_both_directions_and_nearer_to_the_truth():
    pair = thorax((64, 52, 60), (5.0, 5.0, 5.0), motion=12.0, seed=4)
    chosen = method_class("optimize")
    method = chosen(make_parameters(chosen, {"anatomy": "lung_ct", "sliding": False}))
    points = pair.fixed.grid.points()[pair.fixed_lungs.data != 0]
    errors = {}
    context = Context(
        fixed_mask=pair.fixed_lungs, moving_mask=pair.moving_lungs, quality="best", estimates=[]
    )
    for quality in ("default", "best"):
        found = method.register(
            pair.fixed,
            pair.moving,
            Context(fixed_mask=pair.fixed_lungs, moving_mask=pair.moving_lungs, quality=quality),
        )
        errors[quality] = float((found(points) - pair.transform(points)).norm(dim=-1).mean())
    method.register(pair.fixed, pair.moving, context)
    one, other = (t(points) for t in (context.estimates[0], context.estimates[1].inverse()))
    assert torch.allclose(found(points), (one + other) / 2, atol=0.02)
    assert errors["best"] < 0.95 * errors["default"]
