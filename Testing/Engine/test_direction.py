"""Landmarks, images and transforms that are the Wrong direction are noticed."""

from __future__ import annotations

import numpy as np
import pytest

from DeepRegistrationLib.errors import RegistrationError
from DeepRegistrationLib.evaluation.direction import better_negated, better_swapped, outside_problem
from DeepRegistrationLib.evaluation.landmarks import check_landmarks
from DeepRegistrationLib.images.geometry import Grid
from DeepRegistrationLib.reports.report import evaluation_report
from DeepRegistrationLib.reports.summary import summary_lines
from DeepRegistrationLib.transforms import Affine

FIXED = np.random.default_rng(7).uniform(-40, 40, (25, 3))
TRUTH = Affine(np.eye(3) + [[0.02, 0.05, 0], [0, -0.04, 0.03], [0.01, 0, 0.06]], (6.0, -3.0, 9.0))
NOISE = np.random.default_rng(8).normal(0, 0.5, FIXED.shape)


def mapped(transform, points: np.ndarray) -> np.ndarray:
    return points @ np.asarray(transform.matrix).T + np.asarray(transform.translation)


MOVING = mapped(TRUTH, FIXED) + NOISE


def verdict(transform, fixed, moving):
    return better_swapped(fixed, moving, mapped(transform, fixed), mapped(transform, moving))


def test_the_right_way_round_is_not_doubted():
    assert verdict(TRUTH, FIXED, MOVING) is None


@pytest.mark.parametrize(
    ("transform", "fixed", "moving"),
    [(TRUTH, MOVING, FIXED), (TRUTH.inverse(), FIXED, MOVING)],
    ids=["swapped landmarks", "inverted transform"],
)
def test_swapped_landmarks_and_an_inverted_transform_are_noticed(transform, fixed, moving):
    found = verdict(transform, fixed, moving)
    assert found is not None and found.n == 25
    inverse = mapped(transform.inverse(), fixed)
    other_way = np.linalg.norm(inverse - moving, axis=1).mean()
    assert found.swapped == pytest.approx(other_way, rel=0.1)  # up to the change of scale
    assert found.given > 2 * np.linalg.norm(fixed - moving, axis=1).mean() * 0.8
    assert f"{found.swapped:.2f} mm" in found.text and "swapped" in found.text


def test_a_poor_registration_and_few_landmarks_are_not_called_swapped():
    half = Affine(np.eye(3), (3.0, -1.5, 4.5))
    assert verdict(half, FIXED, MOVING) is None
    aside = Affine(np.eye(3), (-9.0, 9.0, 9.0))  # worse than nothing, either way
    assert verdict(aside, FIXED, MOVING) is None
    assert verdict(Affine(), FIXED, MOVING) is None
    assert verdict(TRUTH, MOVING[:2], FIXED[:2]) is None


def test_one_landmark_far_off_does_not_make_the_rest_swapped():
    fixed, moving = FIXED.copy(), MOVING.copy()
    moving[0] += 400.0
    assert verdict(TRUTH, fixed, moving) is None


RAS = np.array([-1.0, -1.0, 1.0])
PLACE = np.array([60.0, -90.0, 0.0])  # away from x = y = 0, where signs make no difference


def signs_of(transform, fixed, moving):
    """What is found where a patient lies at PLACE."""

    def there(x: np.ndarray) -> np.ndarray:
        return mapped(transform, x - PLACE) + PLACE

    return better_negated(fixed, moving, there)


@pytest.mark.parametrize(
    ("which", "signs"),
    [("fixed", (RAS, 1)), ("moving", (1, RAS)), ("fixed and moving", (RAS, RAS))],
    ids=["fixed", "moving", "both"],
)
def test_landmarks_in_ras_are_noticed_on_either_side(which, signs):
    fixed, moving = FIXED + PLACE, MOVING + PLACE
    assert signs_of(TRUTH, fixed, moving) is None
    found = signs_of(TRUTH, fixed * signs[0], moving * signs[1])
    assert found is not None and (found.n, found.which) == (25, which)
    true_error = np.linalg.norm(mapped(TRUTH, FIXED) - MOVING, axis=1).mean()
    assert found.negated == pytest.approx(true_error)
    assert f"{which} landmarks negated" in found.text and f"{true_error:.2f} mm" in found.text


def test_a_poor_registration_and_few_landmarks_are_not_called_ras():
    fixed, moving = FIXED + PLACE, MOVING + PLACE
    assert signs_of(Affine(np.eye(3), (-9.0, -9.0, 9.0)), fixed, moving) is None
    assert signs_of(Affine(np.eye(3), (90.0, 70.0, 9.0)), fixed, moving) is None
    assert signs_of(TRUTH, (fixed * RAS)[:2], moving[:2]) is None
    assert signs_of(TRUTH, fixed, moving[::-1]) is None


def test_the_report_says_that_signs_look_wrong():
    there = Affine(TRUTH.matrix, np.asarray(TRUTH.translation) + PLACE - TRUTH.matrix @ PLACE)
    lists = {"fixed_landmarks": (FIXED + PLACE) * RAS, "moving_landmarks": MOVING + PLACE}
    report = evaluation_report(there, **lists)
    assert report["negated"]["which"] == "fixed"
    assert report["negated"]["given"] == report["tre"]["after"]["mean"]
    assert any("Wrong signs" in line for line in summary_lines(report))


def test_the_report_and_what_a_terminal_shows_say_it():
    report = evaluation_report(TRUTH, fixed_landmarks=MOVING, moving_landmarks=FIXED)
    assert report["swapped"]["given"] == report["tre"]["after"]["mean"]
    assert report["swapped"]["swapped"] < 1.5
    assert any("Wrong direction" in line for line in summary_lines(report))
    report = evaluation_report(TRUTH, fixed_landmarks=FIXED, moving_landmarks=MOVING)
    assert report["swapped"] is None
    assert not any("Wrong direction" in line for line in summary_lines(report))


def test_lists_that_lie_in_each_other_s_image_are_said_to_be_swapped():
    left = Grid((50, 50, 50), (2.0, 2.0, 2.0), (-400.0, 0.0, 0.0))
    right = Grid((50, 50, 50), (2.0, 2.0, 2.0), (400.0, 0.0, 0.0))
    inside = np.random.default_rng(0).uniform(5, 90, (4, 3))
    one, other = inside + (-400, 0, 0), inside + (400, 0, 0)
    assert outside_problem(one, other, left, right) is None
    check_landmarks(one, other, left, right)
    with pytest.raises(RegistrationError, match="4 of 4 fixed .* probably swapped: exchange"):
        check_landmarks(other, one, left, right)
    with pytest.raises(RegistrationError, match="check that they belong to this image"):
        check_landmarks(other, other, left, right)


def test_voxel_indices_are_said_to_look_like_such():
    grid = Grid((100, 90, 80), (2.0, 2.0, 2.5), (-100.0, -90.0, -700.0))
    index = np.random.default_rng(3).integers(1, 80, (12, 3)).astype(float)
    with pytest.raises(RegistrationError, match="look like voxel indices"):
        check_landmarks(index, index, grid, grid)
    with pytest.raises(RegistrationError, match="check that they belong to this image"):
        check_landmarks(index + 0.25, index, grid, grid)


def test_landmarks_without_images_are_not_called_outside():
    assert outside_problem(FIXED, MOVING, None, None) is None
