"""The linked cursor: a place in the fixed image and the corresponding one in the moving image.

The fixed views show the fixed image in the world; the moving views show the moving image as it is
without the registration. A point x of the fixed image belongs to T(x) there, and a point y of the
moving image to the x with T(x) = y, which is found numerically.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np
import slicer

from DeepRegistrationLib.scene.nodes.coordinates import (
    between,
    map_points,
    matrix_to_numpy,
    require_node,
)
from DeepRegistrationLib.scene.views.slice_views import (
    Observers,
    composite_of,
    remove_with_displays,
    unlisted,
)

_STEP_MM = 1.0  # of the central differences
_NO_INVERSE_MM = 0.5  # a residual above this says that no point was found
_COLOR = (1.0, 0.85, 0.0)
_DIRECTIONS = (("right", "left"), ("anterior", "posterior"), ("superior", "inferior"))


@dataclass(frozen=True, eq=False)
class Readout:
    """What the transform does at a place.

    Attributes:
        fixed, moving: Corresponding points, RAS mm: [3]. ``moving`` is in the moving image's space
            without the registration.
        displacement: moving - fixed, RAS mm: [3].
        jacobian: det(dT/dx) at the fixed point, by central differences over 2 mm.
        residual: |T(fixed) - moving| in mm: 0, or what the numeric inverse left.
    """

    fixed: np.ndarray
    moving: np.ndarray
    displacement: np.ndarray
    jacobian: float
    residual: float

    @property
    def magnitude(self) -> float:
        """|u| in mm."""
        return float(np.linalg.norm(self.displacement))

    @property
    def found(self) -> bool:
        """Whether the transform has a corresponding point here."""
        return self.residual <= _NO_INVERSE_MM

    def text(self) -> str:
        """One line for the panel."""
        if not self.found:
            return "No corresponding point here: the transform cannot be inverted."
        kind = " folding" if self.jacobian <= 0 else ""
        where = towards(self.displacement)
        return f"J {self.jacobian:.2f}{kind}; |u| {self.magnitude:.1f} mm ({where})"


def towards(displacement: np.ndarray) -> str:
    """A displacement, RAS mm, [3], in words: how far to the right, left, and so on."""
    return ", ".join(
        f"{abs(value):.1f} {names[0] if value > 0 else names[1]}"
        for value, names in zip(displacement, _DIRECTIONS, strict=True)
    )


def readout_at(transform, point, side: str = "fixed") -> Readout:
    """Displacement and Jacobian at a place.

    Args:
        transform: Transform node; a moving volume placed under it appears registered.
        point: RAS mm: [3].
        side: ``fixed`` when the point lies in the fixed image, else ``moving``.
    """
    forward = between(None, transform)
    point = np.asarray(point, dtype=np.float64)
    fixed = point if side == "fixed" else map_points(between(transform, None), point)
    offsets = np.concatenate([np.zeros((1, 3)), np.eye(3), -np.eye(3)]) * _STEP_MM
    mapped = map_points(forward, fixed + offsets)
    derivative = (mapped[1:4] - mapped[4:7]).T / (2 * _STEP_MM)
    moving = mapped[0] if side == "fixed" else point
    return Readout(
        fixed=fixed,
        moving=moving,
        displacement=moving - fixed,
        jacobian=float(np.linalg.det(derivative)),
        residual=float(np.linalg.norm(mapped[0] - moving)),
    )


class LinkedCursor:
    """Lets a cursor in the views of one image lead those of the other, until :meth:`close`.

    While the mouse moves in a view, the other views of both images are brought to the place under
    it, and a cross marks the place in each image.

    Args:
        transform: Transform node of the registration.
        fixed_views, moving_views: vtkMRMLSliceNodes.
        on_move: Called with a :class:`Readout` at each move, and with None when the mouse leaves.

    Attributes:
        side: The only image whose views lead, ``fixed`` or ``moving``; None for both.

    Raises:
        RegistrationError: Not a transform node.
    """

    def __init__(
        self,
        transform,
        fixed_views,
        moving_views,
        on_move: Callable[[Readout | None], None] | None = None,
    ) -> None:
        require_node(transform, "vtkMRMLTransformNode", "the transform")
        self.transform = transform
        self.side: str | None = None
        self._views = {"fixed": list(fixed_views), "moving": list(moving_views)}
        self._on_move = on_move or (lambda readout: None)
        scene = transform.GetScene()
        self._marks = {side: _mark(scene, views, side) for side, views in self._views.items()}
        self._crosshair = scene.GetFirstNodeByClass("vtkMRMLCrosshairNode") or scene.AddNode(
            slicer.vtkMRMLCrosshairNode()
        )
        self._observers = Observers()
        self._observers.add(
            self._crosshair, slicer.vtkMRMLCrosshairNode.CursorPositionModifiedEvent, self._follow
        )
        self._observers.add(scene, slicer.vtkMRMLScene.StartCloseEvent, self.close)
        self._observers.add(scene, slicer.vtkMRMLScene.NodeRemovedEvent, self._close_if_orphaned)

    def move_to(self, point, side: str = "fixed", *, source=None) -> Readout:
        """Bring all views to a place.

        Args:
            point: RAS mm in the image of ``side`` (``fixed`` or ``moving``).
            source: The slice node that stays as it is.
        """
        readout = readout_at(self.transform, point, side)
        places = {"fixed": readout.fixed, "moving": readout.moving}
        for name, place in places.items():
            shown = readout.found or name == side
            self._marks[name].GetDisplayNode().SetVisibility(shown)
            if not shown:
                continue
            self._marks[name].SetNthControlPointPositionWorld(0, *place)
            for view in self._views[name]:
                if view is not source:
                    bring_to(view, place)
        self._on_move(readout)
        return readout

    def close(self) -> None:
        """Stop following and remove the marks."""
        self._observers.clear()
        for mark in self._marks.values():
            remove_with_displays(mark)
        self._views = {"fixed": [], "moving": []}

    def _follow(self) -> None:
        point = [0.0] * 3
        inside = self._crosshair.GetCursorPositionRAS(point)
        source = self._crosshair.GetCursorPositionXYZ([0.0] * 3)
        for side, views in self._views.items():
            leads = self.side in (None, side)
            if leads and inside and source is not None and source in views:
                self.move_to(point, side, source=source)
                return
        for mark in self._marks.values():
            mark.GetDisplayNode().SetVisibility(False)
        self._on_move(None)

    def _close_if_orphaned(self) -> None:
        nodes = [self.transform, *(view for views in self._views.values() for view in views)]
        if any(node.GetScene() is None for node in nodes):
            self.close()


def bring_to(slice_node, point) -> None:
    """Show the slice through a RAS point; the view is centered on it where it would lie outside.

    A view whose volume does not reach there stays as it is: it would show nothing at all.
    """
    if _beyond(slice_node, point):
        return
    slice_node.JumpSliceByOffsetting(*(float(value) for value in point))
    pixel = np.linalg.solve(matrix_to_numpy(slice_node.GetXYToRAS()), [*point, 1.0])[:2]
    size = np.array(slice_node.GetDimensions()[:2])
    if np.any(pixel < 0) or np.any(pixel > size):
        slice_node.JumpSliceByCentering(*(float(value) for value in point))


def _beyond(slice_node, point) -> bool:
    """Whether a RAS point lies outside the box of the volume that a view shows."""
    composite = composite_of(slice_node)
    shown = None if composite is None else composite.GetBackgroundVolumeID()
    volume = slice_node.GetScene().GetNodeByID(shown) if shown else None
    if volume is None:
        return False
    bounds = [0.0] * 6
    volume.GetRASBounds(bounds)
    low, high = np.reshape(bounds, (3, 2)).T
    return bool(np.any(np.asarray(point) < low) or np.any(np.asarray(point) > high))


@contextlib.contextmanager
def place_node_kept(scene) -> Iterator[None]:
    """Add markups without making them the ones that Slicer's place mode places points of.

    vtkSlicerMarkupsLogic makes every markups node that is added the active one.
    """
    selection = scene.GetSingletonNode("Singleton", "vtkMRMLSelectionNode")
    if selection is None:
        yield
        return
    kind, name = selection.GetActivePlaceNodeClassName(), selection.GetActivePlaceNodeID()
    yield
    selection.SetReferenceActivePlaceNodeClassName(kind)
    selection.SetReferenceActivePlaceNodeID(name)


def _mark(scene, views, side: str):
    """A cross of its own: Slicer's crosshair is at one RAS position in all views."""
    node = unlisted("vtkMRMLMarkupsFiducialNode", f"Cursor in the {side} image")
    display = scene.AddNode(unlisted("vtkMRMLMarkupsFiducialDisplayNode", node.GetName()))
    node.SetAndObserveDisplayNodeID(display.GetID())
    with place_node_kept(scene):
        scene.AddNode(node)  # Slicer adds a display node of its own where there is none yet
    display.SetGlyphTypeFromString("Cross2D")
    display.SetUseGlyphScale(True)
    display.SetGlyphScale(4.0)
    display.SetPointLabelsVisibility(False)
    display.SetPropertiesLabelVisibility(False)
    for choose in (display.SetColor, display.SetSelectedColor, display.SetActiveColor):
        choose(*_COLOR)
    display.SetViewNodeIDs([view.GetID() for view in views])
    display.SetVisibility(False)
    node.AddControlPoint(0.0, 0.0, 0.0)
    node.SetLocked(True)
    return node
