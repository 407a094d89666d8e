"""register(): what is refused in one sentence, and images that lie apart."""

import numpy as np
import pytest
import torch
from references import blobs, oblique_grid

from DeepRegistrationLib import RegistrationError, register
from DeepRegistrationLib.data.phantoms import thorax
from DeepRegistrationLib.evaluation import target_registration_error
from DeepRegistrationLib.images.geometry import Grid
from DeepRegistrationLib.images.image import Image


@pytest.fixture(scope="module")
def pair():
    """Two images on different oblique grids."""
    grids = oblique_grid((30, 28, 18), (2.0, 2.2, 3.5)), oblique_grid((28, 26, 20), (2.2, 2.4, 3.2))
    return tuple(blobs(grid, seed) for seed, grid in enumerate(grids))


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        ({"method": "magic"}, "no method called 'magic'"),
        ({"parameters": {"speed": 3}}, "no parameter 'speed'"),
        ({"parameters": {"smoothness": -1}}, "smoothness=-1"),
        ({"parameters": {"anatomy": "knee"}}, "none of auto"),
        ({"device": "tpu"}, "Unknown device 'tpu'"),
        ({"quality": "perfect"}, "perfect.*fast, default, best"),
        ({"parameters": [3]}, r"parameters are \[3\]; give names with their values"),
        ({"device": "cuda0"}, "Unknown device 'cuda0'"),
        ({"refine": "no"}, "refine is 'no'; give True or False"),
        ({"seed": -1}, "The seed is -1; give a whole number from 0"),
        ({"seed": 1.5}, "The seed is 1.5"),
    ],
)
def test_a_wrong_option_is_answered_in_one_sentence(pair, options, sentence):
    with pytest.raises(RegistrationError, match=sentence):
        register(*pair, **options)


def test_cuda_is_refused_where_there_is_none(pair):
    if torch.cuda.is_available():
        pytest.skip("this machine has a CUDA device")
    with pytest.raises(RegistrationError, match="cuda was requested"):
        register(*pair, device="cuda")


@pytest.mark.parametrize("modality", ["CT", "other"])
@pytest.mark.parametrize("method", ["affine", "optimize"])
def test_images_that_lie_apart_are_brought_together_and_it_is_said(modality, method):
    """A follow-up on another table: by the lungs in CT, else by the images' centers."""
    chest = thorax((64, 52, 58), (5.0, 5.0, 5.0), motion=6.0)
    shift = np.array([30.0, -20.0, 400.0])
    grid = chest.moving.grid
    away = Grid(grid.size, grid.spacing, tuple(np.array(grid.origin) + shift), grid.direction)
    images = chest.fixed.data, chest.moving.data
    if modality == "other":
        images = tuple(400 + 0.3 * data for data in images)
    fixed, moving = Image(images[0], chest.fixed.grid, "a"), Image(images[1], away, "b")
    result = register(fixed, moving, method=method, quality="fast")
    errors = target_registration_error(
        result.transform, chest.fixed_landmarks, chest.moving_landmarks + shift
    )["after"]
    assert errors["mean"] < 4.0
    notes = [note for note in result.notes if "do not overlap" in note]
    assert len(notes) == 1
    assert notes[0].startswith("Warning: ")
    assert ("lungs" if modality == "CT" else "of the images aligned") in notes[0]


def test_a_mask_on_another_grid_is_refused(pair):
    fixed, moving = pair
    with pytest.raises(RegistrationError, match="mask"):
        register(fixed, moving, fixed_mask=Image(torch.ones(moving.grid.shape), moving.grid))


@pytest.mark.parametrize(
    ("name", "value", "sentence"),
    [
        ("fixed", "scan.nii.gz", "fixed is of type str; give an Image, as read_image reads it"),
        ("moving", np.zeros((3, 3, 3)), "moving is of type numpy.ndarray; give an Image"),
        ("fixed", None, "fixed is of type NoneType"),
        ("moving_mask", "m.nii.gz", "moving_mask is of type str; .* as read_mask reads it"),
        (
            "initial",
            np.eye(4),
            "initial is of type numpy.ndarray; give a Transform, as read_transform",
        ),
    ],
)
def test_what_is_no_image_or_transform_is_refused_by_name(pair, name, value, sentence):
    with pytest.raises(RegistrationError, match=sentence):
        register(**{"fixed": pair[0], "moving": pair[1], name: value})


def test_an_array_is_no_image_s_data(pair):
    with pytest.raises(RegistrationError, match="scan: its data is of type ndarray; .*from_numpy"):
        Image(pair[0].data.numpy(), pair[0].grid, "scan")


def test_an_image_is_no_mask(pair):
    fixed, moving = pair
    image = Image(fixed.data - fixed.data.mean(), fixed.grid, "scan")
    with pytest.raises(RegistrationError, match="mask scan holds values from -.* give a mask"):
        register(fixed, moving, fixed_mask=image)
