"""Which structures the optimization aligns besides the images' values."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from DeepRegistrationLib.images.extents import centroid_index
from DeepRegistrationLib.images.image import Image
from DeepRegistrationLib.methods.context import Context
from DeepRegistrationLib.methods.guide import Structures
from DeepRegistrationLib.methods.optimize.instance import ClassPair
from DeepRegistrationLib.methods.optimize.presets import OptimizationPreset
from DeepRegistrationLib.methods.optimize.ventricles import ventricles


def aligned_classes(
    preset: OptimizationPreset, fixed: Image, moving: Image, context: Context
) -> tuple[OptimizationPreset, ClassPair | None]:
    """What drives the fit besides the images, and the settings with its weight.

    Structures that were given take the place of those that the program would segment itself.
    """
    if context.structures is None:
        return preset, ventricles(preset, fixed, moving, context)
    return with_structures(preset, context.structures, fixed, moving)


def with_structures(
    preset: OptimizationPreset, structures: Structures, fixed: Image, moving: Image
) -> tuple[OptimizationPreset, ClassPair]:
    """Structures as a term of the loss, which counts inside and outside the mask."""
    preset = replace(
        preset,
        segmentation=structures.weight,
        segmented_bending=preset.segmented_bending or preset.bending,
    )
    return preset, ClassPair(
        [_on(share, fixed) for share in structures.fixed],
        [_on(share, moving) for share in structures.moving],
        everywhere=True,
    )


def outside(structures: Structures | None, mask: Image) -> Structures | None:
    """Those that lie outside a mask of the fixed image for the most part."""
    if structures is None:
        return None
    rows = []
    for row, share in enumerate(structures.fixed):
        within = mask.resampled(share.grid, interpolation="nearest").data != 0
        inside = share.data.to(within.device) != 0
        if 2 * int((inside & within).sum()) < int(inside.sum()):
            rows.append(row)
    return structures.of(rows) if rows else None


def centers(structures: Structures) -> tuple[np.ndarray, np.ndarray]:
    """Their centers of mass in both images, LPS mm: two arrays [n, 3]."""
    fixed, moving = (
        np.array([share.grid.to_physical(centroid_index(share.data)) for share in side])
        for side in (structures.fixed, structures.moving)
    )
    return fixed, moving


def _on(share: Image, image: Image) -> Image:
    """A structure where the image computes, and on its grid: it may have been made coarser."""
    share = share.to(image.data.device)
    return share if share.grid == image.grid else share.resampled(image.grid, fill=0)
