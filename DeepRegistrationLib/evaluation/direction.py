"""Whether landmarks, images and a transform are the right way round, and landmarks in LPS.

T maps points of the fixed image to the moving image. Where the two landmark lists are swapped, or
the transform is one from moving to fixed points, T(x_M) lies near x_F, and T(x_F) further from x_M
than x_F itself: the two cannot be told apart by landmarks alone. Where a list is in RAS, the
landmarks fit with its x and y negated. Nothing here loads PyTorch.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from DeepRegistrationLib.files.landmark_files import TO_LPS, shown

if TYPE_CHECKING:
    from DeepRegistrationLib.images.geometry import Grid

SHARE = 0.5  # own choice: of the error, at most, that is left the other way round
MAJORITY = 0.75  # own choice: this part of the landmarks has to agree
FEWEST = 3  # own choice: fewer landmarks may do so by chance


@dataclass(frozen=True)
class Swapped:
    """Landmarks that fit better the other way round.

    Attributes:
        n: How many landmarks.
        given: Mean |T(x_F) - x_M|, mm.
        swapped: Mean |T(x_M) - x_F|, mm.
    """

    n: int
    given: float
    swapped: float

    @property
    def text(self) -> str:
        """One sentence."""
        return (
            f"Wrong direction? With the {self.n} fixed and moving landmarks swapped, or with the "
            f"transform inverted, the mean error is {self.swapped:.2f} mm; as given it is "
            f"{self.given:.2f} mm, larger than without any transform."
        )


def better_swapped(
    fixed: np.ndarray, moving: np.ndarray, mapped: np.ndarray, moving_mapped: np.ndarray
) -> Swapped | None:
    """Whether landmarks fit a transform clearly better the other way round.

    They do where the transform makes the mean error larger as given, but at most half of that the
    other way round, and smaller for three quarters of the landmarks.

    Args:
        fixed, moving: x_F and x_M, LPS mm, [n, 3].
        mapped, moving_mapped: T(x_F) and T(x_M), [n, 3].
    """
    if len(fixed) < FEWEST:
        return None
    given, swapped, before = (
        np.linalg.norm(np.asarray(error, dtype=np.float64), axis=1)
        for error in (mapped - moving, moving_mapped - fixed, fixed - moving)
    )
    worse_as_given = given.mean() > before.mean() > swapped.mean()
    if not (worse_as_given and _clearly_better(swapped, given)):
        return None
    return Swapped(len(fixed), float(given.mean()), float(swapped.mean()))


@dataclass(frozen=True)
class Negated:
    """Landmarks that fit better with x and y negated: in RAS, but read as LPS.

    Attributes:
        n: How many landmarks.
        which: Those negated: ``fixed``, ``moving`` or ``fixed and moving``.
        given: Mean |T(x_F) - x_M|, mm.
        negated: The same with x and y of these landmarks negated, mm.
    """

    n: int
    which: str
    given: float
    negated: float

    @property
    def text(self) -> str:
        """One sentence."""
        return (
            f"Wrong signs? With x and y of the {self.n} {self.which} landmarks negated, as if they "
            f"were RAS instead of LPS, the mean error is {self.negated:.2f} mm; as given it is "
            f"{self.given:.2f} mm."
        )


def better_negated(
    fixed: np.ndarray, moving: np.ndarray, mapping: Callable[[np.ndarray], np.ndarray]
) -> Negated | None:
    """Whether landmarks fit a transform clearly better where those of a list are taken as RAS.

    One list is in RAS if with its x and y negated the landmarks lie clearly closer together before
    the registration, and after it: the list with which the error is least, as negating the other
    one gives two lists in RAS. Both are if the transform makes the error larger as given, but
    smaller, and clearly so, with both negated.

    Args:
        fixed, moving: x_F and x_M, LPS mm, [n, 3].
        mapping: T of such points.
    """
    if len(fixed) < FEWEST:
        return None
    ras = np.array(TO_LPS["RAS"])

    def errors(*signs: np.ndarray | float) -> tuple[np.ndarray, np.ndarray]:
        first, second = (
            np.asarray(x, dtype=np.float64) * sign
            for x, sign in zip((fixed, moving), signs, strict=True)
        )
        pairs = (first, second), (mapping(first), second)
        before, after = (np.linalg.norm(one - other, axis=1) for one, other in pairs)
        return before, after

    before, given = errors(1.0, 1.0)
    found = []
    for which, signs in (("fixed", (ras, 1.0)), ("moving", (1.0, ras))):
        closer, negated = errors(*signs)
        if _clearly_better(closer, before) and _clearly_better(negated, given):
            found.append(Negated(len(fixed), which, float(given.mean()), float(negated.mean())))
    _, negated = errors(ras, ras)
    if given.mean() > before.mean() > negated.mean() and _clearly_better(negated, given):
        both = "fixed and moving"
        found.append(Negated(len(fixed), both, float(given.mean()), float(negated.mean())))
    return min(found, key=lambda one: one.negated, default=None)


def _clearly_better(other: np.ndarray, given: np.ndarray) -> bool:
    """Whether errors are at most half on average, and smaller for three quarters of the points."""
    less = other.mean() <= SHARE * given.mean() and (other < given).mean() >= MAJORITY
    return bool(less)


def outside_problem(
    fixed: np.ndarray,
    moving: np.ndarray,
    fixed_grid: Grid | None,
    moving_grid: Grid | None,
    names: Sequence[str] = (),
) -> str | None:
    """Which landmarks lie outside their image, and what may be the reason; None where none does.

    Args:
        fixed, moving: LPS mm, [n, 3].
        fixed_grid, moving_grid: Of the images; not checked when None.
        names: Of the landmarks; their numbers from 1 when omitted.
    """
    sides = (("fixed", fixed, fixed_grid), ("moving", moving, moving_grid))
    for side, points, grid in sides:
        if grid is None:
            continue
        points = np.asarray(points, dtype=np.float64)
        outside = ~grid.contains(points)
        if outside.any():
            row, count = int(np.argmax(outside)), int(outside.sum())
            lie = "lies" if count == 1 else "lie"
            exchanged = in_each_other(fixed, moving, fixed_grid, moving_grid)
            name = names[row] if names else row + 1
            return (
                f"{count} of {len(points)} {side} landmarks {lie} outside the {side} "
                f"image (the first is landmark {name} at {shown(points[row])} mm); "
                f"{_reason(points, grid, exchanged)}."
            )
    return None


def in_each_other(
    fixed: np.ndarray, moving: np.ndarray, fixed_grid: Grid | None, moving_grid: Grid | None
) -> bool:
    """Whether each list lies inside the other image."""
    if fixed_grid is None or moving_grid is None:
        return False
    return bool(fixed_grid.contains(moving).all() and moving_grid.contains(fixed).all())


def _reason(points: np.ndarray, grid: Grid, exchanged: bool) -> str:
    if exchanged:
        return (
            "each list lies inside the other image, so the two are probably swapped: exchange the "
            "landmark lists, or the images"
        )
    if grid.contains(points * TO_LPS["RAS"]).all():
        return "with x and y negated all lie inside, so they are RAS: convert them to LPS"
    if like_indices(points) and (points <= np.array(grid.size)).all():
        return "they look like voxel indices, as DIR-Lab's: convert them to LPS mm"
    return "check that they belong to this image and are in LPS mm"


def like_indices(points: np.ndarray) -> bool:
    """Whether all coordinates are whole numbers from 0 on, as voxel indices and few mm are."""
    return bool((points >= 0).all() and (points == np.round(points)).all())
