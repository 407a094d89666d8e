"""The stages of a registration, one after the other; :func:`.engine.register` runs them.

A stage is a function of a :class:`Pipeline`, which holds what was given and what was found so far,
and of its own progress. Where a GPU's memory is not enough, the pipeline's workplace repeats what a
stage computes elsewhere.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from typing import Any, NamedTuple

import torch

from DeepRegistrationLib.evaluation.local_shifts import misalignment_map
from DeepRegistrationLib.evaluation.uncertainty_maps import Uncertainty
from DeepRegistrationLib.images.geometry import Grid
from DeepRegistrationLib.images.image import Image
from DeepRegistrationLib.images.masks import find_masks
from DeepRegistrationLib.methods import Method
from DeepRegistrationLib.methods.context import Context
from DeepRegistrationLib.methods.guide import Guide, Structures
from DeepRegistrationLib.methods.image_pair import ImagePair
from DeepRegistrationLib.methods.initialization import bring_together
from DeepRegistrationLib.methods.optimize.refine import refine as refine_transform
from DeepRegistrationLib.methods.optimize.refine import slides_wanted
from DeepRegistrationLib.options import Outputs, RegistrationOptions
from DeepRegistrationLib.progress import Progress, part, silent
from DeepRegistrationLib.registration.fallback import Workplace
from DeepRegistrationLib.registration.landmark_start import (
    check_guided,
    far_start,
    landmark_start,
    structure_start,
)
from DeepRegistrationLib.registration.method_choice import resolve
from DeepRegistrationLib.registration.orientation import check_orientation
from DeepRegistrationLib.registration.uncertainty.compared_transforms import find_evidence
from DeepRegistrationLib.registration.validation import check_result, overlap
from DeepRegistrationLib.transforms import (
    Inversion,
    Transform,
    displacement_magnitude,
    invert,
    jacobian,
)
from DeepRegistrationLib.transforms.warping import warped_image


@dataclass(eq=False)
class Pipeline:
    """A registration on its way.

    Attributes:
        fixed, moving: As they were given.
        options, outputs: What was chosen.
        method: That registers; after :func:`prepare` the one that ``auto`` took.
        work: The pair that the method gets, and where it computes.
        initial: Transform to start from; after :func:`prepare` also one that was found.
        refine: Whether the refinement follows; after :func:`prepare` also where it was advised.
        guide, structures: What drives it besides the images: landmark pairs, segments.
        notes, seconds: Sentences for the user, and wall time by stage, so far.
        method_seconds: Wall time of parts of what the method does, see :class:`Context`.
        lungs: After :func:`prepare`, see :class:`images.masks.FoundMasks`.
        transform: After :func:`find_transform`.
        estimates: Further ones, of a method that averages.
        warped, jacobian, displacement, inverse, uncertainty: Those outputs that were computed.
    """

    fixed: Image
    moving: Image
    options: RegistrationOptions
    outputs: Outputs
    method: Method
    work: Workplace
    initial: Transform | None
    refine: bool
    notes: list[str]
    guide: Guide | None = None
    structures: Structures | None = None
    seconds: dict[str, float] = field(default_factory=dict)
    method_seconds: dict[str, float] = field(default_factory=dict)
    lungs: dict[str, Any] = field(default_factory=dict)
    transform: Transform = field(init=False)
    estimates: list[Transform] = field(default_factory=list)
    warped: Image | None = None
    jacobian: Image | None = None
    displacement: Image | None = None
    inverse: Inversion | None = None
    uncertainty: Uncertainty | None = None

    def context(self, pair: ImagePair, progress: Progress) -> Context:
        """What a method gets besides the two images."""
        return Context(
            initial=None if self.initial is None else self.initial.to(pair.device),
            fixed_mask=pair.fixed_mask,
            moving_mask=pair.moving_mask,
            quality=self.options.quality,
            refined=self.refine,
            device=pair.device,
            seed=self.options.seed,
            guide=self.guide,
            structures=self.structures,
            progress=progress,
            notes=self.notes,
        )

    @contextmanager
    def timed(self, stage: str) -> Iterator[None]:
        """Record the wall time of a stage, GPU work included."""
        begin, device = time.perf_counter(), self.work.device
        yield
        if device.type == "cuda":
            torch.cuda.synchronize(device)
        self.seconds[stage] = round(time.perf_counter() - begin, 3)


class Stage(NamedTuple):
    """One step: its name among the seconds, its share of the progress, and what it does."""

    name: str
    share: float
    work: Callable[[Pipeline, Progress], None]


def perform(run: Pipeline, stages: Sequence[Stage], progress: Progress) -> None:
    """Do stages one after the other; each moves the progress by its share."""
    total, done = sum(stage.share for stage in stages), 0.0
    for stage in stages:
        with run.timed(stage.name):
            stage.work(run, part(progress, done / total, (done + stage.share) / total))
        done += stage.share


def prepare(run: Pipeline, progress: Progress) -> None:
    """Find masks where none were given, a start where the images lie apart, and the method."""
    progress(0.2, "Looking for the lungs")
    pair = run.work.pair
    # The lung finder (scipy's labels and distances) works on the CPU, where the images are.
    found = find_masks(pair.fixed, pair.moving, pair.fixed_mask, pair.moving_mask, run.notes)
    run.work.set_masks(found.fixed, found.moving)
    run.lungs = found.lungs
    pair = run.work.pair
    check_orientation(pair, run.initial)
    if run.initial is None and not overlap(pair.fixed, pair.moving):
        run.initial = _brought_together(run, part(progress, 0.4, 1.0))
    elif run.initial is None and run.guide is not None:
        run.initial = far_start(run.guide, run.notes)
    context = run.context(pair, silent)
    run.method, advised = resolve(run.method, pair.fixed, pair.moving, context)
    run.refine = run.refine or advised
    if run.guide is not None or run.structures is not None:
        check_guided(run.method, run.refine)


def _brought_together(run: Pipeline, progress: Progress) -> Transform:
    """A start of images that lie apart: by what drives it where there is any."""
    if run.guide is not None:
        return landmark_start(run.guide, run.notes)
    if run.structures is not None:
        return structure_start(run.structures, run.notes)
    return run.work.coarsening(
        "the alignment", lambda pair: bring_together(pair, run.notes, progress)
    )


def find_transform(run: Pipeline, progress: Progress) -> None:
    """Let the method register."""

    def find(pair: ImagePair) -> Transform:
        run.estimates.clear()  # of an attempt that did not fit into memory
        run.method_seconds.clear()
        estimates = run.estimates if run.outputs.uncertainty else None
        context = replace(
            run.context(pair, progress), estimates=estimates, seconds=run.method_seconds
        )
        return run.method.register(pair.fixed, pair.moving, context)

    run.transform = run.work.coarsening("the registration", find)
    check_result(run.transform, run.method.title)


def refine(run: Pipeline, progress: Progress) -> None:
    """Improve the transform by instance optimization on the pair."""
    rough = run.transform

    def improve(pair: ImagePair) -> Transform:
        context = run.context(pair, progress)
        sliding = slides_wanted(run.method)
        return refine_transform(
            pair.fixed, pair.moving, rough.to(pair.device), context, sliding=sliding
        )

    run.transform = run.work.coarsening("the refinement", improve)
    check_result(run.transform, "The refinement")


def warp_moving(run: Pipeline, progress: Progress) -> None:
    """Resample the moving image as it was given; what a method works on was clamped."""
    run.warped = run.work.in_slabs(
        "the warped image",
        lambda pair: warped_image(
            run.moving, run.transform.to(pair.device), run.fixed.grid, progress
        ),
    )


def map_jacobian(run: Pipeline, progress: Progress) -> None:
    """Compute det(dT/dx) at the fixed image's voxels."""
    run.jacobian = run.work.in_slabs(
        "the Jacobian map",
        lambda pair: jacobian(run.transform.to(pair.device), run.fixed.grid, progress),
    )


def map_displacement(run: Pipeline, progress: Progress) -> None:
    """Compute |T(x) - x| at the fixed image's voxels."""
    run.displacement = run.work.in_slabs(
        "the displacement map",
        lambda pair: displacement_magnitude(
            run.transform.to(pair.device), run.fixed.grid, progress
        ),
    )


def find_inverse(run: Pipeline, progress: Progress) -> None:
    """Invert the transform, in the moving image's box."""
    grid = inverse_grid(run.moving.grid)
    run.inverse = run.work.in_slabs(
        "the inverse", lambda pair: invert(run.transform.to(pair.device), grid, progress=progress)
    )


def predict_error(run: Pipeline, progress: Progress) -> None:
    """Register backward and, with networks, changed inputs; map how far the results disagree.

    How far structures of the images still lie apart is mapped besides.
    """
    searching, comparing = part(progress, 0.0, 0.9), part(progress, 0.95, 1.0)
    evidence = run.work.coarsening(
        "the backward registration",
        lambda pair: find_evidence(
            run.method,
            pair,
            run.context(pair, searching),
            run.transform,
            run.estimates,
            run.refine,
        ),
    )
    progress(0.9, "Matching blocks of both images")
    apart = misalignment_map(
        run.transform.to("cpu"),
        run.fixed,
        run.moving,
        run.work.pair.fixed_mask,
        None if run.warped is None else run.warped.to("cpu"),
    )
    evidence = replace(evidence, misalignment=apart)
    run.uncertainty = run.work.in_slabs(
        "the uncertainty maps",
        lambda pair: evidence.maps(run.fixed.grid, pair.device, comparing),
    )


PREPARATION = (Stage("masks", 1, prepare),)


def stages_of(run: Pipeline) -> list[Stage]:
    """What follows the preparation: the method, and the outputs that are wanted."""
    wanted = run.outputs
    every = (
        (True, Stage("register", 80, find_transform)),
        (run.refine, Stage("refine", 36, refine)),
        (wanted.warped, Stage("warp", 5, warp_moving)),
        (wanted.jacobian, Stage("jacobian", 5, map_jacobian)),
        (wanted.displacement, Stage("displacement", 3, map_displacement)),
        (wanted.inverse, Stage("inverse", 5, find_inverse)),
        (wanted.uncertainty, Stage("uncertainty", 100, predict_error)),
    )
    return [stage for asked, stage in every if asked]


def inverse_grid(grid: Grid) -> Grid:
    """Where the inverse is computed: the moving image's box, with voxels of at least 2 mm.

    The forward field is no finer, and an inverse at the resolution of a clinical CT would be a
    file of gigabytes.
    """
    return grid.with_spacing(tuple(max(s, 2.0) for s in grid.spacing))  # type: ignore[arg-type]
