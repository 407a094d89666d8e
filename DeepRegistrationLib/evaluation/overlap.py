"""Agreement of two label maps: Dice, Hausdorff distances and mean surface distance, in mm."""

from __future__ import annotations

from typing import Any

import numpy as np
from scipy import ndimage

from DeepRegistrationLib.errors import RegistrationError
from DeepRegistrationLib.geometry import Grid
from DeepRegistrationLib.image import Image
from DeepRegistrationLib.transforms import Transform, warp_labels
from DeepRegistrationLib.transforms.labels import whole_numbers

_FACES = ndimage.generate_binary_structure(3, 1)
_DISTANCES = ("hausdorff", "hausdorff95", "mean_surface_distance", "farthest")


def registered_overlap(fixed: Image, moving: Image, transform: Transform) -> dict[int, Any]:
    """:func:`label_overlap` of the fixed labels with the moving ones that a transform has warped.

    On the fixed labels' own grid, which is never resampled; the moving ones by
    :func:`DeepRegistrationLib.transforms.warp_labels`. This is what every report calls Dice.

    Raises:
        RegistrationError: One of the label maps holds fractions.
    """
    return label_overlap(fixed, warp_labels(moving, transform, fixed.grid))


def label_overlap(
    first: Image, second: Image, labels: list[int] | None = None
) -> dict[int, dict[str, Any]]:
    """Compare two label maps label by label.

    Args:
        first, second: Label maps on the same grid; values are rounded to whole numbers.
        labels: Which to compare; all non-zero ones that occur when omitted.

    Returns:
        For each label ``dice`` (0 to 1), ``hausdorff``, ``hausdorff95`` and
        ``mean_surface_distance`` in mm, and ``farthest``, the point [3] of either surface that is
        farthest from the other one, LPS mm; None where one of the two maps lacks the label.

    Raises:
        RegistrationError: The label maps lie on different grids or hold fractions.
    """
    if not first.grid.same_as(second.grid, tolerance=0.1 * min(first.grid.spacing)):
        raise RegistrationError(
            f"The label maps {first.name} and {second.name} lie on different grids; resample one "
            "on the other's grid with nearest-neighbor interpolation."
        )
    a, b = (whole_numbers(image).cpu().numpy() for image in (first, second))
    if labels is None:
        labels = sorted((_labels(a) | _labels(b)) - {0})
    return {label: _compare(a == label, b == label, first.grid) for label in labels}


def _labels(values: np.ndarray) -> set[int]:
    """The values that occur; counting is much faster than np.unique's sorting."""
    if values.min() >= 0 and values.max() < 1 << 16:
        return {int(label) for label in np.flatnonzero(np.bincount(values.ravel()))}
    return {int(label) for label in np.unique(values)}


def _compare(a: np.ndarray, b: np.ndarray, grid: Grid) -> dict[str, Any]:
    """The measures of two binary arrays [z, y, x] on a grid."""
    volume = int(a.sum()) + int(b.sum())
    dice = 2.0 * int((a & b).sum()) / volume if volume else 1.0
    if not a.any() or not b.any():
        return {"dice": dice, **dict.fromkeys(_DISTANCES)}
    box = ndimage.find_objects((a | b).astype(np.uint8))[0]
    surfaces = [_surface(part[box]) for part in (a, b)]
    to_b, to_a = (_distances(one, other, grid) for one, other in (surfaces, surfaces[::-1]))
    distances = np.concatenate([to_b, to_a])
    places = np.concatenate([np.argwhere(surface) for surface in surfaces])
    index = places[np.argmax(distances)] + [part.start for part in box]
    return {
        "dice": dice,
        "hausdorff": float(distances.max()),
        "hausdorff95": float(max(np.percentile(to_b, 95), np.percentile(to_a, 95))),
        "mean_surface_distance": float(distances.mean()),
        "farthest": [float(mm) for mm in grid.to_physical(index[::-1].astype(float))],
    }


def _surface(a: np.ndarray) -> np.ndarray:
    """The voxels of a binary array with one of their six neighbors outside it (or the array)."""
    return a & ~ndimage.binary_erosion(a, _FACES)


def _distances(first: np.ndarray, second: np.ndarray, grid: Grid) -> np.ndarray:
    """Distances in mm from each voxel of a surface to the nearest of another, not empty: [n]."""
    return ndimage.distance_transform_edt(~second, sampling=grid.spacing[::-1])[first]
