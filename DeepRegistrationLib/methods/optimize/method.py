"""Instance optimization, the method that needs no training."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from DeepRegistrationLib.methods.base import Card, Method
from DeepRegistrationLib.methods.context import Context
from DeepRegistrationLib.methods.expected_accuracy import measured, stated_error
from DeepRegistrationLib.methods.optimize.presets import PRESETS, Level, OptimizationPreset
from DeepRegistrationLib.methods.parameters import parameter
from DeepRegistrationLib.progress import part

if TYPE_CHECKING:
    from DeepRegistrationLib.images.image import Image
    from DeepRegistrationLib.transforms import Transform


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
    sliding: bool = parameter(
        True,
        "Lungs in CT: the body around them gets a deformation of its own, on which they slide; not "
        "with quality fast.",
    )
    segmentation: bool = parameter(
        True,
        "Hearts in MRI: the ventricles, segmented in both images by a network that was trained "
        "with labels, are aligned, too, where the network is sure of them.",
    )


class Optimize(Method):
    """Affine start, then cubic B-splines with local correlation, from 8 mm down to 2 or 1.5 mm.

    Frames of one heart are not aligned first; the hearts of two patients are by their places, and
    only what is around the fixed one counts.

    Loss: 1 - local normalized correlation, averaged over the mask, plus bending energy and a
    penalty on control cells that come near folding; Adam with smooth steps of the control points.
    With ``sliding`` the body around lungs gets a deformation of its own, on which they slide; in
    the lungs nothing changes by it.
    With ``segmentation`` the loss of hearts has one more term: squared differences of the
    ventricles' probabilities, by a network that was trained with labels, where it is sure of both.
    Quality ``best`` is the mean of such a fit and the inverse of one from moving to fixed, in lungs
    with more iterations (of hearts: one fit with more iterations). Nothing is random: the same
    images give the same result.
    """

    name = "optimize"
    title = "Instance optimization"
    card = Card(
        description="Fits a smooth deformation to this pair; needs no training. In hearts it also "
        "uses a segmentation network that was trained with labels. The default.",
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
    guided = True

    def register(self, fixed: Image, moving: Image, context: Context) -> Transform:
        from DeepRegistrationLib.methods.initialization import preset_start
        from DeepRegistrationLib.methods.optimize.sliding import slides, with_sliding

        preset = self._preset(fixed, moving, context)
        slid = self.parameters.sliding and slides(preset, context) and not context.refined
        start = preset_start(preset, fixed, moving, context, part(context.progress, 0.0, 0.15))
        report = part(context.progress, 0.15, 0.7 if slid else 1.0)
        started = replace(context, initial=start, progress=report)
        fit = self._two_way if preset.both_ways(context.quality) else self._fit
        found = fit(preset, fixed, moving, started)
        if not slid:
            return found
        report = part(context.progress, 0.7, 1.0)
        if context.estimates:  # so that what is compared is registered as the result is
            quiet = replace(context, notes=[])
            forward, backward = context.estimates
            context.estimates[:] = [
                with_sliding(forward, fixed, moving, quiet, report),
                with_sliding(backward, moving, fixed, quiet.exchanged(), report),
            ]
        return with_sliding(found, fixed, moving, context, report)

    def _fit(
        self, preset: OptimizationPreset, fixed: Image, moving: Image, started: Context
    ) -> Transform:
        from DeepRegistrationLib.methods.initialization import preset_region
        from DeepRegistrationLib.methods.optimize.instance import deform
        from DeepRegistrationLib.methods.optimize.structures import aligned_classes

        assert started.initial is not None
        region, levels = preset_region(preset, fixed, started), self._levels(preset, started)
        start, report = started.initial, started.progress
        preset, classes = aligned_classes(preset, fixed, moving, started)
        return deform(
            fixed,
            moving,
            region,
            start,
            preset,
            levels,
            report,
            classes=classes,
            guide=started.guide,
        )

    def _two_way(
        self, preset: OptimizationPreset, fixed: Image, moving: Image, started: Context
    ) -> Transform:
        from DeepRegistrationLib.methods.optimize.two_way import two_way_mean

        assert started.initial is not None
        there = replace(started, progress=part(started.progress, 0.0, 0.4))
        back = replace(started.exchanged(), progress=part(started.progress, 0.4, 0.8))
        forward = self._fit(preset, fixed, moving, there)
        backward = self._fit(preset, moving, fixed, back)
        mean, _ = two_way_mean(forward, backward, part(started.progress, 0.8, 1.0))
        if started.estimates is not None:
            started.estimates.extend([forward, backward])
        return mean

    def _preset(self, fixed: Image, moving: Image, context: Context) -> OptimizationPreset:
        name = self.parameters.anatomy
        if name == "auto":
            from DeepRegistrationLib.methods.anatomy_recognition import recognize

            shown = recognize(fixed, moving, context.fixed_mask)
            name = shown.name
            context.notes.append(f"Settings for {PRESETS[name].title} were chosen: {shown.why}.")
        preset = PRESETS[name]
        factor = float(self.parameters.smoothness)
        return replace(
            preset,
            bending=factor * preset.bending,
            segmented_bending=factor * preset.segmented_bending,
            segmentation=preset.segmentation if self.parameters.segmentation else 0.0,
        )

    def _levels(self, preset: OptimizationPreset, context: Context) -> tuple[Level, ...]:
        factor = float(self.parameters.iterations)
        return tuple(
            replace(level, iterations=max(_FEWEST, round(level.iterations * factor)))
            for level in preset.levels_of(context.quality)
        )
