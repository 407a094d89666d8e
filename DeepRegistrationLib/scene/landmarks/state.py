"""What is known of landmark pairs at one moment: positions, errors, and what is missing."""

from __future__ import annotations

import csv
from dataclasses import dataclass, field, fields
from pathlib import Path

import numpy as np

from DeepRegistrationLib.evaluation.landmarks import paired_errors, snapped_to_voxels
from DeepRegistrationLib.images.atomic_output import atomic_file
from DeepRegistrationLib.scene.landmarks.driving_marks import Marks

_COLUMNS = ("before", "after", "snapped", "dx", "dy", "dz", "left_out")


def _no_points() -> np.ndarray:
    return np.empty((0, 3))


@dataclass(frozen=True, eq=False)
class LandmarkState:
    """All that can be said of the landmarks at one moment; positions are LPS mm in the world.

    A row is a pair, or a point that has no counterpart (yet); those come last. What is not known
    is NaN.

    Attributes:
        labels: Of the fixed points (of the moving one where there is no fixed point).
        indices: Control point in the fixed and in the moving list, -1 for none: int [n, 2].
        fixed, moving: [n, 3]. Moving points are where they are without the evaluated transform,
            also when they lie under it.
        mapped: T(fixed), [n, 3]; NaN without a transform.
        included: Whether both points are selected: bool [n].
        marks: Which pairs drive the deformation, or did. Those that did never count: the transform
            was made to fit them. None stands for no such pair.
        by_label: Whether equal labels made the pairs, and not the order of the lists.
        index_to_physical: Voxel index of the moving volume to LPS mm, [4, 4]; or None.
        statistics: ``n``, ``before``, ``after``, ``snapped`` of the rows that count, as
            :func:`DeepRegistrationLib.evaluation.landmarks.paired_errors` has them; ``after`` is
            None without a transform, and all is None without a row that counts. ``before`` is the
            distance without any transform, whatever the registration started from.
        problem: What is missing or wrong, as one sentence for the user, or None.
        changed: The rows that differ from the state before, or None where the rows themselves do
            (a table has to be built anew).
    """

    labels: tuple[str, ...] = ()
    indices: np.ndarray = field(default_factory=lambda: np.empty((0, 2), dtype=int))
    fixed: np.ndarray = field(default_factory=_no_points)
    moving: np.ndarray = field(default_factory=_no_points)
    mapped: np.ndarray = field(default_factory=_no_points)
    included: np.ndarray = field(default_factory=lambda: np.empty(0, dtype=bool))
    marks: Marks = None  # type: ignore[assignment]  # never after __post_init__
    by_label: bool = False
    index_to_physical: np.ndarray | None = None
    statistics: dict | None = None
    problem: str | None = None
    changed: np.ndarray | None = None

    def __post_init__(self) -> None:
        if self.marks is None:
            object.__setattr__(self, "marks", Marks.none(len(self.labels)))

    @property
    def before(self) -> np.ndarray:
        """|fixed - moving| in mm, [n]."""
        return np.linalg.norm(self.fixed - self.moving, axis=1)

    @property
    def residual(self) -> np.ndarray:
        """T(fixed) - moving, the remaining error vector (dx, dy, dz) in LPS mm: [n, 3]."""
        return self.mapped - self.moving

    @property
    def after(self) -> np.ndarray:
        """|T(fixed) - moving| in mm, [n]."""
        return np.linalg.norm(self.residual, axis=1)

    @property
    def snapped(self) -> np.ndarray:
        """The same with T(fixed) rounded to the moving volume's voxel centers: [n]."""
        if self.index_to_physical is None:
            return np.full(len(self.labels), np.nan)
        centers = snapped_to_voxels(self.mapped, self.index_to_physical)
        return np.linalg.norm(centers - self.moving, axis=1)

    @property
    def usable(self) -> np.ndarray:
        """The rows of whole pairs that are not excluded, which may drive a registration: [n]."""
        return self.included & np.isfinite(self.fixed - self.moving).all(axis=1)

    @property
    def counted(self) -> np.ndarray:
        """The rows that the statistics are of: bool [n]."""
        return self._measurable & ~self.marks.drove

    @property
    def fitted(self) -> np.ndarray:
        """The rows that would count, had they not driven the transform: bool [n]."""
        return self._measurable & self.marks.drove

    @property
    def _measurable(self) -> np.ndarray:
        known = self.residual if np.isfinite(self.mapped).any() else self.fixed - self.moving
        return self.included & np.isfinite(known).all(axis=1)

    def worst_first(self) -> np.ndarray:
        """The rows that count, the largest error first; without a transform the distance."""
        rows = np.flatnonzero(self.counted)
        error = np.where(np.isfinite(self.after), self.after, self.before)[rows]
        return rows[np.argsort(-error, kind="stable")]

    def summary(self) -> dict | None:
        """The statistics of the rows that count, for the attribute of that name."""
        rows = self.counted
        if not rows.any():
            return None
        registered = bool(np.isfinite(self.mapped[rows]).all())
        mapped = (self.mapped if registered else self.fixed)[rows]
        voxels = self.index_to_physical if registered else None
        result = paired_errors(self.fixed[rows], mapped, self.moving[rows], voxels)
        return result if registered else {**result, "after": None}

    def rows_changed_since(self, other: LandmarkState) -> np.ndarray | None:
        """Which rows differ from another state; None where they are not the same rows."""
        if self.labels != other.labels or not np.array_equal(self.indices, other.indices):
            return None
        if not _same(self.index_to_physical, other.index_to_physical):
            return np.arange(len(self.labels))
        differs = self.included != other.included
        for name in ("fixed", "moving", "mapped"):
            own, before = getattr(self, name), getattr(other, name)
            differs |= ((own != before) & ~(np.isnan(own) & np.isnan(before))).any(axis=1)
        for mark in fields(Marks):
            own, before = getattr(self.marks, mark.name), getattr(other.marks, mark.name)
            differs |= (own != before) & ~((own != own) & (before != before))  # NaN is NaN
        return np.flatnonzero(differs)


def _same(first: np.ndarray | None, second: np.ndarray | None) -> bool:
    if first is None or second is None:
        return first is second
    return np.array_equal(first, second)


def write_errors(state: LandmarkState, path: str | Path) -> None:
    """Write a row a landmark as CSV.

    The columns: label, included, drove, then in mm before, after, snapped, dx, dy, dz, left_out.
    dx, dy and dz are T(fixed) - moving to the patient's left, back and head. Of a landmark that
    drove the transform, errors show the fit only; left_out is the error there without it. What is
    not known is left empty.

    Raises:
        RegistrationError: The file cannot be written; an earlier one is left as it was.
    """
    marks = state.marks
    values = [state.before, state.after, state.snapped, state.residual, marks.left_out]
    with atomic_file(path) as partial, open(partial, "w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["label", "included", "drove", *(f"{name}_mm" for name in _COLUMNS)])
        rows = zip(state.labels, state.included, marks.drove, np.column_stack(values), strict=True)
        for label, included, drove, row in rows:
            numbers = [f"{value:.4f}" if np.isfinite(value) else "" for value in row]
            writer.writerow([label, int(included), int(drove), *numbers])
