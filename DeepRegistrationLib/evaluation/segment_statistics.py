"""What a transform does to each labeled structure: volume change, folding, displacement; in numpy.

Nothing here loads PyTorch.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from scipy import ndimage

from DeepRegistrationLib.errors import RegistrationError
from DeepRegistrationLib.evaluation.jacobian import value_statistics
from DeepRegistrationLib.images.geometry import Grid
from DeepRegistrationLib.images.plain_data import Volume

_THIRDS = (("right", "left"), ("anterior", "posterior"), ("lower", "upper"))  # along LPS x, y, z


def segment_statistics(
    labels: Volume,
    jacobian: Volume,
    displacement: Volume,
    names: dict[int, str] | None = None,
) -> dict[str, dict[str, Any]]:
    """Statistics of each label other than 0.

    Args:
        labels: Whole numbers, [z, y, x] on the fixed image's grid.
        jacobian: J on the same grid.
        displacement: |T(x) - x| in mm on the same grid.
        names: What to call labels; their number where there is none.

    Returns:
        For each name ``volume_ml`` (in the fixed image), ``moving_volume_ml`` (where T takes it:
        the volume times the mean J), ``jacobian`` (see ``jacobian_statistics``) and
        ``displacement_mm`` with ``mean``, ``p95`` and ``max``.

    Raises:
        RegistrationError: The maps are on different grids.
    """
    for other in (jacobian, displacement):
        if other.data.shape != labels.data.shape:
            raise RegistrationError(
                f"{other.name} has {other.grid.size} voxels, but {labels.name} has "
                f"{labels.grid.size}; give both on the fixed image's grid."
            )
    milliliters = float(np.prod(labels.grid.spacing)) / 1000
    whole = np.asarray(labels.data)
    whole = whole if whole.dtype.kind in "iu" else np.rint(whole).astype(np.int32)
    result = {}
    for number, box in _boxes(whole):
        inside = whole[box] == number
        determinants, moved = jacobian.data[box][inside], displacement.data[box][inside]
        volume = int(inside.sum()) * milliliters
        statistics = value_statistics(determinants)
        result[(names or {}).get(number, str(number))] = {
            "volume_ml": volume,
            "moving_volume_ml": volume * statistics["mean"],
            "jacobian": statistics,
            "displacement_mm": displacement_statistics(moved),
        }
    return result


def displacement_statistics(moved: np.ndarray) -> dict[str, float]:
    """``mean``, ``p95`` and ``max`` of displacements in mm, in an array that is not empty."""
    return {
        "mean": float(moved.mean(dtype=np.float64)),
        "p95": float(np.percentile(moved, 95)),
        "max": float(moved.max()),
    }


def regional_displacement(displacement: Volume, inside: np.ndarray | None) -> dict[str, Any]:
    """:func:`displacement_statistics` of the whole image, and ``in_mask`` of a region of it.

    Args:
        displacement: |T(x) - x| in mm.
        inside: bool [z, y, x] on the same grid; None for the whole image.
    """
    values = np.asarray(displacement.data)
    some = inside is not None and inside.any()
    part = displacement_statistics(values[inside]) if some else None
    return {**displacement_statistics(values), "in_mask": part}


def _boxes(labels: np.ndarray) -> list[tuple[int, tuple[slice, ...]]]:
    """Each label and the box around it."""
    numbers = [int(k) for k in np.unique(labels) if k != 0]
    if numbers and 0 < numbers[0] and numbers[-1] < 1 << 16:
        found = ndimage.find_objects(labels)
        return [(k, found[k - 1]) for k in numbers]
    return [(k, (slice(None),) * labels.ndim) for k in numbers]


@dataclass(frozen=True)
class FoldedPlace:
    """A connected region where the transform folds.

    Attributes:
        point: Its voxel with the smallest J, LPS mm.
        voxels: Their number.
        volume_ml: Their volume.
        minimum: The smallest J.
        where: In words, see :func:`place_in_words`.
    """

    point: tuple[float, float, float]
    voxels: int
    volume_ml: float
    minimum: float
    where: str


def folded_places(
    jacobian: Volume, mask: np.ndarray | None = None, limit: int = 50
) -> list[FoldedPlace]:
    """The connected regions with J <= 0, the largest first.

    Args:
        jacobian: J on any grid.
        mask: bool [z, y, x] on the same grid; only regions inside count, and places are described
            relative to it.
        limit: Of the places that are returned.
    """
    values = jacobian.data
    folded = values <= 0 if mask is None else (values <= 0) & mask
    if not folded.any():
        return []
    labels, count = ndimage.label(folded, np.ones((3, 3, 3)))
    sizes = np.bincount(labels[folded], minlength=count + 1)
    chosen = [int(k) for k in np.argsort(-sizes[1:], kind="stable")[:limit] + 1]
    milliliters = float(np.prod(jacobian.grid.spacing)) / 1000
    box = box_of(jacobian.grid, mask)
    result = []
    for k, index in zip(chosen, ndimage.minimum_position(values, labels, chosen), strict=True):
        x, y, z = (float(value) for value in jacobian.grid.to_physical(np.array(index[::-1])))
        result.append(
            FoldedPlace(
                point=(x, y, z),
                voxels=int(sizes[k]),
                volume_ml=float(sizes[k] * milliliters),
                minimum=float(values[index]),
                where=place_in_words(np.array([x, y, z]), *box),
            )
        )
    return result


def plain_places(places: list[FoldedPlace]) -> list[dict[str, Any]]:
    """Places as JSON can hold them."""
    return [{**asdict(place), "point": list(place.point)} for place in places]


def extreme_places(jacobian: Volume, mask: np.ndarray | None = None) -> dict[str, dict[str, Any]]:
    """The places of the smallest and of the largest J.

    Args:
        jacobian: J on any grid.
        mask: bool [z, y, x] on the same grid; only voxels inside count.

    Returns:
        For ``smallest`` and ``largest``: ``value``, ``point`` (LPS mm) and ``where`` (in words).
    """
    values, box = jacobian.data, box_of(jacobian.grid, mask)
    found = {}
    for name, fill, choose in (("smallest", np.inf, np.argmin), ("largest", -np.inf, np.argmax)):
        inside = values if mask is None else np.where(mask, values, fill)
        index = np.unravel_index(int(choose(inside)), values.shape)
        point = jacobian.grid.to_physical(np.array(index[::-1], float))
        found[name] = {
            "value": float(values[index]),
            "point": [float(mm) for mm in point],
            "where": place_in_words(point, *box),
        }
    return found


def box_of(grid: Grid, mask: np.ndarray | None) -> tuple[np.ndarray, np.ndarray]:
    """Lowest and highest LPS position of a mask (or of the whole grid): [3], [3]."""
    low, high = np.zeros(3), np.array(grid.size) - 1.0
    if mask is not None and mask.any():
        for axis, name in enumerate((2, 1, 0)):
            used = np.flatnonzero(mask.any(axis=tuple({0, 1, 2} - {name})))
            low[axis], high[axis] = used[0], used[-1]
    ends = np.stack(np.meshgrid(*zip(low, high, strict=True), indexing="ij"), -1).reshape(-1, 3)
    corners = grid.to_physical(ends)
    return corners.min(0), corners.max(0)


def place_in_words(point: np.ndarray, low: np.ndarray, high: np.ndarray) -> str:
    """Where a point lies in a box, by thirds: "lower, left, posterior", or "in the middle".

    Args:
        point, low, high: LPS mm, [3]; left and right are the patient's.
    """
    share = (np.asarray(point) - low) / np.maximum(np.asarray(high) - low, 1e-6)
    words = []
    for axis in (2, 0, 1):
        if share[axis] < 1 / 3:
            words.append(_THIRDS[axis][0])
        elif share[axis] > 2 / 3:
            words.append(_THIRDS[axis][1])
    return ", ".join(words) or "in the middle"
