"""HeartSegNet learns from slices in the frame of the heart, with their neighbors."""

import pytest
import torch
from hearts import heart_cases, heart_labels, stack_grid

from DeepRegistrationLib.methods.heart.segmentation import PIXELS
from DeepRegistrationLib.training.loop import train
from DeepRegistrationLib.training.recipes import make_recipe

CPU = torch.device("cpu")
PLAIN = {"bias_field": 0.0, "contrast": 0.0, "noise": 0.0, "cropped": 0.0}


def labels_of(number):
    return heart_labels(stack_grid(turn=25.0), turn=40.0 * number, shift=(10.0, 0, 0))


def cases(folder, split):
    return heart_cases(folder, split, labels_of)


def recipe(**values):
    return make_recipe("heartsegnet", {"width": 4, "slices": 8, **values})


def prepared(folder, values):
    return values.prepare(cases(folder, "train"), CPU, lambda *_: None)


def generator(seed=0):
    return torch.Generator().manual_seed(seed)


def test_hearts_are_prepared_the_same_way_round(tmp_path):
    """Whatever way they lie in the stack, the right ventricle is on the left of the picture."""
    ready = prepared(tmp_path, recipe())
    assert ready.slices.shape == (20, 3, 112, 112) and ready.shares.shape == (20, 3, 112, 112)
    columns = torch.arange(112.0)
    for some in ready.shares.split(10):
        right, left = ((some[:, k].sum((0, 1)) * columns).sum() / some[:, k].sum() for k in (0, 2))
        assert float(left - right) > 15  # pixels of 2 mm
    half = ready.shares[:10], ready.shares[10:]
    assert float((half[0] - half[1]).abs().mean()) < 0.02
    volume = float(ready.shares.sum()) * 2.0 * 2.0 * 9.0
    true = 2 * int((heart_labels(stack_grid()).data != 0).sum()) * 2.5 * 2.5 * 9.0
    assert volume == pytest.approx(true, rel=0.03)


def test_the_middle_slice_shows_what_the_shares_say(tmp_path):
    values = recipe(**PLAIN)
    pictures, shares = values.batch(prepared(tmp_path, values), 0, generator())
    assert pictures.shape == (8, 3, PIXELS, PIXELS) and shares.shape == (8, 4, PIXELS, PIXELS)
    levels = torch.tensor([40.0, 220.0, 110.0, 240.0])[:, None, None]
    expected = (shares * levels).sum(1)
    alike = [
        float(torch.corrcoef(torch.stack([pictures[:, k].flatten(), expected.flatten()]))[0, 1])
        for k in range(3)
    ]
    assert alike[1] > 0.9 and alike[1] == max(alike)


def test_upside_down_is_a_turn_about_the_axis_through_both_ventricles(tmp_path):
    """Base and apex, and the two sides of the axis, change places; right and left do not."""
    values = recipe(**PLAIN, deformation=0.0, shift=0.0, turn=0.0, scaling=0.0)
    ready = prepared(tmp_path, values)
    plain, turned = (
        values_of.batch(ready, 0, generator())
        for values_of in (
            recipe(**PLAIN, deformation=0.0, shift=0.0, turn=0.0, scaling=0.0, upside_down=share)
            for share in (0.0, 1.0)
        )
    )
    torch.testing.assert_close(turned[0], plain[0].flip(1, 2))
    torch.testing.assert_close(turned[1], plain[1].flip(2))


def test_training_learns_hearts_it_has_not_seen(tmp_path):
    listed = cases(tmp_path / "data", "train") + cases(tmp_path / "data", "validation")
    values = recipe(iterations=60, validate_every=30, precision="float32", **PLAIN)
    torch.manual_seed(values.seed)
    untrained = values.build().eval()
    with torch.no_grad():
        ready = values.prepare(listed[2:], CPU, lambda *_: None)
        before = values.validate(untrained, ready, CPU, lambda *_: None)
    outcome = train(values, listed, tmp_path / "run", device="cpu", report=lambda _: None)
    assert outcome.stopped == "finished"
    assert outcome.metrics["1 - Dice"] < before["1 - Dice"] - 0.05
