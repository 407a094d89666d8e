"""Volumes, gas and tissue at exhale and at inhale, and the measures of ventilation made of them."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from DeepRegistrationLib.function.local_means import LocalMeans
from DeepRegistrationLib.function.lung_samples import LungSamples

MEASURES = {
    "volume": "specific volume change",
    "gas": "specific gas volume change (density-corrected Jacobian)",
    "density": "specific gas volume change by density alone (HU)",
    "mass": "change of tissue mass",
}
"""The maps, and what they show."""

RELIABLE = 0.5
"""Share of a window, or of a region, that has to be reliable."""

_SMALL = 1e-6
_LEAST = 0.05  # of a window: less lung with comparable densities tells nothing


@dataclass(frozen=True)
class RegionVentilation:
    """One region's ventilation.

    Attributes:
        exhale_ml: Its volume at exhale.
        inhale_ml: At inhale.
        values: For each of :data:`MEASURES`; ratios of sums over the region.
        relative: ``volume``, ``gas`` and ``density`` over those of the whole lungs.
        reliable_percent: Of its voxels with a trustworthy correspondence.
    """

    exhale_ml: float
    inhale_ml: float
    values: dict[str, float]
    relative: dict[str, float]
    reliable_percent: float

    @property
    def reliable(self) -> bool:
        """Whether at least half of it is."""
        return self.reliable_percent >= 100 * RELIABLE


class Amounts:
    """Volume, gas and tissue of every sample at exhale and at inhale, per sample's volume."""

    def __init__(self, samples: LungSamples, exhale_fixed: bool) -> None:
        self._samples = samples
        one = np.ones_like(samples.jacobian)
        ours = (one, samples.fixed_gas)
        theirs = (samples.jacobian, samples.moving_gas)
        exhale, inhale = (ours, theirs) if exhale_fixed else (theirs, ours)
        self.volumes = (exhale[0], inhale[0])
        self.shares = (exhale[1], inhale[1])
        inside = samples.parenchyma
        tissue = [
            float((volume * (1 - share))[inside].sum())
            for volume, share in zip(self.volumes, self.shares, strict=True)
        ]
        self.mass_factor = tissue[1] / tissue[0] if tissue[0] > 0 else None

    def fields(self, everywhere: LocalMeans, parenchyma: LocalMeans) -> dict[str, np.ndarray]:
        """The maps on the samples' grid, of means in the lungs and where densities count.

        All but ``volume`` are 0 where a window holds next to nothing of the latter.
        """
        volumes = [everywhere(v) for v in self.volumes]
        held = [parenchyma(v) for v in self.volumes]
        gas = [parenchyma(v * s) for v, s in zip(self.volumes, self.shares, strict=True)]
        shares = [parenchyma(s) for s in self.shares]
        found = self._measures(volumes, held, gas, shares)
        known = parenchyma.share > _LEAST
        return {name: v if name == "volume" else np.where(known, v, 0) for name, v in found.items()}

    def region(self, inside: np.ndarray, whole: RegionVentilation | None) -> RegionVentilation:
        """Of the samples in a mask; relative to the whole lungs.

        All but ``volume`` is NaN where no density counts, as in a region of vessels alone.
        """
        volumes = [v[inside].sum(dtype=np.float64) for v in self.volumes]
        used = inside & self._samples.parenchyma
        held = [v[used].sum(dtype=np.float64) for v in self.volumes]
        gas = [
            (v[used] * s[used]).sum(dtype=np.float64)
            for v, s in zip(self.volumes, self.shares, strict=True)
        ]
        shares = [s[used].sum(dtype=np.float64) / max(int(used.sum()), 1) for s in self.shares]
        found = self._measures(volumes, held, gas, shares)
        known = bool(used.any())
        values = {
            name: float(value) if known or name == "volume" else float("nan")
            for name, value in found.items()
        }
        of = values if whole is None else whole.values
        ml = float(np.prod(self._samples.grid.spacing)) / 1000
        exhale, inhale = (float(v) * ml for v in volumes)
        return RegionVentilation(
            exhale_ml=exhale,
            inhale_ml=inhale,
            values=values,
            relative={
                name: values[name] / of[name] if abs(of[name]) > _SMALL else float("nan")
                for name in ("volume", "gas", "density")
            },
            reliable_percent=100.0 * float(self._samples.reliable[inside].mean()),
        )

    def _measures(self, volumes, held, gas, shares) -> dict[str, np.ndarray]:
        """The measures, each argument at exhale and at inhale.

        Args:
            volumes: Of the lungs.
            held, gas, shares: Of where densities count: its volume, its gas, its mean share of gas.
        """
        tissue = [np.maximum(v - g, _SMALL) for v, g in zip(held, gas, strict=True)]
        corrected = (1 - shares[1]) / (self.mass_factor or 1.0)
        exhale = np.maximum(shares[0], _SMALL)
        return {
            "volume": volumes[1] / np.maximum(volumes[0], _SMALL) - 1,
            "gas": gas[1] / np.maximum(gas[0], _SMALL) - 1,
            # Simon's formula with HU = -1000 F
            "density": (1 - corrected - exhale) / (exhale * np.maximum(corrected, _SMALL)),
            "mass": tissue[1] / tissue[0] - 1,
        }
