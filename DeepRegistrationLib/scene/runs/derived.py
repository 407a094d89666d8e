"""Volumes made from any transform of the scene when somebody asks for them."""

from __future__ import annotations

from collections.abc import Generator
from dataclasses import dataclass
from typing import Any, ClassVar

import vtk

from DeepRegistrationLib.scene.landmarks.pairs import taken_as_identity
from DeepRegistrationLib.scene.nodes.coordinates import require_node
from DeepRegistrationLib.scene.nodes.outputs import outputs_of
from DeepRegistrationLib.scene.nodes.transaction import Record, reversible
from DeepRegistrationLib.scene.nodes.transforms import map_from_node
from DeepRegistrationLib.scene.nodes.volumes import check_volume_node, copying, volume_from_node
from DeepRegistrationLib.scene.runs import results
from DeepRegistrationLib.scene.runs.requests import EngineRequest

_ACTIVITIES = {
    "warped": "the resampling",
    "jacobian": "the computation of the Jacobian",
    "displacement": "the computation of the displacement",
}


@dataclass(frozen=True, eq=False)
class DerivedResult:
    """A volume in the scene.

    Attributes:
        node: The volume node.
        record: ``record.undo()`` takes it back.
    """

    node: Any
    record: Record


@dataclass(frozen=True, eq=False)
class DerivedRequest(EngineRequest):
    """Which volume to make of which transform.

    Attributes:
        scene: Where the volume goes.
        transformNode: Any transform: a result of this module, elastix, BRAINS, landmarks.
        fixedNode: On its grid the volume is made.
        movingNode: What is resampled for ``warped``.
        kind: ``warped``, ``jacobian`` or ``displacement``.
    """

    scene: Any
    transformNode: Any
    fixedNode: Any
    movingNode: Any
    kind: str

    command: ClassVar[str] = "derive"

    @property
    def activity(self) -> str:  # type: ignore[override]
        """What is done, as messages call it."""
        return _ACTIVITIES[self.kind]

    def payload(self) -> dict[str, Any]:
        """The engine's request.

        Raises:
            RegistrationError: A node is missing or of the wrong kind.
        """
        require_node(self.transformNode, "vtkMRMLTransformNode", "the transform")
        check_volume_node(self.fixedNode, "the fixed volume")
        check_volume_node(self.movingNode, "the moving volume")
        grid = volume_from_node(self.fixedNode, "the fixed volume").grid
        moving = None
        if self.kind == "warped":
            moving = volume_from_node(
                self.movingNode,
                "the moving volume",
                ignoring=taken_as_identity(self.movingNode, self.transformNode),
            )
        return {
            "transform": map_from_node(self.transformNode, grid),
            "grid": grid,
            "moving": moving,
            "kind": self.kind,
        }

    def preparing(self, result: dict) -> Generator[None, None, vtk.vtkImageData]:
        """Copy the volume in steps; touches no scene."""
        return copying(result["volume"])

    def commit(self, data: vtk.vtkImageData, result: dict) -> DerivedResult:
        """Put the volume into the scene; an earlier one of the transform is updated."""
        earlier = outputs_of(self.transformNode).get(self.kind)
        grid = result["volume"].grid
        with reversible(self.scene, [] if earlier is None else [earlier]) as record:
            node = results.add_volume(self.transformNode, self.kind, data, grid, self.movingNode)
        return DerivedResult(node, record)

    def needed(self) -> list[tuple[str, Any]]:
        return [("transform", self.transformNode), ("moving volume", self.movingNode)]
