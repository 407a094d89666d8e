"""Ventilation over all phases of a 4D-CT."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np

from DeepRegistrationLib.arguments import takes
from DeepRegistrationLib.errors import RegistrationError
from DeepRegistrationLib.function.lung_regions import lung_regions
from DeepRegistrationLib.function.lung_samples import sampled
from DeepRegistrationLib.function.trust import no_breath, phase_trust
from DeepRegistrationLib.function.ventilation import RESOLUTION
from DeepRegistrationLib.images.image import Image
from DeepRegistrationLib.images.lungs import require_lungs
from DeepRegistrationLib.options import RegistrationOptions
from DeepRegistrationLib.progress import Progress, part, silent
from DeepRegistrationLib.registration.engine import register
from DeepRegistrationLib.registration.series_notes import named, series_notes
from DeepRegistrationLib.transforms import Transform

_FEWEST = 2
"""Phases; of two the curve is a pair."""


@dataclass(frozen=True, eq=False)
class PhaseCurves:
    """Volumes of the lungs' regions over a breath.

    Attributes:
        exhale: The phase of the smallest lungs, from 0: the reference that all are registered to.
        regions: For ``lungs`` and each region, its volume in ml in every phase: [phases].
        reliable_percent: Of the lungs, in every phase; 100 in the reference.
        notes: Sentences, of all images and registrations too.
    """

    exhale: int
    regions: dict[str, np.ndarray]
    reliable_percent: np.ndarray
    notes: list[str] = field(default_factory=list)

    def ventilation(self) -> dict[str, np.ndarray]:
        """For each region, its volume change per volume at exhale: [phases]."""
        return {name: ml / ml[self.exhale] - 1 for name, ml in self.regions.items()}


@takes(phases=[Image], options=RegistrationOptions)
def ventilation_curves(
    phases: Sequence[Image],
    options: RegistrationOptions | None = None,
    *,
    exhale: int | None = None,
    progress: Progress = silent,
) -> PhaseCurves:
    """Register all phases of a 4D-CT to exhale, and follow each region's volume.

    Args:
        phases: Chest CTs of one breath, in order.
        options: How to register.
        exhale: The reference phase, from 0; that with the smallest lungs when omitted.

    Raises:
        RegistrationError: Fewer than two phases, no lungs in the reference, no such phase.
    """
    if len(phases) < _FEWEST:
        raise RegistrationError(
            "A 4D image of at least two phases is needed; this one has "
            f"{len(phases)}. Give all phases, or an exhale and an inhale scan."
        )
    if exhale is not None and not 0 <= exhale < len(phases):
        raise RegistrationError(
            f"There is no phase {exhale}; counted from 0, they are 0 to {len(phases) - 1}."
        )
    progress(0.0, "Looking for the lungs")
    notes: list[str] = []
    if exhale is None:
        exhale = int(np.argmin([require_lungs(image).evidence.liters for image in phases]))
        notes.append(f"Phase {exhale + 1} of {len(phases)} has the smallest lungs: exhale.")
    reference = phases[exhale]
    found = require_lungs(reference)
    assert found.mask is not None
    if found.evidence.failed_checks:
        notes.append(
            f"The lungs that were found may be wrong ({'; '.join(found.evidence.failed_checks)})."
        )
    volumes: dict[str, np.ndarray] = {}
    reliable = np.full(len(phases), 100.0)
    others = [k for k in range(len(phases)) if k != exhale]
    said: dict[int, list[str]] = {}
    for done, k in enumerate(others):
        report = part(progress, done / len(others), (done + 1) / len(others))
        report = _titled(report, f"Phase {k + 1}")
        with named("phase", k + 1):
            result = register(reference, phases[k], options, progress=report)
            one = phase_volumes(reference, phases[k], result.transform, found.mask)
        said[k + 1] = result.notes
        for name, (there, here) in one.ml.items():
            volumes.setdefault(name, np.full(len(phases), there))[k] = here
        reliable[k] = one.reliable_percent
    notes += [*series_notes("phase", said, phases), phase_trust(reliable.tolist())]
    notes += no_breath(volumes["lungs"].tolist())
    return PhaseCurves(exhale, volumes, reliable, notes)


@dataclass(frozen=True)
class PhaseVolumes:
    """The lungs in one phase.

    Attributes:
        ml: For ``lungs`` and each region, its volume in the reference and in this phase.
        reliable_percent: Of the lungs.
    """

    ml: dict[str, tuple[float, float]]
    reliable_percent: float


def phase_volumes(
    reference: Image, phase: Image, transform: Transform, lungs: Image
) -> PhaseVolumes:
    """The volumes of the lungs' regions in a phase, by the transform from the reference to it.

    Args:
        lungs: Mask on the reference's grid.
    """
    samples = sampled(reference, phase, transform, lungs, RESOLUTION)
    labels, names = lung_regions(samples.lungs, samples.grid)
    masks = {"lungs": samples.lungs, **{names[k]: labels == k for k in names}}
    ml = float(np.prod(samples.grid.spacing)) / 1000
    return PhaseVolumes(
        {
            name: (
                float(mask.sum()) * ml,
                float(samples.jacobian[mask].sum(dtype=np.float64)) * ml,
            )
            for name, mask in masks.items()
        },
        100.0 * float(samples.reliable[samples.lungs].mean()),
    )


def _titled(progress: Progress, title: str) -> Progress:
    return lambda fraction, message: progress(fraction, f"{title}: {message}")
