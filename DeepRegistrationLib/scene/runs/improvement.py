"""A transform improved around some places, driven by landmark pairs."""

from __future__ import annotations

from collections.abc import Generator, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
import vtk

from DeepRegistrationLib.errors import RegistrationError
from DeepRegistrationLib.scene.landmarks import driving
from DeepRegistrationLib.scene.landmarks.driving_start import keep_start, return_to_start
from DeepRegistrationLib.scene.landmarks.pairs import taken_as_identity
from DeepRegistrationLib.scene.nodes.coordinates import flipped, require_node
from DeepRegistrationLib.scene.nodes.masks import mask_from_node
from DeepRegistrationLib.scene.nodes.outputs import ROLES
from DeepRegistrationLib.scene.nodes.provenance import forget_improvements, remember_improvement
from DeepRegistrationLib.scene.nodes.transaction import Record, reversible
from DeepRegistrationLib.scene.nodes.transforms import converting, map_from_node, set_transform
from DeepRegistrationLib.scene.nodes.volumes import check_volume_node, volume_from_node
from DeepRegistrationLib.scene.runs.requests import EngineRequest


@dataclass(frozen=True, eq=False)
class ImprovementResult:
    """What an improvement did.

    Attributes:
        node: The transform node, which holds the improved transform.
        residuals, before: |T(x_F) - x_M| of the driving pairs, mm, after and before: [n].
        left_out: Their leave-one-out errors, mm, NaN where they were not measured: [n].
        largest_change_outside: mm, beyond the radius around the places.
        notes: Sentences for the user.
        record: ``record.undo()`` takes it back.
    """

    node: Any
    residuals: np.ndarray
    before: np.ndarray
    left_out: np.ndarray
    largest_change_outside: float
    notes: list[str]
    record: Record


def undo_all(scene, node) -> None:
    """Take back all improvements of a transform node, of which the start is kept."""
    with reversible(scene, [node], [node]) as record:
        return_to_start(node)
        forget_improvements(node)
        _take_out_derived(record, node)


def _take_out_derived(record: Record, node) -> None:
    """What was made of the transform before leaves the scene."""
    for key, role in ROLES.items():
        if key != "mask":
            record.take_out(node, role)


@dataclass(frozen=True, eq=False)
class ImprovementRequest(EngineRequest):
    """Where to improve a transform, and by which landmarks.

    Attributes:
        scene: Where the transform is.
        transformNode: The present result; it is updated.
        fixedNode, movingNode: The volumes that it registers.
        labels: Of the driving pairs.
        fixedPoints: Of these, RAS in the world, [n, 3].
        movingPoints: RAS in the world as if the transform were not above them, [n, 3].
        places: RAS in the world, around which the transform may change, [k, 3]; the fixed points
            when None.
        radius: How far around them, mm.
        weight: Of the landmarks: 1 where they are trusted to 1 mm, 4 to 0.5 mm, 0.25 to 2 mm.
        fixedMaskNode: Where the fixed image counts; the lungs in chest CT without it.
        lists: The point lists that the pairs are of; they and the transform remember what drove it.
        ids: Of each pair's points in them.
        leftOut: Whether to measure the leave-one-out error of each pair, which takes as long again
            for each.
    """

    scene: Any
    transformNode: Any
    fixedNode: Any
    movingNode: Any
    labels: Sequence[str]
    fixedPoints: np.ndarray
    movingPoints: np.ndarray
    places: np.ndarray | None = None
    radius: float = 30.0
    weight: float = 1.0
    fixedMaskNode: Any = None
    lists: Sequence[Any] = ()
    ids: Sequence[Sequence[str]] = ()
    leftOut: bool = False

    command: ClassVar[str] = "improve"
    activity: ClassVar[str] = "the improvement"

    def payload(self) -> dict[str, Any]:
        """The engine's request.

        Raises:
            RegistrationError: A node is missing or of the wrong kind.
        """
        node = self.transformNode
        require_node(node, "vtkMRMLTransformNode", "the transform")
        if node.IsA("vtkMRMLLinearTransformNode"):
            raise RegistrationError(
                f"{node.GetName()!r} is a linear transform, which cannot bend around a place; "
                "register with a deformable method first."
            )
        check_volume_node(self.fixedNode, "the fixed volume")
        check_volume_node(self.movingNode, "the moving volume")
        fixed = volume_from_node(self.fixedNode, "the fixed volume")
        above = taken_as_identity(self.movingNode, node)
        return {
            "fixed": fixed,
            "moving": volume_from_node(self.movingNode, "the moving volume", ignoring=above),
            "transform": map_from_node(node, fixed.grid),
            "labels": list(self.labels),
            "fixed_points": flipped(self.fixedPoints),
            "moving_points": flipped(self.movingPoints),
            "places": None if self.places is None else flipped(self.places),
            "radius": self.radius,
            "weight": self.weight,
            "fixed_mask": mask_from_node(self.fixedMaskNode, "the fixed mask"),
            "left_out": self.leftOut,
        }

    def preparing(self, answer: dict) -> Generator[None, None, vtk.vtkAbstractTransform]:
        """Copy the transform in steps; touches no scene."""
        return converting(answer["transform"])

    def commit(self, mapping: vtk.vtkAbstractTransform, answer: dict) -> ImprovementResult:
        """Update the transform; what was made of it before leaves the scene."""
        node = self.transformNode
        with reversible(self.scene, [node], [node]) as record:
            if self.lists:
                keep_start(node)
            set_transform(node, mapping)
            remember_improvement(node)
            _take_out_derived(record, node)
            if self.lists:
                self._remember(record)
        numbers = (np.asarray(answer[name]) for name in ("residuals", "before", "left_out"))
        return ImprovementResult(
            node, *numbers, answer["largest_change_outside"], answer["notes"], record
        )

    def _remember(self, record: Record) -> None:
        """The pairs drive from now on; an undo takes back that those do which did not before."""
        ends = np.stack([flipped(self.fixedPoints), flipped(self.movingPoints)], axis=1)
        driving.remember(self.transformNode, self.lists, self.ids, ends)
        chosen = driving.chosen_ids(self.lists[0])
        new = [pair for pair in self.ids if pair[0] not in chosen]
        driving.set_drives(self.lists, self.ids, True)
        if new:
            record.before_undo(lambda: driving.set_drives(self.lists, new, False))

    def needed(self) -> list[tuple[str, Any]]:
        return [
            ("transform", self.transformNode),
            ("fixed volume", self.fixedNode),
            ("moving volume", self.movingNode),
        ]
