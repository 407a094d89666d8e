"""The engine on plain numpy data: what Slicer asks for, in its own process or in the child.

Loads PyTorch; the data itself is described in :mod:`DeepRegistrationLib.images.plain_data`.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import torch

from DeepRegistrationLib.data import phantoms
from DeepRegistrationLib.evaluation.landmark_pairs import LandmarkPairs
from DeepRegistrationLib.evaluation.region import Region, region_used
from DeepRegistrationLib.evaluation.uncertainty import uncertainty_statistics
from DeepRegistrationLib.files.foreign_transforms import read_foreign
from DeepRegistrationLib.files.format import sentence
from DeepRegistrationLib.images.geometry import Grid
from DeepRegistrationLib.images.image import Image
from DeepRegistrationLib.images.labels import Labels, Segment
from DeepRegistrationLib.images.plain_data import (
    GivenMap,
    LabelPair,
    RegistrationOutcome,
    Task,
    Volume,
)
from DeepRegistrationLib.progress import Progress, part, silent
from DeepRegistrationLib.registration.cross_validation import cross_validated_errors
from DeepRegistrationLib.registration.engine import Registration, register
from DeepRegistrationLib.registration.improvement import RADIUS, WEIGHT, improve, leave_one_out
from DeepRegistrationLib.registration.stages import inverse_grid
from DeepRegistrationLib.transforms import Affine, displacement_magnitude, invert, jacobian
from DeepRegistrationLib.transforms.single import single_transform
from DeepRegistrationLib.transforms.tensors import (
    image_of,
    map_of,
    mask_of,
    transform_of,
    volume_of,
)
from DeepRegistrationLib.transforms.warping import warped_image


def run(task: Task, progress: Progress = silent) -> Registration:
    """Register the images of a task.

    Raises:
        RegistrationError: As the engine's ``register``.
    """
    given = _given(task)
    return register(**given, outputs=task.outputs, progress=progress)


def left_out(task: Task, progress: Progress = silent) -> dict[str, Any]:
    """The error at each pair that drives a task, in registrations without it: ``left_out``, mm.

    Raises:
        RegistrationError: As :func:`cross_validated_errors`.
    """
    return {"left_out": cross_validated_errors(**_given(task), progress=progress)}


def _given(task: Task) -> dict[str, Any]:
    """What a task registers and how, by the names of ``register``'s arguments."""
    fixed, moving, guide = image_of(task.fixed), image_of(task.moving), task.guide
    return {
        "fixed": fixed,
        "moving": moving,
        "options": task.options,
        "fixed_mask": mask_of(task.fixed_mask, fixed.grid),
        "moving_mask": mask_of(task.moving_mask, moving.grid),
        "initial": None if task.initial is None else transform_of(task.initial),
        "guide": guide and LandmarkPairs(guide.labels, guide.fixed, guide.moving),
        "guide_labels": None if task.guide_labels is None else _labels_of(task.guide_labels),
    }


def _labels_of(pair: LabelPair) -> tuple[Labels, Labels]:
    """Both sides with a name for each number, by which the engine pairs them."""
    fixed, moving = (
        _named([image_of(v) for v in s], pair.names) for s in (pair.fixed, pair.moving)
    )
    return fixed, moving


def _named(layers: list[Image], names: dict[str, str]) -> Labels:
    segments = [
        Segment(names.get(str(value), str(value)), number, value)
        for number, layer in enumerate(layers)
        for value in layer.data.unique().tolist()
        if value != 0
    ]
    return Labels(tuple(layers), tuple(segments))


def outcome_of(registration: Registration) -> RegistrationOutcome:
    """What of a registration becomes nodes: the transform, and the outputs that were wanted."""
    predicted = registration.uncertainty
    region = region_used(registration.fixed_mask, registration.provenance)
    return RegistrationOutcome(
        transform=map_of(single_transform(registration.transform, registration.grid)),
        grid=registration.grid,
        jacobian=_volume_if_any(registration.jacobian),
        displacement=_volume_if_any(registration.displacement),
        warped=_volume_if_any(registration.warped),
        inverse=None if registration.inverse is None else map_of(registration.inverse.field),
        fixed_mask=_volume_if_any(registration.fixed_mask),
        error_maps={}
        if predicted is None
        else {k: volume_of(v) for k, v in predicted.maps().items()},
        error_statistics={}
        if predicted is None
        else uncertainty_statistics(predicted, region, registration.voxel_mm),
        folding=_folding(registration, region),
        seconds=registration.seconds,
        notes=registration.notes,
        provenance=registration.provenance,
        driving_labels=list(registration.driving_labels),
    )


def _folding(registration: Registration, region: Region) -> dict[str, float]:
    """Percentages of J <= 0, where J was computed."""
    if registration.jacobian is None:
        return {}
    folded = registration.jacobian.data <= 0
    shares = {"image": _percentage(folded)}
    if region.mask is not None:
        shares[region.name] = _percentage(folded[region.mask.data != 0])
    return shares


def _volume_if_any(image: Image | None) -> Volume | None:
    return None if image is None else volume_of(image)


def inverse_of(transform: GivenMap, grid: Grid, progress: Progress = silent) -> dict[str, Any]:
    """The inverse of a transform and its residual in mm.

    Args:
        transform: Fixed to moving.
        grid: The moving image's.

    Returns:
        ``inverse``: Map; ``residual_mm``: ``mean``, ``max``, ``roundtrip_max``, 0 for affines.
    """
    forward = transform_of(transform)
    if isinstance(forward, Affine):
        residual = {"mean": 0.0, "max": 0.0, "roundtrip_max": 0.0}
        return {"inverse": map_of(forward.inverse()), "residual_mm": residual}
    with torch.no_grad():
        found = invert(forward, inverse_grid(grid), progress=progress)
    residual = {
        "mean": found.residual_mean,
        "max": found.residual_max,
        "roundtrip_max": found.roundtrip_max,
    }
    return {"inverse": map_of(found.field), "residual_mm": residual}


def improved_transform(
    fixed: Volume,
    moving: Volume,
    transform: GivenMap,
    labels: list[str],
    fixed_points: np.ndarray,
    moving_points: np.ndarray,
    places: np.ndarray | None = None,
    weight: float = WEIGHT,
    radius: float = RADIUS,
    fixed_mask: Volume | None = None,
    left_out: bool = False,
    device: str = "auto",
    progress: Progress = silent,
) -> dict[str, Any]:
    """A transform improved around some places; see ``improvement.improve``.

    Args:
        labels: Of the driving pairs.
        fixed_points, moving_points: Of these, LPS mm, [n, 3].
        left_out: Whether to measure the leave-one-out error of each pair, too; with one pair it
            stays unknown.

    Returns:
        ``transform``: Map; ``residuals``, ``before``: mm, [n]; ``left_out``: mm, [n], NaN where it
        is not known; ``largest_change_outside``: mm; ``notes``: sentences.
    """
    images = image_of(fixed), image_of(moving)
    start, pairs = transform_of(transform), LandmarkPairs(labels, fixed_points, moving_points)
    options: dict[str, Any] = {
        "weight": weight,
        "radius": radius,
        "fixed_mask": mask_of(fixed_mask, images[0].grid),
        "device": device,
    }
    share = 1 / (1 + len(labels)) if left_out else 1.0
    found = improve(*images, start, pairs, places, **options, progress=part(progress, 0.0, share))
    errors = np.full(len(labels), np.nan)
    if left_out and len(labels) > 1:
        rest = part(progress, share, 1.0)
        errors = leave_one_out(*images, start, pairs, **options, progress=rest)
    return {
        "transform": map_of(single_transform(found.transform, images[0].grid)),
        "residuals": found.residuals,
        "before": found.before,
        "left_out": errors,
        "largest_change_outside": found.largest_change_outside,
        "notes": found.notes,
    }


def imported_transform(files: list[str], grid: Grid | None) -> dict[str, Any]:
    """A transform from another program's files, as one map.

    Args:
        files: As ``read_foreign`` takes them.
        grid: Where splines and chains are sampled; of the fixed image, if it is known.

    Returns:
        ``transform``: Map; ``direction``, ``notes``: sentences, as ``Imported`` has them;
        ``exchanged``: whether it is the transform of the pair with fixed and moving exchanged.
    """
    found = read_foreign(files, grid=grid)
    with torch.no_grad():
        single = single_transform(found.transform, grid)
    return {
        "transform": map_of(single),
        "direction": sentence(found.direction),
        "notes": [sentence(note) for note in found.notes],
        "exchanged": found.exchanged,
    }


def derived_volume(
    transform: GivenMap, grid: Grid, kind: str, moving: Volume | None, progress: Progress = silent
) -> Volume:
    """A volume made of a transform.

    Args:
        transform: Fixed to moving.
        grid: The fixed image's.
        kind: ``warped`` (the moving image on that grid), ``jacobian`` or ``displacement`` (mm).
        moving: The moving image; only for ``warped``.
    """
    forward = transform_of(transform)
    with torch.no_grad():
        if kind == "jacobian":
            return volume_of(jacobian(forward, grid, progress))
        if kind == "displacement":
            return volume_of(displacement_magnitude(forward, grid, progress))
        assert moving is not None
        return volume_of(warped_image(image_of(moving), forward, grid, progress))


def phantom_pair(
    name: str, options: dict[str, Any], progress: Progress = silent
) -> dict[str, Volume | np.ndarray]:
    """A phantom's two images with landmarks and organs.

    Args:
        name: ``thorax`` (chest CT, inhale and exhale) or ``heart`` (cine MRI, diastole, systole).
        options: Of the function of that name in ``phantoms``.

    Returns:
        ``fixed``, ``moving``, ``fixed_labels``, ``moving_labels``, and ``fixed_landmarks``,
        ``moving_landmarks``: [n, 3], LPS mm.
    """
    pair: Any
    if name == "heart":
        pair = phantoms.heart(**options, progress=progress)
        labels = pair.fixed_labels, pair.moving_labels
    else:
        pair = phantoms.thorax(**options, progress=progress)
        labels = pair.fixed_lungs, pair.moving_lungs
    return {
        "fixed": volume_of(pair.fixed),
        "moving": volume_of(pair.moving),
        "fixed_labels": volume_of(labels[0]),
        "moving_labels": volume_of(labels[1]),
        "fixed_landmarks": pair.fixed_landmarks,
        "moving_landmarks": pair.moving_landmarks,
    }


def _percentage(folded: torch.Tensor) -> float:
    return 100 * float(folded.float().mean())
