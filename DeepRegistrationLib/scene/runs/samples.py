"""Sample data that needs no network: phantoms, made by the engine, as volumes and landmarks."""

from __future__ import annotations

from collections.abc import Generator
from dataclasses import dataclass
from typing import Any, ClassVar

import slicer
import vtk

from DeepRegistrationLib.images.plain_data import Volume
from DeepRegistrationLib.scene.landmarks.pairs import point_list_from
from DeepRegistrationLib.scene.nodes.transaction import Record, reversible
from DeepRegistrationLib.scene.nodes.volumes import (
    copying,
    update_volume_node,
    volume_node_from_image,
)
from DeepRegistrationLib.scene.runs.requests import EngineRequest
from DeepRegistrationLib.scene.views.window_presets import apply_preset

_COLORS = {"fixed": (0.1, 0.7, 0.1), "moving": (0.8, 0.1, 0.8)}  # of landmarks


@dataclass(frozen=True)
class Phantom:
    """What is known of a phantom before it is made.

    Attributes:
        title: As the user sees it.
        fixed, moving: What the two images show.
        preset: Of window and level, see :mod:`presets`.
        segments: Names by number in its label images.
        options: Of the phantom's function, so that it is made and registered in short time.
    """

    title: str
    fixed: str
    moving: str
    preset: str
    segments: dict[int, str]
    options: dict[str, Any]


PHANTOMS = {
    "thorax": Phantom(
        "Thorax phantom (inhale, exhale)",
        "Inhale",
        "Exhale",
        "lung",
        {1: "Lungs"},
        {"size": (128, 102, 116), "spacing": (2.5, 2.5, 2.5)},
    ),
    "heart": Phantom(
        "Heart phantom (diastole, systole)",
        "Diastole",
        "Systole",
        "cardiac",
        {1: "Right ventricle", 2: "Myocardium", 3: "Left ventricle"},
        {},
    ),
}


@dataclass(frozen=True, eq=False)
class Sample:
    """A phantom in the scene.

    Attributes:
        fixed, moving: Volume nodes.
        fixedLandmarks, movingLandmarks: Corresponding point lists.
        fixedSegmentation, movingSegmentation: The organs.
        record: ``record.undo()`` takes all of it out again.
    """

    fixed: Any
    moving: Any
    fixedLandmarks: Any
    movingLandmarks: Any
    fixedSegmentation: Any
    movingSegmentation: Any
    record: Record


@dataclass(frozen=True, eq=False)
class SampleRequest(EngineRequest):
    """A phantom to be made in the engine's process.

    Attributes:
        scene: Where it goes.
        name: A key of :data:`PHANTOMS`.
        options: Of the phantom's function, instead of its usual ones.
    """

    scene: Any
    name: str
    options: dict[str, Any]

    command: ClassVar[str] = "phantom"
    activity: ClassVar[str] = "the creation of the sample data"

    def payload(self) -> dict[str, Any]:
        """The engine's request."""
        return {"name": self.name, "options": {**PHANTOMS[self.name].options, **self.options}}

    def preparing(self, result: dict) -> Generator[None, None, dict[str, vtk.vtkImageData]]:
        """Copy the images in steps; touches no scene."""
        copies = {}
        for side in ("fixed", "moving"):
            copies[side] = yield from copying(result[side])
        return copies

    def commit(self, prepared: dict[str, vtk.vtkImageData], result: dict) -> Sample:
        """Add the nodes, all or none."""
        nodes: dict[str, Any] = {}
        with reversible(self.scene) as record:
            for side, image in prepared.items():
                nodes[side] = self._volume(side, image, result[side])
                points = result[f"{side}_landmarks"]
                name = f"{nodes[side].GetName()} landmarks"
                nodes[f"{side}Landmarks"] = point_list_from(points, self.scene, name, _COLORS[side])
                nodes[f"{side}Segmentation"] = self._segmentation(
                    result[f"{side}_labels"], f"{nodes[side].GetName()} organs"
                )
        return Sample(**nodes, record=record)

    def _volume(self, side: str, image: vtk.vtkImageData, volume: Volume):
        phantom = PHANTOMS[self.name]
        name = self.scene.GenerateUniqueName(getattr(phantom, side))
        node = self.scene.AddNewNodeByClass("vtkMRMLScalarVolumeNode", name)
        update_volume_node(node, image, volume.grid)
        node.CreateDefaultDisplayNodes()
        apply_preset(phantom.preset, [node])
        return node

    def _segmentation(self, labels: Volume, name: str):
        """The organs, hidden at first: they would lie over the images."""
        label_map = volume_node_from_image(labels, self.scene, "labels", label_map=True)
        node = self.scene.AddNewNodeByClass(
            "vtkMRMLSegmentationNode", self.scene.GenerateUniqueName(name)
        )
        slicer.vtkSlicerSegmentationsModuleLogic.ImportLabelmapToSegmentationNode(label_map, node)
        self.scene.RemoveNode(label_map)
        segmentation = node.GetSegmentation()
        names = PHANTOMS[self.name].segments
        for k in range(segmentation.GetNumberOfSegments()):
            segment = segmentation.GetNthSegment(k)
            segment.SetName(names[segment.GetLabelValue()])
        node.CreateDefaultDisplayNodes()
        node.GetDisplayNode().SetVisibility(False)
        return node
