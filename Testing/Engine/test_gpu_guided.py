"""What landmarks and structures drive, on a pretended GPU: the CPU's results, and few reads."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from pretend_device import PretendedGPU
from test_gpu_path import SHORT, on_both

from DeepRegistrationLib import register
from DeepRegistrationLib.data.phantoms import thorax
from DeepRegistrationLib.evaluation.landmark_pairs import LandmarkPairs
from DeepRegistrationLib.registration.improvement import improve
from DeepRegistrationLib.transforms import Affine


@pytest.fixture(scope="module")
def chest():
    return thorax((40, 32, 36), (8.0, 8.0, 8.0))


@pytest.fixture(scope="module")
def pairs(chest):
    labels = [f"L{k}" for k in range(8)]
    return LandmarkPairs(labels, chest.fixed_landmarks[:8], chest.moving_landmarks[:8])


def residual(transform, pairs):
    with torch.no_grad():
        mapped = transform(torch.from_numpy(np.asarray(pairs.fixed))).numpy()
    return np.linalg.norm(mapped - pairs.moving, axis=1).mean()


def test_landmarks_drive_the_optimization(chest, pairs):
    """Those of another truth than the images', so that it is seen who drives."""
    pairs = LandmarkPairs(pairs.labels, pairs.fixed, pairs.moving + np.array([0.0, 0.0, 10.0]))
    options = {"parameters": SHORT, "quality": "fast", "initial": Affine()}
    plain = register(chest.fixed, chest.moving, device="cpu", **options)
    counts = []
    for factor in (0.1, 0.1, 0.3):  # the first one fills the caches of the axes' matrices
        options["parameters"] = {"iterations": factor}
        found, gpu = on_both(chest.fixed, chest.moving, guide=pairs, **options)
        counts.append(gpu.read())
    assert residual(found.transform, pairs) < residual(plain.transform, pairs)
    assert counts[1] == counts[2] <= 12, gpu.reads


def test_landmarks_of_images_that_lie_apart_are_the_start(chest, pairs):
    away = np.array([0.0, 900.0, 0.0])
    grid = replace(chest.moving.grid, origin=tuple(np.add(chest.moving.grid.origin, away)))
    moved = LandmarkPairs(pairs.labels, pairs.fixed, pairs.moving + away)
    options = {"parameters": SHORT, "quality": "fast", "guide": moved}
    found, gpu = on_both(chest.fixed, replace(chest.moving, grid=grid), **options)
    assert residual(found.transform, moved) < 10
    assert gpu.read() <= 12, gpu.reads


def test_structures_drive_the_optimization_and_the_refinement(chest):
    labels = chest.fixed_lungs, chest.moving_lungs
    options = {"quality": "fast", "initial": Affine(), "guide_labels": labels}
    refined = {"method": "affine", "refine": True}  # whose affine search reads, too
    for more, most in (({"parameters": SHORT}, 12), (refined, 46)):
        found, gpu = on_both(chest.fixed, chest.moving, **options, **more)
        assert len(found.driving_labels) == 1
        assert gpu.read() <= most, gpu.reads


def test_a_transform_is_improved_as_on_the_cpu_with_few_reads(chest, pairs):
    start = Affine(translation=(0.0, 2.0, 3.0))
    few = LandmarkPairs(pairs.labels[:2], pairs.fixed[:2], pairs.moving[:2])
    expected = improve(chest.fixed, chest.moving, start, few, device="cpu")
    with PretendedGPU() as gpu:
        found = improve(chest.fixed, chest.moving, start, few, device="cuda")
    assert gpu.operations > 0
    assert expected.residuals.mean() < expected.before.mean()
    np.testing.assert_allclose(found.residuals, expected.residuals, atol=1e-3)
    points = chest.fixed.grid.points()
    with torch.no_grad():
        assert type(found.transform(points)) is torch.Tensor
        assert torch.allclose(found.transform(points), expected.transform(points), atol=1e-3)
    assert found.notes == expected.notes
    assert gpu.read() <= 26, gpu.reads
