"""register(): two images in, one Registration out."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from typing import Any

import torch

from DeepRegistrationLib import __version__
from DeepRegistrationLib.devices import choose_device, peak_memory_mb
from DeepRegistrationLib.image import Image
from DeepRegistrationLib.methods import Context, Quality, make_parameters, method_class
from DeepRegistrationLib.progress import Progress, part, silent
from DeepRegistrationLib.transforms import (
    Affine,
    Inversion,
    Transform,
    invert,
    jacobian,
    warp,
)
from DeepRegistrationLib.validation import background, check_pair, finite


@dataclass(frozen=True, eq=False)
class Registration:
    """What a registration gives.

    Attributes:
        transform: Fixed points to moving points, LPS mm; everything (initial, affine, deformable)
            in one.
        warped: The moving image on the fixed image's grid, interpolated once.
        jacobian: det(dT/dx) on the fixed image's grid.
        inverse: Moving points to fixed points with its residual, when it was asked for.
        seconds: Wall time of each stage.
        notes: Sentences about choices that were made for the user.
        provenance: Versions, method, parameters, device, seed, peak memory.
    """

    transform: Transform
    warped: Image
    jacobian: Image
    inverse: Inversion | None = None
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
    inverse: bool = False,
    seed: int = 0,
    progress: Progress = silent,
) -> Registration:
    """Register ``moving`` to ``fixed``.

    Args:
        fixed, moving: 3D images of any size, spacing, origin and direction.
        method: A name from ``method_names()``.
        quality: ``fast``, ``default`` or ``best``.
        parameters: Values that differ from the method's defaults.
        fixed_mask, moving_mask: Non-zero where the image counts, each on its image's grid.
        initial: Transform fixed to moving to start from; replaces the affine stage.
        device: ``auto``, ``cpu`` or ``cuda``.
        inverse: Also compute the inverse, with its residual.
        seed: The same seed gives the same result.
        progress: Called with (fraction, stage); may raise ``Cancelled``.

    Returns:
        A :class:`Registration`; its tensors are on the CPU.

    Raises:
        RegistrationError: Something that the user can mend; the message says what.
    """
    chosen = method_class(method)
    values = make_parameters(chosen, parameters or {})
    place, reason = choose_device(device)
    check_pair(fixed, moving, fixed_mask, moving_mask, initial)
    seconds: dict[str, float] = {}
    context = Context(
        initial=None if initial is None else initial.to(place),
        fixed_mask=None if fixed_mask is None else fixed_mask.to(place),
        moving_mask=None if moving_mask is None else moving_mask.to(place),
        quality=quality,
        device=place,
        seed=seed,
        progress=part(progress, 0.02, 0.85),
    )
    fixed_here, moving_here = finite(fixed).to(place), finite(moving).to(place)
    with torch.no_grad(), _timed(seconds, "register", place):
        transform = chosen(values).register(fixed_here, moving_here, context)
    with torch.no_grad(), _timed(seconds, "warp", place):
        warped = warp(
            moving_here,
            transform,
            fixed.grid,
            fill=background(moving),
            progress=part(progress, 0.85, 0.92),
        )
    with torch.no_grad(), _timed(seconds, "jacobian", place):
        determinant = jacobian(transform, fixed.grid, part(progress, 0.92, 0.97))
    inversion = None
    if inverse:
        with torch.no_grad(), _timed(seconds, "inverse", place):
            inversion = invert(transform, inverse_grid(transform, moving), progress=silent)
    progress(1.0, "Done")
    return Registration(
        transform=transform.to("cpu"),
        warped=warped.to("cpu"),
        jacobian=determinant.to("cpu"),
        inverse=inversion,
        seconds=seconds,
        notes=context.notes,
        provenance={
            "deepregistration": __version__,
            "torch": torch.__version__,
            "method": method,
            "quality": quality,
            "parameters": asdict(values),
            "device": str(place),
            "device_reason": reason,
            "seed": seed,
            "peak_memory_mb": peak_memory_mb(place),
        },
    )
