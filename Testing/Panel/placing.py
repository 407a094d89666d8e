"""Placing landmarks by mouse: where points lie, and clicks on them in the views."""

from __future__ import annotations

import numpy as np
import slicer
from pairs import add_true_transform, phantom
from SlicerHost import hands

from DeepRegistrationLib.scene.nodes.placement import METHOD
from DeepRegistrationLib.scene.views.layouts import side_views


def interaction():
    """The node that holds the mode of the mouse."""
    return slicer.app.applicationLogic().GetInteractionNode()


def is_placing(node) -> bool:
    """Whether a click in a view puts a point into this list."""
    selection, mode = slicer.app.applicationLogic().GetSelectionNode(), interaction()
    return (
        mode.GetCurrentInteractionMode() == mode.Place
        and selection.GetActivePlaceNodeID() == node.GetID()
    )


def add_list(name: str, kind="vtkMRMLMarkupsFiducialNode"):
    """A new list without points."""
    return slicer.mrmlScene.AddNewNodeByClass(kind, name)


def view_of(side: str):
    """The axial view of a side, ``Fixed`` or ``Moving``, or one by its own name."""
    nodes = side_views(slicer.mrmlScene, side)
    name = nodes[0].GetLayoutName() if nodes else side
    return slicer.app.layoutManager().sliceWidget(name).sliceView()


def on_view(view, lps) -> tuple[float, float]:
    """The pixel of an LPS point, from the upper left, in the slice through it."""
    ras = [float(value) for value in np.array(lps) * (-1, -1, 1)]
    view.mrmlSliceNode().JumpSliceByOffsetting(*ras)
    x, y, _ = view.convertRASToXYZ(ras)
    return x, view.height - 1 - y


def put(slicer_host, side: str, lps) -> None:
    """Move the mouse to an LPS point of a view and click."""
    view = view_of(side)
    place = on_view(view, lps)
    hands.hover(view, place)
    place = on_view(view, lps)  # the linked cursor moves other views only
    slicer_host.drag(view, place, place)
    hands.hover(view, None)


def own_position(node, k: int) -> np.ndarray:
    """A point as its list stores it, LPS."""
    return np.array(node.GetNthControlPointPosition(k)) * (-1, -1, 1)


def world_position(node, k: int) -> np.ndarray:
    """A point where the views draw it, LPS."""
    return np.array(node.GetNthControlPointPositionWorld(k)) * (-1, -1, 1)


def pixel(side: str) -> float:
    """What a click may be off by in a view: one and a half pixels, in mm."""
    view = view_of(side)
    return 1.5 * view.mrmlSliceNode().GetFieldOfView()[0] / view.width


def register_truth(panel):
    """The true motion as a registration's result, with the moving volume under it."""
    node = add_true_transform(panel.parameters)
    node.SetAttribute(METHOD, "truth")
    panel.parameters.movingVolume.SetAndObserveTransformNodeID(node.GetID())
    return node


def pairs_of_points(count: int) -> list[tuple]:
    """Corresponding places well inside both images that the motion puts apart."""
    pair = phantom()
    motion = np.linalg.norm(pair.moving_landmarks - pair.fixed_landmarks, axis=1)
    rows = np.argsort(-motion)[:count]
    return [(pair.fixed_landmarks[k], pair.moving_landmarks[k]) for k in rows]
