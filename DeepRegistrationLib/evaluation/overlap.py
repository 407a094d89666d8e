"""Agreement of two label maps: Dice, Hausdorff distance and mean surface distance, in mm."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from scipy import ndimage

from DeepRegistrationLib.errors import RegistrationError

if TYPE_CHECKING:
    from DeepRegistrationLib.image import Image

_FACES = ndimage.generate_binary_structure(3, 1)


def label_overlap(
    first: Image, second: Image, labels: list[int] | None = None
) -> dict[int, dict[str, float | None]]:
    """Compare two label maps label by label.

    Args:
        first, second: Label maps on the same grid; values are rounded to whole numbers.
        labels: Which to compare; all non-zero ones that occur when omitted.

    Returns:
        For each label ``dice`` (0 to 1), ``hausdorff95`` and ``mean_surface_distance`` (mm; None
        where one of the two maps lacks the label).

    Raises:
        RegistrationError: The label maps lie on different grids or hold fractions.
    """
    if not first.grid.same_as(second.grid, tolerance=0.1 * min(first.grid.spacing)):
        raise RegistrationError(
            f"The label maps {first.name} and {second.name} lie on different grids; resample one "
            "on the other's grid with nearest-neighbor interpolation."
        )
    a, b = _whole_numbers(first), _whole_numbers(second)
    if labels is None:
        labels = sorted((_labels(a) | _labels(b)) - {0})
    return {label: _compare(a == label, b == label, first.grid.spacing) for label in labels}


def _whole_numbers(image: Image) -> np.ndarray:
    values = image.data.detach().cpu().numpy()
    if values.dtype.kind != "f":
        return values
    whole = np.rint(values)
    if not np.all(np.isfinite(values)) or np.abs(values - whole).max() > 1e-3:
        raise RegistrationError(
            f"{image.name} holds values that are not whole numbers; give a label map (and warp it "
            "with nearest-neighbor interpolation)."
        )
    return whole.astype(np.int32)


def _labels(values: np.ndarray) -> set[int]:
    """The values that occur; counting is much faster than np.unique's sorting."""
    if values.min() >= 0 and values.max() < 1 << 16:
        return {int(label) for label in np.flatnonzero(np.bincount(values.ravel()))}
    return {int(label) for label in np.unique(values)}


def _compare(
    a: np.ndarray, b: np.ndarray, spacing: tuple[float, float, float]
) -> dict[str, float | None]:
    """The measures of two binary arrays [z, y, x] with ``spacing`` (x, y, z) in mm."""
    volume = int(a.sum()) + int(b.sum())
    dice = 2.0 * int((a & b).sum()) / volume if volume else 1.0
    if not a.any() or not b.any():
        return {"dice": dice, "hausdorff95": None, "mean_surface_distance": None}
    box = ndimage.find_objects((a | b).astype(np.uint8))[0]
    to_b, to_a = surface_distances(a[box], b[box], spacing)
    return {
        "dice": dice,
        "hausdorff95": float(max(np.percentile(to_b, 95), np.percentile(to_a, 95))),
        "mean_surface_distance": float(np.concatenate([to_b, to_a]).mean()),
    }


def surface_distances(
    a: np.ndarray, b: np.ndarray, spacing: tuple[float, float, float]
) -> tuple[np.ndarray, np.ndarray]:
    """Distances from each surface voxel of ``a`` to the surface of ``b``, and the other way.

    A surface voxel has one of its six neighbors outside the object (or outside the array).

    Args:
        a, b: Binary, not empty, [z, y, x].
        spacing: mm along x, y, z.

    Returns:
        Two float64 arrays in mm.
    """
    surface_a = a & ~ndimage.binary_erosion(a, _FACES)
    surface_b = b & ~ndimage.binary_erosion(b, _FACES)
    sampling = spacing[::-1]
    to_b = ndimage.distance_transform_edt(~surface_b, sampling=sampling)[surface_a]
    to_a = ndimage.distance_transform_edt(~surface_a, sampling=sampling)[surface_b]
    return to_b, to_a
