"""The target registration error of two point lists while a user works on them.

:class:`LiveLandmarks` observes the lists, the transform and all above them, and calls back with a
:class:`LandmarkState` after every change. No registration, timer or widget is involved.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import slicer
import vtk

from DeepRegistrationLib.scene.landmarks import driving
from DeepRegistrationLib.scene.landmarks.driving_marks import marks_of
from DeepRegistrationLib.scene.landmarks.driving_record import caution_about, learn_from_files
from DeepRegistrationLib.scene.landmarks.pairs import ambiguous, taken_as_identity
from DeepRegistrationLib.scene.landmarks.point_cache import (
    PointList,
    RememberedMap,
    evaluated_map,
    rows,
)
from DeepRegistrationLib.scene.landmarks.state import LandmarkState
from DeepRegistrationLib.scene.nodes.coordinates import (
    FLIP,
    between,
    flipped,
    linear_matrix,
    matrix_to_numpy,
    parents_of,
    placement,
)


class LiveLandmarks:
    """Keeps the errors of landmark pairs up to date.

    Which points are a pair: see :func:`DeepRegistrationLib.evaluation.landmark_pairs.pair_labels`;
    where one list is longer, the common points are evaluated and the state says so. Whether a pair
    counts is the points' own *selected* flag, so it is saved with the scene, and Slicer shows
    excluded points in another color. Call :meth:`close` at the end: the nodes hold on to this
    object until then.

    Args:
        changed: Called with the new :class:`LandmarkState` after every change of it.

    Attributes:
        state: The present :class:`LandmarkState`.
    """

    def __init__(self, changed: Callable[[LandmarkState], None] | None = None) -> None:
        self._changed = changed
        self._observers: list[tuple[vtk.vtkObject, int]] = []
        self._lists: tuple[PointList, PointList] | None = None
        self._fixed = self._moving = self._transform = self._volume = self._scene = None
        self._map: RememberedMap | None = None
        self._remembered: tuple = ()
        self.state = LandmarkState()

    @property
    def transform(self):
        """The transform node that is evaluated, or None."""
        return self._transform

    @property
    def lists(self) -> tuple:
        """The fixed and the moving point list node; None where there is none."""
        return self._fixed, self._moving

    def observe(self, fixed_node, moving_node, transform_node=None, moving_volume=None) -> None:
        """Choose what is evaluated, in place of an earlier choice, and call back.

        Args:
            fixed_node, moving_node: vtkMRMLMarkupsFiducialNode, or None.
            transform_node: Any transform node of the scene: a moving volume placed under it
                appears registered. None gives the distance before registration only.
            moving_volume: Its voxel centers are what the voxel-snapped error rounds to.
        """
        learn_from_files(transform_node)
        nodes = (fixed_node, moving_node, transform_node, moving_volume)
        scene = next((node.GetScene() for node in nodes if node is not None), None)
        self._choose(nodes, scene)

    def pause(self) -> None:
        """Observe nothing until the next :meth:`observe`; the state stays as it is."""
        self._forget_observers()

    def close(self) -> None:
        """Observe nothing any more, without a call back."""
        self._forget_observers()
        self._fixed = self._moving = self._transform = self._volume = None
        self._lists = self._scene = self._map = None
        self.state = LandmarkState()

    def set_included(self, row: int, included: bool) -> None:
        """Let a pair count, or not; stored as the selected flag of both points."""
        for node, k in zip(self.lists, self.state.indices[row].tolist(), strict=True):
            if node is not None and k >= 0:
                node.SetNthControlPointSelected(k, included)

    def set_drives(self, row: int, drives: bool) -> None:
        """Let a pair drive the deformation the next time, or not."""
        pairs = driving.ids_of(self.lists, [self.state.indices[row].tolist()])
        driving.set_drives(self.lists, pairs, drives)

    def _choose(self, nodes: tuple, scene) -> None:
        self._forget_observers()
        self._fixed, self._moving, self._transform, self._volume = nodes
        self._scene, self._map, self._lists = scene, None, None
        if self._fixed is not None and self._moving is not None:
            self._lists = (PointList(self._fixed), PointList(self._moving, self._moving_place))
        for node in {node for node in nodes if node is not None}:
            self._observe(node)
        if scene is not None:
            self._add(scene, slicer.vtkMRMLScene.NodeRemovedEvent, self._on_removed)
            self._add(scene, slicer.vtkMRMLScene.EndBatchProcessEvent, self._on_space)
        self._update()

    def _observe(self, node) -> None:
        self._add(node, slicer.vtkMRMLTransformableNode.TransformModifiedEvent, self._on_space)
        if node.IsA("vtkMRMLMarkupsNode"):
            markups = slicer.vtkMRMLMarkupsNode
            for event in (
                markups.PointModifiedEvent,
                markups.PointAddedEvent,
                markups.PointRemovedEvent,
            ):
                self._add(node, event, self._on_points)
            self._add(node, markups.PointRemovedEvent, self._on_point_removed)
        if node in (self._fixed, self._moving, self._transform):
            self._add(node, vtk.vtkCommand.ModifiedEvent, self._on_attributes)
        if node.IsA("vtkMRMLVolumeNode"):
            self._add(node, vtk.vtkCommand.ModifiedEvent, self._on_points)

    def _add(self, subject, event: int, method) -> None:
        self._observers.append((subject, subject.AddObserver(event, method)))

    def _forget_observers(self) -> None:
        for subject, tag in self._observers:
            subject.RemoveObserver(tag)
        self._observers = []

    def _on_points(self, _caller, _event) -> None:
        self._update()

    def _on_point_removed(self, node, _event) -> None:
        if self._scene is not None and not self._scene.IsBatchProcessing():
            driving.forget_removed(node)

    def _on_attributes(self, _caller, _event) -> None:
        """A node changed in any way, which it does often; what drives is one of them."""
        if self._remembered != self._driving():
            self._update()

    def _driving(self) -> tuple:
        """All that the nodes themselves remember of what drives."""
        nodes = (self._fixed, self._moving, self._transform)
        return tuple(None if node is None else driving.remembered(node) for node in nodes)

    def _on_space(self, _caller, _event) -> None:
        """A transform, or what lies under which, changed: nothing that was mapped holds."""
        self._map = None
        for side in self._lists or ():
            side.forget_space()
        self._update()

    def _on_removed(self, _caller, _event) -> None:
        """Nodes that left the scene are no longer evaluated."""
        nodes = (self._fixed, self._moving, self._transform, self._volume)
        left = tuple(None if n is None or n.GetScene() is None else n for n in nodes)
        if left != nodes:
            self._choose(left, self._scene)

    def _update(self) -> None:
        if self._scene is not None and self._scene.IsBatchProcessing():
            return  # a scene being read or closed is not whole; its end calls again
        state = self._computed()
        unchanged = state.changed is not None and len(state.changed) == 0
        if unchanged and state.problem == self.state.problem:
            return
        self.state = state
        if self._changed is not None:
            self._changed(state)

    def _computed(self) -> LandmarkState:
        if self._lists is None:
            problem = "Choose a point list with the fixed and one with the moving landmarks."
            return LandmarkState(problem=problem)
        fixed, moving = self._lists
        fixed.read()
        moving.read()
        pairing = rows(fixed.labels, moving.labels)
        indices = pairing.indices
        first, second = indices.T
        here, there = fixed.world[first], moving.world[second]
        mapped = self._mapped(here)
        self._remembered = self._driving()
        state = LandmarkState(
            labels=tuple(
                fixed.labels[k] if k >= 0 else moving.labels[m] for k, m in indices.tolist()
            ),
            indices=np.column_stack([fixed.points[first], moving.points[second]]),
            fixed=flipped(here),
            moving=flipped(there),
            mapped=flipped(mapped),
            included=fixed.selected[first] & moving.selected[second],
            marks=marks_of(
                self._transform,
                self.lists,
                ([fixed.ids[k] for k in first], [moving.ids[k] for k in second]),
                (flipped(here), flipped(there)),
            ),
            by_label=pairing.by_label,
            index_to_physical=self._voxels(),
        )
        return replace(
            state,
            statistics=state.summary(),
            problem=self._problem(state, pairing.problem),
            changed=state.rows_changed_since(self.state),
        )

    def _moving_place(self) -> vtk.vtkGeneralTransform:
        return placement(self._moving, taken_as_identity(self._moving, self._transform))

    def _mapped(self, points: np.ndarray) -> np.ndarray:
        """T of the fixed points, RAS; NaN without a transform."""
        if self._transform is None:
            return np.full_like(points, np.nan)
        if self._map is None:
            self._map = evaluated_map(self._transform)
        return self._map(points)

    def _voxels(self) -> np.ndarray | None:
        """Index to LPS mm of the moving volume; None where a deformation bends its grid."""
        if self._volume is None or self._volume.GetImageData() is None:
            return None
        above = taken_as_identity(self._volume, self._transform)
        parent = linear_matrix(placement(self._volume, above))
        matrix = vtk.vtkMatrix4x4()
        self._volume.GetIJKToRASMatrix(matrix)
        return None if parent is None else FLIP @ parent @ matrix_to_numpy(matrix)

    def _problem(self, state: LandmarkState, unclear: str | None) -> str | None:
        """What keeps landmarks from counting, the worst first."""
        if self._fixed is self._moving:
            return "The fixed and the moving landmarks are the same list; choose two lists."
        if unclear is not None:
            return ambiguous(self._fixed, self._moving, unclear)
        paired = (state.indices >= 0).all(axis=1)
        if not paired.any():
            return "Place corresponding points in both lists; there is no pair yet."
        lost = paired & np.isfinite(state.fixed).all(axis=1) & np.isnan(state.mapped).any(axis=1)
        if self._transform is not None and lost.any():
            return (
                f"{self._transform.GetName()!r} stores the map from the moving to the fixed image "
                f"and has no inverse at {lost.sum()} landmarks, which are not counted."
            )
        other = _deformation_above(self._moving, self._transform)
        if other is not None:
            return (
                f"The moving landmarks are measured where {other.GetName()!r} puts them; remove "
                "them from it to measure in the moving image."
            )
        caution = caution_about(self._transform)
        if caution or paired.all():
            return caution or None
        counts = (state.indices >= 0).sum(axis=0).tolist()
        how = "with equal labels" if state.by_label else "by their order"
        return (
            f"{self._fixed.GetName()!r} has {counts[0]} points and {self._moving.GetName()!r} "
            f"{counts[1]}; {paired.sum()} are paired {how}, the others wait for a counterpart."
        )


def _deformation_above(node, evaluated):
    """The transform that bends the moving points although it is not the one evaluated, or None."""
    above = taken_as_identity(node, evaluated)
    if linear_matrix(placement(node, above)) is not None:
        return None
    return next(
        parent
        for parent in parents_of(node)
        if linear_matrix(between(parent, parent.GetParentTransformNode())) is None
    )
