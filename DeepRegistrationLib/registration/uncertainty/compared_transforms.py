"""What a registration's uncertainty is judged by: a backward registration, further estimates."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import torch

from DeepRegistrationLib.evaluation.uncertainty_maps import Uncertainty, uncertainty_maps
from DeepRegistrationLib.images.geometry import Grid
from DeepRegistrationLib.images.image import Image
from DeepRegistrationLib.methods.base import Method
from DeepRegistrationLib.methods.context import Context
from DeepRegistrationLib.methods.image_pair import ImagePair
from DeepRegistrationLib.methods.initialization import starting_transform
from DeepRegistrationLib.methods.optimize.refine import refine as refine_transform
from DeepRegistrationLib.methods.optimize.refine import slides_wanted
from DeepRegistrationLib.progress import Progress, part
from DeepRegistrationLib.registration.uncertainty.augmented import augmented
from DeepRegistrationLib.transforms import Transform


@dataclass(frozen=True, eq=False)
class ComparedTransforms:
    """What is looked at to tell how far a registration may be wrong.

    Attributes:
        forward: Fixed to moving, the result.
        backward: Moving to fixed, by the same method.
        estimates: Further ones of ``forward``; none, or two and more.
        misalignment: What the images show besides on the grid of the maps, see
            :func:`local_shifts.misalignment_map`.
    """

    forward: Transform
    backward: Transform
    estimates: Sequence[Transform]
    misalignment: Image | None = None

    def maps(self, grid: Grid, device: torch.device, progress: Progress) -> Uncertainty:
        """What it shows on ``grid``, computed on a device; the maps are on the CPU."""
        estimates = [estimate.to(device) for estimate in self.estimates]
        forward, backward = self.forward.to(device), self.backward.to(device)
        return uncertainty_maps(forward, backward, estimates, grid, self.misalignment, progress)


def find_evidence(
    method: Method,
    pair: ImagePair,
    context: Context,
    forward: Transform,
    estimates: Sequence[Transform],
    refine: bool,
) -> ComparedTransforms:
    """Register backward and, where the method is a network, changed inputs.

    Args:
        context: Of the forward registration.
        forward: Its result.
        estimates: What the method put into its context: one from each direction, whose mean the
            result is. They are compared, as two results of two directions each would share both.
        refine: Improve the backward registration too. Estimates then do not count: they are of the
            result before the refinement.
    """
    if estimates and not refine:
        return ComparedTransforms(estimates[0], estimates[1], [])
    initial = context.initial
    backward_context = replace(
        context.exchanged(),
        progress=part(context.progress, 0.0, 0.5),
        notes=[],  # what was chosen for the pair has been said
    )
    backward = method.register(pair.moving, pair.fixed, backward_context)
    if refine:
        backward = refine_transform(
            pair.moving, pair.fixed, backward, backward_context, sliding=slides_wanted(method)
        )
    further: list[Transform] = []
    if method.augmentations and not refine:
        report = part(context.progress, 0.5, 0.55)
        if initial is None and "shift" in method.augmentations:
            initial = starting_transform(pair.fixed, pair.moving, context, report)
        later = replace(context, initial=initial, progress=part(context.progress, 0.55, 1.0))
        further = [forward, *augmented(method, pair.fixed, pair.moving, later)]
    return ComparedTransforms(forward, backward, further)
