"""Pairs of random shapes: reproducible, in range, with a true field that does not fold."""

import numpy as np
import pytest
import torch

from DeepRegistrationLib.training.synthesis.randomized import (
    Randomization,
    painted,
    random_map,
    random_shapes,
    random_texture,
    recolored,
    smooth_noise,
)

SHAPE = (32, 40, 48)


def draw(seed, device="cpu"):
    """Shapes, and their image in random brightnesses."""
    generator = torch.Generator().manual_seed(seed)
    shapes = random_shapes(SHAPE, 26, generator, device)
    brightness = torch.rand(26, generator=generator)
    return shapes, painted(shapes, brightness, generator, Randomization())


def test_a_seed_gives_the_same_image_and_another_seed_another():
    first, again, other = draw(1), draw(1), draw(2)
    for one, same, different in zip(first, again, other, strict=True):
        assert torch.equal(one, same) and not torch.equal(one, different)


@pytest.mark.parametrize("seed", range(4))
def test_an_image_fills_the_range_from_0_to_1(seed):
    _, image = draw(seed)
    assert image.shape == SHAPE and image.dtype == torch.float32
    assert float(image.min()) == pytest.approx(0.0, abs=1e-6)
    assert float(image.max()) == pytest.approx(1.0, abs=1e-6)
    assert float(image.std()) > 0.05


def test_shapes_are_smooth_and_several():
    labels = random_shapes(SHAPE, 26, torch.Generator().manual_seed(0))
    assert 5 <= len(labels.unique()) <= 26
    same = (labels[:, :, 1:] == labels[:, :, :-1]).float().mean()
    assert same > 0.9  # neighbors are of one shape nearly everywhere


def test_smooth_noise_is_standard_normal_at_its_nodes():
    generator = torch.Generator().manual_seed(0)
    noise = smooth_noise((81, 81, 81), 8, generator, channels=2)
    nodes = noise[:, ::8, ::8, ::8]
    assert nodes.shape == (2, 11, 11, 11)
    assert float(nodes.mean()) == pytest.approx(0.0, abs=0.08)
    assert float(nodes.std()) == pytest.approx(1.0, abs=0.06)
    middle = 0.5 * (noise[:, ::8, ::8, :-1:8] + noise[:, ::8, ::8, 8::8])
    assert torch.allclose(noise[:, ::8, ::8, 4::8], middle, atol=1e-5)


def test_a_texture_differs_from_itself_a_few_voxels_on():
    """So that a point can be found again: correlation falls to a half within its finest cells."""
    texture = random_texture((40, 42, 44), torch.Generator().manual_seed(2))
    assert float(texture.mean()) == pytest.approx(0, abs=1e-5)
    assert float(texture.std()) == pytest.approx(1, abs=1e-5)
    for axis in range(3):
        n = texture.shape[axis]
        near = (texture.narrow(axis, 0, n - 1) * texture.narrow(axis, 1, n - 1)).mean()
        far = (texture.narrow(axis, 0, n - 12) * texture.narrow(axis, 12, n - 12)).mean()
        assert float(near) > 0.7 and float(far) < 0.6


def test_every_device_draws_the_same_shapes(device):
    shapes, there = draw(7)[0], draw(7, device)[0]
    assert there.device.type == device.type
    assert (there.cpu() == shapes).float().mean() > 0.999


PLAIN = Randomization(deviation=(0.0, 0.0), blur=0.0, bias=0.0, gamma=(1.0, 1.0))


def test_a_painted_label_map_has_each_labels_brightness():
    labels = torch.arange(4).repeat_interleave(16 * 8 * 8).reshape(64, 8, 8)
    brightness = torch.tensor([0.0, 0.7, 0.2, 1.0])
    image = painted(labels, brightness, torch.Generator().manual_seed(0), PLAIN)
    assert torch.allclose(image, brightness[labels], atol=1e-6)


def test_textures_and_bias_differ_between_two_images_of_one_brightness():
    labels = random_shapes(SHAPE, 6, torch.Generator().manual_seed(1))
    generator = torch.Generator().manual_seed(2)
    one, two = (painted(labels, torch.linspace(0, 1, 6), generator) for _ in range(2))
    assert float((one - two).abs().mean()) > 0.02


def test_a_recolored_image_follows_its_map():
    image = torch.rand(SHAPE, generator=torch.Generator().manual_seed(0)) * 30 - 7
    new = torch.tensor([0.0, 0.9, 0.3, 1.0])
    found = recolored(image, new, torch.Generator().manual_seed(0), PLAIN)
    values = (image - image.min()) / (image.max() - image.min())
    expected = np.interp(values.numpy(), np.linspace(0, 1, 4), new.numpy())
    np.testing.assert_allclose(found.numpy(), expected, atol=1e-4)


def test_an_image_of_one_value_can_be_recolored():
    image = recolored(torch.full(SHAPE, 3.0), torch.rand(6), torch.Generator().manual_seed(0))
    assert bool(torch.isfinite(image).all())


def test_a_third_of_the_maps_rise():
    generator = torch.Generator().manual_seed(0)
    maps = [random_map(generator) for _ in range(300)]
    rising = sum(bool((new.diff() >= 0).all()) for new in maps)
    assert 70 < rising < 130
    assert all(0 <= float(new.min()) and float(new.max()) <= 1 for new in maps)
