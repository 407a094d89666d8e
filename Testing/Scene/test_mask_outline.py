"""A mask in slice views: an outline, and nothing of it where its color could mislead."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from scenery import centered_grid
from sliced import bump_node, smooth_node

from DeepRegistrationLib.images.image import Image
from DeepRegistrationLib.scene.nodes.volumes import volume_node_from_image
from DeepRegistrationLib.scene.views.comparison import MODES, Comparison
from DeepRegistrationLib.scene.views.jacobian_overlay import MapOverlay
from DeepRegistrationLib.scene.views.offscreen_views import SliceView, rendering_problem
from DeepRegistrationLib.scene.views.slice_views import outline_in

PROBLEM = rendering_problem()
pytestmark = pytest.mark.skipif(PROBLEM is not None, reason=str(PROBLEM))
GRID = centered_grid((40, 40, 40), (1.5, 1.5, 1.5), (0, 0, 20))


@pytest.fixture
def pair(scene):
    fixed, moving = smooth_node(scene, "fixed"), smooth_node(scene, "moving")
    moving.SetAndObserveTransformNodeID(bump_node(scene)[0].GetID())
    return fixed, moving


@pytest.fixture
def view(application, pair):
    view = SliceView(application, "masked", "Axial", (80, 80))
    view.look_at(np.array([0.0, 0.0, 20.0]), 90.0)
    view.show(pair[0])
    yield view
    view.close()


@pytest.fixture
def mask(scene):
    """The patient's right half."""
    data = torch.zeros(GRID.shape)
    data[..., : GRID.shape[2] // 2] = 1
    return volume_node_from_image(Image(data, GRID, "mask"), scene, "mask", label_map=True)


def pixels_in(view, mode: str, fixed, moving) -> np.ndarray:
    """The view while a mode is on."""
    if mode in MODES:
        opened = Comparison(fixed, moving, [view.node], mode)
    else:
        opened = MapOverlay(fixed, moving, [view.node], mode)
    pixels = view.pixels()
    opened.close()
    return pixels


@pytest.mark.parametrize("mode", [*MODES, "jacobian", "displacement"])
def test_a_mask_is_hidden_while_images_are_compared_and_comes_back(view, pair, mask, mode):
    without = pixels_in(view, mode, *pair)
    view.composite.SetLabelVolumeID(mask.GetID())
    view.composite.SetLabelOpacity(0.4)
    plain = view.pixels()
    assert np.array_equal(pixels_in(view, mode, *pair), without)
    assert view.composite.GetLabelVolumeID() == mask.GetID()
    assert np.array_equal(view.pixels(), plain)


def test_the_outline_of_a_mask_is_drawn_and_not_its_inside(view, mask):
    without = view.pixels()
    outline_in([view.node], mask)
    changed = (view.pixels() != without).any(axis=-1)
    assert 0.01 < changed.mean() < 0.08  # the mask covers a fifth of the view
