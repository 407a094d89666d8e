"""Guided placing: the views go where the next click is due, first here, then in the other image."""

from __future__ import annotations

import numpy as np

from DeepRegistrationLib.scene.landmarks.navigation import jump_to, jump_to_landmark
from DeepRegistrationLib.scene.landmarks.placing import Placing
from DeepRegistrationLib.scene.landmarks.point_cache import evaluated_map
from DeepRegistrationLib.scene.landmarks.state import LandmarkState
from DeepRegistrationLib.scene.views.layouts import keep_to_side, side_views


class Guide:
    """Leads from one suggested place to the next while landmarks are placed.

    The fixed views go to a place; after the click there, the moving views go to where the
    transform maps it, or stay where there is none. A place is taken from the list when a fixed
    point was placed for it.

    Args:
        placing: What the next click is for.
    """

    def __init__(self, placing: Placing) -> None:
        self._placing = placing
        self._places = self._transform = None
        self._led: tuple | None = None

    @property
    def left(self) -> int:
        """How many places are left."""
        return self._places.GetNumberOfControlPoints() if self.active else 0

    @property
    def active(self) -> bool:
        """Whether the views are led."""
        return self._places is not None and self._places.GetScene() is not None

    def start(self, places, transform) -> None:
        """Lead through the points of a list from now on.

        Args:
            places: vtkMRMLMarkupsFiducialNode.
            transform: Transform node, or None.
        """
        self._places, self._transform, self._led = places, transform, None

    def stop(self) -> None:
        """Leave the views alone."""
        self._places = self._transform = self._led = None

    def skip(self) -> None:
        """Leave out the place that is shown."""
        if self._placing.side == "fixed" and self.left:
            self._places.RemoveNthControlPoint(0)
            self._led = None

    def follow(self, state: LandmarkState) -> None:
        """Show where the next click is due; to be called when that, or the landmarks, changed."""
        if not self.active or self._placing.side is None:
            return
        step = self._placing.side, self._placing.label
        if step == self._led:
            return
        if self._placing.side == "fixed":
            if self.left:
                self._led = step
                self._show_place()
        elif self._show_counterpart(state):
            if self._led is not None and self._led[0] == "fixed":
                self._places.RemoveNthControlPoint(0)
            self._led = step

    def _show_place(self) -> None:
        scene = self._places.GetScene()
        point = np.array([self._places.GetNthControlPointPositionWorld(0)])
        there = point
        if self._transform is not None and scene.IsNodePresent(self._transform):
            mapped = evaluated_map(self._transform)(point)
            there = mapped if np.isfinite(mapped).all() else point
        sides = [side_views(scene, side) for side in ("Fixed", "Moving")]
        keep_to_side(self._places.GetDisplayNode(), *sides)  # its place in the moving image differs
        jump_to(scene, point[0], there[0])

    def _show_counterpart(self, state: LandmarkState) -> bool:
        """Whether the fixed point is known already."""
        for row, (fixed, moving) in enumerate(state.indices.tolist()):
            alone = fixed >= 0 and not self._is_placed(state, row, moving)
            if alone and state.labels[row] == self._placing.label:
                jump_to_landmark(self._places.GetScene(), state, row)
                return True
        return False

    @staticmethod
    def _is_placed(state: LandmarkState, row: int, moving: int) -> bool:
        return moving >= 0 and bool(np.isfinite(state.moving[row]).all())
