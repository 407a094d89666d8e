"""elastix, through the optional package itk-elastix."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from DeepRegistrationLib.errors import RegistrationError
from DeepRegistrationLib.methods.base import Card, Method
from DeepRegistrationLib.methods.context import Context
from DeepRegistrationLib.methods.elastix.parameter_sets import RECIPES
from DeepRegistrationLib.methods.expected_accuracy import stated_error
from DeepRegistrationLib.methods.parameters import parameter

if TYPE_CHECKING:
    from DeepRegistrationLib.images.image import Image
    from DeepRegistrationLib.transforms import Transform

_SPACING = 2.0  # mm: of the sampled field; control points are 5 mm apart or more
_REACH = 20.0  # mm past the fixed image in which a moving image after an initial transform is seen
_HOUNSFIELD = (-1000.0, 400.0)  # padding outside the scanner's circle would steer the metric


@dataclass(frozen=True)
class ElastixParameters:
    """Settings of elastix."""

    recipe: str = parameter(
        "bspline-3r500",
        "Parameter set: affine; B-splines of 10 mm with one resolution of 2000 or three of 500 "
        "iterations; Par0011 of the model zoo (affine, then B-splines of 10 and of 5 mm), without "
        "a mask or with the fixed image's mask in the last stage.",
        choices=tuple(RECIPES),
    )


class Elastix(Method):
    """Affine, then B-splines by stochastic gradient descent, the conventional baseline.

    Par0011 has three stages, each with five resolutions: affine, 1000 iterations each; B-splines
    of 10 mm, 1000 each; B-splines of 5 mm, 2000 each. The measure is normalized correlation of
    2000 random samples, with 0.05 of bending energy for the B-splines. The fixed image's mask
    counts in the last stage (par0011-mask), and no other mask. The other recipes use both masks.
    An initial transform takes the place of the affine stage. Same seed, same result.
    """

    name = "elastix"
    title = "elastix"
    card = Card(
        description="The classical B-spline registration; the baseline of RegNet's and of "
        "Eppenhof's paper. Needs the package itk-elastix.",
        anatomy="lung CT; affine for all",
        modality="both images of one modality",
        citation="Klein et al. 2010 (elastix); Staring et al. 2010 (Par0011); Sokooti et al. 2017.",
        licence="no weights; elastix: Apache-2.0",
        expected_time="1 min (affine, B-splines) to 10 min (Par0011) for a chest CT (2 CPU cores)",
        expected_error=stated_error("elastix"),
        uses_masks=True,
    )
    Parameters = ElastixParameters

    def register(self, fixed: Image, moving: Image, context: Context) -> Transform:
        import torch

        from DeepRegistrationLib.images.intensity import background, is_ct
        from DeepRegistrationLib.methods.elastix.process import run_elastix
        from DeepRegistrationLib.methods.network.padding import expanded
        from DeepRegistrationLib.transforms import Composite, warp

        recipe = self.parameters.recipe
        stages = RECIPES[recipe]
        masks = context.fixed_mask, context.moving_mask
        if recipe == "par0011-mask" and masks[0] is None:
            raise RegistrationError(
                "par0011-mask needs a mask of the fixed image; give one, or choose the recipe "
                "par0011."
            )
        if recipe == "par0011" and masks[0] is not None:
            context.notes.append("The recipe par0011 uses no mask; par0011-mask does.")
        if is_ct(fixed) and is_ct(moving):
            fixed, moving = (replace(i, data=i.data.clamp(*_HOUNSFIELD)) for i in (fixed, moving))
        start = context.initial
        if start is not None:
            outer = expanded(fixed.grid, _REACH)
            seen = masks[1]
            moving = warp(moving, start, outer, fill=background(moving))
            if seen is not None:
                masks = masks[0], warp(seen, start, outer, interpolation="nearest")
            stages = tuple(stage for stage in stages if not stage.affine) or stages
        spacing = [max(s, _SPACING) for s in fixed.grid.spacing]
        found = run_elastix(
            fixed,
            moving,
            masks,
            stages,
            fixed.grid.with_spacing((spacing[0], spacing[1], spacing[2])),
            threads=torch.get_num_threads(),
            seed=context.seed,
            progress=context.progress,
        )
        context.notes.append(f"elastix itself took {found.seconds:.0f} s.")
        return found.transform if start is None else Composite([found.transform, start])
