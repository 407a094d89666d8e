"""A class of parameters of many types, for the tests of slicer.parameterNodeWrapper.

Slicer's wrapper wants annotations that are types: postponed ones are text.
"""

import enum
import types
from pathlib import Path
from typing import Annotated, Optional, Union

import numpy as np
import pytest
import slicer
from SlicerHost import slicer_source

vtkMRMLScalarVolumeNode = slicer.vtkMRMLScalarVolumeNode  # noqa: N816
vtkMRMLLabelMapVolumeNode = slicer.vtkMRMLLabelMapVolumeNode  # noqa: N816
vtkMRMLSegmentationNode = slicer.vtkMRMLSegmentationNode  # noqa: N816

louder = pytest.mark.skipif(
    slicer_source.folder() is not None, reason="only the stand-in refuses it; Slicer goes on"
)


class Quality(enum.Enum):
    FAST = "fast"
    BEST = "best"

    def label(self) -> str:
        return f"{self.value} quality"


def settings_class(layer: types.ModuleType) -> type:
    """The class, wrapped by the module ``slicer.parameterNodeWrapper`` that is given."""

    @layer.parameterNodeWrapper
    class Settings:
        volume: vtkMRMLScalarVolumeNode
        mask: Union[vtkMRMLLabelMapVolumeNode, vtkMRMLSegmentationNode, None]  # noqa: UP007
        threshold: Annotated[float, layer.WithinRange(-100, 500), layer.SingleStep(0.5)] = 100.0
        count: Annotated[int, layer.Minimum(1), layer.Maximum(9)] = 3
        invert: bool = False
        name: str = "result"
        quality: Quality
        method: Annotated[str, layer.Choice(["optimize", "affine"]), layer.Default("affine")]
        folder: Path
        note: Optional[str]  # noqa: UP045
        origin: tuple[float, float, float] = (1.0, 2.0, 3.0)
        names: list[str]

    return Settings


def add_parameter_node(scene):
    """The node that keeps the parameters, in the scene."""
    node = slicer.vtkMRMLScriptedModuleNode()
    node.SetSingletonTag("Settings")
    return scene.AddNode(node)


def volume(name: str = "volume"):
    """A small volume in the scene."""
    return slicer.util.addVolumeFromArray(np.zeros((2, 3, 4), np.int16), name=name)
