"""The heart phantom: its motion is exact, its muscle incompressible, its look and overlap usual."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from DeepRegistrationLib import RegistrationError, register
from DeepRegistrationLib.data.phantoms import heart
from DeepRegistrationLib.data.phantoms.heart import label_of
from DeepRegistrationLib.data.phantoms.heart_motion import Beat, to_heart
from DeepRegistrationLib.data.phantoms.heart_shape import random_shape
from DeepRegistrationLib.evaluation.landmarks import target_registration_error
from DeepRegistrationLib.images.geometry import Grid
from DeepRegistrationLib.transforms import warp

SMALL = {"size": (80, 80, 10), "spacing": (2.5, 2.5, 10.0)}


@pytest.fixture(scope="module")
def small():
    return heart(**SMALL, seed=4, contraction=0.55)


def scattered(count=20_000, extent=120.0):
    points = np.random.default_rng(5).uniform(-extent, extent, (count, 3))
    return torch.from_numpy(points)


def dice(first, second, label):
    a, b = first == label, second == label
    return 2.0 * float((a & b).sum()) / float(a.sum() + b.sum())


@pytest.mark.parametrize("seed", range(8))
def test_the_inverse_leads_back_to_a_millionth_of_a_millimetre(seed):
    beat, points = Beat(random_shape(seed, 0.7)), scattered()
    assert (beat.inverse()(beat(points)) - points).abs().max() < 1e-6
    assert (beat(beat.inverse()(points)) - points).abs().max() < 1e-6


@pytest.mark.parametrize("seed", range(4))
def test_the_jacobian_is_that_of_central_differences(seed):
    beat, points, step = Beat(random_shape(seed, 0.6)), scattered(4000), 1e-5
    columns = [
        (beat(points + step * axis) - beat(points - step * axis)) / (2 * step)
        for axis in torch.eye(3, dtype=torch.float64)
    ]
    expected = torch.linalg.det(torch.stack(columns, dim=-1))
    wrong = (beat.jacobian(points) - expected).abs() > 1e-4
    assert wrong.float().mean() < 0.001  # points on a wall, where the strain jumps


@pytest.mark.parametrize("seed", range(4))
def test_the_myocardium_is_incompressible_and_nothing_folds(seed):
    shape = random_shape(seed, 0.7)
    beat, points = Beat(shape), scattered(60_000, 60.0)
    r, theta, z = to_heart(shape, points)
    muscle = (r * r > shape.inner_squared(theta, z)) & (r * r < shape.outer_squared(theta, z))
    muscle &= (z > shape.base) & (z < shape.apex)
    assert muscle.sum() > 3000
    assert (beat.jacobian(points)[muscle] - 1.0).abs().max() < 1e-6
    assert beat.jacobian(points).min() > 0.05


@pytest.mark.parametrize("ejection", [0.2, 0.45, 0.7])
def test_the_left_ventricle_ejects_what_was_asked(ejection):
    shape = random_shape(1, ejection)
    points = scattered(400_000, 70.0)
    before = label_of(shape, *to_heart(shape, points))
    after = label_of(shape, *to_heart(shape, Beat(shape).inverse()(points)))
    left, muscle = (float((after == k).sum() / (before == k).sum()) for k in (3, 2))
    assert 1.0 - left == pytest.approx(ejection, abs=0.04)
    assert muscle == pytest.approx(1.0, abs=0.03)


def test_the_wall_thickens_the_apex_turns_and_the_base_descends():
    shape = replace(random_shape(2, 0.6), tilt=(0.0, 0.0))
    beat = Beat(shape)
    heights = {"base": shape.base, "low": shape.base + 0.8 * shape.length}
    moved = {}
    for name, height in heights.items():
        theta, z = torch.full((1,), 3.0).double(), torch.full((1,), height).double()
        walls = [f(theta, z).sqrt() for f in (shape.inner_squared, shape.outer_squared)]
        angle = 3.0 + shape.turn
        ends = [beat(torch.stack([r * np.cos(angle), r * np.sin(angle), z], dim=-1)) for r in walls]
        moved[name] = [to_heart(shape, end) for end in ends]
        thickness = moved[name][1][0] - moved[name][0][0]
        assert thickness > 1.15 * (walls[1] - walls[0])
    turned = np.rad2deg(float(moved["low"][0][1] - moved["base"][0][1])) % 360.0
    assert 3.0 < turned < 20.0
    assert float(moved["base"][0][2]) - shape.base > 8.0


def test_overlap_before_registration_is_that_of_patients():
    points = Grid((80, 80, 12), (2.0, 2.0, 10.0), (-79.0, -79.0, -55.0)).points().double()
    scores = []
    for seed in range(12):
        shape = random_shape(seed, None)
        first = label_of(shape, *to_heart(shape, points))
        second = label_of(shape, *to_heart(shape, Beat(shape).inverse()(points)))
        scores.append([dice(first, second, label) for label in (1, 2, 3)])
    assert np.allclose(np.mean(scores, axis=0), (0.63, 0.51, 0.64), atol=0.06)
    assert np.std(scores, axis=0).min() > 0.03


def test_the_true_motion_explains_images_labels_and_landmarks(small):
    warped = warp(small.moving_labels, small.transform, small.fixed.grid, interpolation="nearest")
    for label in (1, 2, 3):  # 10 mm slices, nearest neighbor
        assert dice(small.fixed_labels.data, warped.data, label) > 0.8
    moved = small.transform(torch.from_numpy(small.fixed_landmarks)).numpy()
    assert np.allclose(moved, small.moving_landmarks)
    assert 60 < len(moved) < 150
    assert 3.0 < np.linalg.norm(moved - small.fixed_landmarks, axis=1).mean() < 12.0


def test_registration_improves_overlap_and_landmarks(small):
    result = register(small.fixed, small.moving, quality="fast")
    errors = target_registration_error(
        result.transform, small.fixed_landmarks, small.moving_landmarks
    )
    assert errors["after"]["mean"] < 0.7 * errors["before"]["mean"]
    warped = warp(small.moving_labels, result.transform, small.fixed.grid, interpolation="nearest")
    for label in (1, 2, 3):
        before = dice(small.fixed_labels.data, small.moving_labels.data, label)
        assert dice(small.fixed_labels.data, warped.data, label) > before + 0.08


def test_blood_is_bright_muscle_dark_and_lung_black(small):
    values = [small.fixed.data[small.fixed_labels.data == label].mean() for label in (1, 2, 3)]
    assert values[1] < 0.55 * values[0] and values[1] < 0.5 * values[2]
    assert float(small.fixed.data.quantile(0.2)) < 0.2 * values[2]
    assert float(small.fixed.data.min()) >= 0.0


def test_noise_is_rician():
    still, noisy = (heart((40, 40, 4), (6, 6, 20), seed=0, noise=n).fixed.data for n in (0.0, 9.0))
    bright, dark = still > 60, still < 0.5 * still.median()
    assert float((noisy - still)[bright].std()) == pytest.approx(9.0, rel=0.1)
    expected = torch.sqrt(still[dark] ** 2 + 2 * 81.0)  # E[m^2] = s^2 + 2 sigma^2
    assert float((noisy[dark] ** 2).mean() / (expected**2).mean()) == pytest.approx(1, rel=0.1)


def test_a_seed_is_one_person_and_another_seed_another():
    again = [heart((48, 48, 5), (5, 5, 18), seed=3) for _ in range(2)]
    assert torch.equal(again[0].fixed.data, again[1].fixed.data)
    assert torch.equal(again[0].moving.data, again[1].moving.data)
    sizes = {heart(seed=s, spacing=(12, 12, 9)).fixed.grid.size for s in range(3)}
    assert len({size[2] for size in sizes}) > 1
    shapes = [random_shape(seed, None) for seed in range(30)]
    assert np.std([s.inner for s in shapes]) > 2.0
    assert np.std([s.turn for s in shapes]) > 0.2


def test_rest_moves_nothing():
    pair = heart((40, 40, 5), (6, 6, 18), seed=0, contraction=0.0, noise=0.0)
    points = scattered(1000)
    assert torch.allclose(pair.transform(points), points, atol=1e-9)
    assert torch.equal(pair.fixed_labels.data, pair.moving_labels.data)


def test_a_turned_grid_shows_the_same_person():
    turned = (0.0, -1.0, 0.0, 1.0, 0.0, 0.0, 0.0, 0.0, 1.0)
    pair = heart((48, 48, 5), (5, 5, 18), seed=3, noise=0.0, direction=turned)
    plain = heart((48, 48, 5), (5, 5, 18), seed=3, noise=0.0)
    inside = plain.fixed.grid.contains(pair.fixed.grid.points().numpy(), 0.0)
    sampled = plain.fixed.sample(pair.fixed.grid.points())
    difference = (sampled - pair.fixed.data).abs()[torch.from_numpy(inside)]
    assert float(difference.median()) < 6.0


@pytest.mark.parametrize(
    "wrong", [{"contraction": 0.9}, {"contraction": -0.1}, {"noise": -1.0}, {"seed": -2}]
)
def test_options_out_of_range_are_refused(wrong):
    with pytest.raises(RegistrationError, match=str(next(iter(wrong.values())))):
        heart((8, 8, 3), **wrong)
