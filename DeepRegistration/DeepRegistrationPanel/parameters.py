"""What the panel remembers in the scene: saved with it, and back after loading."""

# No "from __future__ import annotations" here: parameterNodeWrapper reads the types themselves.
import json
from typing import Annotated, Union

from slicer import (
    vtkMRMLLabelMapVolumeNode,
    vtkMRMLMarkupsFiducialNode,
    vtkMRMLScalarVolumeNode,
    vtkMRMLSegmentationNode,
    vtkMRMLSequenceNode,
    vtkMRMLTransformNode,
)
from slicer.parameterNodeWrapper import Choice, Minimum, WithinRange, parameterNodeWrapper

from DeepRegistrationLib.methods import AUTOMATIC
from DeepRegistrationLib.methods.base import method_class
from DeepRegistrationLib.methods.parameters import with_present_names
from DeepRegistrationLib.options import QUALITIES, RegistrationOptions, values_in

DEVICES = ("auto", "cpu", "cuda")

# connectGui makes an instance of each class to learn its name: no abstract ones. None must be among
# them, or the parameter could not be emptied; Slicer 5.8 does not know "X | Y".
LabelNode = Union[vtkMRMLLabelMapVolumeNode, vtkMRMLSegmentationNode, None]  # noqa: UP007


@parameterNodeWrapper
class DeepRegistrationParameterNode:
    """Inputs, choices and what is looked at.

    Attributes:
        fixedVolume, movingVolume: What is registered.
        fixedMask, movingMask: Label map or segmentation; non-zero counts. May be empty.
        initialTransform: Replaces the affine stage. May be empty.
        method: Name of a registration method.
        methodParameters: JSON: for each method's name, the values that differ from its defaults.
        refine: Whether a network's result is refined on the pair itself.
        estimateError: Whether registrations also make maps of where they may be wrong.
        addWarped, addInverse: Outputs besides the transform.
        transform: The transform that is evaluated and looked at: the last result, or any other.
        comparedTransform: Another transform that the report shows beside it.
        fixedLandmarks, movingLandmarks: Corresponding point lists.
        suggestedPlaces: Where landmarks would say much; a point list of the fixed image.
        trust: What the landmarks that drive the deformation are right to, mm.
        radius: How far from them it may change, mm.
        driven: Whether they drive whole registrations, too.
        fixedSegmentation, movingSegmentation: Compared after registration (Dice and distances).
        drivenSegments: Whether structures that both have drive the registration.
        segmentHearts: Whether a network segments the ventricles, to compare them.
        sequence, fixedFrame: What is registered in 4D, and its frame that stays, from 0.
        sequenceTransforms: The result of that, or any other sequence of transforms.
        landmarkSequence: Point lists of the frames; the fixed one's are ``fixedLandmarks``.
        phases: A 4D-CT of which ventilation is measured; without it of the pair.
        cine: Short-axis stacks of a beat, of which strain is measured; without it of the pair.
        heartLabels: Segmentation of the end-diastolic one. May be empty.
        endDiastole: Its number, from 1; 0: to be found.
    """

    fixedVolume: vtkMRMLScalarVolumeNode
    movingVolume: vtkMRMLScalarVolumeNode
    fixedMask: LabelNode
    movingMask: LabelNode
    initialTransform: vtkMRMLTransformNode
    method: str = "optimize"
    methodParameters: str = "{}"
    quality: Annotated[str, Choice(list(QUALITIES))] = "default"
    device: Annotated[str, Choice(list(DEVICES))] = "auto"
    refine: bool = False
    estimateError: bool = False
    addWarped: bool = False
    addInverse: bool = False
    transform: vtkMRMLTransformNode
    comparedTransform: vtkMRMLTransformNode
    fixedLandmarks: vtkMRMLMarkupsFiducialNode
    movingLandmarks: vtkMRMLMarkupsFiducialNode
    suggestedPlaces: vtkMRMLMarkupsFiducialNode
    trust: Annotated[float, WithinRange(0.1, 10.0)] = 1.0
    radius: Annotated[float, WithinRange(10.0, 100.0)] = 30.0
    driven: bool = False
    fixedSegmentation: LabelNode
    movingSegmentation: LabelNode
    drivenSegments: bool = False
    segmentHearts: bool = False
    sequence: vtkMRMLSequenceNode
    fixedFrame: Annotated[int, Minimum(0)] = 0
    sequenceTransforms: vtkMRMLSequenceNode
    landmarkSequence: vtkMRMLSequenceNode
    phases: vtkMRMLSequenceNode
    cine: vtkMRMLSequenceNode
    heartLabels: LabelNode
    endDiastole: Annotated[int, Minimum(0)] = 0


def forgetNode(parameters, node):
    """Empty all parameters that name a node. To be called while it is still in the scene.

    A node selector that loses the row of its current node takes another one, and with it another
    patient's transform perhaps: the parameter must be empty before.
    """
    for name in parameters.allParameters:
        if parameters.getValue(name) is node:
            parameters.setValue(name, None)


def changedParameters(parameters):
    """The values of the chosen method that differ from its defaults."""
    values = json.loads(parameters.methodParameters).get(parameters.method, {})
    return with_present_names(method_class(parameters.method).Parameters, values)


def refinable(method):
    """Whether it is for the user to say: not where the result is affine, is that refinement
    itself, or comes of the method that decides about it."""
    return method not in (AUTOMATIC, "optimize", "affine")


def chosenOptions(parameters):
    """How to register, as the panel's widgets say; one that has no widget keeps its default."""
    given = values_in(RegistrationOptions, parameters)
    given["parameters"] = changedParameters(parameters)
    given["refine"] = parameters.refine and refinable(parameters.method)
    if parameters.driven:
        given["landmark_weight"] = 1 / parameters.trust**2
    return RegistrationOptions(**given)
