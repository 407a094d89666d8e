"""Images under random fields, and what changes their intensities."""

from __future__ import annotations

import torch

from DeepRegistrationLib.images.sampling import (
    Interpolation,
    bspline_coefficients,
    sample_at_indices,
)
from DeepRegistrationLib.training.synthesis.spline_fields import voxel_indices


def deformed(
    image: torch.Tensor,
    field: torch.Tensor,
    *,
    fill: float | None,
    interpolation: Interpolation = "cubic",
    coefficients: torch.Tensor | None = None,
) -> torch.Tensor:
    """``image(x + u(x))``: [z, y, x] under a field [3, z, y, x] in voxels, slab by slab.

    Args:
        fill: Value outside the image; None repeats its border.
        interpolation: ``cubic`` (B-spline) for images, ``nearest`` for masks.
        coefficients: Of ``cubic``, [1, z, y, x], where they were computed before.
    """
    values = image[None].float() if coefficients is None else coefficients
    if interpolation == "cubic" and coefficients is None:
        values = bspline_coefficients(values)
    result = torch.empty(field.shape[1:], device=field.device)
    depth = max(1, 2_000_000 // (field.shape[2] * field.shape[3]))
    for z in range(0, field.shape[1], depth):
        part = field[:, z : z + depth]
        indices = voxel_indices(tuple(part.shape[1:]), field.device)  # type: ignore[arg-type]
        indices[2] += z
        points = (indices + part).movedim(0, -1)
        result[z : z + depth] = sample_at_indices(
            values, points, interpolation=interpolation, fill=fill
        )[0]
    return result


def device_generator(generator: torch.Generator, device: torch.device | str) -> torch.Generator:
    """A generator on the device, seeded from a CPU one: for noise by the million values."""
    seed = int(torch.randint(2**62, (1,), generator=generator))
    return torch.Generator(device).manual_seed(seed)


def with_noise(image: torch.Tensor, deviation: float, generator: torch.Generator) -> torch.Tensor:
    """Add normal noise of a standard deviation, in the image's units."""
    source = device_generator(generator, image.device)
    noise = torch.randn(image.shape, generator=source, device=image.device)
    return torch.add(image, noise, alpha=deviation)


def with_gamma(
    image: torch.Tensor, generator: torch.Generator, low: float = 0.5, high: float = 1.5
) -> torch.Tensor:
    """An image in [0, 1] to the power of one random exponent in [low, high]."""
    exponent = low + (high - low) * float(torch.rand(1, generator=generator))
    return image.clamp(0, 1) ** exponent


def with_density(
    image: torch.Tensor, field: torch.Tensor, share: torch.Tensor | float
) -> torch.Tensor:
    """Change what became less dense: lungs keep their mass when their volume changes.

    The sponge model of Staring et al. (Med. Phys. 2014): fixed(x) = moving(T(x)) det J_T(x).

    Args:
        image: The deformed image, [z, y, x], 0 where there is only air.
        field: That deformed it, in voxels: [3, z, y, x].
        share: Of the change that shows, 0 to 1, for all or for each voxel.

    Returns:
        [z, y, x]; changes by more than a factor of 2 count as that.
    """
    return image * (1 + share * (voxel_jacobian(field).clamp(0.5, 2.0) - 1))


def flipped(
    images: torch.Tensor, field: torch.Tensor, axes: tuple[bool, bool, bool]
) -> tuple[torch.Tensor, torch.Tensor]:
    """Mirror images and field along x, y, z where asked; the field's component changes its sign.

    Args:
        images: [..., z, y, x].
        field: [..., 3, z, y, x].
    """
    chosen = [-1 - k for k in range(3) if axes[k]]
    sign = torch.tensor([-1.0 if flip else 1.0 for flip in axes], device=field.device)
    return images.flip(chosen), field.flip(chosen) * sign[:, None, None, None]


def voxel_jacobian(field: torch.Tensor) -> torch.Tensor:
    """det(I + du/dx) of a field in voxels: [3, z, y, x] to [z, y, x]."""
    from DeepRegistrationLib.images.geometry import Grid
    from DeepRegistrationLib.transforms import DisplacementField, field_jacobian

    size = tuple(field.shape[:0:-1])
    return field_jacobian(DisplacementField(field, Grid(size)))  # type: ignore[arg-type]
