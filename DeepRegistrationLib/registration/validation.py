"""Is this pair fit for registration? Each fault is one sentence that says what to do."""

from __future__ import annotations

import numpy as np
import torch

from DeepRegistrationLib.errors import RegistrationError
from DeepRegistrationLib.images.geometry import Grid
from DeepRegistrationLib.images.guard.memory import require_memory
from DeepRegistrationLib.images.image import Image, check_finite
from DeepRegistrationLib.images.intensity import finite, offset_of, other_modality
from DeepRegistrationLib.images.plain_data import AIR
from DeepRegistrationLib.options import Outputs
from DeepRegistrationLib.transforms import Transform

_LARGEST = 3000.0  # mm: longer than any scanner's table
_SMALLEST = 60.0  # mm: shorter than any scan of a person's chest, abdomen, heart or head
_FINEST = 2.0  # mm, voxels of the finest level of most methods
_SAMPLES = 33  # points an axis when the overlap of two boxes is measured


def check_pair(
    fixed: Image,
    moving: Image,
    fixed_mask: Image | None = None,
    moving_mask: Image | None = None,
    initial: Transform | None = None,
) -> None:
    """Check everything that a registration takes for granted.

    Raises:
        RegistrationError: Not finite, constant, only padding or one
            voxel thin; an ``initial`` that leaves the images apart; a mask that is empty, an image,
            on another grid, or only on background.
    """
    check_image(fixed)
    check_image(moving)
    if fixed_mask is not None:
        check_mask(fixed_mask, fixed)
    if moving_mask is not None:
        check_mask(moving_mask, moving)
    check_modality(fixed, moving)
    if initial is not None:
        _check_initial(fixed, moving, initial)


def check_memory(fixed: Image, moving: Image, outputs: Outputs, device: torch.device) -> None:
    """Check that the main memory is enough where the CPU registers the two.

    The estimate follows the peaks that were measured (Testing/Benchmarks/SCALING.md, and a scan of
    500 x 500 x 282 mm): a float32 copy of each image, what the levels take, which grows with the
    box in mm once voxels are below 2 mm, and the larger of two things that follow each other: the
    search for the lungs, 8 bytes a voxel, and the maps that are wanted, 4 bytes a voxel of the
    fixed image each. With one or two maps the peak is that of none.

    Raises:
        RegistrationError: It is not; the sentence has both figures.
    """
    if device.type != "cpu":  # what a GPU cannot hold is found out there (see ``fallback``)
        return
    sizes = [image.grid.voxels for image in (fixed, moving)]
    maps = outputs.warped + outputs.jacobian + outputs.displacement + 4 * outputs.uncertainty
    nodes = max(
        min(grid.voxels, grid.voxels * float(np.prod(grid.spacing)) / _FINEST**3)
        for grid in (fixed.grid, moving.grid)
    )
    levels = min(0.15e9 + 300 * nodes, 0.3e9 + 100 * nodes)
    needed = 4 * sum(sizes) + levels + max(8 * max(sizes), 4 * maps * sizes[0])
    what = f"Registering {_size(fixed.grid)} and {_size(moving.grid)} voxels"
    require_memory(needed, what, "crop or resample the images, or close other programs")


def check_result(transform: Transform, who: str) -> None:
    """Check what a method found: a transform with NaN or infinity is a failed registration.

    Raises:
        RegistrationError: A number in it is not finite.
    """
    members = transform.members
    for member in members:
        vectors = getattr(member, "vectors", None)
        if vectors is not None and not bool(torch.isfinite(vectors).all()):
            raise RegistrationError(
                f"{who} failed: the transform that was found holds numbers that are not finite; "
                "nothing was written. Use another method, quality or weights, and check the images."
            )


def check_modality(fixed: Image, moving: Image) -> None:
    """Raise ``RegistrationError`` where one image is CT and the other certainly is not."""
    side = other_modality(fixed, moving)
    if side is not None:
        other, image = (moving, fixed) if side == "moving" else (fixed, moving)
        raise RegistrationError(
            f"{image.name} is CT and {other.name} is not: both images must be of one modality."
        )


def check_image(image: Image) -> None:
    """Raise ``RegistrationError`` unless the image has finite contrast in three dimensions."""
    if min(image.grid.size) < 2:
        size = " x ".join(str(n) for n in image.grid.size)
        raise RegistrationError(
            f"{image.name} is only one voxel thick (size {size}); give a volume of several slices."
        )
    length = float(image.grid.extent.max())
    if length > _LARGEST:
        raise RegistrationError(
            f"{image.name} would be {length / 1000:.3g} m long, with voxels of "
            f"{_spacing(image.grid)} mm. Its spacing is probably in micrometers; correct the "
            "image's header: spacing and origin are in mm."
        )
    check_finite(image)
    low, high = (float(v) for v in torch.aminmax(image.data))
    if high <= AIR:
        raise RegistrationError(
            f"{image.name} holds only padding (every value between {low:g} and {high:g}, at or "
            "below air); give an image that shows tissue."
        )
    if low == high:
        raise RegistrationError(
            f"{image.name} has the value {low:g} in every voxel; give an image with contrast."
        )


def notes_on(fixed: Image, moving: Image) -> list[str]:
    """What a user has to know of the two images, without what reading said twice."""
    notes = list(dict.fromkeys((*fixed.notes, *moving.notes)))
    for say in (note_on_size, note_on_offset):
        notes += [note for image in (fixed, moving) if (note := say(image))]
    return notes


def note_on_offset(image: Image) -> str | None:
    """A sentence where an image has lost its offset to Hounsfield units."""
    offset = offset_of(image)
    if not offset:
        return None
    return (
        f"{image.name} holds Hounsfield units with {-offset:.0f} added; this offset was subtracted."
    )


def note_on_size(image: Image) -> str | None:
    """A warning where an image is too small to show a person."""
    length = float(image.grid.extent.max())
    if length >= _SMALLEST:
        return None
    return (
        f"Warning: {image.name} is only {length:.3g} mm long (spacing {_spacing(image.grid)} mm). "
        "If it shows a person, its spacing is probably in centimeters: correct the image's header."
    )


def check_mask(mask: Image, image: Image) -> None:
    """Raise ``RegistrationError`` unless the mask covers contrast of its own image."""
    _check_same_grid(mask, image)
    check_finite(mask)
    low, high = torch.aminmax(mask.data)
    if low < 0 < high:
        raise RegistrationError(
            f"The mask {mask.name} holds values from {float(low):g} to {float(high):g}, as an "
            "image does; give a mask, which is 0 outside and above 0 inside."
        )
    inside = mask.data != 0
    if not bool(inside.any()):
        raise RegistrationError(
            f"The mask {mask.name} is empty; give one that is non-zero where {image.name} counts, "
            "or leave it out."
        )
    values = finite(image).data[inside]
    if float(values.min()) == float(values.max()):
        raise RegistrationError(
            f"The mask {mask.name} covers only background of {image.name} (the value "
            f"{float(values[0]):g} throughout); check that it belongs to this image and is not "
            "flipped."
        )


def _check_same_grid(mask: Image, image: Image) -> None:
    if mask.grid.size != image.grid.size:
        raise RegistrationError(
            f"The mask {mask.name} has size {_size(mask.grid)}, but its image {image.name} has "
            f"{_size(image.grid)}; resample the mask on its image's grid."
        )
    distance = float(np.abs(mask.grid.corners() - image.grid.corners()).max())
    if distance > 0.1 * min(image.grid.spacing):
        raise RegistrationError(
            f"The mask {mask.name} lies {distance:.5g} mm away from its image {image.name} "
            "(origin, spacing or direction differ); resample the mask on its image's grid."
        )


def _spacing(grid: Grid) -> str:
    return " x ".join(f"{s:.3g}" for s in grid.spacing)


def _size(grid: Grid) -> str:
    return " x ".join(str(n) for n in grid.size)


def overlap(fixed: Image, moving: Image) -> bool:
    """Whether the boxes of the two images share a part of space."""
    return bool(
        moving.grid.contains(_box_points(fixed.grid)).any()
        or fixed.grid.contains(_box_points(moving.grid)).any()
    )


def _check_initial(fixed: Image, moving: Image, initial: Transform) -> None:
    for samples in (_SAMPLES, 4 * _SAMPLES):  # the finer one for a moving image of a few mm
        points = torch.as_tensor(_box_points(fixed.grid, samples), device=initial.device)
        mapped = initial(points).cpu().numpy()
        if not np.all(np.isfinite(mapped)):
            raise RegistrationError(
                "The initial transform gives positions that are not finite; give another one."
            )
        if moving.grid.contains(mapped).any():
            return
    raise RegistrationError(
        f"The initial transform takes the center of {fixed.name} to {_position(mapped)}, outside "
        f"{moving.name} (center {_position(moving.grid.corners())}); give the transform that maps "
        "fixed points to moving points, or its inverse if it was stored the other way round."
    )


def _box_points(grid: Grid, samples: int = _SAMPLES) -> np.ndarray:
    """Points spread evenly over the grid's box, border included, in LPS mm: [n, 3]."""
    axes = [np.linspace(0, n - 1, min(n, samples)) for n in grid.size]
    index = np.stack(np.meshgrid(*axes, indexing="ij"), axis=-1).reshape(-1, 3)
    return grid.to_physical(index)


def _position(points: np.ndarray) -> str:
    """The middle of some points, for a message."""
    x, y, z = points.mean(axis=0)
    return f"{x:.0f}, {y:.0f}, {z:.0f} mm"
