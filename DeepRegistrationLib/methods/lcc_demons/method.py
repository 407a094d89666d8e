"""Log-Demons with local correlation, the conventional diffeomorphic baseline of SVF-Net's paper."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from DeepRegistrationLib.errors import RegistrationError
from DeepRegistrationLib.methods.base import Card, Method
from DeepRegistrationLib.methods.context import Context
from DeepRegistrationLib.methods.expected_accuracy import measured, stated_error
from DeepRegistrationLib.methods.parameters import parameter
from DeepRegistrationLib.progress import part

if TYPE_CHECKING:
    from DeepRegistrationLib.images.image import Image
    from DeepRegistrationLib.transforms import Transform

_FACTORS = {"fast": 0.5, "default": 1.0, "best": 2.0}


@dataclass(frozen=True)
class DemonsParameters:
    """Settings of the log-Demons; the defaults are those of Rohe et al. 2017 where it gives any."""

    iterations: str = parameter(
        "30x20x10", "Iterations of each level, coarse to fine; each doubles the resolution."
    )
    spacing: float = parameter(
        2.0,
        "Smallest voxel size to work with; larger voxels of the fixed image are kept.",
        unit="mm",
        minimum=0.5,
        maximum=10.0,
    )
    window: float = parameter(
        3.0,
        "Standard deviation of the local correlation's window, in voxels of the level.",
        unit="voxels",
        minimum=1.0,
        maximum=20.0,
    )
    noise: float = parameter(
        0.15,
        "Trade-off between similarity and short steps (sigma I); larger makes shorter steps.",
        minimum=0.01,
        maximum=10.0,
    )
    diffusion: float = parameter(
        1.5,
        "Smoothing of the velocity after each iteration, in voxels of the level; smaller follows "
        "large motion closer (hearts: 1), larger is smoother.",
        unit="voxels",
        minimum=0.3,
        maximum=10.0,
    )


class LogDemons(Method):
    """The symmetric LCC-Demons of Lorenzi et al. 2013: a stationary velocity field, coarse to fine.

    Both images move half way; the masks of both count. The result is a diffeomorphism whose
    inverse is exp(-v). Intensities of CT are clamped as for ``optimize``. Nothing is random.
    """

    name = "lcc-demons"
    title = "LCC log-Demons"
    card = Card(
        description="Symmetric and diffeomorphic, needs no training; the baseline for cardiac MRI.",
        anatomy="cardiac cine MRI, lung CT; general settings for the rest",
        modality="both images of one modality (CT, MRI)",
        citation="Lorenzi, Ayache, Frisoni, Pennec, NeuroImage 81, 2013.",
        licence="no weights",
        expected_time="2 s for a heart of 64 x 64 x 16 voxels, minutes for a chest CT (1 CPU core)",
        expected_error=stated_error("lcc-demons"),
        uses_masks=True,
        expected=measured("lcc-demons"),
    )
    Parameters = DemonsParameters

    def register(self, fixed: Image, moving: Image, context: Context) -> Transform:
        from DeepRegistrationLib.methods.anatomy_recognition import recognize
        from DeepRegistrationLib.methods.initialization import preset_start
        from DeepRegistrationLib.methods.lcc_demons.log_demons import (
            DemonsSettings,
            register_demons,
        )
        from DeepRegistrationLib.methods.optimize.presets import PRESETS
        from DeepRegistrationLib.transforms import Composite

        values = self.parameters
        factor = _FACTORS[context.quality]
        iterations = [max(1, round(factor * n)) for n in iteration_counts(values.iterations)]
        shown = recognize(fixed, moving, context.fixed_mask)
        preset = PRESETS[shown.name]
        context.notes.append(f"Intensities were scaled as for {preset.title}: {shown.why}.")
        masks = context.fixed_mask, context.moving_mask
        start = preset_start(preset, fixed, moving, context, part(context.progress, 0.0, 0.15))
        flow = register_demons(
            fixed,
            moving,
            masks,
            start,
            DemonsSettings(
                iterations,
                values.spacing,
                values.window,
                values.noise,
                values.diffusion,
                preset.range,
            ),
            part(context.progress, 0.15, 1.0),
        )
        in_place = context.initial is None and preset.start == "grids"
        return flow if in_place else Composite([flow, start])


def iteration_counts(text: str) -> list[int]:
    """``30x20x10`` as numbers.

    Raises:
        RegistrationError: Something else.
    """
    words = text.replace(",", "x").lower().split("x")
    if len(words) > 8 or not all(w.strip().isdigit() and 0 < int(w) <= 10_000 for w in words):
        raise RegistrationError(
            f"lcc-demons: iterations={text!r} must be counts like 30x20x10, one for each level."
        )
    return [int(word) for word in words]
