"""Point lists and transforms as they were read last: only what moved is mapped again."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import slicer
import vtk

from DeepRegistrationLib.evaluation.landmark_pairs import Pairing, pair_labels
from DeepRegistrationLib.scene.landmarks.pairs import is_placed, points_in
from DeepRegistrationLib.scene.nodes.coordinates import between, map_points, placement

INVERSE_TOLERANCE = 0.1
"""In mm: where going to the moving image and back misses a point by more, T is not known."""


class RememberedMap:
    """A map of points that computes only those that differ from the ones it was given last.

    Args:
        function: RAS mm, [n, 3] to [n, 3]; never gets NaN.
    """

    def __init__(self, function: Callable[[np.ndarray], np.ndarray]) -> None:
        self._function = function
        self._points = self._result = np.empty((0, 3))

    def __call__(self, points: np.ndarray) -> np.ndarray:
        """The mapped points, [n, 3]; NaN stays NaN."""
        if points.shape == self._points.shape:
            result = self._result.copy()
            stale = (points != self._points).any(axis=1)
        else:
            result = np.empty_like(points)
            stale = np.ones(len(points), dtype=bool)
        known = np.isfinite(points).all(axis=1)
        result[~known] = np.nan
        stale &= known
        if stale.any():
            result[stale] = self._function(points[stale])
        self._points, self._result = points, result
        return result


class PointList:
    """A point list node, read.

    After :meth:`read` the arrays hold a row a point, and one more at the end, so that index -1
    finds "no point": NaN, not selected, not in ``labels``.

    Args:
        node: vtkMRMLMarkupsFiducialNode.
        place: Gives the map of the node's own RAS to the world's; its parents' when omitted.

    Attributes:
        points: Index of the control point: int [n + 1]; see :func:`landmarks.points_in`.
        labels, ids: Of the n points; the last id is "".
        world: RAS mm, [n + 1, 3]; NaN for a point that is not placed.
        selected: bool [n + 1].
    """

    def __init__(self, node, place: Callable[[], vtk.vtkGeneralTransform] | None = None) -> None:
        self._node = node
        self._place = place or (lambda: placement(node))
        self._map: RememberedMap | None = None

    def forget_space(self) -> None:
        """Something above the node changed."""
        self._map = None

    def read(self) -> None:
        """Read the node; see the class."""
        if self._map is None:
            transform = self._place()
            self._map = RememberedMap(lambda points: map_points(transform, points))
        node, points = self._node, points_in(self._node)
        own = np.full((len(points) + 1, 3), np.nan)
        for row, k in enumerate(points):
            if is_placed(node, k):
                own[row] = node.GetNthControlPointPosition(k)
        self.points = np.array([*points, -1])
        self.world = self._map(own)
        self.selected = np.array(
            [*(bool(node.GetNthControlPointSelected(k)) for k in points), False]
        )
        self.labels = [node.GetNthControlPointLabel(k) for k in points]
        self.ids = [*(node.GetNthControlPointID(k) for k in points), ""]


def rows(fixed_labels: list[str], moving_labels: list[str]) -> Pairing:
    """The pairs, then the points without a counterpart, whose other index is -1."""
    pairing = pair_labels(fixed_labels, moving_labels)
    pairs = pairing.indices
    first = set(range(len(fixed_labels))) - set(pairs[:, 0].tolist())
    second = set(range(len(moving_labels))) - set(pairs[:, 1].tolist())
    alone = [(k, -1) for k in sorted(first)] + [(-1, k) for k in sorted(second)]
    everything = np.concatenate([pairs, np.array(alone, dtype=int).reshape(-1, 2)])
    return replace(pairing, indices=everything)


def evaluated_map(node) -> RememberedMap:
    """T of a transform node, fixed RAS to moving RAS, from the world to below the node.

    Where a part of T is known only as the inverse of what the node stores, every point is mapped
    back; those that miss their start by more than :data:`INVERSE_TOLERANCE` become NaN: the
    transform cannot be inverted there.
    """
    forward, back = between(None, node), between(node, None)
    parts = vtk.vtkCollection()
    slicer.vtkMRMLTransformNode.FlattenGeneralTransform(parts, forward)
    inverted = any(
        slicer.vtkMRMLTransformNode.IsAbstractTransformComputedFromInverse(parts.GetItemAsObject(k))
        for k in range(parts.GetNumberOfItems())
    )

    def apply(points: np.ndarray) -> np.ndarray:
        mapped = map_points(forward, points)
        if inverted:
            missed = np.linalg.norm(map_points(back, mapped) - points, axis=1)
            mapped[~(missed <= INVERSE_TOLERANCE)] = np.nan
        return mapped

    return RememberedMap(apply)
