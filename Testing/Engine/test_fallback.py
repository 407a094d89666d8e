"""When a GPU's memory runs out the registration goes on, worse or slower, and says so."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import pytest
import torch
import trivial

from DeepRegistrationLib.errors import RegistrationError
from DeepRegistrationLib.images.geometry import Grid
from DeepRegistrationLib.images.image import Image
from DeepRegistrationLib.images.intensity import background as torch_background
from DeepRegistrationLib.images.plain_data import background
from DeepRegistrationLib.methods.image_pair import ImagePair
from DeepRegistrationLib.options import Outputs
from DeepRegistrationLib.registration import fallback, stages
from DeepRegistrationLib.registration.engine import register
from DeepRegistrationLib.registration.fallback import Workplace
from DeepRegistrationLib.transforms import Affine, Composite, DisplacementField, jacobian, warp

GRID = Grid((24, 20, 16), (4.0, 4.0, 5.0))


def image(seed: int) -> Image:
    noise = np.random.default_rng(seed).normal(size=GRID.shape)
    return Image(torch.from_numpy(noise).float(), GRID, f"image {seed}")


@dataclass
class Scarce:
    """A stage that runs out of memory the first so many times."""

    failures: int
    calls: int = 0

    def __call__(self, *_) -> None:
        self.calls += 1
        if self.calls <= self.failures:
            raise torch.cuda.OutOfMemoryError("CUDA out of memory")


@pytest.fixture
def method(monkeypatch):
    """A method that fails for lack of memory as often as its class says."""
    shift = trivial.install(monkeypatch)
    original = shift.register
    scarce = Scarce(0)

    def run(self, fixed, moving, context):
        context.notes.append("A choice of the method.")
        context.progress(0.5, "Working")
        self.calls.append((fixed, moving, context, self.parameters))
        scarce()
        return original(self, fixed, moving, context)

    monkeypatch.setattr(shift, "register", run)
    return shift, scarce


def test_enough_memory_is_not_mentioned(method):
    result = register(image(1), image(2), method="shift")
    assert result.notes == ["A choice of the method."]


def test_the_images_get_coarser_and_the_note_says_it(method):
    shift, scarce = method
    scarce.failures = 1
    result = register(image(1), image(2), method="shift", warped=True)
    coarse = shift.calls[1][0]
    assert min(coarse.grid.spacing) >= 3.7  # of 2 mm
    assert np.allclose(coarse.grid.corners(), GRID.corners())  # the same box
    assert len(result.notes) == 2  # the failed attempt's own note is gone
    assert "2 times coarser voxels were used" in result.notes[1]
    assert result.warped.grid == GRID  # the result is as fine as ever


def test_masks_follow_the_coarser_images(method):
    shift, scarce = method
    scarce.failures = 1
    half = torch.zeros(GRID.shape, dtype=torch.uint8)
    half[:, :, :12] = 1
    register(image(1), image(2), method="shift", fixed_mask=Image(half, GRID, "mask"))
    fixed, _, context, _ = shift.calls[1]
    assert context.fixed_mask.grid.same_as(fixed.grid)
    assert float((context.fixed_mask.data != 0).float().mean()) == pytest.approx(0.5, abs=0.1)


def test_at_last_the_cpu_computes_and_the_note_says_it(method):
    shift, scarce = method
    scarce.failures = 3
    result = register(image(1), image(2), method="shift")
    assert "the CPU computed it, which is slower" in result.notes[-1]
    assert result.provenance["device"] == "cpu"
    assert shift.calls[-1][0].grid == GRID  # with the images as they are


def test_when_nothing_is_enough_a_sentence_says_what_to_do(method):
    method[1].failures = 99
    with pytest.raises(RegistrationError, match="crop or resample the images"):
        register(image(1), image(2), method="shift")


def test_progress_never_falls_back_when_a_stage_is_tried_again(method):
    method[1].failures = 2
    fractions = []
    register(image(1), image(2), method="shift", progress=lambda f, _: fractions.append(f))
    assert fractions == sorted(fractions)


@pytest.mark.parametrize(
    ("stage", "what"),
    [
        ("warped_image", "the warped image"),
        ("jacobian", "the Jacobian map"),
        ("displacement_magnitude", "the displacement map"),
    ],
)
def test_the_maps_are_made_in_smaller_pieces_with_the_same_result(method, monkeypatch, stage, what):
    images = (image(1), image(2), None, Outputs(warped=True, jacobian=True, displacement=True))
    expected = register(*images, method="shift")
    scarce, original, slabs = Scarce(1), getattr(stages, stage), []

    def short(*arguments, **options):
        slabs.append(Grid((1000, 1000, 100)).slabs()[0].stop)
        scarce()
        return original(*arguments, **options)

    monkeypatch.setattr(stages, stage, short)
    result = register(*images, method="shift")
    assert result.notes[-1] == (
        f"The GPU's memory was not enough for {what}: it was computed in smaller pieces."
    )
    assert slabs == [2, 1]  # planes of a million voxels at once
    assert torch.equal(result.warped.data, expected.warped.data)
    assert torch.equal(result.jacobian.data, expected.jacobian.data)
    assert torch.equal(result.displacement.data, expected.displacement.data)


def test_smaller_slabs_give_the_same_warped_image_and_jacobian():
    points = GRID.points().movedim(-1, 0)
    bend = Composite([DisplacementField(torch.sin(points / 9), GRID), Affine(np.diag([1, 1.1, 1]))])
    whole = warp(image(1), bend, GRID).data, jacobian(bend, GRID).data
    with fallback.slabs_of(500):
        assert len(GRID.slabs()) == GRID.size[2]
        pieces = warp(image(1), bend, GRID).data, jacobian(bend, GRID).data
    assert len(GRID.slabs()) == 1
    assert torch.allclose(whole[0], pieces[0], atol=1e-5)
    assert torch.allclose(whole[1], pieces[1], atol=1e-5)


def test_other_errors_are_no_reason_to_try_again():
    work = Workplace(ImagePair(image(1), image(2)), torch.device("cpu"), [])
    calls = []

    def broken(pair):
        calls.append(pair)
        raise RuntimeError("a bug")

    with pytest.raises(RuntimeError, match="a bug"):
        work.coarsening("it", broken)
    assert len(calls) == 1


@pytest.mark.parametrize("shift", [0.0, -950.0])
def test_the_background_in_numpy_is_the_engines(shift):
    shifted = replace(image(3), data=image(3).data * 20 + shift)
    assert background(shifted.data.numpy()) == pytest.approx(torch_background(shifted), abs=1e-4)
