"""Which landmarks of two lists belong together: one rule for files and for point lists.

Nothing here loads PyTorch.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from DeepRegistrationLib.errors import RegistrationError
from DeepRegistrationLib.evaluation.direction import like_indices
from DeepRegistrationLib.evaluation.landmarks import check_landmarks
from DeepRegistrationLib.files.landmark_files import LandmarkList, read_landmark_list

if TYPE_CHECKING:
    from DeepRegistrationLib.images.geometry import Grid


AS_INDICES = (
    "All coordinates of the landmarks are whole numbers, as voxel indices are (DIR-Lab's, say); "
    "they were taken as LPS mm."
)
_MANY = 10  # own choice: of fewer points, mm may be whole numbers by chance
BY_ORDER = "The landmarks were paired by their order, as their labels differ."


@dataclass(frozen=True, eq=False)
class LandmarkPairs:
    """Corresponding points.

    Attributes:
        labels: Of the fixed points; of a file, the row from 1 where a point has none.
        fixed, moving: LPS mm, [n, 3]; row i of one matches row i of the other.
        notes: Sentences about points that do not count.
    """

    labels: list[str]
    fixed: np.ndarray
    moving: np.ndarray
    notes: tuple[str, ...] = ()


@dataclass(frozen=True, eq=False)
class Pairing:
    """Which points of two lists belong together.

    Attributes:
        indices: Into the two lists, in the order of the fixed one: int [n, 2].
        by_label: Whether equal labels made the pairs, and not the order of the lists.
        problem: Why it cannot be told for all points, to follow the names of the lists; or None.
        note: Said where the order made the pairs although labels of a row differ; else None.
    """

    indices: np.ndarray
    by_label: bool
    problem: str | None = None
    note: str | None = None


def pair_labels(fixed: Sequence[str], moving: Sequence[str]) -> Pairing:
    """Pair two lists of landmarks by their labels, or by their order.

    Labels make the pairs where none occurs twice and all labels of one list occur in the other:
    lists stay paired when a point is deleted or the order differs. The order makes the pairs where
    no label occurs in both lists (as with those that Slicer gives, ``F-1`` and ``M-1``), or where
    those that do stand in the same rows. All else is ambiguous: then the labels that occur once in
    each list are paired, and ``problem`` says why the others are not.

    Args:
        fixed, moving: The labels; "" for a point without.
    """
    rows, others = _rows_of(fixed), _rows_of(moving)
    common = rows.keys() & others.keys()
    once = {label for label in common if len(rows[label]) == len(others[label]) == 1}
    pairs = [(rows[label][0], others[label][0]) for label in fixed if label in once]
    indices = np.array(pairs, dtype=int).reshape(-1, 2)
    if common and len(once) == min(len(fixed), len(moving)) and common == once:
        return Pairing(indices, True)
    if all(rows[label] == others[label] for label in common):
        count = min(len(fixed), len(moving))
        rows_alike = np.repeat(np.arange(count)[:, None], 2, axis=1)
        differ = any(a and b and a != b for a, b in zip(fixed, moving, strict=False))
        return Pairing(rows_alike, False, note=BY_ORDER if differ else None)
    twice = next((label for label in fixed if label in common - once), None)
    single = next((label for label in (*fixed, *moving) if label not in common), "")
    why = f"{single!r} is in one of them only" if single else "a point has no label"
    if twice is not None:
        why = f"{twice!r} occurs twice"
    return Pairing(indices, True, f"have some labels in common, in different rows, but {why}")


def _rows_of(labels: Sequence[str]) -> dict[str, list[int]]:
    """The rows in which each label stands; points without a label left out."""
    found: dict[str, list[int]] = {}
    for row, label in enumerate(labels):
        if label:
            found.setdefault(label, []).append(row)
    return found


def read_landmark_pairs(
    fixed: str | Path,
    moving: str | Path,
    fixed_grid: Grid | None = None,
    moving_grid: Grid | None = None,
) -> LandmarkPairs:
    """The landmarks of two files that belong together; see :func:`pair_labels`.

    Points that are not selected in Slicer do not count, as in the panel.

    Args:
        fixed, moving: See :func:`landmark_files.read_landmark_list`.
        fixed_grid, moving_grid: Of the images; not checked when omitted.

    Raises:
        RegistrationError: A file cannot be read; it is ambiguous which points belong together; no
            pair is left; or a point lies outside its image.
    """
    files = Path(fixed), Path(moving)
    one, other = (read_landmark_list(file) for file in files)
    pairing = pair_labels(one.labels, other.labels)
    names = f"{files[0].name} and {files[1].name}"
    if pairing.problem is not None:
        raise RegistrationError(
            f"{names} {pairing.problem}; give points that belong together the same label, or leave "
            "the labels out and match row by row."
        )
    if not pairing.by_label and len(one.points) != len(other.points):
        raise RegistrationError(
            f"{names} hold {len(one.points)} fixed but {len(other.points)} moving landmarks; row i "
            "of one file has to match row i of the other, or points that belong together need the "
            "same label."
        )
    first, second = pairing.indices.T
    kept = one.selected[first] & other.selected[second]
    first, second = first[kept], second[kept]
    if len(first) == 0:
        raise RegistrationError(f"{names} hold no pair of selected landmarks.")
    pairs = LandmarkPairs(
        [one.labels[row] or str(row + 1) for row in first],
        one.points[first],
        other.points[second],
        tuple(_notes(len(kept) - len(first), (one, other), pairing)),
    )
    check_landmarks(pairs.fixed, pairs.moving, fixed_grid, moving_grid)
    return pairs


def _notes(
    unselected: int, lists: tuple[LandmarkList, LandmarkList], pairing: Pairing
) -> Iterator[str]:
    if all(like_indices(one.points) and len(one.points) >= _MANY for one in lists):
        yield AS_INDICES
    if pairing.note is not None:
        yield pairing.note
    for side, one in zip(("fixed", "moving"), lists, strict=True):
        alone = len(one.points) - len(pairing.indices)
        if alone > 0:
            yield f"Not counted: {alone} {side} landmark(s) without one of the same label."
    if unselected:
        yield f"Not counted: {unselected} landmark pair(s) that are unselected in the files."
