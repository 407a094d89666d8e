"""Places where landmarks would say much, suggested as a point list."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
import vtk

from DeepRegistrationLib.scene.landmarks.pairs import taken_as_identity
from DeepRegistrationLib.scene.nodes.coordinates import flipped
from DeepRegistrationLib.scene.nodes.hierarchy import put_beside
from DeepRegistrationLib.scene.nodes.masks import mask_from_node
from DeepRegistrationLib.scene.nodes.outputs import outputs_of
from DeepRegistrationLib.scene.nodes.transaction import Record, reversible
from DeepRegistrationLib.scene.nodes.volumes import check_volume_node, volume_from_node
from DeepRegistrationLib.scene.runs.requests import EngineRequest
from DeepRegistrationLib.scene.views.crosshair import place_node_kept

_COLOR = (1.0, 0.65, 0.0)  # neither that of a landmark in the fixed nor in the moving image


@dataclass(frozen=True, eq=False)
class PlacesResult:
    """Suggested places in the scene.

    Attributes:
        node: Point list.
        record: ``record.undo()`` takes it back.
    """

    node: Any
    record: Record


@dataclass(frozen=True, eq=False)
class PlacesRequest(EngineRequest):
    """For which pair to suggest places.

    Attributes:
        scene: Where the list goes.
        fixedNode, movingNode: The pair.
        transformNode: A result whose mask says where, unless a fixed one is chosen; or None.
        masks: Of the fixed and of the moving image; each may be None.
        count: How many places at most.
    """

    scene: Any
    fixedNode: Any
    movingNode: Any
    transformNode: Any = None
    masks: tuple = (None, None)
    count: int = 20

    command: ClassVar[str] = "places"
    activity: ClassVar[str] = "the search for places"

    def payload(self) -> dict[str, Any]:
        """The engine's request.

        Raises:
            RegistrationError: A volume is missing or of the wrong kind.
        """
        check_volume_node(self.fixedNode, "the fixed volume")
        check_volume_node(self.movingNode, "the moving volume")

        def above(node):
            return None if node is None else taken_as_identity(node, self.transformNode)

        fixed_mask, moving_mask = self.masks
        outputs = {} if self.transformNode is None else outputs_of(self.transformNode)
        return {
            "fixed": volume_from_node(self.fixedNode, "the fixed volume"),
            "moving": volume_from_node(
                self.movingNode, "the moving volume", ignoring=above(self.movingNode)
            ),
            "count": self.count,
            "fixed_mask": mask_from_node(fixed_mask, "the fixed mask"),
            "moving_mask": mask_from_node(
                moving_mask, "the moving mask", ignoring=above(moving_mask)
            ),
            "kept_mask": mask_from_node(outputs.get("mask"), "the mask of the registration"),
        }

    def commit(self, _prepared: Any, result: dict[str, Any]) -> PlacesResult:
        """Add the list to the scene."""
        name = self.scene.GenerateUniqueName(f"{self.fixedNode.GetName()} suggested places")
        with reversible(self.scene) as record, place_node_kept(self.scene):
            node = self.scene.AddNewNodeByClass("vtkMRMLMarkupsFiducialNode", name)
            node.CreateDefaultDisplayNodes()
            display = node.GetDisplayNode()
            display.SetSelectedColor(*_COLOR)
            display.SetPointLabelsVisibility(False)
            node.SetLocked(True)
            for number, point in enumerate(flipped(np.asarray(result["points"])), start=1):
                node.AddControlPoint(vtk.vtkVector3d(*point), f"place {number}")
            put_beside(node, self.fixedNode)
        return PlacesResult(node, record)

    def needed(self) -> list[tuple[str, Any]]:
        return [("fixed volume", self.fixedNode), ("moving volume", self.movingNode)]
