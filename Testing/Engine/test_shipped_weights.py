"""The weights in weights/: each is read, and each network for the lung registers with its own."""

from dataclasses import replace

import pytest
import torch
from test_weights import CARD

from DeepRegistrationLib import register
from DeepRegistrationLib.data.phantoms import thorax
from DeepRegistrationLib.evaluation import target_registration_error
from DeepRegistrationLib.methods.shipped_weights import SHIPPED
from DeepRegistrationLib.methods.weights import load_weights, save_weights, weight_cards


@pytest.mark.parametrize("name", SHIPPED)
def test_each_is_read(name):
    (card,) = [card for card in weight_cards() if card.name == name]
    assert load_weights(card)


@pytest.fixture(scope="module")
def chest():
    return thorax((80, 64, 72), (4.0, 4.0, 4.0), motion=14.0, seed=5)


def error(pair, method):
    masks = {"fixed_mask": pair.fixed_lungs, "moving_mask": pair.moving_lungs}
    found = register(pair.fixed, pair.moving, method=method, device="cpu", **masks)
    marks = pair.fixed_landmarks, pair.moving_landmarks
    return target_registration_error(found.transform, *marks)["after"]["mean"]


@pytest.mark.parametrize("method", ["corrnet", "mlvirnet", "eppenhof"])
def test_each_network_for_the_lung_improves_on_the_affine(chest, method):
    assert error(chest, method) < 0.9 * error(chest, "affine")


def test_what_float16_cannot_hold_is_kept_as_float32(tmp_path):
    state = {"norm.running_var": torch.tensor([2.0, 3e5]), "weight": torch.tensor([0.5])}
    card = save_weights(state, replace(CARD, name="wide"), tmp_path)
    assert torch.equal(load_weights(card)["norm.running_var"], state["norm.running_var"])
