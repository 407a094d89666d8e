"""Lungs that are found where no mask was given."""

import threading

import pytest
import torch
from references import blobs

from DeepRegistrationLib.data.phantoms import thorax
from DeepRegistrationLib.images import masks as masks_module
from DeepRegistrationLib.images.geometry import Grid
from DeepRegistrationLib.images.image import Image
from DeepRegistrationLib.images.masks import find_masks


@pytest.fixture(scope="module")
def chest():
    return thorax((64, 50, 58), (5.0, 5.0, 5.0), landmarks=0)


def test_in_a_chest_ct_the_lungs_are_found_and_it_is_said(chest):
    notes = []
    masks = find_masks(chest.fixed, chest.moving, None, None, notes)[:2]
    for mask, truth in zip(masks, (chest.fixed_lungs, chest.moving_lungs), strict=True):
        both = float(((mask.data != 0) & (truth.data != 0)).sum())
        assert 2 * both / float((mask.data != 0).sum() + (truth.data != 0).sum()) > 0.9
    (note,) = notes
    sizes = [f"two lungs of {a} and {b} l" for a, b in (("2.1", "1.8"), ("1.9", "1.7"))]
    assert f"{sizes[0]} in the fixed image, {sizes[1]} in the moving image" in note


def test_both_images_are_searched_at_the_same_time(chest, monkeypatch):
    both, look = threading.Barrier(2, timeout=60), masks_module.look_for_lungs

    def meeting(image):
        both.wait()
        return look(image)

    together = find_masks(chest.fixed, chest.moving, None, None, [])[:2]
    monkeypatch.setattr(masks_module, "look_for_lungs", meeting)
    again = find_masks(chest.fixed, chest.moving, None, None, [])[:2]
    for mask, expected in zip(again, together, strict=True):
        assert torch.equal(mask.data, expected.data)


def test_a_given_mask_is_kept_and_the_other_one_is_found(chest):
    notes = []
    given = chest.moving_lungs
    fixed_mask, moving_mask, _ = find_masks(chest.fixed, chest.moving, None, given, notes)
    assert torch.equal(moving_mask.data, given.data)
    assert int(fixed_mask.data.sum()) > 1000
    assert len(notes) == 1
    assert "fixed" in notes[0]


def test_two_given_masks_are_used_as_they_are(chest):
    notes = []
    masks = find_masks(chest.fixed, chest.moving, chest.fixed_lungs, chest.moving_lungs, notes)
    assert torch.equal(masks[0].data, chest.fixed_lungs.data)
    assert torch.equal(masks[1].data, chest.moving_lungs.data)
    assert notes == []


def test_outside_ct_no_mask_is_looked_for():
    grid = Grid((30, 28, 18), (2.0, 2.2, 3.5))
    mri = [Image(blobs(grid, seed).data.abs(), grid) for seed in (1, 2)]
    notes = []
    assert find_masks(*mri, None, None, notes)[:2] == (None, None)
    given = Image(torch.ones(mri[0].grid.shape), mri[0].grid)
    assert find_masks(*mri, given, None, notes)[1] is None
    assert notes == []


def test_when_only_one_image_shows_lungs_none_are_used(chest):
    points = chest.moving.grid.points()
    ball = torch.where(points.norm(dim=-1) < 100, torch.tensor(40.0), torch.tensor(-1000.0))
    notes = []
    assert find_masks(chest.fixed, Image(ball, chest.moving.grid), None, None, notes)[:2] == (
        None,
        None,
    )
    (note,) = notes
    assert "No lungs were found in the moving image" in note


def _filled(image, lungs, low):
    """The left lung up to a height, as dense as tissue."""
    points = image.grid.points()
    inside = (lungs.data != 0) & (points[..., 0] > 0) & (points[..., 2] < low)
    return Image(torch.where(inside, torch.tensor(40.0), image.data), image.grid)


@pytest.mark.parametrize(
    ("height", "clause"),
    [
        (200.0, "one lung was found where the body has room for two"),
        (0.0, "the left lung has only 4"),
    ],
)
def test_a_filled_lung_or_lobe_in_both_images_is_said(chest, height, clause):
    fixed = _filled(chest.fixed, chest.fixed_lungs, height)
    moving = _filled(chest.moving, chest.moving_lungs, height)
    notes = []
    masks = find_masks(fixed, moving, None, None, notes)[:2]
    assert all(mask is not None for mask in masks)
    assert "and used" in notes[0]
    assert [
        note.split(":")[0].startswith(f"In the {side} image {clause}")
        for note, side in zip(notes[1:], ("fixed", "moving"), strict=True)
    ] == [True, True]
