"""Agreement of two label maps: Dice, Hausdorff distances and mean surface distance, in mm."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
from scipy import ndimage

from DeepRegistrationLib.arguments import require
from DeepRegistrationLib.errors import RegistrationError
from DeepRegistrationLib.images.geometry import Grid

if TYPE_CHECKING:
    from DeepRegistrationLib.images.image import Image
    from DeepRegistrationLib.transforms import Transform

_FACES = ndimage.generate_binary_structure(3, 1)
_BOX = 7  # points along each axis by which a box is followed through a transform
_DISTANCES = ("hausdorff", "hausdorff95", "mean_surface_distance", "farthest")


def registered_overlap(
    fixed: Image | Sequence[Image],
    moving: Image | Sequence[Image],
    transform: Transform,
    within: Grid | None = None,
) -> dict[int, Any]:
    """:func:`label_overlap` of the fixed labels with the moving ones that a transform has warped.

    On the fixed labels' own voxels, which are never resampled; the moving ones by
    :func:`DeepRegistrationLib.transforms.warp_labels`. This is what every report calls Dice. Label
    maps that were cropped are compared where they are: beyond them is background.

    Args:
        fixed, moving: As for :func:`label_overlap`, each side on a grid of its own.
        transform: Fixed to moving.
        within: The fixed image's grid where it is known: what was not imaged does not count.

    Raises:
        RegistrationError: One of the label maps holds fractions.
    """
    from DeepRegistrationLib.images.image import Image  # these load PyTorch
    from DeepRegistrationLib.transforms import Transform, warp_labels

    require(fixed, "fixed", (Image, [Image]))
    require(moving, "moving", (Image, [Image]))
    require(transform, "transform", Transform)
    ours, theirs = layers_of(fixed), layers_of(moving)
    grid = _comparison_grid(transform, ours[0].grid, theirs, within)
    ours = [layer.resampled(grid, interpolation="nearest") for layer in ours]
    return label_overlap(ours, [warp_labels(layer, transform, grid) for layer in theirs])


def _comparison_grid(
    transform: Transform, fixed: Grid, moving: Sequence[Image], image: Grid | None
) -> Grid:
    """The fixed labels' grid, extended to hold the moving labels that a transform has warped."""
    import torch

    from DeepRegistrationLib.transforms import solve

    points = np.concatenate([_labeled_box(layer) for layer in moving])
    if len(points) == 0:
        return fixed
    back, residual = solve(transform, torch.from_numpy(points), tolerance=1e-2)
    index = fixed.to_index(back[residual < 1].numpy())
    if len(index) == 0:
        return fixed
    low = np.minimum(np.floor(index.min(axis=0)) - 1, 0)
    high = np.maximum(np.ceil(index.max(axis=0)) + 1, np.array(fixed.size) - 1)
    if image is not None:
        corners = fixed.to_index(image.corners())
        low = np.maximum(low, np.minimum(np.rint(corners.min(axis=0)), 0))
        high = np.minimum(high, np.maximum(np.rint(corners.max(axis=0)), np.array(fixed.size) - 1))
    if not low.any() and np.array_equal(high, np.array(fixed.size) - 1):
        return fixed
    size = (high - low + 1).astype(int)
    return replace(fixed, size=tuple(size), origin=tuple(fixed.to_physical(low)))


def _labeled_box(labels: Image) -> np.ndarray:
    """Points over the box of all voxels other than 0, LPS mm: [n, 3]; none where there are none."""
    inside = labels.data.cpu().numpy() != 0
    ends = []
    for others in ((1, 2), (0, 2), (0, 1)):
        used = np.flatnonzero(inside.any(axis=others))
        if len(used) == 0:
            return np.zeros((0, 3))
        ends.append(np.linspace(int(used[0]), int(used[-1]), _BOX))
    z, y, x = np.meshgrid(*ends, indexing="ij")
    return labels.grid.to_physical(np.stack((x, y, z), axis=-1).reshape(-1, 3))


def label_overlap(
    first: Image | Sequence[Image],
    second: Image | Sequence[Image],
    labels: list[int] | None = None,
) -> dict[int, dict[str, Any]]:
    """Compare two label maps label by label.

    Args:
        first, second: Label maps on the same grid; values are rounded to whole numbers. Several on
            a side where segments overlap: a label is where any of them has it.
        labels: Which to compare; all non-zero ones that occur when omitted.

    Returns:
        For each label ``dice`` (0 to 1), ``hausdorff``, ``hausdorff95`` and
        ``mean_surface_distance`` in mm, and ``farthest``, the point [3] of either surface that is
        farthest from the other one, LPS mm; None where one of the two maps lacks the label.

    Raises:
        RegistrationError: The label maps lie on different grids or hold fractions.
    """
    from DeepRegistrationLib.transforms.labels import whole_numbers  # loads PyTorch

    ours, theirs = layers_of(first), layers_of(second)
    grid = ours[0].grid
    for other in (*ours, *theirs):
        if not grid.same_as(other.grid, tolerance=0.1 * min(grid.spacing)):
            raise RegistrationError(
                f"The label maps {ours[0].name} and {other.name} lie on different grids; resample "
                "one on the other's grid with nearest-neighbor interpolation."
            )
    a, b = ([whole_numbers(i).cpu().numpy() for i in layers] for layers in (ours, theirs))
    if labels is None:
        labels = sorted(set().union(*(_labels(values) for values in (*a, *b))) - {0})
    return {label: _compare(_where(a, label), _where(b, label), grid) for label in labels}


def layers_of(labels: Image | Sequence[Image] | None) -> list[Image]:
    """Label maps as a list, whether there are several, one or none."""
    if labels is None:
        return []
    return list(labels) if isinstance(labels, Sequence) else [labels]


def _where(layers: list[np.ndarray], label: int) -> np.ndarray:
    inside = layers[0] == label
    for layer in layers[1:]:
        inside = inside | (layer == label)
    return inside


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
