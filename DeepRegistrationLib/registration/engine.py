"""register(): two images in, one Registration out."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict, dataclass, field, replace
from datetime import datetime
from typing import Any

import numpy as np
import torch

from DeepRegistrationLib import __version__
from DeepRegistrationLib.arguments import takes
from DeepRegistrationLib.devices import choose_device, peak_memory_mb
from DeepRegistrationLib.errors import RegistrationError
from DeepRegistrationLib.evaluation.driving_pairs import as_pairs
from DeepRegistrationLib.evaluation.landmark_pairs import LandmarkPairs
from DeepRegistrationLib.evaluation.uncertainty_maps import Uncertainty
from DeepRegistrationLib.images.geometry import Grid, largest_voxel
from DeepRegistrationLib.images.image import Image
from DeepRegistrationLib.images.intensity import finite
from DeepRegistrationLib.images.labels import Labels
from DeepRegistrationLib.images.plain_data import GIVEN, LUNGS
from DeepRegistrationLib.methods import make_method
from DeepRegistrationLib.methods.guide import Guide
from DeepRegistrationLib.methods.image_pair import ImagePair
from DeepRegistrationLib.methods.weights import recorded_use
from DeepRegistrationLib.options import Outputs, RegistrationOptions, chosen
from DeepRegistrationLib.progress import Progress, part, rising, silent
from DeepRegistrationLib.registration.driving_structures import driving_structures
from DeepRegistrationLib.registration.fallback import Workplace
from DeepRegistrationLib.registration.gradients import outside_inference_mode
from DeepRegistrationLib.registration.stages import PREPARATION, Pipeline, perform, stages_of
from DeepRegistrationLib.registration.validation import check_memory, check_pair, notes_on
from DeepRegistrationLib.transforms import Inversion, Transform


@dataclass(frozen=True, eq=False)
class Registration:
    """What a registration gives.

    Attributes:
        transform: Fixed points to moving points, LPS mm; everything (initial, affine, deformable)
            in one.
        grid: The fixed image's.
        warped: The moving image on that grid, interpolated once; as all that follow up to
            ``uncertainty`` where it was wanted, else None.
        jacobian: det(dT/dx) on that grid.
        displacement: |T(x) - x| in mm on that grid.
        inverse: Moving points to fixed points, with its residual.
        uncertainty: Predicted error and its parts in mm on that grid; see
            :mod:`DeepRegistrationLib.evaluation.uncertainty_maps` for what they show and what not.
        fixed_mask: The mask that was used, given or found.
        driving: The landmark pairs that drove it; they are no proof of it.
        driving_labels: Names of the segments that drove it; they are no proof of it either.
        left_out: The error at each pair when the others drive, mm, where it was measured: [n].
        voxel_mm: Largest voxel dimension of the two images, mm.
        seconds: Wall time of each stage.
        method_seconds: Of it, that of the affine alignment that the method began with (``affine``).
        notes: Sentences about choices that were made for the user.
        provenance: Versions, method, parameters, device, seed, peak memory, date, and the SHA-256
            of the networks' weights by name.
    """

    transform: Transform
    grid: Grid
    warped: Image | None = None
    jacobian: Image | None = None
    displacement: Image | None = None
    inverse: Inversion | None = None
    uncertainty: Uncertainty | None = None
    fixed_mask: Image | None = None
    driving: LandmarkPairs | None = None
    driving_labels: tuple[str, ...] = ()
    left_out: np.ndarray | None = None
    voxel_mm: float | None = None
    seconds: dict[str, float] = field(default_factory=dict)
    method_seconds: dict[str, float] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)
    provenance: dict[str, Any] = field(default_factory=dict)


@outside_inference_mode
@takes(
    fixed=Image,
    moving=Image,
    options=RegistrationOptions,
    outputs=Outputs,
    fixed_mask=Image,
    moving_mask=Image,
    initial=Transform,
    guide_labels=[(Image, Labels)],
    progress=Callable,
)
def register(
    fixed: Image,
    moving: Image,
    options: RegistrationOptions | None = None,
    outputs: Outputs | None = None,
    *,
    fixed_mask: Image | None = None,
    moving_mask: Image | None = None,
    initial: Transform | None = None,
    guide: LandmarkPairs | tuple[np.ndarray, np.ndarray] | None = None,
    guide_labels: tuple[Labels | Image, Labels | Image] | None = None,
    progress: Progress = silent,
    **choices: Any,
) -> Registration:
    """Register ``moving`` to ``fixed``.

    Programs pass options and outputs on as they got them; in a line of one's own they are written
    by name: ``register(fixed, moving, quality="best", warped=True)``.

    Args:
        fixed, moving: 3D images of any size, spacing, origin and direction.
        options: How to register.
        outputs: What to compute besides the transform.
        fixed_mask, moving_mask: Non-zero where the image counts, each on its image's grid.
        initial: Transform fixed to moving to start from; replaces the affine stage.
        guide: Landmark pairs that drive it, or fixed and moving points, LPS mm, [n, 3]: soft
            constraints of ``optimize`` and of the refinement, and the start where the images do
            not overlap. They prove nothing afterwards.
        guide_labels: Segmentations or label maps of the fixed and of the moving image, on any
            grids: their structures of the same name, or number, drive it likewise.
        progress: Called with (fraction, stage); may raise ``Cancelled``.
        **choices: Any field of :class:`RegistrationOptions` or :class:`Outputs`, in place of the
            one in ``options`` or ``outputs``.

    Returns:
        A :class:`Registration`; its tensors are on the CPU.

    Raises:
        RegistrationError: Something that the user can correct; the message says what.
    """
    if guide_labels is not None and len(guide_labels) != 2:
        raise RegistrationError("guide_labels are two: of the fixed and of the moving image.")
    options, outputs = chosen(options or RegistrationOptions(), outputs or Outputs(), choices)
    method = make_method(options)
    device, reason = choose_device(options.device)
    check_pair(fixed, moving, fixed_mask, moving_mask, initial)
    driving = None if guide is None else as_pairs(guide, fixed.grid, moving.grid)
    check_memory(fixed, moving, outputs, device)
    notes = notes_on(fixed, moving)
    pair = ImagePair(finite(fixed), finite(moving), fixed_mask, moving_mask)
    work = Workplace(pair, device, notes)
    pulled = None
    if driving is not None:
        pulled = Guide(driving.fixed, driving.moving, options.landmark_weight)
    structures = None
    if guide_labels is not None:
        images = fixed, moving
        structures = driving_structures(*guide_labels, images, options.label_weight, notes)
    run = Pipeline(
        fixed,
        moving,
        options,
        outputs,
        method,
        work,
        initial,
        options.refine,
        notes,
        pulled,
        structures,
    )
    progress = rising(progress)
    with recorded_use() as weights:
        perform(run, PREPARATION, part(progress, 0.0, 0.05))
        perform(run, stages_of(run), part(progress, 0.05, 1.0))
    progress(1.0, "Done")
    made = _provenance(run, fixed_mask, device, reason) | {"weights": weights}
    return _result(run, driving, made)


def _result(
    run: Pipeline, driving: LandmarkPairs | None, provenance: dict[str, Any]
) -> Registration:
    """What was found, on the CPU."""
    inverse = run.inverse
    return Registration(
        transform=run.transform.to("cpu"),
        grid=run.fixed.grid,
        warped=run.warped and run.warped.to("cpu"),
        jacobian=run.jacobian and run.jacobian.to("cpu"),
        displacement=run.displacement,
        inverse=inverse and replace(inverse, field=inverse.field.to("cpu")),
        uncertainty=run.uncertainty,
        fixed_mask=run.work.pair.fixed_mask,
        driving=driving,
        driving_labels=() if run.structures is None else run.structures.names,
        voxel_mm=largest_voxel(run.fixed.grid.spacing, run.moving.grid.spacing),
        seconds=run.seconds,
        method_seconds=run.method_seconds,
        notes=run.notes,
        provenance=provenance,
    )


def _provenance(
    run: Pipeline, given_mask: Image | None, device: torch.device, reason: str
) -> dict[str, Any]:
    """Enough to do it again; ``device`` is the one that was chosen at first."""
    used = run.work.pair.fixed_mask
    return {
        "date": datetime.now().astimezone().isoformat(timespec="seconds"),
        "deepregistration": __version__,
        "torch": torch.__version__,
        "method": run.method.name,
        "asked_for": run.options.method,
        "quality": run.options.quality,
        "refine": run.refine,
        "parameters": asdict(run.method.parameters),
        "mask": GIVEN if given_mask is not None else None if used is None else LUNGS,
        "lungs": run.lungs,
        "device": str(run.work.device),
        "device_reason": reason,
        "seed": run.options.seed,
        "landmark_weight": run.options.landmark_weight,
        "label_weight": run.options.label_weight,
        "peak_memory_mb": peak_memory_mb(device),
    }
