"""Which settings of the optimization suit a pair."""

import numpy as np
import pytest
import torch
from small_lung import Pair, cropped, lung_of, phantom, run

from DeepRegistrationLib.images.geometry import Grid
from DeepRegistrationLib.images.image import Image
from DeepRegistrationLib.methods.anatomy import look_at
from DeepRegistrationLib.methods.anatomy_recognition import recognize
from DeepRegistrationLib.methods.optimize.presets import PRESETS
from DeepRegistrationLib.transforms.tensors import volume_of


@pytest.fixture(scope="module")
def lung():
    return lung_of(phantom())


def stack(size, spacing, seed=0, low=0.0):
    values = np.random.default_rng(seed).uniform(low, 400, size[::-1])
    return Image(torch.from_numpy(values).float(), Grid(size, spacing))


THICK = ((40, 40, 9), (1.5, 1.5, 8.0))


@pytest.mark.parametrize(
    ("fixed", "moving", "expected"),
    [
        (stack(*THICK), stack(*THICK), "general"),
        (stack(*THICK), stack((40, 40, 10), (1.5, 1.5, 8.0)), "general"),
        (stack((40, 40, 40), (1.5, 1.5, 1.5)), stack((40, 40, 40), (1.5, 1.5, 1.5)), "general"),
        (stack(*THICK, low=-1000.0), stack(*THICK, low=-1000.0), "general"),
    ],
    ids=[
        "thick slices without a heart on one grid",
        "on two grids",
        "isotropic MRI",
        "CT without lungs",
    ],
)
def test_settings_without_lungs(fixed, moving, expected):
    assert recognize(fixed, moving, None).name == expected


def test_a_mask_of_lung_density_in_ct_chooses_the_lungs_settings(lung):
    assert recognize(lung.fixed, lung.moving, lung.fixed_mask).name == "lung_ct"


def test_a_mask_of_soft_tissue_in_ct_does_not(lung):
    tissue = Image((lung.fixed.data > 0).to(torch.uint8), lung.fixed.grid)
    assert recognize(lung.fixed, lung.moving, tissue).name == "general"


def test_a_mask_of_everything_in_a_chest_ct_does_not_either(lung):
    """As of a benchmark with masks=none: most of the image is the air around the patient."""
    air = (16, 16, 16, 16, 8, 8)
    inner = lung.fixed.grid
    grid = Grid(tuple(np.array(inner.size) + (32, 32, 16)), inner.spacing)
    fixed, moving = (
        Image(torch.nn.functional.pad(image.data, air, value=-950.0), grid)
        for image in (lung.fixed, lung.moving)
    )
    whole = Image(torch.ones(grid.shape, dtype=torch.uint8), grid)
    assert fixed.data.median() < -900
    assert recognize(fixed, moving, whole).name == "general"
    assert look_at(*(volume_of(image) for image in (fixed, moving, whole))).name == "general"


def test_the_note_names_the_settings_and_an_anatomy_that_was_asked_for_is_not_noted(lung):
    images = [cropped(i, (8, 14, 20), (28, 34, 40)) for i in (lung.fixed, lung.moving)]
    small = Pair(*images, None, None, lung.points, lung.targets)
    notes = []
    run(small, iterations=0.1, notes=notes)
    assert len(notes) == 1
    assert PRESETS["general"].title in notes[0]
    run(small, iterations=0.1, notes=notes, anatomy="general")
    assert len(notes) == 1
