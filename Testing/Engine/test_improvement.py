"""Improvement around places, on a phantom whose motion is known and whose result has a fault."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from DeepRegistrationLib import RegistrationError, improve, leave_one_out
from DeepRegistrationLib.data.phantoms import thorax
from DeepRegistrationLib.evaluation.landmark_pairs import LandmarkPairs
from DeepRegistrationLib.evaluation.landmarks import mapped_points
from DeepRegistrationLib.methods.optimize.unfolding import smallest_jacobian
from DeepRegistrationLib.registration.improvement_notes import unreached, worsened
from DeepRegistrationLib.transforms import Affine, Composite, DisplacementField

FAULT = np.array([5.0, -5.0, 4.0])  # mm, 8.1 of them at its middle
WIDTH = 10.0  # mm, standard deviation
RADIUS = 30.0


@pytest.fixture(scope="module")
def pair():
    return thorax((108, 86, 96), (3.0, 3.0, 3.0), seed=2)


@pytest.fixture(scope="module")
def row(pair):
    """A landmark with many around it, well inside a lung."""
    apart = np.linalg.norm(pair.fixed_landmarks[:, None] - pair.fixed_landmarks, axis=-1)
    return int((apart < 20).sum(1).argmax())


def faulty(pair, middle, fault=FAULT):
    """The true field, on a grid, with a smooth fault around a point."""
    true = DisplacementField.of(pair.transform, pair.fixed.grid)
    points = pair.fixed.grid.points()
    square = (points - torch.as_tensor(middle).float()).square().sum(-1)
    bump = torch.exp(-0.5 * square / WIDTH**2) * torch.as_tensor(fault).float()[:, None, None, None]
    return DisplacementField(true.vectors + bump, true.grid)


def error(pair, transform, points):
    return np.linalg.norm(
        mapped_points(transform, points) - mapped_points(pair.transform, points), axis=1
    )


@pytest.fixture(scope="module")
def found(pair, row):
    """One pair, 6 mm beside the middle of the fault, and what the improvement makes of it."""
    middle = pair.fixed_landmarks[row] + (4.0, 3.0, -3.0)
    start = faulty(pair, middle)
    driving = pair.fixed_landmarks[[row]], pair.moving_landmarks[[row]]
    return start, middle, improve(pair.fixed, pair.moving, start, driving, radius=RADIUS)


def test_a_radius_beyond_all_images_is_refused_before_its_grid_is_made(pair):
    driving = pair.fixed_landmarks[:1], pair.moving_landmarks[:1]
    with pytest.raises(RegistrationError, match="local: give 200 mm at most"):
        improve(pair.fixed, pair.moving, pair.transform, driving, radius=1000.0)


def test_a_pair_too_far_for_any_radius_drives_a_whole_registration():
    one = np.zeros((1, 3))
    pairs = LandmarkPairs(["far"], one, one)
    (note,) = unreached(pairs, one, np.array([100.0]), np.array([90.0]), 1.0, RADIUS)
    assert "let the pairs drive a whole registration" in note


def around(middle, radius):
    """Points of a lattice within a distance of a place."""
    axis = np.arange(-radius, radius + 0.1, 2.0)
    offsets = np.stack(np.meshgrid(axis, axis, axis), -1).reshape(-1, 3)
    return middle + offsets[np.linalg.norm(offsets, axis=1) <= radius]


def test_a_fault_of_8_mm_is_gone_all_around_the_one_landmark(pair, row, found):
    start, middle, improved = found
    near = around(middle, 10.0)
    assert error(pair, start, near).mean() > 5
    assert error(pair, improved.transform, near).mean() < 1
    others = np.arange(len(pair.fixed_landmarks)) != row
    points = pair.fixed_landmarks[others]
    close = points[np.linalg.norm(points - middle, axis=1) < 20]
    assert len(close) >= 3
    assert error(pair, start, close).mean() > 1.5
    assert error(pair, improved.transform, close).mean() < 1


def test_the_residuals_are_those_of_the_driving_pair(pair, row, found):
    start, _, improved = found
    point = pair.fixed_landmarks[[row]]
    assert improved.before == pytest.approx(error(pair, start, point), abs=0.1)
    assert improved.residuals == pytest.approx(error(pair, improved.transform, point), abs=0.1)
    assert improved.residuals.max() < 0.5
    assert improved.notes == []


def test_nothing_changes_beyond_the_radius(pair, row, found):
    start, _, improved = found
    assert improved.transform.grid == start.grid
    away = (start.grid.points() - torch.as_tensor(pair.fixed_landmarks[row]).float()).norm(dim=-1)
    changed = (improved.transform.vectors != start.vectors).any(0)
    assert bool(changed.any())
    assert not bool(changed[away > RADIUS].any())
    assert improved.largest_change_outside == 0
    # Between the voxels, too: on the sphere itself, and in all the space around the image.
    directions = np.random.default_rng(0).normal(size=(2000, 3))
    directions /= np.linalg.norm(directions, axis=1, keepdims=True)
    for distance in (RADIUS, 33.3, 60.0, 400.0):
        points = pair.fixed_landmarks[row] + distance * directions
        assert (mapped_points(improved.transform, points) == mapped_points(start, points)).all(), (
            distance
        )


def test_no_cell_folds(found):
    start, _, improved = found
    assert float(smallest_jacobian(improved.transform.vectors, start.grid).min()) > 0


def test_a_landmark_far_off_is_reached_as_far_as_the_radius_allows_without_folding(pair, row):
    start = faulty(pair, pair.fixed_landmarks[row], 2.4 * FAULT)  # 20 mm
    driving = pair.fixed_landmarks[[row]], pair.moving_landmarks[[row]]
    small = improve(pair.fixed, pair.moving, start, driving, radius=20.0)
    assert (
        float(smallest_jacobian(small.transform.vectors, start.grid).min()) > 0
        or float(smallest_jacobian(start.vectors, start.grid).min()) <= 0
    )
    note = small.notes[0]
    assert "was not reached" in note
    assert "without folding takes a radius of about" in note


def test_an_affine_and_a_coarse_field_become_fields_that_hold_the_correction(pair, row):
    driving = pair.fixed_landmarks[[row]], pair.moving_landmarks[[row]]
    affine = Affine.about(np.zeros(3), np.diag([1.0, 0.98, 0.95]), np.array([0.0, 1.0, 2.0]))
    coarse = DisplacementField.of(pair.transform, pair.fixed.grid.with_spacing(12.0))
    for start in (affine, Composite([coarse, Affine(translation=(2.0, 0.0, 0.0))])):
        improved = improve(pair.fixed, pair.moving, start, driving)
        away = around(pair.fixed_landmarks[row], 60.0)
        away = away[np.linalg.norm(away - pair.fixed_landmarks[row], axis=1) > RADIUS]
        moved = mapped_points(improved.transform, away) - mapped_points(start, away)
        assert np.abs(moved).max() < 1e-3
        assert improved.residuals.max() < 1


def test_two_places_apart_are_improved_each_for_itself(pair):
    points = pair.fixed_landmarks
    first = 0
    second = int(np.linalg.norm(points - points[0], axis=1).argmax())
    start = DisplacementField(
        faulty(pair, points[first]).vectors
        + faulty(pair, points[second]).vectors
        - DisplacementField.of(pair.transform, pair.fixed.grid).vectors,
        pair.fixed.grid,
    )
    rows = [first, second]
    driving = points[rows], pair.moving_landmarks[rows]
    both = improve(pair.fixed, pair.moving, start, driving, radius=RADIUS)
    assert both.residuals.max() < 0.7
    one = improve(pair.fixed, pair.moving, start, driving, points[[first]], radius=RADIUS)
    assert one.residuals[0] == pytest.approx(both.residuals[0], abs=0.2)
    assert one.residuals[1] == pytest.approx(one.before[1], abs=1e-6)
    (note,) = one.notes
    assert note.startswith("Landmark pair 2 is ") and note.endswith("had no influence.")


def test_a_landmark_that_contradicts_the_image_is_followed_and_said(pair, row):
    start = DisplacementField.of(pair.transform, pair.fixed.grid)
    wrong = pair.moving_landmarks[[row]] + (0.0, 0.0, 9.0)
    trusted = improve(pair.fixed, pair.moving, start, (pair.fixed_landmarks[[row]], wrong))
    assert any("match less there than before" in note for note in trusted.notes)
    loose = improve(
        pair.fixed, pair.moving, start, (pair.fixed_landmarks[[row]], wrong), weight=1e-3
    )
    assert loose.residuals[0] > trusted.residuals[0]


def test_leave_one_out_measures_each_pair_without_it(pair, row):
    start = faulty(pair, pair.fixed_landmarks[row])
    apart = np.linalg.norm(pair.fixed_landmarks - pair.fixed_landmarks[row], axis=1)
    rows = np.argsort(apart)[:3]
    driving = pair.fixed_landmarks[rows], pair.moving_landmarks[rows]
    errors = leave_one_out(pair.fixed, pair.moving, start, driving)
    without = improve(pair.fixed, pair.moving, start, (driving[0][1:], driving[1][1:]))
    expected = np.linalg.norm(mapped_points(without.transform, driving[0][:1]) - driving[1][:1])
    assert errors[0] == pytest.approx(expected, abs=1e-6)
    assert errors.shape == (3,)
    with pytest.raises(RegistrationError, match="at least two"):
        leave_one_out(pair.fixed, pair.moving, start, (driving[0][:1], driving[1][:1]))


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        (lambda f, m: (f[:0], m[:0]), "There is no landmark pair"),
        (lambda f, m: (f, m[:2]), r"the shapes \(3, 3\) and \(2, 3\)"),
        (lambda f, m: (f[:, :2], m[:, :2]), r"fixed: points are an array .* of shape \(3, 2\)"),
        (lambda f, m: (f + [[0, 0, 0], [np.nan, 0, 0], [0, 0, 0]], m), "pair 2 has a coordinate"),
        (lambda f, m: (f, m + [[0, 0, 0], [0, 0, 0], [0, 0, 999]]), "1 of 3 moving landmarks lie"),
        (lambda f, m: (f[[0, 1, 0]], m[[0, 1, 0]]), "pairs 1 and 3 are the same"),
        (lambda f, m: (f[[0, 1, 0]], m), "pairs 1 and 3 have one fixed point but two"),
    ],
)
def test_pairs_that_cannot_drive_are_refused_in_one_sentence(pair, change, sentence):
    driving = change(pair.fixed_landmarks[:3], pair.moving_landmarks[:3])
    with pytest.raises(RegistrationError, match=sentence) as refused:
        improve(pair.fixed, pair.moving, Affine(), driving)
    assert "\n" not in str(refused.value)


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"radius": 0.0}, "radius is 0"),
        ({"radius": np.nan}, "radius is nan"),
        ({"radius": 5.0}, "less than three voxels"),
        ({"weight": -1.0}, "weight of the landmarks is -1"),
        ({"places": np.zeros((0, 3))}, "There are no places"),
        ({"places": np.array([[0.0, np.inf, 0.0]])}, "A place has a coordinate"),
        ({"places": np.array([[0.0, 0.0, 5000.0]])}, "outside the fixed image"),
    ],
)
def test_places_radius_and_weight_are_checked(pair, changes, sentence):
    driving = pair.fixed_landmarks[:1], pair.moving_landmarks[:1]
    with pytest.raises(RegistrationError, match=sentence):
        improve(pair.fixed, pair.moving, Affine(), driving, **changes)


def test_landmarks_beside_are_named_where_they_fit_clearly_worse():
    before, after = np.array([1.0, 1.4, 2.0, np.nan]), np.array([1.7, 1.25, 1.0, np.nan])
    assert worsened(["a", "b", "c", "d"], before, after) == [
        "Landmark a nearby fits worse than before (1.00 mm before, 1.70 mm after): check the "
        "landmark that drove this, and these."
    ]
    both = worsened(["a", "b"], before[:2], after[:2] + 1)
    assert both[0].startswith("Landmarks a, b nearby fit worse than before (1.20 mm before, 2.48")
    assert worsened(["b", "c"], before[1:3], after[1:3]) == []
