"""The inverse of a finished transform, made when somebody asks for it."""

from __future__ import annotations

from collections.abc import Generator
from dataclasses import dataclass
from typing import Any, ClassVar

import slicer
import vtk

from DeepRegistrationLib.errors import RegistrationError
from DeepRegistrationLib.scene.nodes.coordinates import require_node
from DeepRegistrationLib.scene.nodes.outputs import outputs_of
from DeepRegistrationLib.scene.nodes.transaction import Record, reversible
from DeepRegistrationLib.scene.nodes.transforms import converting, map_from_node
from DeepRegistrationLib.scene.nodes.volumes import volume_from_node
from DeepRegistrationLib.scene.runs import results
from DeepRegistrationLib.scene.runs.requests import EngineRequest


@dataclass(frozen=True, eq=False)
class InverseResult:
    """An inverse in the scene.

    Attributes:
        node: Its transform from parent maps moving points to fixed points.
        residual_mm: ``mean``, ``max`` of |T(T^-1(y)) - y|, and ``roundtrip_max``.
        record: ``record.undo()`` takes it back.
    """

    node: slicer.vtkMRMLTransformNode
    residual_mm: dict[str, float]
    record: Record


@dataclass(frozen=True, eq=False)
class InverseRequest(EngineRequest):
    """What to invert.

    Attributes:
        scene: Where the inverse goes.
        transformNode: A registration's result, with its references to the pair.
    """

    scene: Any
    transformNode: Any

    command: ClassVar[str] = "inverse"
    activity: ClassVar[str] = "the inversion of the transform"

    def payload(self) -> dict[str, Any]:
        """The engine's request.

        Raises:
            RegistrationError: No transform, or not one of a registration whose volumes are there.
        """
        require_node(self.transformNode, "vtkMRMLTransformNode", "the transform")
        fixed, moving = self._pair()
        grid = volume_from_node(fixed, "the fixed volume").grid
        above = volume_from_node(moving, "the moving volume", ignoring=self.transformNode)
        return {"transform": map_from_node(self.transformNode, grid), "grid": above.grid}

    def preparing(self, result: dict) -> Generator[None, None, vtk.vtkAbstractTransform]:
        """Copy the inverse in steps; touches no scene."""
        return converting(result["inverse"])

    def commit(self, mapping: vtk.vtkAbstractTransform, result: dict) -> InverseResult:
        """Put the inverse into the scene; an earlier one of the transform is updated."""
        earlier = outputs_of(self.transformNode).get("inverse")
        with reversible(self.scene, [] if earlier is None else [earlier]) as record:
            node = results.add_inverse(self.transformNode, mapping, *self._pair())
        return InverseResult(node, result["residual_mm"], record)

    def needed(self) -> list[tuple[str, Any]]:
        return [("transform", self.transformNode)]

    def _pair(self) -> tuple:
        node = self.transformNode
        fixed = node.GetNodeReference(node.GetFixedNodeReferenceRole())
        moving = node.GetNodeReference(node.GetMovingNodeReferenceRole())
        if fixed is None or moving is None:
            raise RegistrationError(
                f"The volumes that {node.GetName()!r} registers are not in the scene; choose the "
                "transform of a registration made here."
            )
        return fixed, moving
