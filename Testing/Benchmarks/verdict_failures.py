"""Results of registrations, good, poor and wrong, of a pair of which the truth is known.

Some are made by registering with something wrong; most by changing the transform of a good result.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch

from DeepRegistrationLib import register
from DeepRegistrationLib.errors import RegistrationError
from DeepRegistrationLib.evaluation.region import Region
from DeepRegistrationLib.images.geometry import Grid
from DeepRegistrationLib.images.image import Image
from DeepRegistrationLib.images.plain_data import GIVEN
from DeepRegistrationLib.transforms import Affine, Composite, DisplacementField, Transform
from Testing.Benchmarks.random_fields import nodes_of, random_field
from Testing.Benchmarks.verdict_pairs import Pair

SHIFTS = (1.0, 2.0, 4.0, 8.0, 20.0, 40.0)  # mm
SMOOTH = (2.0, 4.0, 8.0)  # mm, root mean square of smooth random fields
_DIRECTION = np.array([0.6, -0.5, 0.62]) / math.sqrt(0.6**2 + 0.5**2 + 0.62**2)


@dataclass(frozen=True, eq=False)
class Result:
    """A transform that a user could be given.

    Attributes:
        title: What is wrong with it.
        transform: Fixed to moving.
        moving: The image that it was made for.
        region: That was kept with it.
        error: As of ``Pair.error``; infinite where nothing corresponds.
        away: Mean distance in mm from the default result, at the pair's points.
    """

    title: str
    transform: Transform
    moving: Image
    region: Region
    error: float
    away: float


def registered(pair: Pair, other: Pair) -> Iterator[tuple[str, Callable[[], Transform], Any]]:
    """Registrations, right and wrong: title, what makes the transform, and what differs then.

    Args:
        pair: Whose images are registered.
        other: Of another patient.
    """
    masks = {"fixed_mask": pair.region.mask, "moving_mask": pair.moving_mask}

    def run(**options: Any) -> Callable[[], Transform]:
        return lambda: register(pair.fixed, **{"moving": pair.moving, **masks, **options}).transform

    yield "default", run(), {}
    yield "fast", run(quality="fast"), {}
    yield "affine", run(method="affine"), {}
    yield "few iterations", run(quality="fast", parameters={"iterations": 0.1}), {}
    yield "too smooth", run(quality="fast", parameters={"smoothness": 100.0}), {}
    yield "failed start", run(quality="fast", initial=_start(pair)), {}
    alien = other.moving if pair.kind == "lung" else _placed(other.moving, pair.moving.grid)
    theirs = {"moving": alien, "moving_mask": other.moving_mask}
    yield "wrong patient", run(quality="fast", **theirs), {"moving": alien, "alien": True}
    flip = _mirror(pair.moving.grid)
    theirs = {
        "moving": _flipped(pair.moving),
        "moving_mask": None if pair.moving_mask is None else _flipped(pair.moving_mask),
        "initial": Affine(),
    }
    changed = {"moving": theirs["moving"], "after": flip}
    yield "mirrored image", run(quality="fast", **theirs), changed
    if pair.region.mask is not None:
        yield from _wrong_masks(pair, run)


def _wrong_masks(pair: Pair, run: Callable[..., Callable[[], Transform]]) -> Iterator[Any]:
    assert pair.region.mask is not None
    assert pair.moving_mask is not None
    lungs = pair.region.mask, pair.moving_mask
    right = [_half(mask, right=True) for mask in lungs]
    left = [_half(mask, right=False) for mask in lungs]
    for title, ours, theirs in (
        ("half lungs", right[0], right[1]),
        ("swapped sides", right[0], left[1]),
        ("one lung in one mask", lungs[0], left[1]),
        ("shifted mask", _moved(lungs[0], 50.0), lungs[1]),
    ):
        masks = {"fixed_mask": ours, "moving_mask": theirs}
        yield title, run(quality="fast", **masks), {"mask": ours}


def changed(pair: Pair, good: Transform, affine: Transform) -> Iterator[tuple[str, Transform]]:
    """What can be made of a good result, without registering."""
    grid = pair.fixed.grid
    yield "identity", Affine()
    for mm in SHIFTS:
        yield f"shifted by {mm:g} mm", Composite([good, Affine(translation=mm * _DIRECTION)])
    for mm in SMOOTH:
        yield f"random {mm:g} mm", Composite([random_field(grid, mm, 25.0, int(mm)), good])
    yield "jitter 0.5 mm", Composite([random_field(grid, 0.5, 20.0, 9), good])
    yield "folded", Composite([random_field(grid, 8.0, 6.0, 3), good])
    for share in (0.25, 0.5):
        yield f"{100 * share:.0f} % affine", _mixed(good, affine, grid, lambda p, s=share: s)
    center = grid.center()
    side = lambda p: torch.sigmoid((p[..., 0] - center[0]) / 5.0)  # noqa: E731
    yield "one side affine", _mixed(good, affine, grid, side)
    yield "mirrored", Composite([_mirror(grid), good])
    yield "turned by 10 degrees", Composite([_turned(grid, 10.0), good])


def results(pair: Pair, other: Pair, kept: dict[str, Transform]) -> Iterator[Result]:
    """All results of a pair.

    Args:
        pair: Whose results.
        other: Of another patient.
        kept: Transforms of registrations that were made before, by title; new ones are added.
    """
    for title, make, differs in registered(pair, other):
        if title not in kept:
            try:
                kept[title] = DisplacementField.of(make(), nodes_of(pair.fixed.grid))
            except RegistrationError as error:
                print(f"{pair.name}, {title}: refused. {error}", flush=True)
                continue
        transform, region = kept[title], pair.region
        if "mask" in differs:
            region = Region(GIVEN, differs["mask"])
        truth = Composite([transform, differs["after"]]) if "after" in differs else transform
        error = math.inf if "alien" in differs else pair.error(truth)
        moving = differs.get("moving", pair.moving)
        yield Result(title, transform, moving, region, error, _away(pair, transform, kept))
    for title, transform in changed(pair, kept["default"], kept["affine"]):
        error = pair.error(transform)
        away = _away(pair, transform, kept)
        yield Result(title, transform, pair.moving, pair.region, error, away)


def _away(pair: Pair, transform: Transform, kept: dict[str, Transform]) -> float:
    apart = transform(pair.points) - kept["default"](pair.points)
    return float(apart.norm(dim=1).mean())


def _start(pair: Pair) -> Affine:
    """A start 30 mm off; it still leaves the images on each other."""
    return Affine(translation=(12.0, -12.0, 25.0) if pair.kind == "lung" else (25.0, -16.0, 0.0))


def _mirror(grid: Grid) -> Affine:
    """Left and right exchanged around the middle of a grid."""
    matrix = np.diag([-1.0, 1.0, 1.0])
    return Affine(matrix, grid.center() - matrix @ grid.center())


def _turned(grid: Grid, degrees: float) -> Affine:
    c, s = math.cos(math.radians(degrees)), math.sin(math.radians(degrees))
    matrix = np.array([[c, -s, 0.0], [s, c, 0.0], [0.0, 0.0, 1.0]])
    return Affine(matrix, grid.center() - matrix @ grid.center())


def _flipped(image: Image) -> Image:
    """What the mirror shows, on the same grid."""
    points = _mirror(image.grid)(image.grid.points().double())
    values = image.sample(points, interpolation="nearest", fill=None)
    return replace(image, data=values.to(image.data.dtype))


def _half(mask: Image, *, right: bool) -> Image:
    """The lung of one side: right is low x."""
    x = mask.grid.points()[..., 0]
    inside = mask.data != 0
    middle = 0.5 * (x[inside].min() + x[inside].max())
    side = x < middle if right else x >= middle
    return replace(mask, data=(inside & side).to(torch.uint8))


def _placed(image: Image, grid: Grid) -> Image:
    """The image on another grid, centers on each other: as if it were of one series."""
    offset = grid.center() - image.grid.center()
    moved = replace(image.grid, origin=tuple(np.add(image.grid.origin, offset)))
    return replace(image, grid=moved).resampled(grid, fill=None)


def _moved(mask: Image, mm: float) -> Image:
    """The mask further down by so much."""
    return replace(
        Image(
            mask.data, replace(mask.grid, origin=tuple(np.subtract(mask.grid.origin, (0, 0, mm))))
        ).resampled(mask.grid, interpolation="nearest"),
        name=mask.name,
    )


def _mixed(first: Transform, second: Transform, grid: Grid, share: Callable) -> DisplacementField:
    """(1 - share) of the first, share of the second."""
    nodes = nodes_of(grid)
    a, b = (DisplacementField.of(t, nodes).vectors for t in (first, second))
    weight = share(nodes.points())
    return DisplacementField(a + weight * (b - a), nodes)
