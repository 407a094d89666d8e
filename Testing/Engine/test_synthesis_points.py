"""RegNet's synthetic pairs: extrema as drawn, borders, distances, flips, reproducible."""

import numpy as np
import pytest
import torch
from scipy import ndimage

from DeepRegistrationLib.errors import RegistrationError
from DeepRegistrationLib.images.sampling import bspline_coefficients
from DeepRegistrationLib.methods.regnet.network import split_scales
from DeepRegistrationLib.training.synthesis import smoothed_points as module
from DeepRegistrationLib.training.synthesis.images import (
    deformed,
    flipped,
    voxel_jacobian,
    with_noise,
)
from DeepRegistrationLib.training.synthesis.patches import Making, patch_source
from DeepRegistrationLib.training.synthesis.smoothed_points import FAMILIES, Family, smoothed_points

SMALL = Family(sigma=5.0, points=12, largest=2.0, border=8)


def generator(seed=0):
    return torch.Generator().manual_seed(seed)


def drawn(family, shape, seed):
    """The points and values that the field of a seed is made of, in the order of the module."""
    source = generator(seed)
    places = module._places(family, shape, source)
    return places, (2 * torch.rand(3, len(places), generator=source) - 1) * family.largest


def test_the_families_are_those_of_the_paper():
    assert {n: (f.sigma, f.points, f.largest) for n, f in FAMILIES.items()} == {
        "low": (35, 80, 8),
        "medium": (25, 100, 8),
        "high": (20, 100, 8),
    }
    assert FAMILIES["high"].separation == 40
    assert {f.border for f in FAMILIES.values()} == {33}


@pytest.mark.parametrize("seed", range(3))
def test_the_extrema_of_each_component_are_those_drawn(seed):
    shape = (40, 44, 48)
    field = smoothed_points(SMALL, shape, generator(seed))
    _, values = drawn(SMALL, shape, seed)
    assert torch.allclose(field.amax((1, 2, 3)), values.amax(1), rtol=1e-5)
    assert torch.allclose(field.amin((1, 2, 3)), values.amin(1), rtol=1e-5)


def test_a_part_of_a_field_is_that_part_of_the_whole_chests():
    shape = (60, 64, 68)
    part = (slice(10, 40), slice(20, 44), slice(5, 60))
    family = Family(sigma=8.0, points=12, largest=2.0, border=8)
    whole = smoothed_points(family, shape, generator(3))[(slice(None), *part)]
    found = smoothed_points(family, shape, generator(3), part=part)
    assert found.shape == (3, 30, 24, 55)
    assert torch.allclose(found, whole, atol=0.02)


def test_most_of_a_chest_moves_by_less_than_4_mm_in_the_blocks_too():
    """25 to 37 % move by more at whole size; points of a chest in a block would move 69 to 93 %."""
    shape, half = (340, 300, 320), 72
    for family in FAMILIES.values():
        shares = []
        for seed in range(4):
            centers = torch.tensor([[120, 110, 100], [220, 190, 200]])
            for center in centers.tolist():
                part = tuple(slice(c - half, c + half, 4) for c in center)
                field = smoothed_points(family, shape, generator(seed), part=part)
                shares.append(float((field.norm(dim=0) >= 4).float().mean()))
        assert 0.15 < np.mean(shares) < 0.55


def test_the_field_is_the_gaussian_of_the_points_up_to_the_scale_of_each_sign():
    shape = (40, 44, 48)
    field = smoothed_points(SMALL, shape, generator(4))
    places, values = drawn(SMALL, shape, 4)
    spikes = np.zeros((3, *shape))
    for place, value in zip(places.long().tolist(), values.T.numpy(), strict=True):
        spikes[:, place[0], place[1], place[2]] += value
    for component, spike in zip(field.numpy(), spikes, strict=True):
        smooth = ndimage.gaussian_filter(spike, SMALL.sigma, mode="constant", truncate=12)
        for part in (smooth > 1e-7, smooth < -1e-7):
            ratio = component[part] / smooth[part]
            assert ratio.std() / ratio.mean() < 1e-2
            assert ratio.mean() > 0


def test_no_point_lies_in_the_border_and_those_of_the_high_family_keep_their_distance():
    shape = (180, 170, 190)
    places = module._places(FAMILIES["high"], shape, generator())
    assert len(places) > 8
    assert float(places.min()) >= 33
    assert bool((places <= torch.tensor(shape) - 34).all())
    assert float(torch.pdist(places).min()) >= 40


def test_an_image_smaller_than_its_border_is_refused():
    with pytest.raises(RegistrationError, match="larger image"):
        smoothed_points(FAMILIES["low"], (60, 200, 200), generator())


@pytest.mark.parametrize("name", FAMILIES)
def test_no_family_folds(name):
    shape = (100, 100, 100)  # voxels of 2 mm
    for seed in range(2):
        field = smoothed_points(FAMILIES[name].scaled(0.5), shape, generator(seed))
        assert float(voxel_jacobian(field).min()) > 0.2


def test_a_seed_gives_the_same_field_again_and_another_seed_another():
    one, same, other = (smoothed_points(SMALL, (30, 30, 30), generator(s)) for s in (7, 7, 8))
    assert torch.equal(one, same)
    assert not torch.allclose(one, other)


def test_noise_has_the_deviation_asked_for_and_its_seed():
    image = torch.full((40, 40, 40), -700.0)
    one, same = (with_noise(image, 5.0, generator(1)) for _ in range(2))
    assert torch.equal(one, same)
    assert float((one - image).std()) == pytest.approx(5.0, rel=0.02)


@pytest.mark.parametrize("axes", [(True, False, False), (False, True, False), (True, False, True)])
def test_flipped_images_agree_with_the_flipped_field(axes):
    """fixed = moving o T before the flip and after it: the component along the axis is negated."""
    moving = torch.from_numpy(
        ndimage.gaussian_filter(np.random.default_rng(0).normal(size=(32, 30, 28)), 3)
    ).float()
    field = smoothed_points(SMALL, tuple(moving.shape), generator(2))
    fixed = deformed(moving, field, fill=None)
    images, turned = flipped(torch.stack([fixed, moving]), field, axes)
    again = deformed(images[1], turned, fill=None)
    inner = (slice(4, -4),) * 3
    assert torch.allclose(again[inner], images[0][inner], atol=1e-5)
    unturned = field.flip([-1 - k for k in range(3) if axes[k]])
    wrong = deformed(images[1], unturned, fill=None)
    assert float((wrong - images[0])[inner].abs().max()) > 1e-2


@pytest.fixture(scope="module")
def source():
    """A pair of a smooth image whose every voxel is lung."""
    values = ndimage.gaussian_filter(np.random.default_rng(3).normal(size=(76, 72, 70)), 3)
    image = torch.from_numpy(values / values.std() * 200 - 600).to(torch.int16)
    family = Family(sigma=8.0, points=30, largest=4.0, border=14)
    lungs = torch.ones(image.shape, dtype=torch.bool)
    return patch_source(image, lungs, family, generator(5), Making(augmented=1.0, outputs=2)), image


def test_fixed_is_moving_deformed_but_for_noise_and_interpolation(source):
    """Noise of 5 and 3 HU, and of the moving image's what the second interpolation lets through."""
    pair, _ = source
    again = deformed(pair.images[1], pair.field, fill=None)
    inner = (slice(8, -8),) * 3
    difference = (again - pair.images[0])[inner]
    assert float(difference.std()) < 6.5
    assert float((pair.images[1] - pair.images[0])[inner].std()) > 12  # the images do differ


def test_the_augmented_image_differs_from_the_original(source):
    pair, image = source
    assert float((pair.images[1] - image).abs().mean()) > 10


def test_samples_are_cut_around_the_voxels_whose_displacements_they_carry(source):
    pair, _ = source
    for seed in range(5):
        patch, truth = pair.draw(2, generator(seed))
        assert patch.shape == (2, 57, 57, 57)
        assert truth.shape == (3, 2, 2, 2)
        place = torch.nonzero(pair.field[0] == truth[0, 0, 0, 0])[0].tolist()
        z, y, x = (slice(p - 27, p + 30) for p in place)
        assert torch.equal(patch, pair.images[:, z, y, x])
        step = pair.field[:, place[0] : place[0] + 3 : 2, place[1] : place[1] + 3 : 2]
        assert torch.equal(truth, step[..., place[2] : place[2] + 3 : 2])


def test_small_middle_and_large_displacements_are_equally_likely():
    family = Family(sigma=8.0, points=8, largest=8.0, border=38)
    image = torch.zeros(80, 80, 80, dtype=torch.int16)
    lungs = torch.ones(80, 80, 80, dtype=torch.bool)
    pair = patch_source(image, lungs, family, generator(1), Making(augmented=0.0))
    source, counts = generator(2), np.zeros(3)
    for _ in range(600):
        size = float(pair.draw(1, source)[1].norm())
        counts[int(size >= 1.5) + int(size >= 4.0)] += 1
    assert counts.min() > 150


def test_a_block_holds_a_piece_of_the_lungs():
    image, lungs = torch.zeros(90, 90, 160, dtype=torch.int16), torch.zeros(90, 90, 160).bool()
    lungs[40:50, 40:50, 120:130] = True
    family = Family(sigma=6.0, points=5, largest=2.0, border=8)
    pair = patch_source(image, lungs, family, generator(), Making(block=80))
    assert pair.images.shape == (2, 80, 80, 80)
    assert sum(len(c) for c in pair.centers) > 0


def test_images_without_lungs_in_reach_are_refused():
    lungs = torch.zeros(70, 70, 70).bool()
    lungs[:5] = True
    with pytest.raises(RegistrationError, match="no lungs"):
        patch_source(torch.zeros(70, 70, 70), lungs, SMALL, generator())


def test_both_inputs_of_the_network_are_centered_on_the_point_less_half_a_voxel():
    """Along each axis: the 28 fine voxels that count and the 54 coarse ones have one middle."""
    ramp = torch.arange(55.0).expand(1, 2, 55, 55, 55)
    fine, coarse = split_scales(ramp)
    assert float(fine[..., :28].mean()) == pytest.approx(26.5)
    assert float(coarse.mean()) == pytest.approx(26.5)
    assert float(fine[0, 0, 0, 0, 14]) == 27  # the point itself


def test_a_field_of_zero_gives_the_image_back():
    image = torch.randn(12, 13, 14)
    zero = torch.zeros(3, 12, 13, 14)
    coefficients = bspline_coefficients(image[None])
    assert torch.allclose(deformed(image, zero, fill=0.0), image, atol=1e-5)
    again = deformed(image, zero, fill=0.0, coefficients=coefficients)
    assert torch.allclose(again, image, atol=1e-5)
