"""Ventilation of the chosen pair as a volume and a table, measured in the engine's process."""

from __future__ import annotations

from collections.abc import Generator
from dataclasses import dataclass
from typing import Any, ClassVar

import vtk

from DeepRegistrationLib.images.plain_data import LUNGS
from DeepRegistrationLib.reports.function_parts import VENTILATION
from DeepRegistrationLib.scene.landmarks.pairs import taken_as_identity
from DeepRegistrationLib.scene.nodes import colors
from DeepRegistrationLib.scene.nodes.coordinates import require_node
from DeepRegistrationLib.scene.nodes.curves import add_table
from DeepRegistrationLib.scene.nodes.function_records import remember_function
from DeepRegistrationLib.scene.nodes.hierarchy import put_beside
from DeepRegistrationLib.scene.nodes.masks import mask_from_node
from DeepRegistrationLib.scene.nodes.outputs import outputs_of
from DeepRegistrationLib.scene.nodes.transaction import Record, reversible
from DeepRegistrationLib.scene.nodes.transforms import map_from_node
from DeepRegistrationLib.scene.nodes.volumes import (
    check_volume_node,
    copying,
    update_volume_node,
    volume_from_node,
)
from DeepRegistrationLib.scene.report.identity import hashed_subject
from DeepRegistrationLib.scene.runs.requests import EngineRequest, Work
from DeepRegistrationLib.scene.runs.results import MASK_SOURCE

_COLUMNS = {
    "name": "region",
    "exhale_ml": "ml at exhale",
    "volume": "volume change, %",
    "gas": "gas change, %",
    "density": "gas change by density, %",
    "relative": "relative to the lungs",
    "reliable_percent": "reliable, %",
}


@dataclass(frozen=True, eq=False)
class VentilationResult:
    """Ventilation in the scene.

    Attributes:
        node: Volume of the specific volume change, 0 outside the lungs and where it is unreliable.
        table: A row a region.
        rows: The same as plain data, see ``function.numpy_interface.ventilation_of``.
        notes: Sentences.
        record: ``record.undo()`` takes volume and table back.
    """

    node: Any
    table: Any
    rows: list[dict[str, Any]]
    notes: list[str]
    record: Record


@dataclass(frozen=True, eq=False)
class VentilationRequest(EngineRequest):
    """Which pair to measure.

    Attributes:
        scene: Where the results go.
        fixed, moving: Chest CTs.
        transform: Transform node, fixed to moving.
    """

    scene: Any
    fixed: Any
    moving: Any
    transform: Any

    command: ClassVar[str] = "ventilation"
    activity: ClassVar[str] = "the measurement of the ventilation"

    def payload(self) -> dict[str, Any]:
        """The engine's request.

        Raises:
            RegistrationError: A node is missing or of the wrong kind.
        """
        require_node(self.transform, "vtkMRMLTransformNode", "the transform")
        check_volume_node(self.fixed, "the fixed volume")
        check_volume_node(self.moving, "the moving volume")
        above = taken_as_identity(self.moving, self.transform)
        volume = volume_from_node(self.fixed, "the fixed volume")
        kept = outputs_of(self.transform).get("mask")
        lungs = None
        if kept is not None and self.transform.GetAttribute(MASK_SOURCE) == LUNGS:
            lungs = mask_from_node(kept, "the mask of the registration")
        return {
            "fixed": volume,
            "moving": volume_from_node(self.moving, "the moving volume", ignoring=above),
            "transform": map_from_node(self.transform, volume.grid),
            "lungs": lungs,
        }

    def preparing(self, result: dict) -> Generator[None, None, vtk.vtkImageData]:
        """Copy the map in steps; touches no scene."""
        return copying(result["map"])

    def work(self) -> Work:
        hashing = hashed_subject(self.fixed, self.moving, self.transform)  # of the pair as it is
        prepared = yield from super().work()
        return *prepared, (yield from hashing)

    def commit(self, data: vtk.vtkImageData, result: dict, subject: str) -> VentilationResult:
        """Add volume and table; the transform remembers both for its report."""
        name = f"Ventilation, {self.fixed.GetName()}"
        with reversible(self.scene) as record:
            node = self.scene.AddNewNodeByClass(
                "vtkMRMLScalarVolumeNode", self.scene.GenerateUniqueName(name)
            )
            update_volume_node(node, data, result["map"].grid)
            node.CreateDefaultDisplayNodes()
            table = colors.ventilation_color_node(self.scene)
            colors.show_with_range(node, table, colors.VENTILATION_RANGE, "Volume change")
            put_beside(node, self.fixed)
            regions = add_table(self.scene, f"{name}, regions", _columns(result["rows"]))
        kept = {"rows": result["rows"], "notes": result["notes"]}
        remember_function(self.transform, VENTILATION, subject, kept, record, node)
        return VentilationResult(node, regions, result["rows"], result["notes"], record)

    def needed(self) -> list[tuple[str, Any]]:
        return [
            ("fixed volume", self.fixed),
            ("moving volume", self.moving),
            ("transform", self.transform),
        ]


def _columns(rows: list[dict[str, Any]]) -> dict[str, list[Any]]:
    percent = ("volume", "gas", "density")
    return {
        title: [100 * row[key] if key in percent else row[key] for row in rows]
        for key, title in _COLUMNS.items()
    }
