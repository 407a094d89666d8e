"""A transform from another program's files, read in the engine's process."""

from __future__ import annotations

from collections.abc import Generator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import vtk

from DeepRegistrationLib.evaluation.driving_record import Drove
from DeepRegistrationLib.files.foreign_transforms import readable_endings
from DeepRegistrationLib.images.geometry import Grid
from DeepRegistrationLib.images.plain_data import FieldMap
from DeepRegistrationLib.scene.landmarks.driving_record import remember_record
from DeepRegistrationLib.scene.landmarks.pairs import taken_as_identity
from DeepRegistrationLib.scene.nodes import hierarchy
from DeepRegistrationLib.scene.nodes.coordinates import flipped, map_points, parents_of
from DeepRegistrationLib.scene.nodes.placement import IMPORTED, place_under
from DeepRegistrationLib.scene.nodes.transaction import Record, reversible
from DeepRegistrationLib.scene.nodes.transforms import (
    converting,
    node_class,
    set_transform,
    spacing_of_samples,
)
from DeepRegistrationLib.scene.nodes.volumes import check_volume_node, grid_of, volume_from_node
from DeepRegistrationLib.scene.runs import results
from DeepRegistrationLib.scene.runs.requests import EngineRequest

_LATTICE = 17  # points along each axis of the fixed volume that are looked at


@dataclass(frozen=True, eq=False)
class ImportResult:
    """A transform in the scene.

    Attributes:
        node: Its transform from parent maps fixed points to moving points.
        direction: What the files store and what was done about it.
        notes: Sentences about what was read, and doubts whether it is of the chosen volumes.
        record: ``record.undo()`` removes it.
    """

    node: Any
    direction: str
    notes: list[str]
    record: Record

    def summary(self) -> list[str]:
        """What to tell the user, a sentence a line."""
        return [f"Imported {self.node.GetName()}. {self.direction}", *self.notes]


@dataclass(frozen=True, eq=False)
class ImportRequest(EngineRequest):
    """Which files to read; run by :class:`~DeepRegistrationLib.scene.runs.run.Run`.

    Attributes:
        scene: Where the transform goes.
        files: As ``files.foreign_transforms.read_foreign`` takes them: one, or ANTs' two.
        fixedNode, movingNode: The volumes that it registers, where they are known. Splines and
            chains are sampled on the fixed one, every 2 mm where its voxels are smaller.
    """

    scene: Any
    files: tuple[str, ...]
    fixedNode: Any = None
    movingNode: Any = None

    command: ClassVar[str] = "imported"
    activity: ClassVar[str] = "the import of the transform"

    def payload(self) -> dict[str, Any]:
        """The engine's request.

        Raises:
            RegistrationError: A volume without voxels.
        """
        grid = None
        if self.fixedNode is not None:
            grid = volume_from_node(self.fixedNode, "the fixed volume").grid
            grid = grid.with_spacing(spacing_of_samples(grid))
        if self.movingNode is not None:
            check_volume_node(self.movingNode, "the moving volume")
        return {"files": list(self.files), "grid": grid}

    def preparing(self, result: dict) -> Generator[None, None, vtk.vtkAbstractTransform]:
        """Copy the transform in steps; touches no scene."""
        return converting(result["transform"])

    def commit(self, mapping: vtk.vtkAbstractTransform, result: dict) -> ImportResult:
        """Add the transform to the scene; nothing is placed under it."""
        pair = (self.fixedNode, self.movingNode)
        with reversible(self.scene) as record:
            name = self.scene.GenerateUniqueName(_name_of(self.files[0]))
            node = self.scene.AddNewNodeByClass(node_class(mapping), name)
            set_transform(node, mapping)
            results.refer_to_pair(node, *(pair[::-1] if result["exchanged"] else pair))
            node.SetAttribute(IMPORTED, result["direction"])
            if result["drove"]:
                remember_record(node, Drove.read(result["drove"], node.GetName()))
            if self.movingNode is not None:
                hierarchy.put_beside(node, self.movingNode)
        field = result["transform"].grid if isinstance(result["transform"], FieldMap) else None
        notes = [*result["notes"], *_warnings(mapping, field, node, *pair)]
        if result["exchanged"]:
            notes.append("Swap the fixed and the moving volume to use it.")
        return ImportResult(node, result["direction"], notes, record)

    def needed(self) -> list[tuple[str, Any]]:
        pair = (("fixed volume", self.fixedNode), ("moving volume", self.movingNode))
        return [(role, node) for role, node in pair if node is not None]

    def without_names(self, text: str) -> str:
        """A technical text without the files' names, which may hold a patient's."""
        text = super().without_names(text)
        for file in self.files:
            text = text.replace(file, "<file>").replace(Path(file).name, "<file>")
        return text


def place_moving(moving, transform) -> Record:
    """Put the moving volume under a transform, in place of an earlier result that it lies under.

    Returns:
        ``undo()`` puts it back.
    """
    replaced = taken_as_identity(moving, transform)
    with reversible(moving.GetScene(), parents=[moving, *parents_of(moving)]) as record:
        place_under(moving, transform, replacing=replaced)
    return record


def _name_of(file: str) -> str:
    name = Path(file).name
    ending = next((e for e in readable_endings() if name.lower().endswith(e)), "")
    return name[: len(name) - len(ending)] or name


def _warnings(
    mapping: vtk.vtkAbstractTransform, field: Grid | None, node, fixed, moving
) -> list[str]:
    """What speaks against a transform being that of these volumes, as far as they are known."""
    inside = None if fixed is None else grid_of(fixed)
    if inside is None:
        return []
    ends = [np.linspace(0, n - 1, _LATTICE) for n in inside.size]
    points = inside.to_physical(np.stack(np.meshgrid(*ends, indexing="ij"), -1))
    warnings = []
    if field is not None and not (covered := field.contains(points)).all():
        warnings.append(
            f"Its displacement field covers {100 * covered.mean():.0f} % of the fixed volume; "
            "outside the field Slicer shows no displacement."
        )
    target = None if moving is None else grid_of(moving, taken_as_identity(moving, node))
    if target is not None:
        there = target.contains(flipped(map_points(mapping, flipped(points))))
        if not there.any():
            warnings.append(
                "It maps the fixed volume entirely outside the moving volume: it is probably not "
                "a transform of these two volumes."
            )
    return warnings
