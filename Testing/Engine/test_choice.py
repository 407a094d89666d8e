"""Automatic: what a pair shows, and the method that was measured to be best on it."""

from __future__ import annotations

import json
import subprocess
import sys
from dataclasses import replace

import numpy as np
import pytest
import torch
import trivial
from test_choice_of_weights import LUNGS, T00, figures

from DeepRegistrationLib import read_image, register
from DeepRegistrationLib.cli import main
from DeepRegistrationLib.data.phantoms.thorax import thorax
from DeepRegistrationLib.images.geometry import Grid
from DeepRegistrationLib.images.plain_data import Volume
from DeepRegistrationLib.methods import method_class
from DeepRegistrationLib.methods.anatomy import (
    CARDIAC_MRI,
    CARDIAC_MRI_PATIENTS,
    GENERAL,
    LUNG_CT,
    Anatomy,
    look_at,
)
from DeepRegistrationLib.methods.anatomy_recognition import recognize
from DeepRegistrationLib.methods.expected_accuracy import (
    DICE,
    TRE,
    ExpectedAccuracy,
    measured,
)
from DeepRegistrationLib.registration.method_choice import choose_method
from DeepRegistrationLib.transforms import Affine
from DeepRegistrationLib.transforms.tensors import volume_of

FOLLOWUP = "follow-up CT"
OPTIMIZE = measured("optimize")[0].text  # on T00


@pytest.fixture(scope="module")
def chest():
    return thorax((64, 52, 58), (5.0,) * 3, motion=12.0, seed=4)


def _stack(size=(60, 50, 10), spacing=(1.5, 1.5, 8.0), origin=(0.0, 0.0, 0.0)):
    data = np.random.default_rng(0).normal(300, 80, size[::-1]).astype(np.int16)
    return Volume(data, Grid(size, spacing, origin))


# What a pair shows


def test_a_chest_ct_is_recognized_from_plain_arrays(chest):
    found = look_at(volume_of(chest.fixed), volume_of(chest.moving))
    assert found.name == LUNG_CT and "lung density" in found.why


def test_the_cheap_look_agrees_with_the_engine(chest):
    cheap = look_at(volume_of(chest.fixed), volume_of(chest.moving), volume_of(chest.fixed_lungs))
    assert cheap == recognize(chest.fixed, chest.moving, chest.fixed_lungs)


def test_a_mask_of_tissue_in_a_chest_ct_is_not_taken_for_lungs(chest):
    inside = (np.abs(chest.fixed.data.numpy()) < 100).astype(np.uint8)
    mask = Volume(inside, chest.fixed.grid)
    assert look_at(volume_of(chest.fixed), volume_of(chest.moving), mask).name == GENERAL


def test_ct_without_lungs_in_one_image_is_general(chest):
    water = Volume(np.where(chest.moving.data.numpy() < -950, -1000, 40), chest.moving.grid)
    assert look_at(volume_of(chest.fixed), water).name == GENERAL


def test_thick_slices_on_one_grid_are_frames_and_on_two_are_patients():
    assert look_at(_stack(), _stack()).name == CARDIAC_MRI
    other = _stack((64, 52, 9), (1.4, 1.4, 10.0), (5.0, 0.0, 0.0))
    assert look_at(_stack(), other).name == CARDIAC_MRI_PATIENTS


def test_thick_slices_with_the_fine_pixels_of_other_organs_are_general():
    prostates = [_stack(spacing=(0.5, 0.5, 3.0), origin=(x, 0.0, 0.0)) for x in (0.0, 9.0)]
    assert look_at(*prostates).name == GENERAL


# Which method


def test_without_a_better_network_the_optimization_is_taken_and_both_figures_are_said(add_weights):
    add_weights("slow", ExpectedAccuracy(LUNG_CT, TRE, 1.85, T00))
    choice = choose_method(LUNGS)
    assert (choice.method, choice.weights, choice.refine) == ("optimize", "", False)
    assert "lung CT: because" in choice.why
    assert f"mlVIRNET (slow), was compared with optimize: 1.85 mm against {OPTIMIZE}" in choice.why


def test_a_network_that_was_measured_to_be_better_is_taken_with_its_weights(add_weights):
    add_weights("worse", ExpectedAccuracy(LUNG_CT, TRE, 1.85, T00))
    add_weights("better", ExpectedAccuracy(LUNG_CT, TRE, 0.77, T00), method="eppenhof")
    choice = choose_method(LUNGS)
    assert (choice.method, choice.parameters) == ("eppenhof", {"weights": "better"})
    assert f"0.77 mm against {OPTIMIZE} on 4D-CT T00/T50" in choice.why


def test_a_network_that_is_better_by_a_hair_is_not_taken(add_weights):
    hair = measured("optimize")[0].value - 0.01
    add_weights("hair", ExpectedAccuracy(LUNG_CT, TRE, hair, T00))
    choice = choose_method(LUNGS)
    assert choice.method == "optimize"
    assert f"{hair:.2f} mm against {OPTIMIZE}" in choice.why


def test_a_network_that_is_better_only_when_refined_is_refined(add_weights):
    figures = [
        ExpectedAccuracy(LUNG_CT, TRE, v, T00, refined=r) for v, r in ((1.5, False), (0.9, True))
    ]
    add_weights("good", *figures)
    choice = choose_method(LUNGS)
    assert choice.method == "mlvirnet" and choice.refine


def test_a_preview_is_not_taken_whatever_it_says(add_weights):
    add_weights("glory", ExpectedAccuracy(LUNG_CT, TRE, 0.1, T00), preview=True)
    choice = choose_method(LUNGS)
    assert choice.method == "optimize" and "glory, a preview" in choice.why


def test_what_is_better_on_one_pair_and_far_worse_on_another_is_not_taken(add_weights):
    add_weights(
        "moody",
        ExpectedAccuracy(LUNG_CT, TRE, 1.0, T00),
        ExpectedAccuracy(LUNG_CT, TRE, 3.0, FOLLOWUP),
    )
    assert choose_method(LUNGS).method == "optimize"


def test_figures_on_other_data_anatomy_or_measure_do_not_count(add_weights):
    add_weights(
        "elsewhere",
        ExpectedAccuracy(LUNG_CT, TRE, 0.1, "an easier pair"),
        ExpectedAccuracy(GENERAL, TRE, 0.1, T00),
        ExpectedAccuracy(LUNG_CT, DICE, 0.99, T00),
    )
    choice = choose_method(LUNGS)
    assert choice.method == "optimize" and "No available network" in choice.why


def test_a_larger_dice_is_better(add_weights):
    reference = next(e for e in method_class("optimize").card.expected if e.measure == DICE)
    add_weights("heart", replace(reference, value=0.9 * reference.value), method="svfnet")
    assert choose_method(Anatomy(CARDIAC_MRI, "so")).method == "optimize"
    add_weights("heart", replace(reference, value=0.99), method="svfnet")
    assert choose_method(Anatomy(CARDIAC_MRI, "so")).method == "svfnet"


def test_a_card_without_its_weights_is_not_taken(add_weights):
    add_weights("gone", ExpectedAccuracy(LUNG_CT, TRE, 0.5, T00)).path.unlink()
    assert choose_method(LUNGS).method == "optimize"


def test_the_choice_is_made_without_pytorch():
    code = (
        "import sys; from DeepRegistrationLib.methods.anatomy import Anatomy; "
        "from DeepRegistrationLib.registration.method_choice import choose_method; "
        "print(choose_method(Anatomy('lung_ct', 'so')).method, 'torch' in sys.modules)"
    )
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert found.stdout.split()[1] == "False", found.stderr


# In the engine


class _ShiftingNetwork(method_class("mlvirnet")):
    def register(self, fixed, moving, context):
        return Affine(translation=np.array(trivial.SHIFT))


class _ShiftingOptimization(method_class("optimize")):
    def register(self, fixed, moving, context):
        return Affine(translation=np.array(trivial.SHIFT))


def test_the_result_says_which_method_was_taken_and_why(chest, monkeypatch, add_weights):
    monkeypatch.setitem(trivial.registry._METHODS, "mlvirnet", _ShiftingNetwork)
    add_weights("winner", ExpectedAccuracy(LUNG_CT, TRE, 0.5, T00))
    masks = {"fixed_mask": chest.fixed_lungs, "moving_mask": chest.moving_lungs}
    result = register(chest.fixed, chest.moving, method="auto", device="cpu", **masks)
    assert result.provenance["method"] == "mlvirnet"
    assert result.provenance["asked_for"] == "auto"
    assert result.provenance["parameters"]["weights"] == "winner"
    assert any("(winner) was chosen for lung CT" in note for note in result.notes)
    point = torch.tensor([[1.0, 2.0, 3.0]])
    assert torch.allclose(result.transform(point) - point, torch.tensor([trivial.SHIFT]).float())


def test_the_result_says_which_weights_of_a_network_were_taken(chest, monkeypatch, add_weights):
    monkeypatch.setitem(trivial.registry._METHODS, "mlvirnet", _ShiftingNetwork)
    add_weights("a-heart", figures(CARDIAC_MRI))
    add_weights("lung", figures(LUNG_CT))
    masks = {"fixed_mask": chest.fixed_lungs, "moving_mask": chest.moving_lungs}
    images = chest.fixed, chest.moving
    result = register(*images, method="mlvirnet", device="cpu", uncertainty=True, **masks)
    assert result.provenance["parameters"]["weights"] == "lung"
    assert [note for note in result.notes if "a-heart" in note] == [
        "The weights lung were used: there are no others for such images (a-heart: measured on "
        "others)."
    ]
    named = {"parameters": {"weights": "a-heart"}}
    result = register(*images, method="mlvirnet", device="cpu", **named, **masks)
    assert result.provenance["parameters"]["weights"] == "a-heart"
    assert any("measured only on cardiac cine MRI, two frames" in note for note in result.notes)


def test_the_anatomy_that_the_user_names_is_believed(tmp_path, monkeypatch, add_weights):
    monkeypatch.setitem(trivial.registry._METHODS, "mlvirnet", _ShiftingNetwork)
    add_weights("winner", ExpectedAccuracy(LUNG_CT, TRE, 0.5, T00))
    image = read_image(trivial.volume(tmp_path / "fog.nii.gz"))
    named = register(image, image, method="auto", parameters={"anatomy": LUNG_CT}, device="cpu")
    assert named.provenance["method"] == "mlvirnet"


def test_the_command_line_takes_auto_and_reports_what_ran(tmp_path, monkeypatch, add_weights):
    monkeypatch.setitem(trivial.registry._METHODS, "optimize", _ShiftingOptimization)
    image = trivial.volume(tmp_path / "fog.nii.gz")
    command = ["register", image, image, "-o", tmp_path / "out", "--method", "auto", "-q"]
    assert main([str(word) for word in command]) == 0
    report = json.loads((tmp_path / "out" / "report.json").read_text())
    assert report["method"] == "optimize" and report["asked_for"] == "auto"
    assert report["refine"] is False
    assert any("was chosen for any anatomy" in note for note in report["notes"])
