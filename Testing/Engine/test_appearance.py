"""Changes of appearance: what each one does, and that none of them moves anything."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from DeepRegistrationLib.training.synthesis.appearance import Appearance, with_appearance

NONE = Appearance(noise=0, sharpness=0, thick=0, offset=0, gain=0, padded=0)
SHAPE = (24, 20, 28)


def changed(image, seed=0, **changes):
    generator = torch.Generator().manual_seed(seed)
    return with_appearance(image, generator, unit=1000.0, largest=replace(NONE, **changes))


def ramp(axis):
    line = torch.arange(SHAPE[axis], dtype=torch.float32) / 100
    shape = [1, 1, 1]
    shape[axis] = -1
    return line.reshape(shape).expand(SHAPE).contiguous()


def test_without_changes_the_image_is_the_same():
    image = torch.rand(SHAPE, generator=torch.Generator().manual_seed(1))
    assert torch.equal(changed(image), image)


@pytest.mark.parametrize("axis", [0, 1, 2])
@pytest.mark.parametrize("changes", [{"sharpness": 1.0}, {"thick": 1.0, "thickness": 3}])
def test_kernels_and_thick_slices_move_nothing(axis, changes):
    """A linear ramp is every symmetric filter's own result, wherever the filter is not shifted."""
    image = ramp(axis)
    for seed in range(8):
        inner = (slice(6, -6),) * 3
        assert torch.allclose(changed(image, seed, **changes)[inner], image[inner], atol=1e-5)


def test_thick_slices_hold_the_mean_of_the_voxels_they_are_made_of():
    image = torch.rand(SHAPE, generator=torch.Generator().manual_seed(2))
    for seed in range(8):
        found = changed(image, seed, thick=1.0, thickness=2)
        pairs = [image[k : k + 24 - k - (24 - k) % 2].unflatten(0, (-1, 2)).mean(1) for k in (0, 1)]
        # Linear between the means: a quarter of the way from a slice to each of its neighbors.
        expected = [0.75 * p[1:-1] + 0.25 * p[:-2] for p in pairs]
        errors = [
            float((found[2 + k : 2 + k + 2 * len(e) : 2] - e).abs().max())
            for k, e in enumerate(expected)
        ]
        assert min(errors) < 1e-5


def test_calibration_is_a_gain_and_an_offset_within_their_bounds():
    image = torch.rand(SHAPE, generator=torch.Generator().manual_seed(3))
    gains, offsets = [], []
    for seed in range(30):
        found = changed(image, seed, gain=0.1, offset=60.0)
        gain, offset = np.polyfit(image.flatten().numpy(), found.flatten().numpy(), 1)
        assert np.allclose(found, gain * image + offset, atol=1e-5)
        gains.append(gain)
        offsets.append(offset)
    assert 0.9 <= min(gains) < 0.97
    assert 1.03 < max(gains) <= 1.1
    assert -0.06 <= min(offsets) < -0.03
    assert 0.03 < max(offsets) <= 0.06


def test_noise_is_as_large_as_drawn_and_another_in_every_image():
    image = torch.zeros(32, 32, 32)
    drawn = [changed(image, seed, noise=50.0) for seed in range(20)]
    sizes = [float(noise.std()) for noise in drawn]
    assert max(sizes) <= 0.051
    assert max(sizes) > 0.03
    assert abs(float(np.corrcoef(drawn[0].flatten(), drawn[1].flatten())[0, 1])) < 0.05
    neighbors = [float((n[:, :, 1:] * n[:, :, :-1]).mean() / n.var()) for n in drawn if n.std() > 0]
    assert min(neighbors) < 0.05  # white
    assert max(neighbors) > 0.3  # as a soft kernel leaves it


def test_padding_is_one_constant_outside_and_changes_nothing_inside():
    image = torch.rand(SHAPE, generator=torch.Generator().manual_seed(4))
    shares, values = [], set()
    for seed in range(40):
        found = changed(image, seed, padded=1.0, cut=0.2)
        outside = found != image
        shares.append(float(outside.float().mean()))
        constant = torch.unique(found[outside])
        assert len(constant) <= 1
        values |= {round(float(v), 3) for v in constant}
        assert not outside[6:-6, 5:-5, 7:-7].any()
    assert 0.0 in values
    assert len(values) > 8
    assert 0.05 < max(shares) < 0.9
