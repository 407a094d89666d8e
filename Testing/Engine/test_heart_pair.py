"""Frames of one heart share the place where it was found; hearts of two patients do not."""

from itertools import combinations
from pathlib import Path

import numpy as np
import pytest
import torch
from hearts import heart_labels, heart_picture, stack_grid

from DeepRegistrationLib.data.phantoms.heart import heart
from DeepRegistrationLib.images.image import Image, read_image
from DeepRegistrationLib.methods.context import Context
from DeepRegistrationLib.methods.heart import frames as hearts
from DeepRegistrationLib.methods.heart.cine_frames import correlation_in_place, show_one_heart
from DeepRegistrationLib.methods.heart.heartnet import FoundHeart
from DeepRegistrationLib.methods.heart.preparation import frame_of_labels, heart_frame
from DeepRegistrationLib.methods.svfnet import inference as svfnet
from DeepRegistrationLib.methods.svfnet.network import SVFNet
from DeepRegistrationLib.transforms import Affine

ACDC = Path(__file__).resolve().parents[3] / "shared" / "data" / "cardiac_acdc"
GRID = stack_grid(pixels=100)


def labels(**how) -> Image:
    return heart_labels(GRID, **{"turn": -20.0, "shift": (12.0, -8.0, 10.0), **how})


@pytest.fixture(scope="module")
def network():
    """Untrained, but it says something."""
    torch.manual_seed(0)
    network = SVFNet(width=4).eval()
    with torch.no_grad():
        network.output.weight.normal_(std=0.1)
    return network


def registered(network, fixed, moving, **given):
    context = Context(**given)
    with torch.no_grad():
        flow, rigid = svfnet.register(network, fixed, moving, context).members
    return flow.grid, rigid, context.notes


def is_identity(affine: Affine) -> bool:
    found = np.column_stack([affine.matrix, affine.translation])
    return bool(np.abs(found - np.eye(3, 4)).max() < 1e-6)


# What one heart is


def test_likeness_is_the_correlation_of_the_clamped_values():
    noise = np.random.default_rng(0).normal(size=(2, *GRID.shape)).astype(np.float32)
    first, second = noise[0], 0.5 * noise[0] + noise[1]
    first[0, 0, 0] = 1e6  # one hot voxel means nothing
    clamped = [np.clip(v, *np.quantile(v, [0.02, 0.98])).ravel() for v in (first, second)]
    pair = [Image(torch.from_numpy(v), GRID) for v in (first, second)]
    assert correlation_in_place(*pair) == pytest.approx(np.corrcoef(*clamped)[0, 1], abs=1e-4)


def test_images_on_two_grids_have_no_likeness_in_place():
    image = heart_picture(labels())
    moved = Image(image.data, stack_grid(shift=(1.0, 0, 0), pixels=100))
    assert correlation_in_place(image, moved) is None and not show_one_heart(None)


def test_an_image_of_one_value_is_like_nothing():
    flat = Image(torch.full(GRID.shape, 7.0), GRID)
    assert correlation_in_place(flat, flat) == 0.0


def test_two_phases_are_one_heart_and_two_persons_on_one_grid_are_not():
    persons = [heart((64, 64, 3), (5.0, 5.0, 30.0), seed=seed) for seed in (1, 4)]
    grid = persons[0].fixed.grid  # as from exports that put every origin at one place
    phases = [[Image(p.data, grid) for p in (person.fixed, person.moving)] for person in persons]
    for pair in phases:
        assert show_one_heart(correlation_in_place(*pair))
    for one, other in zip(*phases, strict=True):
        assert correlation_in_place(one, other) < 0.6


@pytest.mark.skipif(not ACDC.is_dir(), reason="needs ACDC")
def test_patients_of_acdc_that_share_a_grid_are_told_apart():
    frames = {
        name: [read_image(path) for path in sorted((ACDC / name).glob("*frame??.nii.gz"))]
        for name in ("patient014", "patient062", "patient067")
    }
    for first, last in frames.values():
        assert show_one_heart(correlation_in_place(first, last))
    for one, other in combinations(frames.values(), 2):
        likeness = correlation_in_place(one[0], other[0])
        assert likeness is not None and not show_one_heart(likeness)


# What follows from it


def test_frames_of_one_heart_are_aligned_by_nothing_but_their_grid(network):
    fixed, moving = heart_picture(labels()), heart_picture(labels(size=(0.85, 0.85, 0.95)), 1)
    frame, rigid, (note,) = registered(network, fixed, moving)
    assert is_identity(rigid)
    assert np.linalg.norm((frame.center() - frame_of_labels(labels()).center())[:2]) < 8
    assert "look like frames of one heart" in note and "uncertain" not in note


def test_exchanged_frames_of_one_heart_share_the_same_place(network):
    images = heart_picture(labels()), heart_picture(labels(size=(0.85, 0.85, 0.95)), 1)
    there, _, _ = registered(network, *images)
    back, _, _ = registered(network, *images[::-1])
    np.testing.assert_allclose(there.corners(), back.corners())


def test_two_hearts_on_one_grid_are_found_each_on_its_own(network):
    other = labels(turn=15.0, shift=(-35.0, 30.0, 10.0))
    _, rigid, notes = registered(network, heart_picture(labels()), heart_picture(other, 1))
    moved = rigid(torch.from_numpy(frame_of_labels(labels()).center()[None])).numpy()[0]
    assert np.linalg.norm((moved - frame_of_labels(other).center())[:2]) < 12
    assert len(notes) == 2 and all("was searched for in the image and found" in n for n in notes)


def finds(monkeypatch, **found: FoundHeart):
    """Let the search find what is said for each name of an image."""
    monkeypatch.setattr(hearts, "find_heart", lambda image: found[image.name])


def placed(x: float, score: float, sure: bool) -> FoundHeart:
    region = Image(torch.ones(GRID.shape, dtype=torch.uint8), GRID)
    return FoundHeart(heart_frame(np.array([x, 0.0, 0.0]), np.eye(3)), region, score, sure)


def two_frames() -> list[Image]:
    picture = heart_picture(labels())
    return [Image(picture.data, GRID, name) for name in ("first", "second")]


@pytest.mark.parametrize(
    ("first", "second", "expected"),
    [
        ((0.9, True), (0.8, True), 10.0),  # both sure: the clearer
        ((0.7, True), (0.8, True), -10.0),
        ((0.9, False), (0.8, True), -10.0),  # only the second is sure
    ],
)
def test_the_surer_of_two_finds_serves_both(network, monkeypatch, first, second, expected):
    finds(monkeypatch, first=placed(10.0, *first), second=placed(-10.0, *second))
    frame, rigid, (note,) = registered(network, *two_frames())
    assert frame.center()[0] == pytest.approx(expected) and is_identity(rigid)
    assert f"where it was found in the {'fixed' if expected > 0 else 'moving'} image" in note


def test_doubt_in_both_finds_is_said_once_with_what_to_do(network, monkeypatch):
    finds(monkeypatch, first=placed(10.0, 0.4, False), second=placed(-10.0, 0.3, False))
    _, _, (note,) = registered(network, *two_frames())
    assert "its position is uncertain. Give a mask of it in one of the images" in note
    assert "(--fixed-mask or --moving-mask)" in note


@pytest.mark.parametrize("side", ["fixed", "moving"])
def test_the_mask_of_one_frame_places_the_heart_in_both(network, side):
    frame, rigid, (note,) = registered(network, *two_frames(), **{f"{side}_mask": labels()})
    np.testing.assert_allclose(frame.corners(), frame_of_labels(labels()).corners())
    assert is_identity(rigid) and f"where the {side} mask shows it" in note


def test_with_both_masks_each_heart_keeps_its_own_frame(network):
    small = labels(size=(0.85, 0.85, 0.9), shift=(10.0, -8.0, 6.0))
    _, rigid, notes = registered(
        network, *two_frames(), fixed_mask=labels(), moving_mask=small
    )  # fmt: skip
    assert not is_identity(rigid) and notes == []


def test_an_initial_transform_stays_where_the_place_is_shared(network):
    start = Affine(np.eye(3), (3.0, 1.0, 0.0))
    _, rigid, _ = registered(network, *two_frames(), initial=start)
    assert rigid is start
