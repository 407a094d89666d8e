"""Instance optimization, the method that needs no training."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from DeepRegistrationLib.context import Context
from DeepRegistrationLib.expected import measured, stated_error
from DeepRegistrationLib.methods.base import Card, Method, register_method
from DeepRegistrationLib.optimization.presets import PRESETS, Level, Preset
from DeepRegistrationLib.options import Quality
from DeepRegistrationLib.parameters import parameter
from DeepRegistrationLib.progress import part

if TYPE_CHECKING:
    from DeepRegistrationLib.image import Image
    from DeepRegistrationLib.transforms import Transform


_FITS: dict[Quality, tuple[Quality, ...]] = {
    "fast": ("fast",),
    "default": ("default",),
    "best": ("default", "best"),  # their mean: neither alone is the better one on every pair
}
_FEWEST = 4  # iterations of a level: the first steps are large, and the next ones correct them


@dataclass(frozen=True)
class OptimizeParameters:
    """Settings of the instance optimization."""

    anatomy: str = parameter(
        "auto",
        "What the images show; auto recognizes it from the images.",
        choices=("auto", *PRESETS),
    )
    smoothness: float = parameter(
        1.0,
        "Factor on the weight of the bending energy; larger is smoother.",
        minimum=0.01,
        maximum=100.0,
    )
    iterations: float = parameter(
        1.0,
        "Factor on the number of iterations; each level has at least 4.",
        minimum=0.1,
        maximum=20.0,
    )


@register_method
class Optimize(Method):
    """Affine start, then cubic B-splines with local correlation, from 8 mm down to 2 or 1.5 mm.

    Frames of one heart are not aligned first; the hearts of two patients are by their places, and
    only what is around the fixed one counts.

    Loss: 1 - local normalized correlation, averaged over the mask, plus bending energy and a
    penalty on control cells that come near folding; Adam with smooth steps of the control points.
    Quality ``best`` is the mean of two such fits, of different window and control spacing (of
    hearts and coarse images: of different numbers of iterations). Nothing is random: the same
    images give the same result.
    """

    name = "optimize"
    title = "Instance optimization"
    card = Card(
        description="Fits a smooth deformation to this pair; needs no training. The default.",
        anatomy="lung CT, cardiac cine MRI; general settings for the rest",
        modality="both images of one modality (CT, MRI)",
        citation="Rueckert et al. 1999 (B-splines); Cachier & Ayache 2000 (local correlation).",
        licence="no weights",
        expected_time="10 s for a chest CT at 2 mm, 5 s for a cine MRI pair (2 CPU cores)",
        expected_error=stated_error("optimize"),
        uses_masks=True,
        expected=measured("optimize"),
    )
    Parameters = OptimizeParameters

    def register(self, fixed: Image, moving: Image, context: Context) -> Transform:
        from DeepRegistrationLib.inference.start import preset_region, preset_start
        from DeepRegistrationLib.optimization.instance import deform

        preset = self._preset(fixed, moving, context)
        start = preset_start(preset, fixed, moving, context, part(context.progress, 0.0, 0.15))
        progress = part(context.progress, 0.15, 1.0)
        schedules = tuple(self._levels(preset, name) for name in _FITS[context.quality])
        return deform(
            fixed,
            moving,
            preset_region(preset, fixed, context),
            start,
            preset,
            schedules,
            progress,
            estimates=context.estimates,
        )

    def _preset(self, fixed: Image, moving: Image, context: Context) -> Preset:
        name = self.parameters.anatomy
        if name == "auto":
            from DeepRegistrationLib.inference.recognition import recognize

            shown = recognize(fixed, moving, context.fixed_mask)
            name = shown.name
            context.notes.append(f"Settings for {PRESETS[name].title} were chosen: {shown.why}.")
        preset = PRESETS[name]
        return replace(preset, bending=preset.bending * float(self.parameters.smoothness))

    def _levels(self, preset: Preset, quality: Quality) -> tuple[Level, ...]:
        factor = float(self.parameters.iterations)
        return tuple(
            replace(level, iterations=max(_FEWEST, round(level.iterations * factor)))
            for level in preset.levels[quality]
        )
