"""The left ventricle's own directions, and the 17 segments of the American Heart Association.

From a short-axis stack's labels: the slice axis from base to apex, the middle of the cavity in each
slice, and the septum between the insertions of the right ventricle. Seen from the apex, the septum
is left, the anterior wall above, the lateral wall right (Cerqueira et al., Circulation 105:539,
2002). Which wall is anterior follows from the header's axes: an archive that lost or mirrored them
exchanges anterior and inferior.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from DeepRegistrationLib.errors import RegistrationError
from DeepRegistrationLib.images.geometry import Grid
from DeepRegistrationLib.images.image import Image
from DeepRegistrationLib.methods.heart.preparation import (
    LEFT,
    MYOCARDIUM,
    RIGHT,
    frame_of_labels,
    slice_axis,
)

_SIXTHS = (2, 1, 6, 5, 4, 3)  # from the middle of the septum towards the anterior wall, 60 degrees
_QUARTERS = (14, 13, 16, 15)  # likewise, 90 degrees, the first around the middle of the septum
_FEWEST = 3  # slices with cavity and muscle: of fewer there are no three levels
_NEAR = 6.0  # mm from the muscle within which the right ventricle touches it


@dataclass(frozen=True, eq=False)
class HeartPoints:
    """The voxels of the myocardium at the reference frame.

    Attributes:
        points: Their centers, LPS mm: [n, 3].
        radial, circumferential, longitudinal: Unit vectors there: outwards; from the septum to the
            anterior wall and on (clockwise, seen from the apex); from base to apex: [n, 3].
        segments: 1 to 17: [n].
        cavity: Centers of the voxels of the left ventricle's cavity: [m, 3].
        slice_mm: Distance of the slices.
        voxel_ml: Volume of a voxel.
    """

    points: np.ndarray
    radial: np.ndarray
    circumferential: np.ndarray
    longitudinal: np.ndarray
    segments: np.ndarray
    cavity: np.ndarray
    slice_mm: float
    voxel_ml: float


def heart_points(labels: Image) -> HeartPoints:
    """The myocardium with its directions and segments.

    Args:
        labels: Right ventricle 1, myocardium 2, left ventricle 3, on a short-axis stack.

    Raises:
        RegistrationError: A structure is missing, or fewer than three slices show the ventricle.
    """
    values = labels.data.detach().cpu().numpy()
    for number, name in ((MYOCARDIUM, "myocardium (2)"), (LEFT, "left ventricle (3)"),
                         (RIGHT, "right ventricle (1)")):  # fmt: skip
        if not (values == number).any():
            raise RegistrationError(
                f"{labels.name} shows no {name}; strain needs a segmentation of the heart with the "
                "right ventricle 1, the myocardium 2 and the left ventricle 3."
            )
    grid = labels.grid
    apex = np.reshape(frame_of_labels(labels).direction, (3, 3))[:, 2]
    muscle, cavity, right = (
        grid.to_physical(np.argwhere(values == k)[:, ::-1]) for k in (MYOCARDIUM, LEFT, RIGHT)
    )
    thick = grid.spacing[slice_axis(grid)]
    axis = _Axis(muscle, cavity, apex, thick)
    septum = _septum(muscle, right, axis, apex)
    outwards = muscle - axis.at(muscle)
    outwards -= (outwards @ apex)[:, None] * apex
    distance = np.linalg.norm(outwards, axis=1)
    kept = distance > 1e-3
    muscle, radial = muscle[kept], outwards[kept] / distance[kept, None]
    return HeartPoints(
        points=muscle,
        radial=radial,
        circumferential=np.cross(radial, apex),
        longitudinal=np.broadcast_to(apex, radial.shape),
        segments=_segments(radial, axis.levels(muscle), septum, apex),
        cavity=cavity,
        slice_mm=thick,
        voxel_ml=_voxel_ml(grid),
    )


def cavity_ml(labels: Image, number: int = LEFT) -> float:
    """The volume of a structure of a label map, ml."""
    return float((labels.data == number).sum()) * _voxel_ml(labels.grid)


def _voxel_ml(grid: Grid) -> float:
    return float(np.prod(grid.spacing)) / 1000


class _Axis:
    """The line through the middles of the cavity's slices, and the three levels along it."""

    def __init__(
        self, muscle: np.ndarray, cavity: np.ndarray, apex: np.ndarray, thick: float
    ) -> None:
        self._apex, self._thick = apex, thick
        self._first = float(min((muscle @ apex).min(), (cavity @ apex).min()))
        slices = self._slice(cavity)
        shown = sorted(set(slices.tolist()) & set(self._slice(muscle).tolist()))
        if len(shown) < _FEWEST:
            raise RegistrationError(
                f"The left ventricle is seen in {len(shown)} slices; basal, mid and apical "
                f"segments need at least {_FEWEST}."
            )
        self._ends = (shown[0], shown[-1])
        middles = np.array([cavity[slices == k].mean(axis=0) for k in shown])
        sizes = np.array([(slices == k).sum() for k in shown], float)
        level = middles @ apex
        line = np.stack([np.ones_like(level), level], axis=1) * np.sqrt(sizes)[:, None]
        self._line, *_ = np.linalg.lstsq(line, middles * np.sqrt(sizes)[:, None], rcond=None)

    def _slice(self, points: np.ndarray) -> np.ndarray:
        return np.rint((points @ self._apex - self._first) / self._thick).astype(int)

    def at(self, points: np.ndarray) -> np.ndarray:
        """The axis at the points' levels: [n, 3]."""
        level = points @ self._apex
        return np.stack([np.ones_like(level), level], axis=1) @ self._line

    def levels(self, points: np.ndarray) -> np.ndarray:
        """0 basal, 1 mid, 2 apical, 3 the apex beyond the cavity: [n]."""
        number = self._slice(points)
        low, high = self._ends
        third = np.clip((number - low) * 3 // (high - low + 1), 0, 2)
        return np.where(number > high, 3, third)


def _septum(muscle: np.ndarray, right: np.ndarray, axis: _Axis, apex: np.ndarray) -> np.ndarray:
    """The direction from the axis to the middle between the right ventricle's insertions: [3]."""
    outwards = right - axis.at(right)
    outwards -= (outwards @ apex)[:, None] * apex
    middle = outwards.mean(axis=0)
    middle /= np.linalg.norm(middle)
    across = np.cross(middle, apex)
    own = muscle - axis.at(muscle)
    own -= (own @ apex)[:, None] * apex
    wall = np.percentile(np.linalg.norm(own, axis=1), 90)
    near = np.linalg.norm(outwards, axis=1) < wall + _NEAR
    chosen = outwards[near] if near.sum() > 10 else outwards
    angle = np.arctan2(chosen @ across, chosen @ middle)
    first, last = np.percentile(angle, [2, 98])  # the two insertions
    turned = 0.5 * (first + last)
    return np.cos(turned) * middle + np.sin(turned) * across


def _segments(
    radial: np.ndarray, levels: np.ndarray, septum: np.ndarray, apex: np.ndarray
) -> np.ndarray:
    anterior = np.cross(septum, apex)
    angle = np.degrees(np.arctan2(radial @ anterior, radial @ septum)) % 360.0
    sixths = np.array(_SIXTHS)[(angle // 60).astype(int) % 6]
    quarters = np.array(_QUARTERS)[((angle + 45) // 90).astype(int) % 4]
    return np.choose(levels, [sixths, sixths + 6, quarters, np.full(len(angle), 17)])
