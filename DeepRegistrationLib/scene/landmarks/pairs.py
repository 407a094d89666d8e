"""Pairs of landmarks from two point lists, and their target registration error as tables."""

from __future__ import annotations

import numpy as np
import slicer
import vtk
from vtk.util import numpy_support

from DeepRegistrationLib.errors import RegistrationError
from DeepRegistrationLib.evaluation.landmark_pairs import LandmarkPairs, pair_labels
from DeepRegistrationLib.evaluation.landmarks import error_statistics
from DeepRegistrationLib.scene.landmarks.driving_marks import marks_of
from DeepRegistrationLib.scene.nodes.coordinates import (
    between,
    flipped,
    map_points,
    parents_of,
    placement,
    require_node,
)
from DeepRegistrationLib.scene.nodes.placement import IMPORTED, METHOD, PASSING

_STATISTICS = ("mean", "std", "median", "p95", "max")


def landmark_pairs(fixed_node, moving_node, *, ignoring=None, driven=None) -> LandmarkPairs:
    """The pairs of two point lists that can show an error; see :func:`whole_pairs`.

    Args:
        fixed_node, moving_node, ignoring: As for :func:`whole_pairs`.
        driven: Pairs that drove this transform node are left out: they are no proof of it.

    Raises:
        RegistrationError: As :func:`whole_pairs`; or no pair is left.
    """
    pairs, ids = whole_pairs(fixed_node, moving_node, ignoring=ignoring)
    places = pairs.fixed, pairs.moving
    drove = marks_of(driven, (fixed_node, moving_node), tuple(zip(*ids, strict=True)), places).drove
    if drove.all():
        raise RegistrationError(
            f"All landmarks of {fixed_node.GetName()!r} drove the transform, so they cannot show "
            "its error; place others."
        )
    labels = [label for label, out in zip(pairs.labels, drove, strict=True) if not out]
    return LandmarkPairs(labels, pairs.fixed[~drove], pairs.moving[~drove])


def whole_pairs(
    fixed_node, moving_node, *, ignoring=None
) -> tuple[LandmarkPairs, list[tuple[str, str]]]:
    """The pairs of two point lists, and the ids of each; see :func:`landmark_pairs.pair_labels`.

    Pairs are left out where a point of either list is not placed, or is unselected: that is how
    an uncertain landmark is excluded.

    Args:
        fixed_node, moving_node: vtkMRMLMarkupsFiducialNode; parent transforms are honored.
        ignoring: The transform that is evaluated; see :func:`taken_as_identity`.

    Raises:
        RegistrationError: Wrong nodes, lists of different length that their labels do not pair,
            labels that leave open which points belong together, or no pair left.
    """
    require_node(fixed_node, "vtkMRMLMarkupsFiducialNode", "the fixed landmarks")
    require_node(moving_node, "vtkMRMLMarkupsFiducialNode", "the moving landmarks")
    fixed_points, moving_points = points_in(fixed_node), points_in(moving_node)
    fixed_labels, moving_labels = labels_of(fixed_node), labels_of(moving_node)
    pairing = pair_labels(fixed_labels, moving_labels)
    if pairing.problem is not None:
        raise RegistrationError(ambiguous(fixed_node, moving_node, pairing.problem))
    if not pairing.by_label and len(fixed_labels) != len(moving_labels):
        raise RegistrationError(
            f"{fixed_node.GetName()!r} has {len(fixed_labels)} points and "
            f"{moving_node.GetName()!r} {len(moving_labels)}; give two lists of the same length, "
            "paired by their order, or equal labels to the points that belong together."
        )
    kept = pairing.indices[
        [
            _counts(fixed_node, fixed_points[k]) and _counts(moving_node, moving_points[other])
            for k, other in pairing.indices.tolist()
        ]
    ]
    if len(kept) == 0:
        raise RegistrationError(
            f"{fixed_node.GetName()!r} and {moving_node.GetName()!r} have no pair of placed and "
            "selected points; place corresponding points in both lists."
        )
    ignored = taken_as_identity(moving_node, ignoring)
    fixed = points_of(fixed_node)[kept[:, 0]]
    moving = points_of(moving_node, ignoring=ignored)[kept[:, 1]]
    ids = [
        (
            fixed_node.GetNthControlPointID(fixed_points[k]),
            moving_node.GetNthControlPointID(moving_points[other]),
        )
        for k, other in kept.tolist()
    ]
    return LandmarkPairs([fixed_labels[k] for k in kept[:, 0]], fixed, moving), ids


def ambiguous(fixed_node, moving_node, problem: str) -> str:
    """What to tell the user where labels leave open which points belong together."""
    return (
        f"{fixed_node.GetName()!r} and {moving_node.GetName()!r} {problem}; give points that "
        "belong together the same label, and all others labels of their own."
    )


def taken_as_identity(node, transform):
    """The transform above a moving node that does not count when ``transform`` is evaluated.

    The error is measured in the moving image's space, |T(fixed) - moving|, but a user may place
    the moving landmarks under T, or leave them under an earlier result (also an imported one) while
    T is another transform; both only show where they would be after a registration.

    Args:
        node: Moving point list or volume.
        transform: The transform node that is evaluated, or None.

    Returns:
        ``transform`` where it is above the node, else the nearest result of a registration or
        what stands in for one, or None.
    """
    parents = parents_of(node)
    if transform is not None and transform in parents:
        return transform
    marks = (METHOD, IMPORTED, PASSING)
    return next((p for p in parents if any(p.GetAttribute(mark) for mark in marks)), None)


def points_in(node) -> list[int]:
    """The control points of a list, by their index.

    In place mode Slicer adds one under the mouse while it is over a view, and takes it away again:
    that one is no landmark.
    """
    preview = slicer.vtkMRMLMarkupsNode.PositionPreview
    return [
        k
        for k in range(node.GetNumberOfControlPoints())
        if node.GetNthControlPointPositionStatus(k) != preview
        or not node.GetNthControlPointAutoCreated(k)
    ]


def labels_of(node) -> list[str]:
    """The labels of a list's points; see :func:`points_in`."""
    return [node.GetNthControlPointLabel(k) for k in points_in(node)]


def is_placed(node, k: int) -> bool:
    """Whether a control point has a position (it is neither missing nor being placed)."""
    return node.GetNthControlPointPositionStatus(k) == slicer.vtkMRMLMarkupsNode.PositionDefined


def _counts(node, k: int) -> bool:
    return is_placed(node, k) and bool(node.GetNthControlPointSelected(k))


def points_of(node, *, ignoring=None) -> np.ndarray:
    """A list's points (see :func:`points_in`) where the scene shows them, LPS mm: [n, 3]."""
    own = np.array([node.GetNthControlPointPosition(k) for k in points_in(node)]).reshape(-1, 3)
    return flipped(map_points(placement(node, ignoring), own))


def point_list_from(points: np.ndarray, scene, name: str, color: tuple[float, float, float]):
    """Add a point list node of LPS points, [n, 3], to the scene."""
    node = scene.AddNewNodeByClass("vtkMRMLMarkupsFiducialNode", scene.GenerateUniqueName(name))
    node.CreateDefaultDisplayNodes()
    display = node.GetDisplayNode()
    display.SetSelectedColor(*color)
    display.SetPointLabelsVisibility(False)
    display.SetGlyphScale(1.5)
    for number, point in enumerate(flipped(points), start=1):
        node.AddControlPoint(vtk.vtkVector3d(*point), f"{number}")
    return node


def registration_errors(transform_node, pairs: LandmarkPairs) -> tuple[np.ndarray, np.ndarray]:
    """T(fixed) - moving before (T = identity) and after, LPS mm: two arrays [n, 3].

    The node itself maps the points, point by point, so every transform of the scene can be
    evaluated as it is.
    """
    require_node(transform_node, "vtkMRMLTransformNode", "the transform")
    mapped = flipped(map_points(between(None, transform_node), flipped(pairs.fixed)))
    return pairs.fixed - pairs.moving, mapped - pairs.moving


def summary(before: np.ndarray, after: np.ndarray) -> dict:
    """``{n, before, after}``, each with mean, std, median, p95 and max of the TRE in mm.

    Args:
        before, after: Error vectors in mm, [n, 3].
    """
    return {
        "n": len(before),
        "before": error_statistics(before),
        "after": error_statistics(after),
    }


def fill_error_table(node, labels: list[str], before: np.ndarray, after: np.ndarray) -> None:
    """One row a landmark: label, TRE before and after, and the components of the latter, in mm.

    dx, dy and dz point to the patient's left, back and head (LPS).
    """
    columns = {
        "before": (np.linalg.norm(before, axis=-1), "TRE before registration"),
        "after": (np.linalg.norm(after, axis=-1), "TRE after registration"),
        "dx": (after[:, 0], "remaining error towards the patient's left"),
        "dy": (after[:, 1], "remaining error towards the patient's back"),
        "dz": (after[:, 2], "remaining error towards the patient's head"),
    }
    _fill(node, "label", labels, columns)
    node.SetColumnDescription("label", "name of the fixed landmark")


def fill_summary_table(node, statistics: dict) -> None:
    """Mean, std, median, p95 and max of the TRE in mm, a row each, and the number of pairs."""
    columns = {
        when: (np.array([statistics[when][n] for n in _STATISTICS]), f"TRE {when} registration")
        for when in ("before", "after")
    }
    _fill(node, "statistic", list(_STATISTICS), columns)
    node.SetDescription(f"Target registration error of {statistics['n']} landmark pairs, in mm")


def _fill(node, key: str, labels: list[str], columns: dict) -> None:
    table = vtk.vtkTable()
    names = vtk.vtkStringArray()
    names.SetName(key)
    for label in labels:
        names.InsertNextValue(label)
    table.AddColumn(names)
    for name, (values, _) in columns.items():
        column = numpy_support.numpy_to_vtk(np.ascontiguousarray(values, np.float64), deep=True)
        column.SetName(name)
        table.AddColumn(column)
    node.SetAndObserveTable(table)
    for name, (_, description) in columns.items():
        node.SetColumnUnitLabel(name, "mm")
        node.SetColumnDescription(name, description)
