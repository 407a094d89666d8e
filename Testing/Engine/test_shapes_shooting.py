"""Geodesic shooting against an ODE solver in float64."""

import numpy as np
import pytest
import torch
from scipy.integrate import solve_ivp

from DeepRegistrationLib.training.shapes.shooting import energy, shoot

SIGMA = 15.0


def hearts(seed=0, count=30, strength=4.0):
    rng = np.random.default_rng(seed)
    return rng.normal(0, 20, (count, 3)), rng.normal(0, strength, (count, 3))


def hamiltonian_flow(controls, momenta, points):
    """Hamilton's equations, written out with differences and solved to 1e-10."""
    n = len(controls)

    def rates(_, state):
        q, a, x = np.split(state.reshape(-1, 3), [n, 2 * n])
        offsets = q[:, None] - q[None]
        k = np.exp(-(offsets**2).sum(-1) / SIGMA**2)
        force = 2 / SIGMA**2 * ((k * (a @ a.T))[..., None] * offsets).sum(1)
        carried = np.exp(-((x[:, None] - q[None]) ** 2).sum(-1) / SIGMA**2) @ a
        return np.concatenate([k @ a, force, carried]).ravel()

    start = np.concatenate([controls, momenta, points]).ravel()
    end = solve_ivp(rates, (0, 1), start, rtol=1e-10, atol=1e-10).y[:, -1].reshape(-1, 3)
    return np.split(end, [n, 2 * n])


def as_batch(array, device="cpu"):
    return torch.from_numpy(array).float()[None].to(device)


def test_shooting_follows_hamiltons_equations(device):
    controls, momenta = hearts()
    points = np.random.default_rng(1).normal(0, 20, (50, 3))
    expected = hamiltonian_flow(controls, momenta, points)
    found = shoot(*(as_batch(a, device) for a in (controls, momenta, points)), SIGMA)
    assert np.abs(expected[2] - points).max() > 8  # mm: it is a large deformation
    for got, wanted in zip(found, expected, strict=True):
        assert np.abs(got[0].cpu().numpy() - wanted).max() < 0.1
    fine = shoot(*(as_batch(a, device) for a in (controls, momenta, points)), SIGMA, steps=60)
    assert np.abs(fine[2][0].cpu().numpy() - expected[2]).max() < 0.002


def test_the_energy_stays_and_the_way_back_leads_home():
    controls, momenta = (as_batch(a) for a in hearts(2))
    end, last, _ = shoot(controls, momenta, controls, SIGMA, steps=20)
    start = float(energy(controls, momenta, SIGMA))
    assert float(energy(end, last, SIGMA)) == pytest.approx(start, rel=1e-3)
    back, _, _ = shoot(end, -last, end, SIGMA, steps=20)
    assert float((back - controls).abs().max()) < 0.02


def test_a_batch_is_its_cases_one_by_one():
    parts = [tuple(as_batch(a) for a in hearts(seed)) for seed in (3, 4)]
    both = shoot(
        *(torch.cat(pair) for pair in zip(*parts, strict=True)),
        parts[0][0].expand(2, -1, -1),
        SIGMA,
    )
    alone = shoot(*parts[1], parts[0][0], SIGMA)
    torch.testing.assert_close(both[2][1:], alone[2], atol=1e-4, rtol=0)
