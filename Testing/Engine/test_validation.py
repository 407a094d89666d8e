"""What is refused before a registration starts, and what images are made of before they go in."""

import re

import numpy as np
import pytest
import torch

from DeepRegistrationLib.errors import RegistrationError
from DeepRegistrationLib.images.geometry import Grid
from DeepRegistrationLib.images.image import Image
from DeepRegistrationLib.images.intensity import (
    background,
    finite,
    finite_warped,
    is_ct,
    without_padding,
)
from DeepRegistrationLib.registration.validation import check_pair, note_on_size, overlap
from DeepRegistrationLib.transforms import Affine, DisplacementField

GRID = Grid((12, 10, 8), (2.0, 2.0, 3.0), (-5.0, 4.0, 20.0))


def ct(grid=GRID, name="ct.nii.gz", seed=0):
    values = np.random.default_rng(seed).normal(-500, 300, grid.shape)
    return Image(torch.as_tensor(values.clip(-1000, 400), dtype=torch.float32), grid, name)


def filled(value, grid=GRID, name="flat.nii.gz", dtype=torch.int16):
    return Image(torch.full(grid.shape, value, dtype=dtype), grid, name)


def a_mask(grid=GRID, name="mask.nii.gz"):
    mask = filled(0, grid, name, torch.uint8)
    mask.data[2:5, 3:7, 3:8] = 1
    return mask


def refused(*arguments, says, **named):
    """Check that the pair is refused by one sentence, and return it."""
    with pytest.raises(RegistrationError, match=says) as error:
        check_pair(*arguments, **named)
    sentence = str(error.value)
    assert "\n" not in sentence
    assert sentence.endswith(".")
    assert len(sentence) < 300
    return sentence


def test_a_good_pair_passes():
    check_pair(ct(), ct(seed=1), a_mask(), a_mask(), Affine(translation=(1, 2, 3)))


@pytest.mark.parametrize("value", [float("nan"), float("inf"), -float("inf")])
def test_values_that_are_not_finite_are_counted_and_located(value):
    image = ct(name="moving.nii.gz")
    image.data[5, 3, 2] = image.data[6, 0, 0] = value
    says = refused(ct(), image, says="moving.nii.gz holds 2 voxels that are not finite")
    assert f"{value} at index 2, 3, 5" in says


@pytest.mark.parametrize("value", [0, 37, -500])
def test_a_constant_image_is_refused_with_its_value(value):
    refused(filled(value), ct(), says=f"has the value {value} in every voxel")


def test_an_image_of_nothing_but_padding_is_refused():
    image = filled(-3024)
    image.data[:4] = -1024
    refused(ct(), image, says="only padding .* between -3024 and -1024")
    refused(filled(-1000), ct(), says="only padding")


@pytest.mark.parametrize("size", [(12, 10, 1), (1, 10, 8), (12, 1, 8)])
def test_an_image_one_voxel_thin_is_refused(size):
    grid = Grid(size, GRID.spacing, GRID.origin)
    says = refused(ct(grid), ct(), says="one voxel thick")
    assert " x ".join(str(n) for n in size) in says


def test_images_overlap_or_lie_apart():
    far = Grid(GRID.size, GRID.spacing, (500.0, 0.0, 0.0))
    assert not overlap(ct(), ct(far))
    check_pair(ct(), ct(far))  # they are brought together
    assert overlap(ct(), ct())


def test_images_that_overlap_by_a_corner_pass():
    touching = Grid(GRID.size, GRID.spacing, tuple(GRID.corners()[-1]))
    check_pair(ct(), ct(touching))
    assert overlap(ct(), ct(touching))


def test_a_small_image_between_the_sampled_points_of_a_large_one_overlaps_it():
    large = Grid((200, 200, 4), (5.0, 5.0, 5.0))
    small = Grid((25, 25, 4), (0.5, 0.5, 0.5), (502.3, 502.3, 5.0))
    assert overlap(ct(large), ct(small))
    assert overlap(ct(small), ct(large))
    check_pair(ct(large), ct(small), initial=Affine(translation=(0.1, 0.1, 0.1)))


def test_an_initial_transform_brings_far_images_together():
    far = Grid(GRID.size, GRID.spacing, (500.0, 0.0, 0.0))
    to_far = Affine(translation=(500.0, 0, 0))
    check_pair(ct(), ct(far), initial=to_far)
    refused(ct(), ct(far), initial=to_far.inverse(), says="or its inverse")
    refused(ct(), ct(), initial=to_far, says="takes the center of ct.nii.gz to")


def test_an_initial_transform_that_is_not_finite_is_refused():
    vectors = torch.full((3, *GRID.shape), float("nan"))
    refused(ct(), ct(), initial=DisplacementField(vectors, GRID), says="not finite")


@pytest.mark.parametrize("side", ["fixed_mask", "moving_mask"])
def test_a_mask_is_checked_against_its_own_image(side):
    other = Grid((12, 10, 9), GRID.spacing, GRID.origin)
    says = refused(ct(), ct(), says="mask.nii.gz has size 12 x 10 x 9", **{side: a_mask(other)})
    assert "12 x 10 x 8" in says
    shifted = Grid(GRID.size, GRID.spacing, (-5.0, 4.0, 24.5))
    refused(ct(), ct(), says="lies 4.5 mm away", **{side: a_mask(shifted)})
    refused(ct(), ct(), says="is empty", **{side: filled(0, name="none")})
    holes = Image(torch.full(GRID.shape, float("nan")), GRID, "holes")
    refused(ct(), ct(), says="holes holds", **{side: holes})


def test_a_mask_over_padding_alone_is_refused():
    image = ct()
    image.data[2:5] = torch.tensor([-3024.0, -2048.0, -1024.0])[:, None, None]
    refused(image, ct(), fixed_mask=a_mask(), says="covers only background")


def test_a_mask_with_other_numbers_than_one_is_fine():
    mask = a_mask()
    check_pair(ct(), ct(), Image(mask.data * 255, GRID), Image(mask.data.float() * 0.5, GRID))


def test_ct_padding_is_clamped_to_air_and_nothing_else_is_changed():
    image = ct()
    image.data[0] = -3024
    values = finite(image).data
    assert values.dtype == torch.float32
    assert (values[0] == -1000).all()
    assert torch.equal(values[1:], image.data[1:])
    assert (image.data[0] == -3024).all()


@pytest.mark.parametrize("size", [GRID.size, (1, 96, 10), (96, 1, 10), (96, 10, 1)])
def test_mr_keeps_its_values(size):
    grid = Grid(size, GRID.spacing, GRID.origin)
    image = Image(torch.arange(960).reshape(grid.shape) - 200, grid)
    assert torch.equal(finite(image).data, image.data.float())


@pytest.mark.parametrize("value", [-3024.0, -1024.0, -1000.0, 5000.0])
def test_what_archives_put_around_mr_is_no_contrast_and_makes_no_ct_of_it(value):
    inside = torch.rand(GRID.shape, generator=torch.Generator().manual_seed(0))[1:-1, 1:-1, 1:-1]
    inside = 20 + 900 * inside
    nearest = inside.max() if value > 0 else inside.min()
    around = [torch.nn.functional.pad(inside, (1,) * 6, value=v) for v in (value, nearest)]
    image, expected = (Image(data, GRID, "mr") for data in around)
    assert not is_ct(image)
    torch.testing.assert_close(finite(image).data, expected.data)
    mixed = Image(0.5 * (image.data + image.data.roll(1, 0)), GRID, "warped by half a voxel")
    low, high = inside.aminmax()
    assert low <= finite_warped(mixed, image).data.min()
    assert finite_warped(mixed, image).data.max() <= high


@pytest.mark.parametrize("offset", [0, 1024])
@pytest.mark.parametrize("kind", [torch.int16, torch.int32, torch.float32])
def test_without_padding_has_the_same_values_in_whole_numbers_where_these_are_hu(kind, offset):
    padded = ct().data.round() + offset
    padded[:2] = offset - 3024
    image = Image(padded.to(kind), GRID)
    found = without_padding(image)
    assert torch.equal(found.data.float(), finite(image).data)
    assert found.data.dtype == (kind if offset == 0 else torch.float32)


def test_background_is_air_for_ct_and_the_dark_surrounding_otherwise():
    assert background(ct()) == -1000
    assert background(filled(-950)) == -1000
    mr = filled(0, dtype=torch.uint8)
    mr.data[2:6, 2:6, 2:6] = 100
    assert background(mr) == 0
    bright = Image(torch.linspace(100, 200, 960).reshape(GRID.shape), GRID)
    expected = np.percentile(bright.data.numpy(), 1)
    assert background(bright) == pytest.approx(expected, rel=1e-4)


def test_the_sentences_name_the_image_at_fault():
    says = refused(ct(name="a"), filled(3, name="b.nrrd"), says="b.nrrd")
    assert not re.search(r"\ba\b has", says)


def scaled(image, factor):
    grid = image.grid
    spacing, origin = (tuple(np.array(v) * factor) for v in (grid.spacing, grid.origin))
    return Image(image.data, Grid(grid.size, spacing, origin, grid.direction), image.name)


def test_a_spacing_in_micrometers_is_refused_and_one_in_centimeters_is_named():
    fixed, moving = ct(), ct(seed=1)
    sentence = refused(scaled(fixed, 1000), scaled(moving, 1000), says="micrometers")
    assert "m long" in sentence
    whole = scaled(fixed, 300 / fixed.grid.extent.max())
    assert note_on_size(whole) is None
    assert "centimeters" in note_on_size(scaled(whole, 0.1))


@pytest.mark.parametrize("factor", [-1.0, 0.1, 10.0])
def test_hounsfield_units_times_a_factor_are_not_taken_for_ct(factor):
    """Else what lies below air would be cut off, and with it all that the lungs show."""
    values = np.random.default_rng(3).choice([-1000.0, -850.0, -100.0, 40.0, 300.0], GRID.shape)
    scan = Image(torch.from_numpy(values).float(), GRID)
    assert is_ct(scan)
    padded = Image(scan.data.clone(), GRID)
    padded.data[:2] = -32768.0
    assert is_ct(padded)
    scaled_values = Image(factor * scan.data, GRID)
    assert not is_ct(scaled_values)
    assert torch.equal(finite(scaled_values).data, scaled_values.data)
