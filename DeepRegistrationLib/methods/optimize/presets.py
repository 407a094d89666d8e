"""Settings of the instance optimization for each anatomy and quality."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Literal

from DeepRegistrationLib.methods import anatomy
from DeepRegistrationLib.options import Quality


@dataclass(frozen=True)
class Level:
    """One resolution of the coarse-to-fine optimization.

    Attributes:
        spacing: Of the images, mm; axes with larger voxels keep theirs.
        control_spacing: Spacing of the B-spline control points, mm.
        iterations: Gradient steps.
        window: Standard deviation of the local correlation's window, mm.
        cropped: Work only around the mask (finest levels), instead of on the whole image.
    """

    spacing: float
    control_spacing: float
    iterations: int
    window: float
    cropped: bool = False


@dataclass(frozen=True)
class OptimizationPreset:
    """What suits one anatomy.

    Attributes:
        title: For messages.
        start: What brings the images near where nothing is given: an affine alignment, the places
            of the two hearts, or the grids alone.
        range: Intensities are clamped to this; None: 1st to 99th percentile become 0 and 1.
        noise: Squared intensity below which windows do not count.
        bending: Weight of the bending energy.
        outside: Weight of the image outside the mask.
        levels: For each quality, coarse to fine; those of ``default`` where there are none.
        two_way: Whether ``best`` is the mean of both directions. (In thick slices of hearts more
            iterations alone gain more: Dice 0.843 against 0.839 in ten patients of ACDC 001-060.)
        segmentation: Weight of the squared differences of the segmentations' probabilities; 0:
            none are made.
        segmented_bending: Weight of the bending energy beside them. (Both chosen in twelve
            patients of ACDC 001-060 for Dice, with nothing folded and a margin to folding.)
    """

    title: str
    start: Literal["affine", "hearts", "grids"]
    range: tuple[float, float] | None
    noise: float
    bending: float
    outside: float
    levels: dict[Quality, tuple[Level, ...]]
    two_way: bool = False
    segmentation: float = 0.0
    segmented_bending: float = 0.0

    def levels_of(self, quality: Quality) -> tuple[Level, ...]:
        """The levels of a quality, coarse to fine."""
        return self.levels.get(quality, self.levels["default"])

    def both_ways(self, quality: Quality) -> bool:
        """Whether the result of a quality is the mean of both directions."""
        return quality == "best" and self.two_way


LUNG_CT = OptimizationPreset(
    title="breathing lungs in CT",
    start="affine",
    range=(-1000.0, 300.0),
    noise=400.0,
    bending=0.4,
    outside=0.01,
    levels={
        "fast": (Level(8, 16, 12, 12), Level(4, 12, 12, 10, True), Level(2, 5, 6, 4, True)),
        "default": (Level(8, 16, 20, 12), Level(4, 12, 20, 10, True), Level(2, 4, 12, 4, True)),
        # Known deformations of phantoms and of a POPI image: a tenth below the mean of two fits
        # with the iterations above, and a third in smooth motion of 25 mm.
        "best": (Level(8, 16, 20, 12), Level(4, 12, 40, 10, True), Level(2, 4, 36, 4, True)),
    },
    two_way=True,
)

CARDIAC_MRI = OptimizationPreset(
    title="cardiac cine MRI",
    start="grids",
    range=None,
    noise=5e-4,
    bending=0.1,
    outside=0.0,
    levels={
        "fast": (Level(6, 12, 12, 12), Level(3, 9, 12, 10)),
        "default": (Level(6, 12, 16, 12), Level(3, 9, 16, 10), Level(1.5, 6, 16, 8)),
        "best": (Level(6, 12, 40, 12), Level(3, 9, 40, 10), Level(1.5, 6, 40, 8)),
    },
    segmentation=2.0,
    segmented_bending=0.1,
)

CARDIAC_MRI_PATIENTS = replace(
    CARDIAC_MRI,
    title="the hearts of two patients",
    start="hearts",
    segmentation=1.0,
    segmented_bending=0.15,
)

# Of chest CT without masks, too. The lungs' settings were measured there: errors at landmarks of
# the 4D-CT, the follow-up and POPI's 30 % phase become 0.02 to 0.07 mm less, but at its 50 % phase
# 0.07 mm and in two phantoms 0.09 mm more, and in the phantoms' body a quarter to two fifths more.
GENERAL = OptimizationPreset(
    title="any anatomy",
    start="affine",
    range=None,
    noise=2e-3,
    bending=0.3,
    outside=0.0,
    levels={
        "fast": (Level(8, 24, 16, 12), Level(4, 16, 16, 8)),
        "default": (Level(8, 24, 20, 12), Level(4, 16, 20, 8), Level(2, 8, 12, 5)),
    },
    two_way=True,
)

PRESETS = {  # by the name of the anatomy
    anatomy.LUNG_CT: LUNG_CT,
    anatomy.CARDIAC_MRI: CARDIAC_MRI,
    anatomy.CARDIAC_MRI_PATIENTS: CARDIAC_MRI_PATIENTS,
    anatomy.GENERAL: GENERAL,
}
