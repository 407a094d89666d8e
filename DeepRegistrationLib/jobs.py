"""The engine on plain numpy data: what Slicer asks for, in its own process or in the child.

Loads PyTorch; the data itself is described in :mod:`DeepRegistrationLib.plain`.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import torch

from DeepRegistrationLib import phantoms
from DeepRegistrationLib.engine import Registration, inverse_grid, register
from DeepRegistrationLib.evaluation.region import region_used
from DeepRegistrationLib.evaluation.uncertainty import uncertainty_statistics
from DeepRegistrationLib.geometry import Grid
from DeepRegistrationLib.interchange.foreign_transforms import read_foreign
from DeepRegistrationLib.interchange.imported import sentence
from DeepRegistrationLib.plain import (
    GivenMap,
    Outcome,
    Task,
    Volume,
)
from DeepRegistrationLib.progress import Progress, silent
from DeepRegistrationLib.tensors import image_of, map_of, mask_of, transform_of, volume_of
from DeepRegistrationLib.transforms import (
    Affine,
    displacement_magnitude,
    invert,
    jacobian,
    warp,
)
from DeepRegistrationLib.transforms.single import single_transform
from DeepRegistrationLib.validation import background


def run(task: Task, progress: Progress = silent) -> Registration:
    """Register the images of a task.

    Raises:
        RegistrationError: As the engine's ``register``.
    """
    fixed, moving = image_of(task.fixed), image_of(task.moving)
    return register(
        fixed,
        moving,
        method=task.method,
        quality=task.quality,  # type: ignore[arg-type]
        parameters=task.parameters,
        fixed_mask=mask_of(task.fixed_mask, fixed.grid),
        moving_mask=mask_of(task.moving_mask, moving.grid),
        initial=None if task.initial is None else transform_of(task.initial),
        device=task.device,
        refine=task.refine,
        inverse=task.inverse,
        uncertainty=task.uncertainty,
        seed=task.seed,
        progress=progress,
    )


def outcome_of(registration: Registration, *, warped: bool = True) -> Outcome:
    """What of a registration becomes nodes.

    Args:
        warped: Whether the resampled moving image does.
    """
    grid = registration.jacobian.grid
    mask = registration.fixed_mask
    folded = registration.jacobian.data <= 0
    folding = {"image": _percentage(folded)}
    predicted = registration.uncertainty
    region = region_used(mask, registration.provenance.get("mask"))
    if mask is not None:
        folding[region.name] = _percentage(folded[mask.data != 0])
    return Outcome(
        transform=map_of(single_transform(registration.transform, grid)),
        jacobian=volume_of(registration.jacobian),
        displacement=volume_of(displacement_magnitude(registration.transform, grid)),
        warped=volume_of(registration.warped) if warped else None,
        inverse=None if registration.inverse is None else map_of(registration.inverse.field),
        fixed_mask=None if mask is None else volume_of(mask),
        error_maps={}
        if predicted is None
        else {k: volume_of(v) for k, v in predicted.maps().items()},
        error_statistics={}
        if predicted is None
        else uncertainty_statistics(predicted, region, registration.voxel_mm),
        folding=folding,
        seconds=registration.seconds,
        notes=registration.notes,
        provenance=registration.provenance,
    )


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


def imported_transform(files: list[str], grid: Grid | None) -> dict[str, Any]:
    """A transform from another program's files, as one map.

    Args:
        files: As ``read_foreign`` takes them.
        grid: Where splines and chains are sampled; of the fixed image, if it is known.

    Returns:
        ``transform``: Map; ``direction``, ``notes``: sentences, see ``interchange.imported``;
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
            return volume_of(displacement_magnitude(forward, grid))
        assert moving is not None
        image = image_of(moving)
        fill = background(image)
        return volume_of(warp(image, forward, grid, fill=fill, progress=progress))


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
