"""Everything that can be measured of a transform, from whatever is known of the images."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import asdict, replace
from functools import partial
from typing import Any

import numpy as np
import torch

from DeepRegistrationLib.evaluation.alignment import alignment
from DeepRegistrationLib.evaluation.correlation import similarities
from DeepRegistrationLib.evaluation.direction import better_negated, better_swapped
from DeepRegistrationLib.evaluation.jacobian import jacobian_statistics
from DeepRegistrationLib.evaluation.landmarks import (
    check_landmarks,
    mapped_points,
    target_registration_error,
)
from DeepRegistrationLib.evaluation.overlap import registered_overlap
from DeepRegistrationLib.evaluation.region import Region, region_of
from DeepRegistrationLib.images.geometry import Grid, largest_voxel
from DeepRegistrationLib.images.image import Image
from DeepRegistrationLib.images.intensity import (
    background,
    finite_warped,
    other_modality,
    without_padding,
)
from DeepRegistrationLib.transforms import Affine, Transform, jacobian
from DeepRegistrationLib.transforms.warping import warped_image


def measure(
    transform: Transform,
    *,
    fixed: Image | None = None,
    moving: Image | None = None,
    warped: Image | None = None,
    determinant: Image | None = None,
    fixed_mask: Image | None = None,
    moving_mask: Image | None = None,
    region: Region | None = None,
    fixed_landmarks: np.ndarray | None = None,
    moving_landmarks: np.ndarray | None = None,
    fixed_labels: Image | Sequence[Image] | None = None,
    moving_labels: Image | Sequence[Image] | None = None,
    label_names: Mapping[int, str] | None = None,
    driving_labels: Collection[str] = (),
) -> dict[str, Any]:
    """Everything that can be measured from what is given; the rest is None.

    Args:
        transform: Fixed to moving.
        fixed, moving: The images; both are needed for the similarity.
        warped, determinant: Moving image and Jacobian on the fixed grid; computed when omitted.
        fixed_mask: On the fixed grid.
        moving_mask: On the moving grid; with both masks their overlap is given.
        region: Where to judge; of :func:`region.region_of` when omitted.
        fixed_landmarks, moving_landmarks: LPS mm, [n, 3].
        fixed_labels, moving_labels: Label maps of the two images, each on any grid; several where
            segments overlap (see :func:`label_overlap`). What lies outside a label map is
            background: one that was cropped is compared where it is.
        label_names: What to call labels in the result; their number where there is no name.
        driving_labels: What labels are called that drove the registration: in ``overlap`` they
            have ``drove``, and prove nothing.

    Returns:
        ``region`` (see :meth:`region.Region.described`), ``tre`` (see
        :func:`target_registration_error`), ``swapped`` (where the landmarks fit better the other
        way round, see :class:`direction.Swapped`), ``negated`` (where they do as RAS, see
        :class:`direction.Negated`), ``jacobian`` (of the whole image, see
        :func:`jacobian_statistics`; ``in_mask`` holds the same inside the region where it is not
        the whole image), ``similarity`` in the region (``before``, ``after``), ``overlap`` (label,
        or ``mask``, to ``before``, ``after``), ``alignment`` (see :func:`alignment.alignment`; with
        both images), ``voxel_mm`` (the largest voxel dimension of the
        images, mm, see :mod:`tolerance`); ``other_modality`` (``fixed`` or ``moving``) only where
        that image is not CT while the other one is.
    """
    tre = swapped = negated = None
    if fixed_landmarks is not None and moving_landmarks is not None:
        grids = [None if image is None else image.grid for image in (fixed, moving)]
        check_landmarks(fixed_landmarks, moving_landmarks, *grids)
        tre = target_registration_error(transform, fixed_landmarks, moving_landmarks, grids[1])
        images = (mapped_points(transform, x) for x in (fixed_landmarks, moving_landmarks))
        swapped = better_swapped(fixed_landmarks, moving_landmarks, *images)
        negated = better_negated(
            fixed_landmarks, moving_landmarks, partial(mapped_points, transform)
        )
    if region is None:
        region = region_of(
            fixed,
            moving,
            fixed_mask=fixed_mask,
            moving_mask=moving_mask,
            fixed_labels=fixed_labels,
        )
    if warped is None and fixed is not None and moving is not None:
        warped = warped_image(moving, transform, fixed.grid)
    overlap = _label_overlap(transform, fixed_labels, moving_labels, fixed, label_names or {})
    for name in overlap.keys() & set(driving_labels):
        overlap[name]["drove"] = True
    clamped = None if fixed is None else without_padding(fixed)
    return {
        "region": region.described(),
        "tre": tre,
        "swapped": None if swapped is None else asdict(swapped),
        "negated": None if negated is None else asdict(negated),
        "jacobian": _jacobian(transform, determinant, region.mask, fixed),
        "similarity": _similarity(clamped, moving, warped, region.mask),
        "overlap": {
            **_mask_overlap(transform, _binary(fixed_mask), _binary(moving_mask)),
            **overlap,
        }
        or None,
        "alignment": _alignment(transform, clamped, moving, warped, region),
        "voxel_mm": largest_voxel(
            *(None if i is None else i.grid.spacing for i in (fixed, moving))
        ),
        **_modality(fixed, moving),
    }


def _modality(fixed: Image | None, moving: Image | None) -> dict[str, str]:
    side = None if fixed is None or moving is None else other_modality(fixed, moving)
    return {} if side is None else {"other_modality": side}


def _jacobian(
    transform: Transform, determinant: Image | None, mask: Image | None, fixed: Image | None
) -> dict[str, Any] | None:
    """Statistics in the whole image and, kept apart, inside the mask (folding hides outside)."""
    if determinant is None:
        grid = next((image.grid for image in (fixed, mask) if image is not None), None)
        grid = grid or getattr(transform, "grid", None)
        if grid is None:
            return None
        determinant = jacobian(transform, grid)
    inside = None if mask is None else jacobian_statistics(determinant, mask)
    return {**jacobian_statistics(determinant), "in_mask": inside}


def _similarity(
    fixed: Image | None,
    moving: Image | None,
    warped: Image | None,
    mask: Image | None,
) -> dict[str, Any] | None:
    if fixed is None or moving is None:
        return None
    assert warped is not None

    def compared(grid: Grid) -> Iterator[Image]:
        """The moving image before and after; not both are held at a time."""
        clamped = without_padding(moving)
        yield clamped.resampled(grid, fill=background(clamped))
        del clamped
        yield finite_warped(warped, moving)

    before, after = similarities(fixed, compared(fixed.grid), mask)
    return {"before": before, "after": after}


def _alignment(
    transform: Transform,
    fixed: Image | None,
    moving: Image | None,
    warped: Image | None,
    region: Region,
) -> dict[str, Any] | None:
    if fixed is None or moving is None or warped is None:
        return None
    return alignment(transform, fixed, moving, warped, region)


def _binary(mask: Image | None) -> Image | None:
    return None if mask is None else replace(mask, data=(mask.data != 0).to(torch.uint8))


def _mask_overlap(
    transform: Transform, fixed: Image | None, moving: Image | None
) -> dict[str, Any]:
    if fixed is None or moving is None:
        return {}
    initial = registered_overlap(fixed, moving, Affine(), fixed.grid)
    final = registered_overlap(fixed, moving, transform, fixed.grid)
    return {"mask": {"before": initial.get(1), "after": final.get(1)}}


def _label_overlap(
    transform: Transform,
    fixed: Image | Sequence[Image] | None,
    moving: Image | Sequence[Image] | None,
    image: Image | None,
    names: Mapping[int, str],
) -> dict[str, Any]:
    if fixed is None or moving is None:
        return {}
    within = None if image is None else image.grid
    initial = registered_overlap(fixed, moving, Affine(), within)
    final = registered_overlap(fixed, moving, transform, within)
    return {
        names.get(label, str(label)): {"before": initial.get(label), "after": final.get(label)}
        for label in sorted(initial.keys() | final.keys())
    }
