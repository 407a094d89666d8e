"""The heart is found in the image by the mean heart, and doubt is said."""

import numpy as np
import pytest
import torch
from hearts import heart_labels, heart_picture, stack_grid

from DeepRegistrationLib.geometry import Grid
from DeepRegistrationLib.image import Image
from DeepRegistrationLib.inference.svfnet import _frame
from DeepRegistrationLib.methods.base import Context
from DeepRegistrationLib.networks.svfnet import SVFNet
from DeepRegistrationLib.preparation.heart import frame_of_labels, framed
from DeepRegistrationLib.preparation.heart_search import frame_of_image


@pytest.fixture(scope="module")
def mean():
    """The mean of three framed hearts of different width."""
    hearts = [heart_labels(stack_grid(), size=(s, s, 1.0)) for s in (0.9, 1.0, 1.1)]
    return torch.stack([framed(heart_picture(x), frame_of_labels(x)) for x in hearts]).mean(0)


def away(found: Grid, labels: Image) -> tuple[float, float, float, float]:
    """Distance in the slice and along it (mm), turn (degrees), cosine between the slice axes."""
    expected = frame_of_labels(labels)
    axes, other = (np.reshape(grid.direction, (3, 3)) for grid in (expected, found))
    x, y, z = axes.T @ (found.center() - expected.center())
    turn = np.degrees(np.arctan2(other[:, 0] @ axes[:, 1], other[:, 0] @ axes[:, 0]))
    return float(np.hypot(x, y)), abs(float(z)), abs(float(turn)), float(axes[:, 2] @ other[:, 2])


def reversed_slices(image: Image) -> Image:
    """The same image, its slices stored from the other end."""
    grid = image.grid
    direction = np.reshape(grid.direction, (3, 3)) @ np.diag([1, 1, -1])
    top = grid.to_physical([0, 0, grid.size[2] - 1])
    flipped = Grid(grid.size, grid.spacing, tuple(np.ravel(top)), tuple(direction.ravel()))
    return Image(image.data.flip(0).contiguous(), flipped, image.name)


@pytest.mark.parametrize("order", ["base to apex", "apex to base"])
@pytest.mark.parametrize(("turn", "shift"), [(0.0, (0, 0, 10)), (35.0, (30, -25, 10))])
def test_the_heart_is_found_in_the_image_by_the_mean_heart(mean, turn, shift, order):
    labels = heart_labels(stack_grid(pixels=100), turn=turn, shift=shift)
    picture = heart_picture(labels)
    found = frame_of_image(reversed_slices(picture) if order == "apex to base" else picture, mean)
    across, along, angle, axis = away(found.frame, labels)
    assert across < 8
    assert along < 12  # along the thick slices: from the image's box
    assert angle < 12
    assert axis > 0.99
    assert found.score > 0.6


def test_bright_fat_and_a_scale_of_intensities_do_not_lead_away_from_the_heart(mean):
    """A rim ten times as bright as blood, as coils give it to fat at the chest wall."""
    labels = heart_labels(stack_grid(pixels=100), turn=-25.0, shift=(15, 10, 10))
    picture = heart_picture(labels)
    values = picture.data.clone()
    values[:, :, 4:14] = 2400.0
    values[:, 78:90, 20:80] = 1500.0
    found = frame_of_image(Image(3.0 * values + 100.0, picture.grid, "bright rim"), mean)
    across, _, angle, axis = away(found.frame, labels)
    assert across < 8 and angle < 12 and axis > 0.99


def test_a_stack_of_few_slices_is_compared_where_it_has_slices(mean):
    labels = heart_labels(stack_grid(pixels=100), turn=-20.0, shift=(10, 5, 0))
    picture = heart_picture(labels)
    grid = picture.grid
    some = Grid((100, 100, 5), grid.spacing, tuple(np.ravel(grid.to_physical([0, 0, 2]))),
                grid.direction)  # fmt: skip
    found = frame_of_image(Image(picture.data[2:7].clone(), some, "five slices"), mean)
    across, _, angle, axis = away(found.frame, labels)
    assert across < 8 and angle < 12 and axis > 0.99


def noise() -> Image:
    grid = stack_grid(pixels=100)
    values = np.random.default_rng(3).normal(100, 20, grid.shape).astype(np.float32)
    return Image(torch.from_numpy(values), grid, "noise")


def test_two_equal_hearts_leave_the_search_unsure(mean):
    pictures = [
        heart_picture(heart_labels(stack_grid(pixels=120), shift=(x, 0, 10)), 1) for x in (-55, 55)
    ]
    both = Image(torch.maximum(pictures[0].data, pictures[1].data), pictures[0].grid, "two")
    assert frame_of_image(pictures[0], mean).sure
    found = frame_of_image(both, mean)
    assert found.lead < 0.03 and not found.sure


@pytest.mark.parametrize("side", ["fixed", "moving"])
def test_a_doubtful_heart_is_said_once_with_what_to_do(mean, side):
    network = SVFNet(width=4)
    network.mean_heart.copy_(mean)
    context = Context()
    _frame(network, noise(), None, side, context)
    (note,) = context.notes
    assert "uncertain" in note
    assert f"Give a mask of the heart in the {side} image (--{side}-mask)" in note

    labels = heart_labels(stack_grid(pixels=100), turn=-20.0, shift=(0, 0, 10))
    context = Context()
    _frame(network, heart_picture(labels), None, side, context)
    (note,) = context.notes
    assert "found" in note and "uncertain" not in note


def test_an_image_of_one_value_leaves_the_search_unsure(mean):
    flat = Image(torch.full_like(noise().data, 7.0), stack_grid(pixels=100), "flat")
    found = frame_of_image(flat, mean)
    assert np.isfinite(found.score) and not found.sure
