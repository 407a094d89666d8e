"""Parameter sets of elastix; nothing here needs elastix.

Par0011 is from elastix's model zoo: Staring et al., "Pulmonary image registration with elastix
using a standard intensity-based algorithm", EMPIRE10 workshop, 2010. The B-splines of one and
three resolutions are the baselines of Sokooti et al., MICCAI 2017, which gives the iterations and
the grid of 10 mm; the rest is as in Par0011.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Mask = Literal["given", "fixed", "none"]

_COMMON = """
FixedImagePyramid FixedRecursiveImagePyramid; MovingImagePyramid MovingRecursiveImagePyramid
Interpolator BSplineInterpolator; BSplineInterpolationOrder 1
ResampleInterpolator FinalBSplineInterpolator; Resampler DefaultResampler
Optimizer AdaptiveStochasticGradientDescent
AutomaticParameterEstimation true; UseAdaptiveStepSizes true
ImageSampler RandomCoordinate; NumberOfSpatialSamples 2000; NewSamplesEveryIteration true
HowToCombineTransforms Compose
WriteResultImage false; WriteTransformParametersEachResolution false
"""
_FIVE = """
NumberOfResolutions 5; ImagePyramidSchedule 16 16 16 8 8 8 4 4 4 2 2 2 1 1 1
"""
_AFFINE = f"""{_COMMON}{_FIVE}
Registration MultiResolutionRegistration; Transform AffineTransform
Metric AdvancedNormalizedCorrelation; MaximumNumberOfSamplingAttempts 5
AutomaticScalesEstimation true; AutomaticTransformInitialization true
MaximumNumberOfIterations 1000; ErodeMask false
"""
_PENALIZED = f"""{_COMMON}
Registration MultiMetricMultiResolutionRegistration; Transform BSplineTransform
Metric AdvancedNormalizedCorrelation TransformBendingEnergyPenalty
UseRelativeWeights true; Metric0RelativeWeight 1.0; Metric1RelativeWeight 0.05
MaximumNumberOfSamplingAttempts 50
"""
_BSPLINE_WHOLE = f"""{_PENALIZED}{_FIVE}
FinalGridSpacingInPhysicalUnits 10 10 10; GridSpacingSchedule 8 8 4 2 1
MaximumNumberOfIterations 1000; ErodeMask false
"""
_BSPLINE_LUNG = f"""{_PENALIZED}
NumberOfResolutions 5; ImagePyramidSchedule 4 4 4 3 3 3 2 2 2 1 1 1 1 1 1
FinalGridSpacingInPhysicalUnits 5 5 5; GridSpacingSchedule 16 8 4 2 1
MaximumNumberOfIterations 2000; ErodeMask false false true true true
"""
_BSPLINE_PLAIN = f"""{_COMMON}
Registration MultiResolutionRegistration; Transform BSplineTransform
Metric AdvancedNormalizedCorrelation; MaximumNumberOfSamplingAttempts 50
FinalGridSpacingInPhysicalUnits 10 10 10; ErodeMask false
"""
_BSPLINE_1R = f"""{_BSPLINE_PLAIN}
NumberOfResolutions 1; ImagePyramidSchedule 1 1 1; GridSpacingSchedule 1
MaximumNumberOfIterations 2000
"""
_BSPLINE_3R = f"""{_BSPLINE_PLAIN}
NumberOfResolutions 3; ImagePyramidSchedule 4 4 4 2 2 2 1 1 1; GridSpacingSchedule 4 2 1
MaximumNumberOfIterations 500
"""


@dataclass(frozen=True)
class ElastixStage:
    """One run of elastix.

    Attributes:
        parameters: Names and values as elastix's parameter files have them.
        mask: Which masks count: those given, the fixed one alone, or none.
    """

    parameters: dict[str, tuple[str, ...]]
    mask: Mask

    @property
    def affine(self) -> bool:
        """Whether the stage is the affine one, which an initial transform replaces."""
        return self.parameters["Transform"] == ("AffineTransform",)

    @property
    def iterations(self) -> int:
        """Of all resolutions together."""
        one = int(self.parameters["MaximumNumberOfIterations"][0])
        return one * int(self.parameters["NumberOfResolutions"][0])


def _stage(text: str, mask: Mask) -> ElastixStage:
    lines = (line.split() for line in text.replace(";", "\n").split("\n") if line.strip())
    return ElastixStage({name: tuple(values) for name, *values in lines}, mask)


RECIPES: dict[str, tuple[ElastixStage, ...]] = {
    "affine": (_stage(_AFFINE, "given"),),
    "bspline-1r2000": (_stage(_AFFINE, "given"), _stage(_BSPLINE_1R, "given")),
    "bspline-3r500": (_stage(_AFFINE, "given"), _stage(_BSPLINE_3R, "given")),
    "par0011": (
        _stage(_AFFINE, "none"),
        _stage(_BSPLINE_WHOLE, "none"),
        _stage(_BSPLINE_LUNG, "none"),
    ),
    "par0011-mask": (
        _stage(_AFFINE, "none"),
        _stage(_BSPLINE_WHOLE, "none"),
        _stage(_BSPLINE_LUNG, "fixed"),
    ),
}
"""Stages of each recipe, in the order in which they run, each on top of those before."""
