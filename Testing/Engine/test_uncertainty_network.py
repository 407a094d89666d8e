"""The spread of a network whose answer is known whatever it sees: mlVIRNET, made to shift."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from DeepRegistrationLib import register
from DeepRegistrationLib.images.geometry import Grid
from DeepRegistrationLib.images.image import Image
from DeepRegistrationLib.methods.mlvirnet.network import MultilevelVirnet
from DeepRegistrationLib.methods.mlvirnet.preparation import frame_pair
from DeepRegistrationLib.methods.weights import ModelCard, save_weights
from DeepRegistrationLib.registration.uncertainty.augmented import SHIFT_MM
from DeepRegistrationLib.transforms import Affine

GRID = Grid((25, 23, 21), (4.0, 4.0, 4.0), (-48.0, -44.0, -40.0))
CENTER = (10, 11, 12)  # index [z, y, x] of the point 0, 0, 0


@pytest.fixture
def weights(tmp_path, monkeypatch):
    """Of a network that shifts by two finest voxels to the patient's left, and nothing else."""
    network = MultilevelVirnet(2, width=2)
    for level in network.levels:
        torch.nn.init.zeros_(level.head.weight)
        torch.nn.init.zeros_(level.head.bias)
    network.levels[1].head.bias.data[0] = 2.0
    empty = {"data": [], "recipe": {}, "metrics": {}, "held_out": []}
    words = dict.fromkeys(("title", "licence", "citation", "commit", "command", "sha256"), "")
    architecture = {"levels": 2, "width": 2, "size": 16}
    card = ModelCard(
        name="left", method="mlvirnet", architecture=architecture, preview=True, **empty, **words
    )
    save_weights(network.state_dict(), card, tmp_path)
    monkeypatch.setenv("DEEPREG_WEIGHTS", str(tmp_path))


@pytest.fixture
def chest():
    """A ball of lung about the middle, and its mask."""
    distance = GRID.points().norm(dim=-1)
    inside = distance < 26.0
    return Image(torch.where(inside, -800.0 + 2 * distance, 50.0), GRID), Image(
        inside.to(torch.uint8), GRID
    )


def test_the_spread_of_a_network_is_that_of_its_result_and_of_each_changed_input(weights, chest):
    image, mask = chest
    found = register(
        image,
        image,
        method="mlvirnet",
        parameters={"weights": "left"},
        initial=Affine(),
        fixed_mask=mask,
        moving_mask=mask,
        uncertainty=True,
        device="cpu",
    )
    step = 2 * frame_pair(image, image, mask, mask, Affine(), size=16).grid.spacing[0]
    left = np.array([step, 0.0, 0.0])
    # As it is, in the mirror (where left is right), behind the shift, and with gamma.
    estimates = np.array([left, -left, left - SHIFT_MM, left])
    expected = np.sqrt(np.var(estimates, axis=0).sum())
    maps = {name: float(image.data[CENTER]) for name, image in found.uncertainty.maps().items()}
    assert maps["spread"] == pytest.approx(expected, rel=0.05)  # the shift widens the box a little
    assert maps["consistency"] == pytest.approx(2 * step, rel=1e-3)  # left there, left back
    both = np.hypot(maps["consistency"] / np.sqrt(2), maps["spread"])
    assert maps["misalignment"] > 4  # of equal images, which the result has moved by a step
    assert maps["predicted"] == pytest.approx(np.hypot(both, maps["misalignment"]), rel=1e-5)


def test_a_refined_result_has_no_spread(weights, chest):
    image, mask = chest
    found = register(
        image,
        image,
        method="mlvirnet",
        parameters={"weights": "left"},
        quality="fast",
        fixed_mask=mask,
        moving_mask=mask,
        initial=Affine(),
        refine=True,
        uncertainty=True,
        device="cpu",
    )
    assert found.uncertainty.spread is None
