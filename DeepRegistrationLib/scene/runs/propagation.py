"""Contours, points and dose brought from one image to the other under a transform."""

from __future__ import annotations

from collections.abc import Generator
from dataclasses import dataclass
from enum import Enum
from typing import Any, ClassVar

import vtk

from DeepRegistrationLib.errors import RegistrationError
from DeepRegistrationLib.images.plain_data import Volume
from DeepRegistrationLib.scene.landmarks.pairs import taken_as_identity
from DeepRegistrationLib.scene.nodes import hierarchy
from DeepRegistrationLib.scene.nodes.coordinates import between, parents_of, placement, require_node
from DeepRegistrationLib.scene.nodes.outputs import outputs_of
from DeepRegistrationLib.scene.nodes.placement import place_under
from DeepRegistrationLib.scene.nodes.transaction import Record, reversible
from DeepRegistrationLib.scene.nodes.volumes import (
    check_volume_node,
    exhausted,
    reslicing,
    update_volume_node,
    volume_from_node,
    vtk_image,
)
from DeepRegistrationLib.scene.runs import results
from DeepRegistrationLib.scene.runs.requests import SceneRequest, Work

NODE_CLASSES = (
    "vtkMRMLSegmentationNode",
    "vtkMRMLLabelMapVolumeNode",
    "vtkMRMLScalarVolumeNode",
    "vtkMRMLMarkupsNode",
    "vtkMRMLModelNode",
)
"""What can be propagated; derived classes too."""

_PLACED_UNDER = "DeepRegistration.PlacedUnder"
"""Node reference to the transform that :func:`place` chose."""


class Direction(str, Enum):
    """From which image to which."""

    TO_FIXED = "from moving to fixed"
    TO_MOVING = "from fixed to moving"


def place(node, transform, direction: Direction) -> Record:
    """Put a node under the transform, or under its inverse, below its present parents.

    The node then appears at the corresponding place of the other image; nothing is resampled. What
    it was placed under before, and the result of another registration, it leaves.

    Args:
        node: One of :data:`NODE_CLASSES`.
        transform: From parent, it maps fixed to moving points.
        direction: ``TO_FIXED``: ``node`` was drawn on the moving image.

    Returns:
        ``undo()`` takes the node out again.

    Raises:
        RegistrationError: Nodes of the wrong kind, or it already lies under the transform.
    """
    _check(node, transform)
    with reversible(node.GetScene(), parents=[node, *parents_of(node)]) as record:
        above = _above(transform, direction)
        if above in parents_of(node):
            raise RegistrationError(
                f"{node.GetName()!r} is already under {above.GetName()!r}; choose another node, "
                "or make a copy."
            )
        before = node.GetNodeReferenceID(_PLACED_UNDER)
        record.before_undo(lambda: node.SetNodeReferenceID(_PLACED_UNDER, before))
        place_under(node, above, replacing=_already_above(node, above))
        node.SetNodeReferenceID(_PLACED_UNDER, above.GetID())
    return record


def _already_above(node, transform):
    """The transform by which a node appears in the other image already; it does not count."""
    placed, parents = node.GetNodeReference(_PLACED_UNDER), parents_of(node)
    if transform not in parents and placed in parents:
        return placed
    return taken_as_identity(node, transform)


@dataclass(frozen=True, eq=False)
class CopyRequest(SceneRequest):
    """A copy of a node at the corresponding place of the other image, under no transform.

    Volumes are resampled on the grid of that image (label maps by nearest neighbor, others
    linearly). Of segmentations, points and models the copy is hardened.

    Attributes:
        scene: The nodes' scene.
        node, transform, direction: As in :func:`place`. A node that lies under the transform, or
            was propagated before, is taken as if it did not.
        reference: Volume of the target image; needed for volumes. A moving volume that lies under
            a result is taken where it was before.
    """

    scene: Any
    node: Any
    transform: Any
    direction: Direction
    reference: Any = None

    activity: ClassVar[str] = "the copying"
    uses_engine: ClassVar[bool] = False

    def work(self) -> Work:
        """Resample a volume.

        Raises:
            RegistrationError: Nodes of the wrong kind, or a reference is missing.
        """
        _check(self.node, self.transform)
        image = None
        if self.node.IsA("vtkMRMLScalarVolumeNode"):
            check_volume_node(self.node, "what is propagated")
            check_volume_node(self.reference, f"the {_target(self.direction)} volume")
            image = yield from _resampling(
                self.node, self.transform, self.direction, self.reference
            )
        return (image,)

    def commit(self, image: Volume | None) -> tuple[Any, Record]:
        """Add the copy; also the record whose ``undo()`` removes it."""
        node, scene = self.node, self.scene
        with reversible(scene) as record:
            name = scene.GenerateUniqueName(f"{node.GetName()} on {_target(self.direction)}")
            result = scene.AddNewNodeByClass(node.GetClassName(), name)
            if image is None:
                _harden(node, result, self.transform, self.direction)
            else:
                update_volume_node(result, vtk_image(image), image.grid)
            _show_alike(node, result)
            hierarchy.put_beside(result, node)
        return result, record

    def needed(self) -> list[tuple[str, Any]]:
        return [("node", self.node), ("transform", self.transform)]


def copy(node, transform, direction: Direction, reference=None) -> tuple[Any, Record]:
    """A :class:`CopyRequest`, all at once; the copy and its record.

    Raises:
        RegistrationError: Nodes of the wrong kind, or a reference is missing.
    """
    scene = None if node is None else node.GetScene()
    request = CopyRequest(scene, node, transform, direction, reference)
    return request.commit(*exhausted(request.work()))


def _resampling(node, transform, direction: Direction, reference) -> Generator[float, None, Volume]:
    labels = bool(node.IsA("vtkMRMLLabelMapVolumeNode"))
    ignoring = taken_as_identity(reference, transform) if direction is Direction.TO_MOVING else None
    grid = volume_from_node(reference, "the target volume", ignoring=ignoring).grid
    above = _already_above(node, transform)
    source = volume_from_node(node, "what is propagated", ignoring=above)
    return reslicing(source, grid, _pull_back(transform, direction), labels)


def _harden(node, result, transform, direction: Direction) -> None:
    """Content of ``node``, moved to where it is under its own parents and then the transform."""
    result.CopyContent(node)
    chain = vtk.vtkGeneralTransform()  # own to world, then to the other image
    chain.PostMultiply()
    chain.Concatenate(placement(node, ignoring=_already_above(node, transform)))
    chain.Concatenate(_pull_back(transform, direction).GetInverse())
    result.ApplyTransform(chain)


def _pull_back(transform, direction: Direction) -> vtk.vtkAbstractTransform:
    """Points of the target image to points of the source image, RAS."""
    if direction is Direction.TO_FIXED:
        return between(None, transform)
    known = outputs_of(transform).get("inverse")
    return between(transform, None) if known is None else between(None, known)


def _above(transform, direction: Direction):
    """The transform node under which a node appears on the target image.

    The inverse is the one that belongs to the result. Where there is none yet, one is added that
    VTK evaluates point by point; the next registration of the pair replaces its content.
    """
    if direction is Direction.TO_FIXED:
        return transform
    known = outputs_of(transform).get("inverse")
    if known is not None:
        return known
    fixed = transform.GetNodeReference(transform.GetFixedNodeReferenceRole())
    moving = transform.GetNodeReference(transform.GetMovingNodeReferenceRole())
    return results.add_inverse(transform, between(transform, None), fixed, moving)


def _check(node, transform) -> None:
    require_node(transform, "vtkMRMLTransformNode", "the transform")
    if node is None or not any(node.IsA(kind) for kind in NODE_CLASSES):
        raise RegistrationError(
            "Choose what to propagate: a segmentation, a label map, points, a model or a volume."
        )


def _target(direction: Direction) -> str:
    return "fixed" if direction is Direction.TO_FIXED else "moving"


def _show_alike(node, result) -> None:
    """Show the copy with the colors of the original, even where that is hidden."""
    result.CreateDefaultDisplayNodes()
    display, example = result.GetDisplayNode(), node.GetDisplayNode()
    if display is not None and example is not None:
        display.CopyContent(example)
        display.SetVisibility(True)
