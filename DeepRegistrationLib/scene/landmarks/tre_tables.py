"""The target registration error of a transform node as table nodes that it refers to."""

from __future__ import annotations

from dataclasses import dataclass

import slicer

from DeepRegistrationLib.evaluation.landmark_pairs import LandmarkPairs
from DeepRegistrationLib.scene.landmarks import pairs as landmarks

ERRORS = "DeepRegistration.LandmarkErrors"
SUMMARY = "DeepRegistration.LandmarkSummary"


@dataclass(frozen=True, eq=False)
class LandmarkEvaluation:
    """The target registration error of a transform node.

    Attributes:
        errorTable: A row a landmark: label, before, after, dx, dy, dz in mm (LPS).
        summaryTable: Mean, std, median, p95 and max before and after, in mm.
        statistics: The same as ``{n, before: {mean, ...}, after: {mean, ...}}``.
    """

    errorTable: slicer.vtkMRMLTableNode
    summaryTable: slicer.vtkMRMLTableNode
    statistics: dict


def pairs_of(fixed, moving, transform, start=None) -> LandmarkPairs | None:
    """The pairs of two point lists, or None where neither was given.

    Args:
        transform: The one to be evaluated, or an earlier result; ignored above the moving points.
        start: What drove this transform node drove the one that is evaluated, too; or None.

    Raises:
        RegistrationError: Only one list, or lists that do not match.
    """
    if fixed is None and moving is None:
        return None
    return landmarks.landmark_pairs(fixed, moving, ignoring=transform, driven=start)


def tabulate(transform, pairs: LandmarkPairs) -> LandmarkEvaluation:
    """Evaluate a transform node; evaluating it again updates its tables."""
    before, after = landmarks.registration_errors(transform, pairs)
    statistics = landmarks.summary(before, after)
    errors = _table(transform, ERRORS, f"TRE, {transform.GetName()}")
    landmarks.fill_error_table(errors, pairs.labels, before, after)
    totals = _table(transform, SUMMARY, f"TRE summary, {transform.GetName()}")
    landmarks.fill_summary_table(totals, statistics)
    return LandmarkEvaluation(errors, totals, statistics)


def tables_of(transform) -> list:
    """The table nodes that a transform node refers to."""
    nodes = [transform.GetNodeReference(role) for role in (ERRORS, SUMMARY)]
    return [node for node in nodes if node is not None]


def _table(transform, role: str, name: str):
    node = transform.GetNodeReference(role)
    if node is None:
        scene = transform.GetScene()
        node = scene.AddNewNodeByClass("vtkMRMLTableNode", scene.GenerateUniqueName(name))
        transform.SetNodeReferenceID(role, node.GetID())
    return node
