"""Where a registration driven by landmark pairs begins, and whether its method can be driven."""

from __future__ import annotations

import numpy as np

from DeepRegistrationLib.errors import RegistrationError
from DeepRegistrationLib.evaluation.rigid import fit_rigid
from DeepRegistrationLib.methods import Method
from DeepRegistrationLib.methods.guide import Guide, Structures
from DeepRegistrationLib.methods.optimize.structures import centers
from DeepRegistrationLib.transforms import Affine

_FEWEST = 4  # pairs that determine an affine
_SPREAD = 10.0  # mm, in each direction, below which they determine no affine
_FAR, _TURNED = 80.0, 30.0  # mm, degrees: beyond them the alignment of images may not find it
_VOLUMES = (0.5, 2.0)  # the determinant of an affine that is one of two scans of people


def check_guided(method: Method, refine: bool) -> None:
    """Check that landmark pairs or structures can drive a registration.

    Raises:
        RegistrationError: Neither the method nor a refinement looks at them.
    """
    if not (method.guided or refine):
        raise RegistrationError(
            f"{method.title} cannot be driven by landmarks or segments; choose the method "
            "optimize, or add the refinement, which can."
        )


def structure_start(structures: Structures, notes: list[str]) -> Affine:
    """As :func:`landmark_start`, by the centers of structures."""
    return _start(Guide(*centers(structures), 1.0), "driving segment(s)", notes, affine=False)


def landmark_start(guide: Guide, notes: list[str]) -> Affine:
    """The map that fits landmark pairs best, by which two images that lie apart come together.

    An affine of four or more pairs that are spread in all directions, else a rotation and a shift
    of three or more, else a shift.
    """
    return _start(guide, "driving landmark pair(s)", notes)


def far_start(guide: Guide, notes: list[str]) -> Affine | None:
    """A start of images that overlap, but are turned or lie far from each other, as pairs say.

    None where the pairs do not determine an affine, or the images' own alignment will do.
    """
    fixed, moving = guide.fixed, guide.moving
    found = _affine(fixed, moving)
    if found is None:
        return None
    rigid = fit_rigid(fixed, moving)
    apart = float(np.linalg.norm(moving - fixed, axis=1).mean())
    left = float(np.linalg.norm(rigid(fixed) - moving, axis=1).mean())
    if (apart < _FAR and rigid.degrees < _TURNED) or left > apart / 2:
        return None
    notes.append(
        f"The {len(fixed)} driving landmark pair(s) are {apart:.0f} mm apart, and turned by "
        f"{rigid.degrees:.0f} degrees. The registration started with an affine transform that "
        "brings them together."
    )
    return found


def _start(guide: Guide, drivers: str, notes: list[str], *, affine: bool = True) -> Affine:
    fixed, moving = guide.fixed, guide.moving
    found, what = (_affine(fixed, moving) if affine else None), "an affine transform"
    if found is None and len(fixed) > 2:
        rigid = fit_rigid(fixed, moving)
        found, what = Affine(rigid.rotation, rigid.translation), "a rotation and a shift"
    if found is None:
        found, what = Affine(translation=(moving - fixed).mean(axis=0)), "a shift"
    notes.append(
        "Warning: the two images do not overlap in space. The registration started with "
        f"{what} that brings the {len(fixed)} {drivers} together; check the result."
    )
    return found


def _affine(fixed: np.ndarray, moving: np.ndarray) -> Affine | None:
    """The affine with the least squared distances, where the pairs determine a plausible one."""
    if len(fixed) < _FEWEST:
        return None
    center = fixed.mean(axis=0)
    offsets = fixed - center
    if np.linalg.svd(offsets, compute_uv=False)[-1] / len(fixed) ** 0.5 < _SPREAD:
        return None
    columns = np.column_stack([offsets, np.ones(len(fixed))])
    solution = np.linalg.lstsq(columns, moving, rcond=None)[0]
    matrix = solution[:3].T
    if not _VOLUMES[0] < np.linalg.det(matrix) < _VOLUMES[1]:
        return None
    return Affine.about(center, matrix, solution[3] - center)
