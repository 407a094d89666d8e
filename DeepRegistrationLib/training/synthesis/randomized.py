"""Random shapes in random contrasts, for training with little data.

After SynthMorph's "sm-shapes" (Hoffmann et al. 2022, IEEE TMI 41(3), section III-B): a label map is
the channel in which smooth noise is largest; each label gets a random brightness and texture; then
come blur, a bias field and gamma. A network that sees only such pairs cannot learn one contrast, so
it has to align shapes.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch.nn import functional

from DeepRegistrationLib.images.gaussian import gaussian_mean
from DeepRegistrationLib.methods.network.resampling import AIR
from DeepRegistrationLib.training.synthesis.images import with_gamma, with_noise

_SHAPES = (32, 16)  # cells of the noise that makes the shapes, voxels; the second counts half
_TEXTURE = (3, 6, 12, 24)  # cells of the noise of a random texture
_BIAS = 40  # cell of the noise that makes the bias field
_KNOTS = 6  # of a random map of brightnesses
_CT_MEAN, _CT_DEVIATION = -400.0, 300.0  # HU


@dataclass(frozen=True)
class Randomization:
    """How far the domain is randomized; the defaults are the paper's, brightness in [0, 1].

    Attributes:
        labels: How many shapes a pair has at most.
        deviation: Least and largest standard deviation of the texture in a label.
        blur: Largest standard deviation of the blur, voxels.
        bias: Largest standard deviation of the logarithm of the bias field.
        gamma: Least and largest exponent.
    """

    labels: int = 26
    deviation: tuple[float, float] = (0.02, 0.1)
    blur: float = 1.0
    bias: float = 0.3
    gamma: tuple[float, float] = (0.75, 1.3)


def random_shapes(
    shape: tuple[int, int, int],
    labels: int,
    generator: torch.Generator,
    device: torch.device | str = "cpu",
) -> torch.Tensor:
    """The channel of smooth noise that is largest at each voxel: int64 [z, y, x]."""
    highest = torch.full(shape, -math.inf, device=device)
    result = torch.zeros(shape, dtype=torch.int64, device=device)
    for label in range(labels):  # one by one: all channels of a large image would not fit
        height = sum(
            smooth_noise(shape, cell, generator, device)[0] / (1 + number)
            for number, cell in enumerate(_SHAPES)
        )
        result[height > highest] = label
        highest = torch.maximum(highest, torch.as_tensor(height))
    return result


def smooth_noise(
    shape: tuple[int, int, int],
    cell: float,
    generator: torch.Generator,
    device: torch.device | str = "cpu",
    *,
    channels: int = 1,
) -> torch.Tensor:
    """Standard normal noise at every ``cell`` voxels, linear between: [channels, z, y, x]."""
    coarse = [max(2, math.ceil((n - 1) / cell) + 1) for n in shape]
    values = torch.randn(1, channels, *coarse, generator=generator).to(device)
    return functional.interpolate(values, size=shape, mode="trilinear", align_corners=True)[0]


def random_texture(
    shape: tuple[int, int, int],
    generator: torch.Generator,
    device: torch.device | str = "cpu",
) -> torch.Tensor:
    """Noise at four scales, each of random strength: mean 0, standard deviation 1, [z, y, x].

    Every point of it can be told from its neighbours, unlike one of a lung between two vessels.
    """
    total = torch.zeros(shape, device=device)
    for cell in _TEXTURE:
        strength = float(torch.rand(1, generator=generator))
        total += strength * smooth_noise(shape, cell, generator, device)[0]
    return (total - total.mean()) / total.std()


def textured_ct(
    edge: int, generator: torch.Generator, device: torch.device | str = "cpu"
) -> torch.Tensor:
    """A cube of random texture with the values of a chest CT, HU, [z, y, x]."""
    texture = random_texture((edge,) * 3, generator, device)  # type: ignore[arg-type]
    return (_CT_MEAN + _CT_DEVIATION * texture).clamp(min=AIR)


def painted(
    labels: torch.Tensor,
    brightness: torch.Tensor,
    generator: torch.Generator,
    how: Randomization | None = None,
) -> torch.Tensor:
    """A label map as an image: each label has its brightness and a random texture.

    Args:
        labels: int64 [z, y, x], from 0.
        brightness: Of each label, in [0, 1]: [labels].
        generator: Of everything but the brightness.
        how: The paper's way when omitted.

    Returns:
        [z, y, x], float32 in [0, 1].
    """
    how = how or Randomization()
    low, high = how.deviation
    deviations = low + (high - low) * torch.rand(len(brightness), generator=generator)
    texture = with_noise(torch.zeros(labels.shape, device=labels.device), 1.0, generator)
    image = brightness.to(labels.device)[labels] + deviations.to(labels.device)[labels] * texture
    return _as_scanned(image, how, generator)


def random_map(generator: torch.Generator) -> torch.Tensor:
    """New brightnesses in [0, 1] at evenly spaced old ones, rising in one of three cases: [6]."""
    values = torch.rand(_KNOTS, generator=generator)
    return values.sort().values if float(torch.rand(1, generator=generator)) < 1 / 3 else values


def recolored(
    image: torch.Tensor,
    new: torch.Tensor,
    generator: torch.Generator,
    how: Randomization | None = None,
) -> torch.Tensor:
    """A real image in another contrast; its own texture stays, noise is added.

    Args:
        image: [z, y, x].
        new: Brightnesses between the image's lowest and highest, linear between: [knots].
        generator: Of everything but ``new``.
        how: The paper's way when omitted.

    Returns:
        [z, y, x], float32 in [0, 1].
    """
    how = how or Randomization()
    place = (len(new) - 1) * _stretched(image)
    below = place.long().clamp(max=len(new) - 2)
    new = new.to(image.device)
    image = torch.lerp(new[below], new[below + 1], place - below)
    deviation = how.deviation[1] * float(torch.rand(1, generator=generator))
    return _as_scanned(with_noise(image, deviation, generator), how, generator)


def _as_scanned(
    image: torch.Tensor, how: Randomization, generator: torch.Generator
) -> torch.Tensor:
    """Blur, bias field and gamma: [z, y, x] to [z, y, x] in [0, 1]."""
    blur = how.blur * float(torch.rand(1, generator=generator))
    if blur > 0.1:
        image = gaussian_mean(image[None, None], (blur,) * 3)[0, 0]
    strength = how.bias * float(torch.rand(1, generator=generator))
    shape = (image.shape[0], image.shape[1], image.shape[2])
    image = image * torch.exp(strength * smooth_noise(shape, _BIAS, generator, image.device)[0])
    return with_gamma(_stretched(image), generator, *how.gamma)


def _stretched(image: torch.Tensor) -> torch.Tensor:
    """Lowest to 0, highest to 1."""
    lowest, highest = image.amin(), image.amax()
    return (image - lowest) / (highest - lowest).clamp(min=1e-6)
