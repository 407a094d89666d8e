"""What a pair of images shows: as much as the choice of settings and of a method rests on.

Nothing here loads PyTorch, so that a panel can tell before the engine runs.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from DeepRegistrationLib.images.geometry import Grid
from DeepRegistrationLib.images.hounsfield import hounsfield_offset
from DeepRegistrationLib.images.plain_data import Volume
from DeepRegistrationLib.methods.heart.cine_frames import correlation_in_place, show_one_heart

if TYPE_CHECKING:
    from DeepRegistrationLib.images.image import Image

LUNG_CT = "lung_ct"
CARDIAC_MRI = "cardiac_mri"
CARDIAC_MRI_PATIENTS = "cardiac_mri_patients"
GENERAL = "general"

HEARTS = (CARDIAC_MRI, CARDIAC_MRI_PATIENTS)

TITLES = {
    LUNG_CT: "lung CT",
    CARDIAC_MRI: "cardiac cine MRI, two frames of a patient",
    CARDIAC_MRI_PATIENTS: "short-axis cardiac MRI, two patients",
    GENERAL: "any anatomy",
}

_LUNG_DENSITY = -500.0  # HU
_WHOLE = 0.9  # of an image: a mask of more is of everything, also of the air around a chest
_MOST_SLICES = 30
_THICK = 2.5  # times the voxel's other edges
_SHORT_AXIS = (0.9, 5.0)  # mm in plane and between slices, at least: brains and prostates are finer
_MOST_SAMPLES = 1_000_000  # voxels at which a mask's density is looked up


@dataclass(frozen=True)
class Anatomy:
    """What was recognized.

    Attributes:
        name: A key of ``TITLES``.
        why: A clause that says what spoke for it.
    """

    name: str
    why: str

    @property
    def title(self) -> str:
        """For messages."""
        return TITLES[self.name]


def anatomy_of(
    fixed: Volume | Image, moving: Volume | Image, *, ct: bool, density: float | None
) -> Anatomy:
    """The rule, from a few facts.

    CT with a mask of lung density: lungs; a mask of the whole image tells nothing. Stacks of few
    thick slices that are not CT: alike voxel by voxel, frames of a cine series; else, with the
    voxels of short-axis MRI, hearts of two patients. Everything else: general.

    Args:
        ct: Both are CT.
        density: Median HU of the fixed image inside the mask (given, or the lungs); None without.
    """
    if ct and density is not None and density < _LUNG_DENSITY:
        return Anatomy(LUNG_CT, f"CT with a mask of lung density (median {density:.0f} HU)")
    if not ct and all(_is_stack(image.grid) for image in (fixed, moving)):
        likeness = correlation_in_place(fixed, moving)
        if show_one_heart(likeness):
            return Anatomy(CARDIAC_MRI, "both images are stacks of few thick slices on one grid")
        if all(_is_short_axis(image.grid) for image in (fixed, moving)):
            grids = "each on its own grid" if likeness is None else "unlike each other"
            return Anatomy(
                CARDIAC_MRI_PATIENTS, f"both images are stacks of few thick slices, {grids}"
            )
    return Anatomy(
        GENERAL, "neither lungs in CT nor two frames of a thick-slice series were recognized"
    )


def look_at(fixed: Volume, moving: Volume, fixed_mask: Volume | None = None) -> Anatomy:
    """What the engine will recognize, from a cheap look at the voxels.

    Args:
        fixed_mask: Where the fixed image counts, on any grid; without it lungs are looked for.
    """
    from DeepRegistrationLib.images.lungs import examine  # SciPy, not at Slicer's start

    offset = hounsfield_offset(fixed.data)
    ct = offset is not None and hounsfield_offset(moving.data) is not None
    density = None
    if (
        ct
        and fixed_mask is not None
        and selects(int(np.count_nonzero(fixed_mask.data)), fixed_mask.data.size)
    ):
        density = _density_inside(fixed, fixed_mask)
        density = None if density is None else density + (offset or 0.0)
    elif ct and fixed_mask is None and examine(moving).sure:
        lungs = examine(fixed)
        density = lungs.density if lungs.sure else None
    return anatomy_of(fixed, moving, ct=ct, density=density)


def selects(inside: int, voxels: int) -> bool:
    """Whether a mask of ``inside`` of an image's voxels leaves anything out that matters."""
    return inside <= _WHOLE * voxels


def _density_inside(image: Volume, mask: Volume) -> float | None:
    """Median of the voxels next to those of the mask; None where there are none."""
    index = np.argwhere(mask.data != 0)[:, ::-1]
    index = index[:: max(1, len(index) // _MOST_SAMPLES)]
    if not len(index):
        return None
    found = np.rint(image.grid.to_index(mask.grid.to_physical(index))).astype(int)
    inside = ((found >= 0) & (found < image.grid.size)).all(axis=1)
    x, y, z = found[inside].T
    return float(np.median(image.data[z, y, x])) if inside.any() else None


def _is_stack(grid: Grid) -> bool:
    return max(grid.spacing) >= _THICK * min(grid.spacing) and min(grid.size) <= _MOST_SLICES


def _is_short_axis(grid: Grid) -> bool:
    in_plane, between = _SHORT_AXIS
    return min(grid.spacing) >= in_plane and max(grid.spacing) >= between
