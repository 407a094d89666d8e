"""Everything about a registration's quality in one call, on plain data: the worker's measures.

Loads PyTorch; the result is plain data that :mod:`verdict` puts into words.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import torch

from DeepRegistrationLib.evaluation.measures import measure
from DeepRegistrationLib.evaluation.segment_statistics import (
    folded_places,
    plain_places,
    segment_statistics,
)
from DeepRegistrationLib.evaluation.uncertainty import Uncertainty, uncertainty_statistics
from DeepRegistrationLib.geometry import Grid
from DeepRegistrationLib.image import Image
from DeepRegistrationLib.jobs import (
    displacement_magnitude,
    image_of,
    mask_of,
    transform_of,
    volume_of,
)
from DeepRegistrationLib.plain import Map, Volume
from DeepRegistrationLib.progress import Progress, silent
from DeepRegistrationLib.transforms import Transform, invert, jacobian

_SPACING_MM = 4.0  # of the points at which the inverse is checked


def measure_quality(
    transform: Map,
    fixed: Volume,
    moving: Volume,
    *,
    fixed_mask: Volume | None = None,
    moving_mask: Volume | None = None,
    fixed_labels: Volume | Sequence[Volume] | None = None,
    moving_labels: Volume | Sequence[Volume] | None = None,
    label_names: dict[str, str] | None = None,
    inverse: Map | None = None,
    error_maps: dict[str, Volume] | None = None,
    fixed_landmarks: np.ndarray | None = None,
    moving_landmarks: np.ndarray | None = None,
    progress: Progress = silent,
) -> dict[str, Any]:
    """Measure a transform with everything that is known of the two images.

    Args:
        transform: Fixed to moving.
        fixed, moving: The images.
        fixed_mask, moving_mask: Non-zero counts; on any grid.
        fixed_labels, moving_labels: Label maps, on any grid; several where segments overlap, with
            numbers that differ between all segments.
        label_names: What to call labels, by their number as text.
        inverse: Moving to fixed, from a registration of its own or a numeric inverse; when omitted
            it is computed, and shows only how well the transform can be inverted.
        error_maps: As the registration's outcome has them, on the fixed image's grid; or none.
        fixed_landmarks, moving_landmarks: LPS mm, [n, 3].

    Returns:
        ``tre``, ``jacobian``, ``similarity``, ``overlap``, ``voxel_mm`` as :func:`measures.measure`
        gives them (labels by name); ``folding`` (see :class:`segment_statistics.FoldedPlace`), in
        the mask where there is one; ``segments`` (see
        :func:`segment_statistics.segment_statistics`) or None; ``inverse_consistency`` (see
        :func:`inverse_consistency`); ``uncertainty`` (see
        :func:`uncertainty.uncertainty_statistics`) or None.

    Raises:
        RegistrationError: Landmarks outside the images, an empty mask, fractional labels.
    """
    names = {int(number): name for number, name in (label_names or {}).items()}
    forward = transform_of(transform)
    images = [image_of(fixed), image_of(moving)]
    grids = [image.grid for image in images]
    masks = [mask_of(m, g) for m, g in zip((fixed_mask, moving_mask), grids, strict=True)]
    segments = [_labels_on(image_of(layer), grids[0]) for layer in _layers(fixed_labels)]
    with torch.no_grad():
        progress(0.1, "Computing the Jacobian determinant")
        determinant = jacobian(forward, grids[0])
        progress(0.25, "Comparing the images")
        result = measure(
            forward,
            fixed=images[0],
            moving=images[1],
            determinant=determinant,
            fixed_mask=masks[0],
            moving_mask=masks[1],
            fixed_labels=segments or None,
            moving_labels=[image_of(layer) for layer in _layers(moving_labels)] or None,
            label_names=names,
            fixed_landmarks=fixed_landmarks,
            moving_landmarks=moving_landmarks,
        )
        progress(0.7, "Measuring segments")
        inside = None if masks[0] is None else masks[0].data.numpy() != 0
        result["folding"] = plain_places(folded_places(volume_of(determinant), inside))
        result["segments"] = None
        if segments:
            maps = volume_of(determinant), volume_of(displacement_magnitude(forward, grids[0]))
            result["segments"] = {}
            for layer in segments:
                result["segments"] |= segment_statistics(volume_of(layer), *maps, names)
        progress(0.8, "Checking the inverse")
        backward = None if inverse is None else transform_of(inverse)
        result["inverse_consistency"] = inverse_consistency(
            forward, backward, grids[0], grids[1], masks[0]
        )
    result["uncertainty"] = None
    if error_maps:
        doubt = Uncertainty(**{name: image_of(volume) for name, volume in error_maps.items()})
        result["uncertainty"] = uncertainty_statistics(doubt, masks[0], result["voxel_mm"])
    progress(1.0, "Measuring segments")
    return result


def inverse_consistency(
    forward: Transform,
    backward: Transform | None,
    fixed: Grid,
    moving: Grid,
    mask: Image | None = None,
) -> dict[str, Any] | None:
    """|T^-1(T(x)) - x| in mm over points of the fixed image that T takes into the moving image.

    Points lie about 4 mm apart (Christensen & Johnson, IEEE TMI 20:568, 2001, over all voxels).

    Args:
        forward, backward: Fixed to moving, and moving to fixed; a numeric inverse when omitted.
        fixed, moving: The images' grids.
        mask: On the fixed grid; only points inside count.

    Returns:
        ``mean``, ``p95``, ``max`` in mm, ``n`` points, and ``source``: ``given`` or ``numeric``;
        None where no point is left.
    """
    points = _sparse_points(fixed, mask)
    mapped = forward(points)
    inside = torch.from_numpy(moving.contains(mapped.numpy()))
    points, mapped = points[inside], mapped[inside]
    if len(points) == 0:
        return None
    source = "given" if backward is not None else "numeric"
    if backward is None:
        spacing = tuple(max(s, _SPACING_MM / 2) for s in moving.spacing)
        backward = invert(forward, moving.with_spacing(spacing)).field  # type: ignore[arg-type]
    error = (backward(mapped) - points).norm(dim=-1).numpy()
    return {
        "mean": float(error.mean()),
        "p95": float(np.percentile(error, 95)),
        "max": float(error.max()),
        "n": len(error),
        "source": source,
    }


def _sparse_points(grid: Grid, mask: Image | None) -> torch.Tensor:
    """Every few voxel centers, about 4 mm apart, inside the mask: float64 [n, 3]."""
    steps = [max(1, round(_SPACING_MM / s)) for s in grid.spacing]
    ranges: Sequence[np.ndarray] = [
        np.arange((n - 1) % step // 2, n, step) for n, step in zip(grid.size, steps, strict=True)
    ]
    index = np.stack(np.meshgrid(*ranges, indexing="ij"), -1).reshape(-1, 3)
    if mask is not None:
        index = index[mask.data.numpy()[index[:, 2], index[:, 1], index[:, 0]] != 0]
    return torch.from_numpy(grid.to_physical(index))


def _layers(labels: Volume | Sequence[Volume] | None) -> list[Volume]:
    if labels is None:
        return []
    return [labels] if isinstance(labels, Volume) else list(labels)


def _labels_on(labels: Image, grid: Grid) -> Image:
    if labels.grid.same_as(grid):
        return labels
    return replace(labels.resampled(grid, interpolation="nearest"), name=labels.name)
