"""The lungs of a chest CT as a label map, found in the engine's process."""

from __future__ import annotations

from collections.abc import Generator
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
import vtk

from DeepRegistrationLib.scene.nodes.hierarchy import put_beside
from DeepRegistrationLib.scene.nodes.transaction import Record, reversible
from DeepRegistrationLib.scene.nodes.volumes import (
    check_volume_node,
    copying,
    update_volume_node,
    volume_from_node,
)
from DeepRegistrationLib.scene.runs.requests import EngineRequest


@dataclass(frozen=True, eq=False)
class LungMaskResult:
    """A mask in the scene.

    Attributes:
        node: Label map on the volume's grid; 1 inside the lungs. Fit for the mask selectors.
        liters: The lungs' volume.
        failed_checks: Clauses that speak against the mask.
        missing: A clause where much of a lung is not in it, or "".
        record: ``record.undo()`` takes it back.
    """

    node: Any
    liters: float
    failed_checks: list[str]
    missing: str
    record: Record


@dataclass(frozen=True, eq=False)
class LungMaskRequest(EngineRequest):
    """Whose lungs to find; run by :class:`~DeepRegistrationLib.scene.runs.run.Run`.

    Attributes:
        scene: Where the mask goes.
        volumeNode: A chest CT in Hounsfield units.
    """

    scene: Any
    volumeNode: Any

    command: ClassVar[str] = "lungs"
    activity: ClassVar[str] = "the search for the lungs"

    def payload(self) -> dict[str, Any]:
        """The engine's request.

        Raises:
            RegistrationError: No volume, or one without voxels.
        """
        check_volume_node(self.volumeNode, "the volume")
        return {"image": volume_from_node(self.volumeNode, "the volume")}

    def preparing(self, result: dict) -> Generator[None, None, vtk.vtkImageData]:
        """Copy the mask in steps; touches no scene."""
        return copying(result["mask"])

    def commit(self, data: vtk.vtkImageData, result: dict) -> LungMaskResult:
        """Add the mask to the scene."""
        name = self.scene.GenerateUniqueName(f"{self.volumeNode.GetName()} lungs")
        with reversible(self.scene) as record:
            node = self.scene.AddNewNodeByClass("vtkMRMLLabelMapVolumeNode", name)
            update_volume_node(node, data, result["mask"].grid)
            node.CreateDefaultDisplayNodes()
            put_beside(node, self.volumeNode)
        mask = result["mask"]
        cubic_mm = np.count_nonzero(mask.data) * np.prod(mask.grid.spacing)
        doubts = result["failed_checks"], result["missing"]
        return LungMaskResult(node, float(cubic_mm) / 1e6, *doubts, record)

    def needed(self) -> list[tuple[str, Any]]:
        return [("volume", self.volumeNode)]
