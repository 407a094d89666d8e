"""Planes as one stack: their order, their even distance, and gantry tilt."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from DeepRegistrationLib.errors import RegistrationError
from DeepRegistrationLib.images.dicom.frames import DicomFrame
from DeepRegistrationLib.images.geometry import Grid

ON_A_PIXEL = 1e-4  # pixels
_SAME_PLACE = 0.02  # pixels: planes closer together lie at one position
_UNEVEN, _ROUNDED = 0.1, 0.2  # slice distances off an even one; where positions were rounded
_LATERAL = 0.3  # pixels off a line, across the slices


@dataclass(frozen=True, eq=False)
class Stack:
    """Planes in order along their normal.

    Attributes:
        frames: One at each position.
        grid: Right-handed; its planes are the frames'. Where they are tilted, that of the first
            frame's place and axes, and ``shear`` says how far each plane lies off it.
        shear: Displacement of a plane relative to the one before, along its own columns and rows,
            pixels: [2]; zero for a straight stack.
    """

    frames: tuple[DicomFrame, ...]
    grid: Grid
    shear: np.ndarray

    @property
    def tilted(self) -> bool:
        """Whether the planes are not stacked along their normal."""
        return bool(self.shear.any())

    @property
    def tilt(self) -> float:
        """Angle between the stack and the planes' normal, degrees."""
        across = np.linalg.norm(self.shear * self.grid.spacing[:2])
        return float(np.degrees(np.arctan2(across, self.grid.spacing[2])))

    def places(self) -> np.ndarray:
        """Columns and rows by which each plane's first pixel lies off the grid's: [z, 2]."""
        return np.arange(len(self.frames))[:, None] * self.shear

    def straight_grid(self) -> Grid:
        """The grid that all planes lie in, with the voxels of the first one."""
        if not self.tilted:
            return self.grid
        low, high = self.margins()
        columns, rows = np.array(self.grid.size[:2]) + high - low
        origin = self.grid.to_physical(np.array([*low, 0]))
        size = (int(columns), int(rows), len(self.frames))
        return replace(self.grid, size=size, origin=tuple(origin))

    def margins(self) -> tuple[np.ndarray, np.ndarray]:
        """Columns and rows to add before and behind the first plane's: [2], [2]."""
        places = self.places()
        low = np.floor(places.min(axis=0) + ON_A_PIXEL).astype(int)
        return low, np.ceil(places.max(axis=0) - ON_A_PIXEL).astype(int)


def places_along(frames: Sequence[DicomFrame]) -> list[list[DicomFrame]]:
    """Frames by their position along the normal, ascending."""
    axes, spacing = frames[0].axes, frames[0].spacing
    assert axes is not None and spacing is not None
    offsets = np.array([frame.position @ axes[:, 2] for frame in frames])
    order = np.argsort(offsets, kind="stable")
    places: list[list[DicomFrame]] = []
    last = -np.inf
    for k in order:
        if offsets[k] - last > _SAME_PLACE * min(spacing):
            places.append([])
            last = offsets[k]
        places[-1].append(frames[k])
    return places


def make_stack(frames: Sequence[DicomFrame], name: str) -> Stack:
    """The stack of frames, one at each position, in any order.

    The distances are measured as deviations from the line that fits the positions best, so that
    positions that were rounded to a decimal are even, and a missing slice is not.

    Raises:
        RegistrationError: Uneven, or shifted irregularly across the slices.
    """
    ordered = [place[0] for place in places_along(frames)]
    axes, pixel = ordered[0].axes, ordered[0].spacing
    assert axes is not None and pixel is not None
    local = np.array([frame.position for frame in ordered]) @ axes  # along row, column, normal
    index = np.arange(len(local))
    if len(local) == 1:
        step, start = np.array([0.0, 0.0, _thickness(ordered[0])]), local[0]
    else:
        (step, start), *_ = np.linalg.lstsq(
            np.column_stack([index, np.ones(len(index))]), local, rcond=None
        )
    residual = np.abs(local - start - index[:, None] * step).max(axis=0)
    rounding = _rounding(ordered)
    if residual[2] > _allowed(float(step[2]), rounding):
        raise _uneven(local[:, 2], name, one_object=ordered[0].frames > 1)
    across = residual[:2] / pixel
    if across.max() > max(_LATERAL, 0.6 * rounding / min(pixel)):
        raise RegistrationError(
            f"The slices of {name} are shifted against each other by up to "
            f"{residual[:2].max():.1f} mm, irregularly; give one series that was acquired as a "
            "stack."
        )
    shear = step[:2] / pixel
    drift = np.abs(step[:2]) * (len(local) - 1)
    if np.all(drift < np.maximum(_LATERAL * np.array(pixel), rounding)):
        shear = np.zeros(2)
        start = np.array([*local[:, :2].mean(axis=0), start[2]])
    grid = Grid(
        (*ordered[0].size, len(ordered)),
        (*pixel, round(float(step[2]), 9)),
        tuple(axes @ start),
        tuple(axes.ravel()),
    )
    return Stack(tuple(ordered), grid, shear)


def _allowed(step: float, rounding: float) -> float:
    """Deviation from an even distance, mm."""
    return max(_UNEVEN * step, min(_ROUNDED * step, 0.6 * rounding))


def _uneven(offsets: np.ndarray, name: str, one_object: bool) -> RegistrationError:
    gaps = np.diff(offsets)
    apart = f"lie {gaps.min():.2f} to {gaps.max():.2f} mm apart"
    if one_object:
        return RegistrationError(
            f"The planes of {name} {apart}, so they are not evenly spaced; export all of it on an "
            "evenly spaced grid."
        )
    return RegistrationError(
        f"The slices in {name} {apart}: some are missing or belong to another series; give the "
        "folder of one complete series."
    )


def _thickness(frame: DicomFrame) -> float:
    """Of a single slice, mm."""
    for keyword in ("SpacingBetweenSlices", "SliceThickness"):
        value = frame.number_of(keyword)
        if value is not None and value > 0:
            return value
    return 1.0


def _rounding(frames: Sequence[DicomFrame]) -> float:
    """The unit to which the positions were rounded, mm; 0 where they have many decimals."""
    positions = np.array([frame.position for frame in frames])
    for unit in (1.0, 0.1, 0.01):
        if np.abs(positions / unit - np.rint(positions / unit)).max() < 1e-4:
            return unit
    return 0.0
