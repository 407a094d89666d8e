"""Improve a registration around some places, driven by landmark pairs."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from numbers import Real

import numpy as np
import torch

from DeepRegistrationLib.arguments import points_of, takes
from DeepRegistrationLib.devices import choose_device
from DeepRegistrationLib.errors import RegistrationError
from DeepRegistrationLib.evaluation.driving_pairs import as_pairs
from DeepRegistrationLib.evaluation.landmark_match import match_at
from DeepRegistrationLib.evaluation.landmark_pairs import LandmarkPairs
from DeepRegistrationLib.evaluation.landmarks import mapped_points
from DeepRegistrationLib.images.geometry import Grid
from DeepRegistrationLib.images.image import Image
from DeepRegistrationLib.images.intensity import finite
from DeepRegistrationLib.images.masks import find_masks
from DeepRegistrationLib.images.pyramid import level_factor, level_spacing
from DeepRegistrationLib.methods.anatomy_recognition import recognize
from DeepRegistrationLib.methods.guide import Guide
from DeepRegistrationLib.methods.optimize.instance import scaled, shrunk, useful
from DeepRegistrationLib.methods.optimize.landmark_term import Targets
from DeepRegistrationLib.methods.optimize.local import Balls, Correction, boxed
from DeepRegistrationLib.methods.optimize.presets import PRESETS, Level, OptimizationPreset
from DeepRegistrationLib.options import check_weight
from DeepRegistrationLib.progress import Progress, part, silent
from DeepRegistrationLib.registration.gradients import outside_inference_mode
from DeepRegistrationLib.registration.improvement_notes import (
    LARGEST_RADIUS,
    REDUCED,
    contradictions,
    unreached,
)
from DeepRegistrationLib.registration.validation import check_pair
from DeepRegistrationLib.transforms import Affine, Composite, DisplacementField, Transform
from DeepRegistrationLib.transforms.composite import split_affine

RADIUS, WEIGHT = 30.0, 1.0
_COARSER = 1.75  # times the finest level's voxels: a field with larger ones gets more


@dataclass(frozen=True, eq=False)
class Improvement:
    """A registration that was improved around some places.

    Attributes:
        transform: Fixed to moving, everything in one.
        labels: Of the driving pairs.
        residuals: |T(x_F) - x_M| of the driving pairs afterwards, mm, [n]. They prove nothing.
        before: The same before.
        largest_change_outside: mm, at voxels farther than the radius from all places.
        notes: Sentences for the user.
    """

    transform: Transform
    labels: list[str]
    residuals: np.ndarray
    before: np.ndarray
    largest_change_outside: float
    notes: list[str] = field(default_factory=list)


@outside_inference_mode
@takes(fixed=Image, moving=Image, transform=Transform, radius=Real, fixed_mask=Image)
def improve(
    fixed: Image,
    moving: Image,
    transform: Transform,
    pairs: LandmarkPairs | tuple[np.ndarray, np.ndarray],
    places: np.ndarray | None = None,
    *,
    weight: float = WEIGHT,
    radius: float = RADIUS,
    fixed_mask: Image | None = None,
    device: str = "auto",
    progress: Progress = silent,
) -> Improvement:
    """Optimize a deformation anew around some places, driven by landmark pairs.

    From the present result on, images, landmarks and smoothness decide inside the radius; outside
    nothing changes.

    Args:
        fixed, moving: The images.
        transform: The present result, fixed to moving.
        pairs: Landmark pairs that drive it, or the fixed and the moving points, LPS mm, [n, 3].
        places: Points of the fixed image around which to look, [k, 3]; the fixed landmarks when
            omitted.
        weight: Of the landmarks: 1 where they are trusted to 1 mm, 4 to 0.5 mm, 0.25 to 2 mm.
        radius: How far from a place the deformation may change, mm, up to 200.
        fixed_mask: Where the fixed image counts; the lungs in chest CT when omitted.
        device: ``auto``, ``cpu`` or ``cuda``.
        progress: Called with (fraction, stage); may raise ``Cancelled``.

    Raises:
        RegistrationError: Something that the user can correct; the message says what.
    """
    driving = as_pairs(pairs, fixed.grid, moving.grid)
    centers = _places(driving.fixed if places is None else places, fixed.grid)
    check_weight(weight)
    if not 0 < radius < np.inf:
        raise RegistrationError(f"The radius is {radius:g} mm; give a number above 0.")
    if radius > LARGEST_RADIUS:
        raise RegistrationError(
            f"The radius is {radius:g} mm; an improvement is local: give {LARGEST_RADIUS:g} mm at "
            "most, or let the landmarks drive a whole registration."
        )
    check_pair(fixed, moving, fixed_mask, initial=transform)
    where = choose_device(device)[0]
    notes = list(driving.notes)
    progress(0.0, "Preparing the improvement")
    fixed, moving = finite(fixed), finite(moving)
    with torch.no_grad():
        mask = find_masks(fixed, moving, fixed_mask, None, []).fixed
        fixed, moving, mask = fixed.to(where), moving.to(where), mask and mask.to(where)
        preset, levels = _settings(fixed, moving, mask)
        present, affine = _field(
            transform.to(where), fixed.grid, levels[-1], Balls(centers, radius)
        )
        balls = Balls(centers, radius - float(np.linalg.norm(present.grid.spacing)))
        if balls.radius < 2 * max(present.grid.spacing):
            raise RegistrationError(
                f"The radius of {radius:g} mm is less than three voxels of the deformation; give a "
                "larger one."
            )
        targets = Targets.of(Guide(driving.fixed, driving.moving, weight), affine)
        one, other = scaled(fixed, preset), scaled(moving, preset)
        clusters = balls.clusters()
        found, reduced = present, False
        for number, cluster in enumerate(clusters):
            report = part(progress, number / len(clusters), (number + 1) / len(clusters))
            near = _near(targets, cluster)
            correction = Correction(one, other, mask, found, affine, cluster, near, preset)
            found, less = correction.fitted(levels, _titled(report))
            reduced = reduced or less
        improved = _joined(found, affine)
        window, noise = levels[-1].window, preset.noise
        match = [
            match_at(one, other, t, driving.fixed, window, noise)
            for t in (transform.to(where), improved)
        ]
    improved = improved.to("cpu")
    before, after = (_residuals(t, driving) for t in (transform, improved))
    return Improvement(
        transform=improved,
        labels=driving.labels,
        residuals=after,
        before=before,
        largest_change_outside=_change_outside(transform, improved, found.grid, centers, radius),
        notes=[
            *notes,
            *unreached(driving, centers, before, after, weight, radius),
            *contradictions(driving.labels, *match),
            *([REDUCED] if reduced else []),
        ],
    )


@takes(fixed=Image, moving=Image, transform=Transform, radius=Real, fixed_mask=Image)
def leave_one_out(
    fixed: Image,
    moving: Image,
    transform: Transform,
    pairs: LandmarkPairs | tuple[np.ndarray, np.ndarray],
    *,
    weight: float = WEIGHT,
    radius: float = RADIUS,
    fixed_mask: Image | None = None,
    device: str = "auto",
    progress: Progress = silent,
) -> np.ndarray:
    """The error at each driving pair when all others drive, from the same start: [n] mm.

    Raises:
        RegistrationError: As :func:`improve`; or fewer than two pairs.
    """
    driving = as_pairs(pairs, fixed.grid, moving.grid)
    if len(driving.fixed) < 2:
        raise RegistrationError("Leaving one landmark pair out needs at least two.")
    errors = np.empty(len(driving.fixed))
    for row in range(len(errors)):
        report = part(progress, row / len(errors), (row + 1) / len(errors))
        others = np.arange(len(errors)) != row
        found = improve(
            fixed,
            moving,
            transform,
            (driving.fixed[others], driving.moving[others]),
            weight=weight,
            radius=radius,
            fixed_mask=fixed_mask,
            device=device,
            progress=report,
        )
        errors[row] = _residuals(found.transform, driving)[row]
    return errors


def _places(places: np.ndarray, grid: Grid) -> np.ndarray:
    """Checked places: float64 [k, 3]."""
    points = points_of(places, "places")
    if len(points) == 0:
        raise RegistrationError("There are no places; give at least one point with x, y and z.")
    if not np.isfinite(points).all():
        raise RegistrationError("A place has a coordinate that is not a finite number.")
    outside = ~grid.contains(points)
    if outside.any():
        count = int(outside.sum())
        lie = "lies" if count == 1 else "lie"
        raise RegistrationError(
            f"{count} of {len(points)} places {lie} outside the fixed image; choose "
            "places inside it, in LPS mm."
        )
    return points


def _settings(
    fixed: Image, moving: Image, mask: Image | None
) -> tuple[OptimizationPreset, tuple[Level, ...]]:
    """The two finest levels of the optimization for what the images show."""
    preset = PRESETS[recognize(fixed, moving, mask).name]
    factor = level_factor(fixed.grid, moving.grid)
    levels = [shrunk(level, factor) for level in preset.levels_of("default")[-2:]]
    return preset, useful(levels, fixed.grid, moving.grid)


def _field(
    transform: Transform, grid: Grid, finest: Level, balls: Balls
) -> tuple[DisplacementField, Affine]:
    """The transform as a deformation on a grid that holds the balls, followed by an affine.

    A grid that is too coarse gets voxels between its own, one that is too small more of them
    around it: neither changes the map.
    """
    rest, affine = split_affine(transform)
    wanted = grid.with_spacing(level_spacing(grid, finest.spacing))
    if rest is None:
        field = DisplacementField.identity(wanted, transform.device)
    elif isinstance(rest, DisplacementField):
        field = rest
    else:
        field = DisplacementField.of(rest, wanted)
    times = np.ceil(np.array(field.grid.spacing) / np.array(wanted.spacing) / _COARSER)
    fine = field.grid
    if times.max() > 1:
        size = tuple((np.array(fine.size) - 1) * times.astype(int) + 1)
        fine = Grid(size, tuple(fine.spacing / times), fine.origin, fine.direction)
    low, high = balls.box(fine)
    low, high = np.minimum(low, 0), np.maximum(high, np.array(fine.size) - 1)
    padded = boxed(fine, low, high)
    return (field if padded == field.grid else DisplacementField.of(field, padded)), affine


def _near(targets: Targets, balls: Balls) -> Targets:
    """The landmarks inside some balls."""
    inside = balls.share(torch.as_tensor(targets.points)).numpy() > 0
    return replace(targets, points=targets.points[inside], targets=targets.targets[inside])


def _joined(field: DisplacementField, affine: Affine) -> Transform:
    if np.array_equal(affine.matrix, np.eye(3)) and not affine.translation.any():
        return field
    return Composite([field, affine])


def _titled(progress: Progress) -> Progress:
    return lambda fraction, _: progress(fraction, "Improving the deformation around the places")


def _residuals(transform: Transform, pairs: LandmarkPairs) -> np.ndarray:
    return np.linalg.norm(mapped_points(transform, pairs.fixed) - pairs.moving, axis=1)


def _change_outside(
    start: Transform, improved: Transform, grid: Grid, centers: np.ndarray, radius: float
) -> float:
    """Largest |T_after(x) - T_before(x)| at the voxels of ``grid`` beyond the radius, mm."""
    largest = 0.0
    middles = torch.as_tensor(centers, dtype=torch.float32)
    for slab in grid.slabs():
        points = grid.points(slab)
        outside = torch.ones(points.shape[:-1], dtype=torch.bool)
        for middle in middles:
            outside &= (points - middle).norm(dim=-1) > radius
        moved = (improved.at_voxels(grid, slab) - start.at_voxels(grid, slab)).norm(dim=-1)
        if bool(outside.any()):
            largest = max(largest, float(moved[outside].max()))
    return largest
