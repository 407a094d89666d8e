"""What was found in a scan and what speaks against it: uncertain masks are not used."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from DeepRegistrationLib.images.lungs.blocks import BlockMeans
from DeepRegistrationLib.images.lungs.cores import Cores

# Limits, wider than any lung of an adult or a child. On the CTs at hand and what was cut from them:
# 0.15 to 0.6 of the body at their height, 0.11 to 0.52 of the whole; enclosed by 0.56 or more; pure
# air 0.18 or less of either lung, in emphysema that is clipped at -1000 HU 0.22.
_SMALLEST, _LARGEST = 0.1, 10.0  # liters, both lungs
_OF_SLICES = (0.05, 0.75)  # of the body at the lungs' height
_OF_SCAN = 0.03  # of the body in the scan at least
# Of the body in the scan, with all air as dense as lung, and as much again for a whole lung that is
# missing, at least: a scan of the chest. 4 l in a whole body of 70 l are 0.06; 1 l of the lungs'
# bases in 25 l of abdomen is 0.04.
_CHEST = 0.05
_DENSITY = (-970.0, -350.0)  # HU, median
_PURE_AIR, _AIR = 0.4, (20.0, -1024.0, -970.0)  # share at most; HU above air, which lies between
_ENCLOSED = 0.5  # of the six axis directions meet the body, on average
_MISSED = 0.15  # of the lungs' volume: other air as dense as lung; 0.05 or less in the CTs at hand
_INSIDE = 0.8  # of the six axis directions, where air lies in the body
_ALONE = 0.6  # of the body's width, less: one lung, where two would have room
_SMALLER = 0.6  # of the other lung, less: part of it is missing; 0.73 or more in the CTs at hand


@dataclass(frozen=True)
class Lung:
    """One lung.

    Attributes:
        side: ``right`` or ``left`` by the image's header; empty where there is only one.
        liters: Its volume in the scan.
        density: Median, HU.
    """

    side: str
    liters: float
    density: float


@dataclass(frozen=True)
class LungFindings:
    """What was found.

    Attributes:
        lungs: None, one or two, from right to left.
        failed_checks: What failed of the checks, each a clause; a mask with any is not to be used.
        alone: One lung was found where the body has room for two: one is missing, filled or
            collapsed. No reason against it by itself, but both images of a pair must show the same.
        density: Median of all, HU; None without lungs.
        chest: Whether the scan is of a chest, and not of what lies beside it with an end of the
            lungs at most.
    """

    lungs: tuple[Lung, ...] = ()
    failed_checks: tuple[str, ...] = ()
    alone: bool = False
    density: float | None = None
    chest: bool = False

    @property
    def sure(self) -> bool:
        """Whether there are lungs and nothing speaks against them."""
        return bool(self.lungs) and not self.failed_checks

    @property
    def liters(self) -> float:
        """Volume of all."""
        return sum(lung.liters for lung in self.lungs)

    @property
    def missing(self) -> str:
        """A clause where much of a lung is filled, collapsed, removed or cut off; else empty."""
        if self.alone:
            return "one lung was found where the body has room for two"
        if len(self.lungs) == 2:
            small, large = sorted(self.lungs, key=lambda lung: lung.liters)
            share = small.liters / large.liters
            if share < _SMALLER:
                return (
                    f"the {small.side} lung has only {share:.0%} of the {large.side} one's volume"
                )
        return ""

    @property
    def text(self) -> str:
        """For messages: ``two lungs of 1.1 and 0.9 l``."""
        if not self.lungs:
            return "no lungs"
        sizes = " and ".join(f"{lung.liters:.1f}" for lung in self.lungs)
        return f"{'two lungs' if len(self.lungs) == 2 else 'one lung'} of {sizes} l"


def evidence_of(
    blocks: BlockMeans, cores: Cores, lungs: list[np.ndarray], enclosure: np.ndarray
) -> LungFindings:
    """Check the lungs.

    Args:
        lungs: One or two masks on the blocks, from right to left.
        enclosure: Share of the six axis directions in which the body is met, of every block.
    """
    ml = blocks.block_ml
    names = ("right", "left") if len(lungs) == 2 else ("",)
    found = tuple(
        Lung(name, float(lung.sum()) * ml / 1000, float(np.median(blocks.values[lung])))
        for name, lung in zip(names, lungs, strict=True)
    )
    whole = np.any(lungs, axis=0)
    values = blocks.values[whole]
    heights = np.flatnonzero(whole.any(axis=(1, 2)))
    body = cores.body | whole
    slices = body[heights[0] : heights[-1] + 1]
    density = float(np.median(values))
    air = float(np.clip(np.percentile(blocks.values[cores.labels > 0], 5), *_AIR[1:]))
    liters = float(whole.sum()) * ml / 1000
    missed = _missed(blocks, cores, whole, air) * ml / 1000
    of_slices, of_scan = whole.sum() / slices.sum(), whole.sum() / body.sum()
    checks = (
        (liters < _SMALLEST, f"only {liters:.2f} l of lung was found"),
        (liters > _LARGEST, f"{liters:.1f} l is more than two lungs hold"),
        (
            not _OF_SLICES[0] <= of_slices <= _OF_SLICES[1],
            f"it is {of_slices:.0%} of the body at its height",
        ),
        (of_scan < _OF_SCAN, f"the lungs are only {of_scan:.0%} of the body in the scan"),
        (
            not _DENSITY[0] <= density <= _DENSITY[1],
            f"its density is not that of lung (median {density:.0f} HU)",
        ),
        (
            max(float(np.mean(blocks.values[lung] < air + _AIR[0])) for lung in lungs) > _PURE_AIR,
            "much of a lung is pure air, as in a pneumothorax",
        ),
        (float(enclosure[whole].mean()) < _ENCLOSED, "too little of the body lies around it"),
        (
            missed > _MISSED * liters,
            f"another {missed:.2f} l of air as dense as lung lies elsewhere in the body",
        ),
    )
    failed_checks = tuple(text for failed, text in checks if failed)
    alone = len(found) == 1 and _width(found_in=slices, of=whole)
    chest = of_scan * (1 + alone + missed / liters) >= _CHEST
    return LungFindings(found, failed_checks, alone, density, bool(chest))


def _missed(blocks: BlockMeans, cores: Cores, lungs: np.ndarray, air: float) -> int:
    """Blocks of air that is as dense as lung, in the body and no part of the lungs."""
    other = cores.air & ~lungs
    values, enclosed = blocks.values[other], cores.enclosure[other]
    return int(np.sum((values > air + _AIR[0]) & (values < _DENSITY[1]) & (enclosed > _INSIDE)))


def _width(*, found_in: np.ndarray, of: np.ndarray) -> bool:
    """Whether one lung leaves room for another beside it."""
    lung, body = (np.ptp(np.flatnonzero(a.any(axis=(0, 1)))) + 1 for a in (of, found_in))
    return bool(lung < _ALONE * body)
