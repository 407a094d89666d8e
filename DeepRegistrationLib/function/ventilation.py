"""Ventilation of the lungs between two CTs of different inflation, by a transform between them.

The transform T maps points of the fixed image to the moving one, J = det(dT/dx). One of the images
is exhale, the other inhale, and all maps are changes from exhale to inhale, per amount at exhale,
whichever of them is fixed. With the share of gas F = -HU/1000 and of tissue 1 - F in a voxel:

* ``volume``: specific volume change, (V_in - V_ex) / V_ex. Where exhale is fixed this is J - 1, and
  else 1/J - 1.
* ``gas``: specific gas volume change, which corrects the Jacobian by density:
  J F_in / F_ex - 1 where exhale is fixed (SACJ of Ding et al. 2012, doi 10.1118/1.4736808).
* ``density``: the same from densities alone, 1000 (HU_in - HU_ex) / (HU_ex (HU_in + 1000)) (Simon
  2000; Guerrero et al. 2006; SAI of Ding et al.), which holds where no tissue comes or goes.
* ``mass``: change of tissue, (m_in - m_ex) / m_ex. Where it is not near 0, blood has moved, or the
  transform or the densities are wrong, and ``gas`` and ``density`` disagree.

``density`` is corrected for the lungs' whole mass: inhale densities are scaled so that both scans
hold the same mass of tissue in corresponding lung (Guerrero et al. 2006).

Volumes, gas and tissue are summed in Gaussian windows before anything is divided, and a region's
value is the ratio of its sums; so a small region counts for as much as it holds.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from numbers import Real
from typing import Literal

import numpy as np

from DeepRegistrationLib.arguments import takes
from DeepRegistrationLib.errors import RegistrationError
from DeepRegistrationLib.evaluation.alignment import is_lung
from DeepRegistrationLib.evaluation.uncertainty_maps import Uncertainty
from DeepRegistrationLib.function.local_means import LocalMeans, left_of_waves, resolution_for
from DeepRegistrationLib.function.lung_regions import lung_regions
from DeepRegistrationLib.function.lung_samples import LungSamples, sampled
from DeepRegistrationLib.function.slice_bands import SliceBands, find_slice_bands, without_surface
from DeepRegistrationLib.function.trust import LEAST_BREATH, by_only
from DeepRegistrationLib.function.ventilation_amounts import (
    MEASURES,
    RELIABLE,
    Amounts,
    RegionVentilation,
)
from DeepRegistrationLib.images.geometry import Grid
from DeepRegistrationLib.images.image import Image
from DeepRegistrationLib.images.intensity import is_ct
from DeepRegistrationLib.images.lungs import require_lungs
from DeepRegistrationLib.progress import Progress, silent
from DeepRegistrationLib.registration.validation import check_mask
from DeepRegistrationLib.transforms import Transform

Phase = Literal["auto", "exhale", "inhale"]
PHASES = ("auto", "exhale", "inhale")

RESOLUTION = 20.0
"""mm, full width at half height of the windows: then the noise floor is below 1 %."""

NOISE_FLOOR = ((0.0, 0.034), (10.0, 0.0155), (15.0, 0.0103), (20.0, 0.0079), (30.0, 0.0056))
"""Standard deviation of J - 1 in the lungs by the resolution in mm, where it is truly 0.

One scan in two reconstruction kernels, registered to each other
(``python -m Testing.Benchmarks.ventilation``). Of a scan registered to itself it is 0.
"""

_AGAINST = 0.01  # change against what was said of the phases
_MASS = 0.15  # change of the lungs' whole mass that is said


@dataclass(frozen=True, eq=False)
class Ventilation:
    """Maps on the fixed image's grid, 0 outside the lungs, and regions.

    Attributes:
        maps: For each of :data:`MEASURES`; those that rest on densities are 0 also in vessels,
            lesions and next to the pleura, where a window holds nothing else.
        relative: ``volume`` over its value in the whole lungs.
        reliable: uint8, 1 where at least half of a window rests on voxels with a trustworthy
            correspondence.
        lungs: uint8 mask that was used.
        whole: Of both lungs.
        regions: By name: thirds of each lung, or the regions that were given.
        fixed_phase: ``exhale`` or ``inhale``.
        resolution: mm, of the maps.
        noise_floor: Standard deviation of ``volume`` at this resolution where it is truly 0.
        bands: Bands across the slices, where there are some.
        unreliable: Share of the lungs in percent, by what is wrong there.
        notes: Sentences about what was found and chosen.
    """

    maps: dict[str, Image]
    relative: Image
    reliable: Image
    lungs: Image
    whole: RegionVentilation
    regions: dict[str, RegionVentilation]
    fixed_phase: str
    resolution: float
    noise_floor: float
    bands: SliceBands | None
    unreliable: dict[str, float]
    notes: list[str] = field(default_factory=list)


@takes(
    fixed=Image,
    moving=Image,
    transform=Transform,
    lungs=Image,
    fixed_phase=str,
    resolution=Real,
    regions=[Image],
)
def ventilation(
    fixed: Image,
    moving: Image,
    transform: Transform,
    *,
    lungs: Image | None = None,
    fixed_phase: Phase = "auto",
    resolution: float | None = None,
    regions: Sequence[Image] = (),
    region_names: dict[int, str] | None = None,
    uncertainty: Uncertainty | None = None,
    progress: Progress = silent,
) -> Ventilation:
    """Ventilation between two chest CTs, from exhale to inhale.

    Args:
        fixed, moving: Chest CTs in HU (or with their offset lost).
        transform: Fixed to moving points.
        lungs: Mask on the fixed image's grid; found in the fixed image when omitted.
        fixed_phase: Which of the two the fixed image is; ``auto``: the one with smaller lungs, by
            the transform, is exhale.
        resolution: Of the maps, mm; when omitted 20, or more where that leaves bands of a helical
            scan above the noise floor.
        regions: Label maps on the fixed image's grid, in place of the thirds of each lung.
        region_names: Their labels' names.
        uncertainty: Predicted error; where it is above 5 mm the maps are not reliable.

    Raises:
        RegistrationError: No lungs, no CT, no breath between the images, phases the other way
            round, or an empty or misplaced mask.
    """
    if fixed_phase not in PHASES:
        raise RegistrationError(
            f"The phase of the fixed image is {fixed_phase!r}; choose {', '.join(PHASES)}."
        )
    if resolution is not None and not 0 <= resolution <= 100:
        raise RegistrationError(
            f"A resolution of {resolution:g} mm was asked for; choose 0 to 100 mm."
        )
    notes: list[str] = []
    progress(0.0, "Looking for the lungs")
    mask = _lungs(fixed, lungs, notes)
    progress(0.1, "Comparing densities")
    wanted = RESOLUTION if resolution is None else resolution
    samples = sampled(fixed, moving, transform, mask, wanted, uncertainty)
    progress(0.5, "Measuring the ventilation")
    change = samples.volume_change()
    phase = _phase(fixed_phase, change, moving)
    exhale_fixed = phase == "exhale"
    inner = without_surface(samples.lungs, samples.grid, 8.0)
    bands = find_slice_bands(samples.jacobian, inner, samples.grid)
    bands = bands if bands is not None and bands.sure else None
    fine = _resolution(resolution, bands, notes)
    amounts = Amounts(samples, exhale_fixed)
    if amounts.mass_factor is not None and abs(amounts.mass_factor - 1) > _MASS:
        notes.append(
            f"The lungs hold {abs(amounts.mass_factor - 1):.0%} "
            f"{'more' if amounts.mass_factor > 1 else 'less'} tissue at inhale than at exhale, "
            "where the mass should be the same: contrast agent, blood, another scanner's "
            "densities, or a wrong transform. Look at the map of the mass."
        )
    progress(0.6, "Measuring the ventilation")
    everywhere = LocalMeans(samples.lungs, samples.grid, fine)
    fields = amounts.fields(everywhere, LocalMeans(samples.parenchyma, samples.grid, fine))
    trusted = everywhere(samples.reliable) >= RELIABLE
    progress(0.8, "Measuring the regions")
    labels, names = _regions(samples, regions, region_names)
    whole = amounts.region(samples.lungs, None)
    progress(0.9, "Writing the maps")
    notes.append(_summary(phase, whole, fine, samples))
    maps = {
        name: _on(fixed.grid, samples.grid, values, mask, MEASURES[name])
        for name, values in fields.items()
    }
    mean = whole.values["volume"]
    relative = Image(maps["volume"].data / mean, fixed.grid, "relative ventilation")
    reliable = _on(fixed.grid, samples.grid, trusted, mask, "reliable")
    progress(1.0, "Done")
    return Ventilation(
        maps=maps,
        relative=relative,
        reliable=Image((reliable.data > 0.5).byte(), fixed.grid, "reliable ventilation"),
        lungs=mask,
        whole=whole,
        regions={
            names[k]: amounts.region(samples.lungs & layer, whole)
            for k, layer in labels.items()
            if (samples.lungs & layer).any()
        },
        fixed_phase=phase,
        resolution=fine,
        noise_floor=noise_floor(fine),
        bands=bands,
        unreliable=samples.unreliable,
        notes=notes,
    )


def noise_floor(resolution: float) -> float:
    """The :data:`NOISE_FLOOR` at a resolution in mm; that of the coarsest beyond it."""
    sizes, floors = zip(*NOISE_FLOOR, strict=True)
    return float(np.exp(np.interp(resolution, sizes, np.log(floors))))


def _lungs(fixed: Image, given: Image | None, notes: list[str]) -> Image:
    if given is not None:
        check_mask(given, fixed)
        if is_ct(fixed) and not is_lung(fixed, given):
            notes.append(f"Warning: the mask {given.name} covers what is not as dense as lungs.")
        return Image((given.data != 0).byte(), fixed.grid, given.name)
    found = require_lungs(fixed)
    assert found.mask is not None
    if found.evidence.failed_checks:
        notes.append(
            f"The lungs that were found may be wrong ({'; '.join(found.evidence.failed_checks)}); "
            "give a mask of them."
        )
    else:
        notes.append(f"The lungs were found in the fixed image: {found.evidence.text}.")
    return found.mask


def _phase(said: str, change: float, moving: Image) -> str:
    """Which phase the fixed image is, by what was said and by the moving lungs' larger volume."""
    if said != "auto" and (change if said == "inhale" else -change) > _AGAINST:
        raise RegistrationError(
            f"The fixed image was said to be the {said}, but by the transform the lungs' volume "
            f"changes by {change:+.0%} from it to {moving.name}; exchange the images or say that "
            f"the fixed one is the {'exhale' if said == 'inhale' else 'inhale'}."
        )
    if abs(change) < LEAST_BREATH:
        raise RegistrationError(
            f"The lungs' volume {by_only('change', change, '+.1%')} from the fixed to the moving "
            "image, so there is no breath to measure; give an exhale and an inhale scan."
        )
    return "exhale" if change > 0 else "inhale"


def _resolution(given: float | None, bands: SliceBands | None, notes: list[str]) -> float:
    """The resolution that the maps get; says what bands there are, and what is left of them."""
    fine = RESOLUTION if given is None else given
    if bands is None:
        return fine
    if given is None:
        wanted = resolution_for(bands.period, min(1.0, noise_floor(RESOLUTION) / bands.amplitude))
        fine = max(fine, float(np.ceil(wanted)))
    left = bands.amplitude * left_of_waves(bands.period, fine)
    notes.append(
        f"J varies in bands across the slices, with a period of {bands.period:.0f} mm and an "
        f"amplitude of {bands.amplitude:.1%}: an artefact of helical scanning, not ventilation. "
        f"At the maps' resolution of {fine:.0f} mm, {left:.1%} of it is left."
    )
    return fine


def _summary(phase: str, whole: RegionVentilation, fine: float, samples: LungSamples) -> str:
    text = (
        f"The fixed image is the {phase} (the lungs hold {whole.exhale_ml / 1000:.2f} l at exhale "
        f"and {whole.inhale_ml / 1000:.2f} l at inhale). The maps show the change from exhale to "
        f"inhale per amount at exhale, at a resolution of {fine:g} mm; differences below about "
        f"{2 * noise_floor(fine):.1%} cannot be told from noise. "
        f"{whole.reliable_percent:.0f} % of the lungs have a trustworthy correspondence"
    )
    worst = max(samples.unreliable, key=lambda name: samples.unreliable[name])
    if samples.unreliable[worst] >= 0.5:
        text += f"; most of the rest: {worst}"
    if not whole.reliable:
        text += ". That is too little: do not read the maps, and look at the registration first"
    return text + "."


def _regions(
    samples: LungSamples, given: Sequence[Image], names: dict[int, str] | None
) -> tuple[dict[int, np.ndarray], dict[int, str]]:
    """Masks on the samples' grid by number, and their names."""
    if not given:
        labels, found = lung_regions(samples.lungs, samples.grid)
        return {k: labels == k for k in found}, found
    masks: dict[int, np.ndarray] = {}
    for layer in given:
        values = layer.resampled(samples.grid, interpolation="nearest", fill=0).data.cpu().numpy()
        for k in np.unique(values[values != 0]):
            masks[int(k)] = masks.get(int(k), False) | (values == k)
    if not any((mask & samples.lungs).any() for mask in masks.values()):
        raise RegistrationError("None of the regions lies in the lungs; give other segments.")
    return masks, {k: (names or {}).get(k, str(k)) for k in masks}


def _on(grid: Grid, own: Grid, values: np.ndarray, mask: Image, name: str) -> Image:
    """Values of the samples' grid on the fixed image's, 0 outside the lungs."""
    import torch

    coarse = Image(torch.from_numpy(np.ascontiguousarray(values, np.float32)), own)
    fine = coarse.resampled(grid, fill=None)
    return Image(fine.data * (mask.data != 0).to(fine.data), grid, name)
