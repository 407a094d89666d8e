"""register(): two images in, one Registration out."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field, replace
from typing import Any

import torch

from DeepRegistrationLib import __version__
from DeepRegistrationLib.choice import resolve
from DeepRegistrationLib.context import QUALITIES, Context, Quality
from DeepRegistrationLib.devices import choose_device, peak_memory_mb
from DeepRegistrationLib.errors import RegistrationError
from DeepRegistrationLib.fallback import Pair, Workplace
from DeepRegistrationLib.geometry import Grid, largest_voxel
from DeepRegistrationLib.image import Image
from DeepRegistrationLib.inference.start import bring_together
from DeepRegistrationLib.masks import find_masks
from DeepRegistrationLib.methods import make_parameters, method_class
from DeepRegistrationLib.methods.refine import refine as refine_transform
from DeepRegistrationLib.orientation import check_orientation
from DeepRegistrationLib.plain import GIVEN, LUNGS
from DeepRegistrationLib.progress import Progress, part, rising, silent
from DeepRegistrationLib.transforms import (
    Inversion,
    Transform,
    invert,
    jacobian,
    warp,
)
from DeepRegistrationLib.uncertainty.evidence import Evidence, find_evidence
from DeepRegistrationLib.uncertainty.maps import Uncertainty
from DeepRegistrationLib.validation import (
    background,
    check_memory,
    check_pair,
    check_result,
    finite,
    notes_on,
    overlap,
)


@dataclass(frozen=True, eq=False)
class Registration:
    """What a registration gives.

    Attributes:
        transform: Fixed points to moving points, LPS mm; everything (initial, affine, deformable)
            in one.
        warped: The moving image on the fixed image's grid, interpolated once.
        jacobian: det(dT/dx) on the fixed image's grid.
        inverse: Moving points to fixed points with its residual, when it was asked for.
        uncertainty: Predicted error and its parts in mm on the fixed image's grid, when asked for;
            see :mod:`DeepRegistrationLib.uncertainty.maps` for what they can and cannot show.
        fixed_mask: The mask that was used, given or found.
        voxel_mm: Largest voxel dimension of the two images, mm.
        seconds: Wall time of each stage.
        notes: Sentences about choices that were made for the user.
        provenance: Versions, method, parameters, device, seed, peak memory.
    """

    transform: Transform
    warped: Image
    jacobian: Image
    inverse: Inversion | None = None
    uncertainty: Uncertainty | None = None
    fixed_mask: Image | None = None
    voxel_mm: float | None = None
    seconds: dict[str, float] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)
    provenance: dict[str, Any] = field(default_factory=dict)


def register(
    fixed: Image,
    moving: Image,
    *,
    method: str = "optimize",
    quality: Quality = "default",
    parameters: dict[str, Any] | None = None,
    fixed_mask: Image | None = None,
    moving_mask: Image | None = None,
    initial: Transform | None = None,
    device: str = "auto",
    refine: bool = False,
    inverse: bool = False,
    uncertainty: bool = False,
    seed: int = 0,
    progress: Progress = silent,
) -> Registration:
    """Register ``moving`` to ``fixed``.

    Args:
        fixed, moving: 3D images of any size, spacing, origin and direction.
        method: A name from ``method_names()``; ``auto`` takes the one that was measured to be the
            most accurate on such images.
        quality: ``fast``, ``default`` or ``best``.
        parameters: Values that differ from the method's defaults.
        fixed_mask, moving_mask: Non-zero where the image counts, each on its image's grid.
        initial: Transform fixed to moving to start from; replaces the affine stage.
        device: ``auto``, ``cpu`` or ``cuda``.
        refine: Improve the method's result by instance optimization on this pair.
        inverse: Also compute the inverse, with its residual.
        uncertainty: Also register backward, and networks on changed inputs, to predict the error;
            takes about twice the time, for networks up to five times.
        seed: The same seed gives the same result.
        progress: Called with (fraction, stage); may raise ``Cancelled``.

    Returns:
        A :class:`Registration`; its tensors are on the CPU.

    Raises:
        RegistrationError: Something that the user can correct; the message says what.
    """
    chosen = method_class(method)
    runner = chosen(make_parameters(chosen, parameters or {}))
    _check_quality(quality)
    place, reason = choose_device(device)
    check_pair(fixed, moving, fixed_mask, moving_mask, initial)
    check_memory(fixed, moving, place)
    seconds: dict[str, float] = {}
    notes = notes_on(fixed, moving)
    whole = rising(progress)
    progress = part(whole, 0.0, 0.5 if uncertainty else 1.0)
    estimates: list[Transform] = []  # of a method that averages; described by its spread
    work = Workplace(Pair(finite(fixed), finite(moving), fixed_mask, moving_mask), place, notes)

    def masks(pair: Pair) -> tuple[Image | None, Image | None]:
        return find_masks(pair.fixed, pair.moving, pair.fixed_mask, pair.moving_mask, notes)

    with _timed(seconds, "masks", place):
        progress(0.01, "Looking for the lungs")
        # The lung finder (scipy's labels and distances) works on the CPU, where the images are.
        work.set_masks(*masks(work.pair))
        check_orientation(work.pair, initial)
        initial = _start(work, initial, notes, part(progress, 0.02, 0.05))

    def context(pair: Pair, report: Progress) -> Context:
        return Context(
            initial=None if initial is None else initial.to(pair.device),
            fixed_mask=pair.fixed_mask,
            moving_mask=pair.moving_mask,
            quality=quality,
            refined=refine,
            device=pair.device,
            seed=seed,
            progress=report,
            notes=notes,
        )

    def find(pair: Pair) -> Transform:
        report = context(pair, part(progress, 0.05, 0.6 if refine else 0.85))
        estimates.clear()  # of an attempt that did not fit into memory
        wanted = replace(report, estimates=estimates if uncertainty else None)
        return runner.register(pair.fixed, pair.moving, wanted)

    def improve(pair: Pair) -> Transform:
        report = context(pair, part(progress, 0.6, 0.85))
        return refine_transform(pair.fixed, pair.moving, transform.to(pair.device), report)

    def warped_image(pair: Pair) -> Image:
        report = part(progress, 0.85, 0.9)
        here = transform.to(pair.device)
        given = moving.to(pair.device)  # what a method works on was clamped
        return warp(given, here, fixed.grid, fill=background(moving), progress=report)

    def determinants(pair: Pair) -> Image:
        return jacobian(transform.to(pair.device), fixed.grid, part(progress, 0.9, 0.95))

    def inverted(pair: Pair) -> Inversion:
        report = part(progress, 0.95, 1.0)
        return invert(transform.to(pair.device), inverse_grid(moving.grid), progress=report)

    def evidence(pair: Pair, report: Progress) -> Evidence:
        here = context(pair, report)
        return find_evidence(runner, pair, here, transform, estimates, refine)

    runner, advised = resolve(runner, work.pair.fixed, work.pair.moving, context(work.pair, silent))
    refine = refine or advised
    with _timed(seconds, "register", place):
        transform = work.coarsening("the registration", find)
    check_result(transform, runner.title)
    if refine:
        with _timed(seconds, "refine", place):
            transform = work.coarsening("the refinement", improve)
        check_result(transform, "The refinement")
    with _timed(seconds, "warp", place):
        warped = work.in_slabs("the warped image", warped_image)
    with _timed(seconds, "jacobian", place):
        determinant = work.in_slabs("the Jacobian map", determinants)
    inversion = None
    if inverse:
        with _timed(seconds, "inverse", place):
            inversion = work.in_slabs("the inverse", inverted)
    predicted = None
    if uncertainty:
        with _timed(seconds, "uncertainty", place):
            predicted = _predicted_error(work, evidence, fixed.grid, part(whole, 0.5, 1.0))
    whole(1.0, "Done")
    return Registration(
        transform=transform.to("cpu"),
        warped=warped.to("cpu"),
        jacobian=determinant.to("cpu"),
        inverse=inversion and replace(inversion, field=inversion.field.to("cpu")),
        uncertainty=predicted,
        fixed_mask=work.pair.fixed_mask,
        voxel_mm=largest_voxel(fixed.grid.spacing, moving.grid.spacing),
        seconds=seconds,
        notes=notes,
        provenance={
            "deepregistration": __version__,
            "torch": torch.__version__,
            "method": runner.name,
            "asked_for": method,
            "quality": quality,
            "refine": refine,
            "parameters": asdict(runner.parameters),
            "mask": _mask_source(fixed_mask, work.pair.fixed_mask),
            "device": str(work.device),
            "device_reason": reason,
            "seed": seed,
            "peak_memory_mb": peak_memory_mb(place),
        },
    )


def _mask_source(given: Image | None, used: Image | None) -> str | None:
    """Where the mask of the fixed image that a registration used came from."""
    return GIVEN if given is not None else None if used is None else LUNGS


def _start(
    work: Workplace, initial: Transform | None, notes: list[str], progress: Progress
) -> Transform | None:
    """The initial transform that was given, or one that brings together what lies apart."""
    if initial is not None or overlap(work.pair.fixed, work.pair.moving):
        return initial
    return work.coarsening("the alignment", lambda pair: bring_together(pair, notes, progress))


def _check_quality(quality: str) -> None:
    if quality not in QUALITIES:
        raise RegistrationError(
            f"There is no quality {quality!r}; choose one of {', '.join(QUALITIES)}."
        )


def _predicted_error(
    work: Workplace, find: Callable[[Pair, Progress], Evidence], grid: Grid, progress: Progress
) -> Uncertainty:
    """The uncertainty maps on ``grid`` from the evidence that ``find`` computes."""
    searching, comparing = part(progress, 0.0, 0.9), part(progress, 0.9, 1.0)
    evidence = work.coarsening("the backward registration", lambda pair: find(pair, searching))
    return work.in_slabs(
        "the uncertainty maps",
        lambda pair: evidence.maps(grid, pair.device, comparing),
    )


def inverse_grid(grid: Grid) -> Grid:
    """Where the inverse is computed: the moving image's box, with voxels of at least 2 mm.

    The forward field is no finer, and an inverse at the resolution of a clinical CT would be a
    file of gigabytes.
    """
    return grid.with_spacing(tuple(max(s, 2.0) for s in grid.spacing))  # type: ignore[arg-type]


@contextmanager
def _timed(seconds: dict[str, float], stage: str, device: torch.device) -> Iterator[None]:
    """Record the wall time of a stage, GPU work included."""
    begin = time.perf_counter()
    yield
    if device.type == "cuda":
        torch.cuda.synchronize(device)
    seconds[stage] = round(time.perf_counter() - begin, 3)
