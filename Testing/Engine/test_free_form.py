"""One level of the optimization, against plain Adam on the control points."""

from dataclasses import replace

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from scipy import ndimage

from DeepRegistrationLib.losses.regularization import bending_energy, folding_penalty
from DeepRegistrationLib.losses.similarity import LocalCorrelation
from DeepRegistrationLib.methods.optimize.free_form import fit_level
from DeepRegistrationLib.methods.optimize.moving_source import MovingSource
from DeepRegistrationLib.methods.optimize.presets import GENERAL, Level
from DeepRegistrationLib.progress import silent
from DeepRegistrationLib.transforms.bspline import BSplineLattice

N = 32
LEVEL = Level(2.0, 8.0, 10, 5.0)  # mm, voxels of 2 mm
PRESET = replace(GENERAL, noise=1e-4)


def texture(shape, seed):
    values = np.random.default_rng(seed).normal(size=shape)
    return torch.from_numpy(ndimage.gaussian_filter(values, 1.5)).float()


@pytest.fixture(scope="module")
def images():
    """An image, and the same one moved by up to 5 mm along each axis."""
    fixed = texture((N, N, N), 0)
    axes = torch.meshgrid(*3 * [torch.linspace(-1, 1, N)], indexing="ij")
    places = torch.stack(axes[::-1], -1)
    bump = torch.cos(np.pi / 2 * places).prod(-1, keepdim=True)
    moved = places + bump * torch.tensor([5.0, -4.0, 3.0]) / (N - 1)
    moving = F.grid_sample(fixed[None, None], moved[None], align_corners=True)[0, 0]
    return fixed, moving


def energy_of(images, lattice, start):
    """The function of the control points that a level minimizes, written out once more."""
    fixed, moving = images
    weight = torch.ones_like(fixed)
    similarity = LocalCorrelation(fixed, weight, (LEVEL.window / 2,) * 3, PRESET.noise)
    control_spacing = (LEVEL.control_spacing,) * 3
    share = np.prod(lattice.control_shape) * LEVEL.control_spacing**3 / (8.0 * N**3)
    axes = torch.meshgrid(*3 * [torch.arange(float(N))], indexing="ij")
    voxels = torch.stack(axes[::-1], -1)

    def energy(coefficients):
        index = voxels + lattice.evaluate(coefficients).movedim(0, -1) / 2.0
        places = 2 * index / (N - 1) - 1
        warped = F.grid_sample(
            moving[None, None], places[None], padding_mode="border", align_corners=True
        )[0, 0]
        bends = PRESET.bending * bending_energy(coefficients, control_spacing)
        return similarity(warped) + share * (
            bends + 20 * folding_penalty(coefficients, control_spacing)
        )

    return energy, lattice.fit(start, 1e-4)


def in_place(moving):
    """The moving image on the fixed image's voxels of 2 mm."""
    axes = torch.meshgrid(*3 * [torch.linspace(-1, 1, N)], indexing="ij")
    return MovingSource(moving, torch.stack(axes[::-1]), torch.eye(3) / (N - 1))


def plain_adam(energy, coefficients, iterations, step):
    coefficients = coefficients.clone().requires_grad_(True)
    optimizer = torch.optim.Adam([coefficients], lr=step)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, iterations)
    for _ in range(iterations):
        optimizer.zero_grad()
        energy(coefficients).backward()
        optimizer.step()
        schedule.step()
    return float(energy(coefficients.detach()))


def smooth_steps(images, energy, lattice, start, iterations):
    fixed, moving = images
    found = fit_level(
        *(fixed, in_place(moving), torch.ones_like(fixed), start),
        *(replace(LEVEL, iterations=iterations), PRESET, (2.0,) * 3, silent),
    )
    return float(energy(lattice.fit(found)))


@pytest.fixture(scope="module")
def problem(images):
    lattice = BSplineLattice((N,) * 3, (LEVEL.control_spacing / 2,) * 3)
    start = torch.zeros(3, N, N, N)
    energy, first = energy_of(images, lattice, start)
    return lattice, start, energy, first


def test_smooth_steps_get_further_in_ten_iterations_than_others_in_forty(images, problem):
    lattice, start, energy, first = problem
    ours = smooth_steps(images, energy, lattice, start, 10)
    theirs = [plain_adam(energy, first, 40, 2.0 * step) for step in (0.1, 0.3)]
    assert ours < min(theirs) < 0.5 * float(energy(first))


def test_the_minimum_is_that_of_the_control_points(images, problem):
    """Smooth steps change the way, not the end: nothing is better than it for plain steps."""
    lattice, start, energy, first = problem
    ours = smooth_steps(images, energy, lattice, start, 150)
    theirs = plain_adam(energy, first, 600, 0.4)
    assert ours == pytest.approx(theirs, rel=0.02)


def test_a_start_that_moves_the_border_does_not_fold_there():
    """Control points outside the image go on straight, where samples hardly say anything."""
    lattice = BSplineLattice((N,) * 3, (4.0,) * 3)  # 32 samples: the last cell is only begun
    index = torch.arange(float(N))
    start = torch.zeros(3, N, N, N)
    start[0] = 20.0 + 0.3 * index  # mm along x: an even stretch
    held = lattice.fit(start, 1e-4)
    assert float(bending_energy(held, (8.0,) * 3)) < 1e-6
    assert float((lattice.evaluate(held) - start).abs().max()) < 1e-3
