"""Strain over a cine series as it was measured, and the sentences that a reader has to know."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from DeepRegistrationLib.function.heart_segments import HeartPoints
from DeepRegistrationLib.function.strain_input import TRACKING
from DeepRegistrationLib.images.image import Image

DIRECTIONS = ("radial", "circumferential", "longitudinal")

_DRIFT = 3.0  # mm in the slices: 95th percentile, of which a note warns
_AGREE = 0.1  # between two ejection fractions
_VOLUME = 0.2  # mean change of the muscle's volume, likewise; muscle keeps it


@dataclass(frozen=True, eq=False)
class Strain:
    """Strain over the frames, relative to the reference frame; Green-Lagrange, no unit.

    Attributes:
        reference: The end-diastolic frame, from 0.
        end_systole: The frame of the smallest cavity.
        order: The frames as they follow the reference: [n].
        whole: For each of :data:`DIRECTIONS`, the mean over the myocardium: [n], in that order.
        segments: The same by segment number, 1 to 17; NaN where a segment has no voxels, and in the
            apex: [17, n].
        volumes_ml: Of the left ventricle's cavity as the deformation changes it: [n].
        segmented_ml: Of the cavity as each frame's segmentation shows it: [n], NaN without one.
        muscle: Mean J of the myocardium, which truly stays near 1: [n].
        drift_mm: Distance of the points from home after the beat, in the slices, before it was
            corrected: median and 95th percentile; None where the series was not closed.
        drift_across_mm: The same across the slices, where motion is hardly seen.
        longitudinal_seen: Whether the slices are thin enough for the longitudinal strain.
        points: The material points.
        maps: For each direction, strain at end-systole on the reference's grid, 0 outside.
        labels: The segmentation at the reference.
        notes: Sentences about what was found and chosen.
    """

    reference: int
    end_systole: int
    order: np.ndarray
    whole: dict[str, np.ndarray]
    segments: dict[str, np.ndarray]
    volumes_ml: np.ndarray
    segmented_ml: np.ndarray
    muscle: np.ndarray
    drift_mm: tuple[float, float] | None
    drift_across_mm: tuple[float, float] | None
    longitudinal_seen: bool
    points: HeartPoints
    maps: dict[str, Image]
    labels: Image
    notes: list[str] = field(default_factory=list)

    @property
    def ejection_fraction(self) -> float:
        """(largest - smallest) / largest volume of the cavity, 0 to 1.

        By the segmentations where all frames have one and they agree with the deformation, else by
        the deformation; a note says which.
        """
        return _ejected(self.segmented_ml if self.by_segmentation else self.volumes_ml)

    @property
    def by_segmentation(self) -> bool:
        """What the ejection fraction is from: the segmentations, or else the deformation."""
        if np.isnan(self.segmented_ml).any():
            return False
        return abs(_ejected(self.segmented_ml) - _ejected(self.volumes_ml)) <= _AGREE

    @property
    def trust(self) -> str:
        """One sentence: how far the strain can be relied on."""
        last = int(np.flatnonzero(self.order == self.end_systole)[0])
        segmented, deformed = (_ejected(v) for v in (self.segmented_ml, self.volumes_ml))
        doubts = []
        if self.drift_mm is not None and self.drift_mm[1] > _DRIFT:
            doubts.append("much drift after the beat")
        if abs(segmented - deformed) > _AGREE:  # not so where one is not known
            doubts.append("two ejection fractions that do not agree")
        if abs(self.muscle[last] - 1) > _VOLUME:
            doubts.append("a change of the muscle's volume")
        if doubts:
            return f"Do not rely on this strain: it shows {' and '.join(doubts)}."
        return (
            "No check speaks against this strain; read the means of walls and levels, as single "
            "segments err by several percentage points."
        )

    def at(self, direction: str, frame: int) -> np.ndarray:
        """The 17 segments' strain in a frame of the series: [17]."""
        return self.segments[direction][:, int(np.flatnonzero(self.order == frame)[0])]


def shown_directions(found: Strain) -> list[str]:
    """The directions that can be relied on: in thick slices not the longitudinal one."""
    return [d for d in DIRECTIONS if d != "longitudinal" or found.longitudinal_seen]


def _ejected(volumes: np.ndarray) -> float:
    return float((volumes.max() - volumes.min()) / volumes.max())


def remark(result: Strain, tracking: str) -> None:
    """Add to a result's notes what a reader has to know; frames are counted from 1."""
    notes, lowest = result.notes, int(np.flatnonzero(result.order == result.end_systole)[0])
    notes.append(
        f"Strain is Green-Lagrange, relative to frame {result.reference + 1}, tracked "
        f"{TRACKING[tracking]}; end-systole is frame {result.end_systole + 1}."  # type: ignore[index]
    )
    if result.drift_mm is not None and result.drift_across_mm is not None:
        median, most = result.drift_mm
        text = (
            f"After the beat, points were {median:.1f} mm from home in the slices (95 %: "
            f"{most:.1f} mm) and {result.drift_across_mm[0]:.1f} mm across them"
        )
        notes.append(
            f"{text}; this drift was taken back evenly."
            if most <= _DRIFT
            else f"{text}: much drift, so the series may not be a whole beat, or the registration "
            "failed in a frame. Do not rely on the curves."
        )
    if not result.longitudinal_seen:
        notes.append(
            f"The slices are {result.points.slice_mm:.0f} mm apart, so motion across them is "
            "hardly seen: the longitudinal strain is not to be relied on."
        )
    segmented, deformed = (_ejected(v) for v in (result.segmented_ml, result.volumes_ml))
    text = f"Ejection fraction {result.ejection_fraction:.0%}, by the "
    if result.by_segmentation:
        notes.append(f"{text}segmented cavity ({deformed:.0%} by the deformation).")
    elif np.isnan(segmented):
        notes.append(f"{text}deformation; not every frame could be segmented.")
    else:
        notes.append(
            f"{text}deformation; the segmented cavity gives {segmented:.0%}, which does not agree: "
            "look at the segmentation."
        )
    change = result.muscle[lowest] - 1
    if abs(change) > _VOLUME:
        notes.append(
            f"The muscle's volume changes by {change:+.0%} at end-systole, where it should stay "
            "the same: radial strain is too small or too large by about as much."
        )
