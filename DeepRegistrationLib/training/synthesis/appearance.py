"""How one anatomy looks in different scans: kernel, slice thickness, dose, calibration, padding.

Networks that learn from one image and its own deformation see both with the same noise, sharpness
and border. Two scans of a patient differ in all of these, so training gives each image of a pair
its own. The ranges are our choice, wider than between most scanners.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import torch
import torch.nn.functional as F

from DeepRegistrationLib.images.gaussian import gaussian_mean
from DeepRegistrationLib.training.synthesis.images import device_generator


@dataclass(frozen=True)
class Appearance:
    """Largest changes; each is drawn anew for every image.

    Attributes:
        noise: Standard deviation of the noise, HU.
        sharpness: Factor on what a Gaussian of a voxel takes away: between blurred (-1) and twice
            as sharp (1).
        thickness: Voxels along z of which one slice can be made, in ``thick`` of the images.
        thick: Share of the images with thick slices.
        offset: Shift of all values, HU.
        gain: Share by which all differences from air can grow or shrink.
        padded: Share of the images that end in a constant before their border.
        cut: Share of an axis that the padding takes from either side.
    """

    noise: float = 60.0
    sharpness: float = 1.0
    thickness: int = 3
    thick: float = 0.25
    offset: float = 60.0
    gain: float = 0.1
    padded: float = 0.3
    cut: float = 0.08

    def scaled(self, factor: float) -> Appearance:
        """The changes of values by another factor; how often images are padded stays."""
        return replace(
            self,
            noise=factor * self.noise,
            sharpness=factor * self.sharpness,
            offset=factor * self.offset,
            gain=factor * self.gain,
        )


_FAINT = 0.5  # HU: noise below it is none
_ROUND = 0.4  # of the padded images show the scanner's circle, the others a box


def with_appearance(
    image: torch.Tensor,
    generator: torch.Generator,
    *,
    unit: float,
    largest: Appearance | None = None,
) -> torch.Tensor:
    """An image as another scanner, kernel, dose or archive might have stored it.

    Args:
        image: [z, y, x]; 0 is air (-1000 HU).
        generator: Of every choice.
        unit: HU of one unit of the image.
        largest: The changes; those of :class:`Appearance` where omitted.

    Returns:
        [z, y, x], not clamped: noise goes below air, as in a scanner's own values.
    """
    most = largest or Appearance()
    image = _with_kernel(image, most.sharpness * _signed(generator))
    if _chance(generator, most.thick):
        image = _with_slices(image, most.thickness, generator)
    image = image * (1 + most.gain * _signed(generator)) + most.offset / unit * _signed(generator)
    image = _with_grain(image, most.noise * _draw(generator) / unit, _FAINT / unit, generator)
    if _chance(generator, most.padded):
        image = _with_padding(image, most.cut, generator, unit)
    return image


def _with_kernel(image: torch.Tensor, amount: float) -> torch.Tensor:
    return image + amount * (image - gaussian_mean(image, (1.0, 1.0, 1.0)))


def _with_slices(image: torch.Tensor, most: int, generator: torch.Generator) -> torch.Tensor:
    """Means of 2 to ``most`` voxels along z, put back on the grid linearly."""
    thickness = 2 + int(torch.randint(max(most - 1, 1), (1,), generator=generator))
    shift = int(torch.randint(thickness, (1,), generator=generator))
    depth, height, width = image.shape
    rows = -(-(depth + shift) // thickness) * thickness
    padded = F.pad(image[None, None], (0, 0, 0, 0, shift, rows - depth - shift), mode="replicate")
    slices = F.avg_pool3d(padded, (thickness, 1, 1))
    whole = F.interpolate(slices, (rows, height, width), mode="trilinear", align_corners=False)
    return whole[0, 0, shift : shift + depth]


def _with_grain(
    image: torch.Tensor, deviation: float, faint: float, generator: torch.Generator
) -> torch.Tensor:
    """Noise, white or, as soft kernels leave it, correlated over a voxel."""
    soft = _chance(generator, 0.5)
    source = device_generator(generator, image.device)
    if deviation < faint:
        return image
    noise = torch.randn(image.shape, generator=source, device=image.device)
    if soft:
        noise = gaussian_mean(noise, (0.8, 0.8, 0.8))
        noise = noise / noise.std()
    return torch.add(image, noise, alpha=deviation)


def _with_padding(
    image: torch.Tensor, cut: float, generator: torch.Generator, unit: float
) -> torch.Tensor:
    """A constant, air as often as any other value, around a box or the scanner's circle."""
    value = 0.0 if _chance(generator, 0.5) else (2000.0 * _draw(generator) - 1000.0) / unit
    inside = torch.ones(image.shape, dtype=torch.bool, device=image.device)
    if _chance(generator, _ROUND):
        y, x = (torch.linspace(-1, 1, n, device=image.device) for n in image.shape[1:])
        radius = 1.0 + 0.4 * _draw(generator)  # 1.41 reaches the corners
        inside &= (y[:, None] ** 2 + x**2 <= radius**2)[None]
    else:
        for axis, n in enumerate(image.shape):
            for side in (0, 1):
                width = int(cut * _draw(generator) * n)
                if width and _chance(generator, 0.5):
                    inside.narrow(axis, 0 if side == 0 else n - width, width).fill_(False)
    return torch.where(inside, image, torch.full_like(image, value))


def _draw(generator: torch.Generator) -> float:
    return float(torch.rand(1, generator=generator))


def _signed(generator: torch.Generator) -> float:
    return 2 * _draw(generator) - 1


def _chance(generator: torch.Generator, share: float) -> bool:
    return _draw(generator) < share
