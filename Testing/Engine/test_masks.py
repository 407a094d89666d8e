"""Masks that disagree are not used, and it is said; headers that mirror or turn are refused."""

import itertools
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from DeepRegistrationLib.cli import main
from DeepRegistrationLib.data.phantoms import thorax
from DeepRegistrationLib.errors import RegistrationError
from DeepRegistrationLib.images.geometry import Grid
from DeepRegistrationLib.images.image import Image, read_image, write_image
from DeepRegistrationLib.images.intensity import finite
from DeepRegistrationLib.images.lungs import find_lungs
from DeepRegistrationLib.images.masks import find_masks
from DeepRegistrationLib.methods.image_pair import ImagePair
from DeepRegistrationLib.registration.orientation import check_orientation
from DeepRegistrationLib.registration.validation import check_modality
from DeepRegistrationLib.transforms import Affine, write_transform

REAL = Path(__file__).resolve().parents[3] / "shared" / "data"


@pytest.fixture(scope="module")
def chest():
    return thorax((84, 66, 76), (4.0, 4.0, 4.0))


def swapped(image, axes):
    """The same array with some axes (of x, y, z) run the other way by the header."""
    return replace(image, data=image.data.flip([2 - axis for axis in axes]))


def without_left_lung(chest):
    x = chest.moving.grid.points()[..., 0]
    inside = (chest.moving_lungs.data != 0) & (x > 0)
    return replace(chest.moving, data=torch.where(inside, 30.0, chest.moving.data))


# Masks that do not go together


def test_one_lung_and_two_are_not_used_and_it_is_said(chest):
    notes = []
    assert find_masks(chest.fixed, without_left_lung(chest), None, None, notes)[:2] == (None, None)
    (note,) = notes
    assert "two lungs" in note
    assert "one lung" in note
    assert "not used" in note


def test_one_lung_in_both_images_is_used(chest):
    moving = without_left_lung(chest)
    masks = find_masks(moving, moving, None, None, [])[:2]
    assert all(mask is not None for mask in masks)


def test_a_given_mask_of_another_organ_does_not_go_with_the_lungs(chest):
    points = chest.fixed.grid.points()
    heart = (points - torch.tensor([20.0, -30.0, -30.0])).norm(dim=-1) < 45.0
    given = Image(heart.to(torch.uint8), chest.fixed.grid)
    notes = []
    fixed_mask, moving_mask, _ = find_masks(chest.fixed, chest.moving, given, None, notes)
    assert torch.equal(fixed_mask.data, given.data)
    assert moving_mask is None
    assert "may be wrong" in notes[0]


def test_doubtful_lungs_are_not_used_and_it_is_said(chest):
    rng = np.random.default_rng(0)
    data = np.full((70, 70, 90), -1000.0) + rng.normal(0, 10, (70, 70, 90))
    data[:, 5:-5, 5:-5] = 40 + rng.normal(0, 10, (70, 60, 80))
    data[62:, 20:45, 20:45] = rng.normal(-850, 60, (8, 25, 25))
    bases = Image(torch.from_numpy(data).float(), Grid((90, 70, 70), (4.0, 4.0, 4.0)))
    notes = []
    assert find_masks(chest.fixed, bases, None, None, notes)[:2] == (None, None)
    assert "moving image: the lungs are only" in notes[0]


# Modality


def test_ct_with_mri_is_refused(chest):
    mri = replace(chest.moving, data=200 + 0.2 * chest.moving.data.clamp(min=-1000), name="mri")
    with pytest.raises(RegistrationError, match="is CT and mri is not"):
        check_modality(chest.fixed, mri)
    with pytest.raises(RegistrationError, match="is CT and mri is not"):
        check_modality(mri, chest.fixed)


def test_evaluating_ct_with_mri_warns_and_is_strict(chest, tmp_path, capsys):
    """Another program may have registered them: landmarks can tell, correlation cannot."""
    mri = 200 + 0.2 * chest.moving.data.clamp(min=-1000)
    for name, image in (("f", chest.fixed), ("m", replace(chest.moving, data=mri))):
        write_image(image, tmp_path / f"{name}.nii.gz")
    write_transform(Affine(), tmp_path / "t.tfm")
    words = ["evaluate", "t.tfm", "--fixed", "f.nii.gz", "--moving", "m.nii.gz"]
    words = [str(tmp_path / word) if "." in word else word for word in words]
    assert main(words) == 0
    assert "The fixed image is CT and the moving one is not" in capsys.readouterr().err
    assert main([*words, "--strict"]) == 3
    capsys.readouterr()
    assert main([*words[:3], words[3], "--moving", words[3], "--strict"]) == 0
    assert capsys.readouterr().err == ""


def test_ct_without_air_passes_as_the_same_modality(chest):
    inner = tuple(slice(n // 2 - 4, n // 2 + 4) for n in chest.moving.data.shape)
    data = chest.moving.data[inner].clamp(min=-150.0)
    data[0, 0, 0] = -150.0
    grid = Grid((8, 8, 8), (4.0, 4.0, 4.0))
    check_modality(chest.fixed, Image(data, grid))


def test_ct_whose_offset_is_lost_is_ct(chest):
    stored = replace(chest.moving, data=(chest.moving.data + 1024).clamp(min=0.0))
    check_modality(chest.fixed, stored)
    inside = chest.moving_lungs.data != 0
    back = finite(stored).data[inside] - finite(chest.moving).data[inside]
    assert float(back.abs().max()) < 1e-3


# Headers


def pair(fixed, moving):
    return ImagePair(fixed, moving, find_lungs(fixed), find_lungs(moving))


SWAPS = [axes for count in (1, 2, 3) for axes in itertools.combinations(range(3), count)]


@pytest.mark.parametrize("axes", SWAPS)
def test_a_chest_that_is_mirrored_or_turned_by_its_header_is_refused(chest, axes):
    names = ("left and right", "front and back", "head and foot")
    expected = ", and ".join(names[axis] for axis in axes)
    with pytest.raises(RegistrationError, match=f"{expected} swapped"):
        check_orientation(pair(chest.fixed, swapped(chest.moving, axes)))


def test_an_initial_transform_may_turn_it(chest):
    check_orientation(pair(chest.fixed, swapped(chest.moving, (0, 1))), Affine())


def test_around_masks_of_other_organs_nothing_is_concluded(chest):
    turned = swapped(chest.moving, (0, 1))
    masks = [replace(i, data=(i.data > -200).to(torch.uint8)) for i in (chest.fixed, turned)]
    check_orientation(ImagePair(chest.fixed, turned, *masks))
    with pytest.raises(RegistrationError, match="swapped"):
        check_orientation(pair(chest.fixed, turned))


def test_inhale_and_exhale_as_they_are_pass(chest):
    check_orientation(pair(chest.fixed, chest.moving))


@pytest.mark.parametrize(
    ("folder", "fixed", "moving"),
    [
        ("lung_inhale_exhale", "T00_HU.nii.gz", "T50_HU.nii.gz"),
        ("lung_followup", "3DCT_lung_baseline.mha", "3DCT_lung_followup.mha"),
    ],
)
def test_real_pairs_pass_and_are_refused_mirrored_or_turned(folder, fixed, moving):
    if not REAL.is_dir():
        pytest.skip("the real data (shared/data) are not here")
    first, second = (finite(read_image(REAL / folder / name)) for name in (fixed, moving))
    check_orientation(pair(first, second))
    for axes in SWAPS:
        with pytest.raises(RegistrationError, match="swapped"):
            check_orientation(pair(first, swapped(second, axes)))


@pytest.mark.parametrize("dtype", [torch.int16, torch.float32])
def test_clamping_the_padding_leaves_the_given_image_as_it_was(chest, dtype):
    given = replace(chest.fixed, data=chest.fixed.data.to(dtype).clone())
    given.data[:2] = -3024
    before = given.data.clone()
    found = finite(given).data
    assert torch.equal(given.data, before)
    assert found.dtype is torch.float32 and torch.equal(found, before.float().clamp(min=-1000))
