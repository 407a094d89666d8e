"""HeartNet's recipe: pictures and shares stay together, and training learns a toy."""

import pytest
import torch
from hearts import heart_cases, heart_labels, stack_grid

from DeepRegistrationLib.data.cases import Case
from DeepRegistrationLib.errors import RegistrationError
from DeepRegistrationLib.methods.heart.network import MULTIPLE, HeartNet
from DeepRegistrationLib.training.loop import train
from DeepRegistrationLib.training.recipes import make_recipe

PLAIN = {"bias_field": 0.0, "contrast": 0.0, "noise": 0.0, "random_shapes": 0.0, "cropped": 0.0}


def labels_of(number):
    return heart_labels(stack_grid(), shift=(10.0 * number, 0, 0))


def cases(folder, split):
    return heart_cases(folder, split, labels_of)


def recipe(**values):
    return make_recipe("heartnet", {"width": 4, "slices": 8, **values})


def prepared(folder, values):
    return values.prepare(cases(folder, "train"), torch.device("cpu"), lambda *_: None)


def generator(seed=0):
    return torch.Generator().manual_seed(seed)


def test_the_network_gives_logits_of_each_pixel():
    network = HeartNet().eval()
    assert sum(p.numel() for p in network.parameters()) == 271_732
    with torch.no_grad():
        assert network(torch.rand(2, 1, 5 * MULTIPLE, 7 * MULTIPLE)).shape == (2, 4, 40, 56)


def test_shares_are_of_all_that_a_pixel_shows(tmp_path):
    ready = prepared(tmp_path, recipe())
    assert ready.slices.shape[1:] == (1, 128, 128) and ready.shares.shape[1:] == (3, 128, 128)
    assert float(ready.shares.sum(1).max()) < 1.01  # cubic interpolation overshoots a little
    volume = float(ready.shares.sum()) * 4.0 * 4.0 * 9.0
    true = [int((heart_labels(stack_grid(), shift=(x, 0, 0)).data != 0).sum()) for x in (0, 10)]
    assert volume == pytest.approx(sum(true) * 2.5 * 2.5 * 9.0, rel=0.02)


def test_pictures_and_shares_are_moved_together(tmp_path):
    """What a pixel shows of the structures gives its brightness."""
    values = recipe(**PLAIN)
    pictures, shares = values.batch(prepared(tmp_path, values), 0, generator())
    levels = torch.tensor([40.0, 220.0, 110.0, 240.0])[:, None, None]
    expected = (shares * levels).sum(1)
    both = torch.stack([pictures[:, 0].flatten(), expected.flatten()])
    assert float(torch.corrcoef(both)[0, 1]) > 0.9
    torch.testing.assert_close(shares.sum(1), torch.ones_like(expected))


def test_a_batch_depends_on_the_generator_alone(tmp_path):
    values = recipe()
    ready = prepared(tmp_path, values)
    one, again = (values.batch(ready, 0, generator()) for _ in range(2))
    other = values.batch(ready, 0, generator(1))
    assert torch.equal(one[0], again[0]) and torch.equal(one[1], again[1])
    assert not torch.equal(one[0], other[0])


def test_what_is_cut_off_shows_no_heart(tmp_path):
    values = recipe(**{**PLAIN, "cropped": 1.0})
    pictures, shares = values.batch(prepared(tmp_path, values), 0, generator())
    outside = pictures[:, 0] == 0
    assert bool(outside.any()) and float(shares[:, 1:].sum(1)[outside].max()) == 0


def test_pictures_of_random_shapes_show_no_heart(tmp_path):
    values = recipe(**{**PLAIN, "random_shapes": 1.0})
    pictures, shares = values.batch(prepared(tmp_path, values), 0, generator())
    assert float(shares[:, 1:].sum()) == 0
    assert float(pictures.std()) > 0.1


def test_cases_without_labels_are_refused(tmp_path):
    bare = [Case(c.patient, c.split, c.image) for c in cases(tmp_path, "train")]
    with pytest.raises(RegistrationError, match="has no labels"):
        recipe().prepare(bare, torch.device("cpu"), lambda *_: None)


def test_training_learns_hearts_it_has_not_seen(tmp_path):
    listed = cases(tmp_path / "data", "train") + cases(tmp_path / "data", "validation")
    values = recipe(iterations=240, validate_every=60, shift=10.0, **PLAIN)
    torch.manual_seed(values.seed)
    untrained = values.build().eval()
    device = torch.device("cpu")
    with torch.no_grad():
        ready = values.prepare(listed[2:], device, lambda *_: None)
        before = values.validate(untrained, ready, device, lambda *_: None)
    outcome = train(values, listed, tmp_path / "run", device="cpu", report=lambda _: None)
    assert outcome.stopped == "finished"
    assert outcome.metrics["1 - Dice"] < before["1 - Dice"] - 0.05
