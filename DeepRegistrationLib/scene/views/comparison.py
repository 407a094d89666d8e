"""The registered moving volume over the fixed one, in slice views, in five ways.

Blend and flicker are the slice views' own foreground opacity. Checkerboard, difference and edges
are computed for each visible slice from both volumes, resampled to the view's pixels: the cost
depends on the view's size and not on the volumes', nothing is precomputed and no volume is copied.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import slicer
import vtk

from DeepRegistrationLib.errors import RegistrationError
from DeepRegistrationLib.scene.nodes import colors
from DeepRegistrationLib.scene.nodes.coordinates import matrix_to_numpy
from DeepRegistrationLib.scene.views import mixing
from DeepRegistrationLib.scene.views.resliced import OUTSIDE, pixel_positions, pixel_size, slice_of
from DeepRegistrationLib.scene.views.slice_views import (
    DerivedSlice,
    Observers,
    ShownVolumes,
    WithOpacity,
    composite_of,
    show_in,
)

MODES = {
    "blend": "Blend",
    "flicker": "Flicker",
    "checkerboard": "Checkerboard",
    "difference": "Difference",
    "edges": "Edges",
}
"""Modes and their titles, in the order of a selector."""

_SMALLEST_VIEW = 8  # pixels; layouts leave views without room
_DERIVED = ("checkerboard", "difference", "edges")


@dataclass
class _View:
    """A slice view and what it was last computed for."""

    node: slicer.vtkMRMLSliceNode
    derived: DerivedSlice | None = None
    computed_for: tuple | None = None


class Comparison(WithOpacity):
    """Shows a moving volume over a fixed one in slice views until :meth:`close`.

    The views follow scrolling, zooming, transforms and new voxels by themselves. When a node that
    takes part is removed, or the scene is closed, the comparison closes itself. Whoever opens it
    keeps it and closes it.

    Args:
        fixed: Scalar volume node.
        moving: Scalar volume node as it is to be compared: placed under a transform, warped, or
            the stand-in of a ``WarpSlider``.
        slice_nodes: vtkMRMLSliceNodes of the views.
        mode: A key of ``MODES``.
        later: How to put off work, for example ``lambda f: qt.QTimer.singleShot(0, f)``: then each
            view is computed in a turn of the event loop of its own, and once for many events. At
            once when omitted.

    Raises:
        RegistrationError: A volume is missing or without voxels, or the mode is unknown.
    """

    def __init__(
        self,
        fixed,
        moving,
        slice_nodes,
        mode: str = "blend",
        *,
        later: Callable[[Callable[[], None]], None] | None = None,
    ) -> None:
        for volume, role in ((fixed, "fixed"), (moving, "moving")):
            _check_volume(volume, role)
        _check_mode(mode)
        self.fixed = fixed
        self.moving = moving
        self._later = later or (lambda function: function())
        self._pending: set[str] = set()
        self._opacity = 0.5
        self._square = 25.0
        self._moving_shown = True
        self._views = [_View(node) for node in slice_nodes if composite_of(node) is not None]
        self._before = ShownVolumes([view.node for view in self._views])
        self._observers = Observers()
        self._observe()
        self._mode = ""
        self.mode = mode

    @property
    def mode(self) -> str:
        """A key of ``MODES``."""
        return self._mode

    @mode.setter
    def mode(self, mode: str) -> None:
        _check_mode(mode)
        if mode != self._mode:
            self._remove_derived()
        self._mode = mode
        self._moving_shown = True
        for view in self._views:
            self._arrange(view)

    @property
    def square(self) -> float:
        """Edge of the checkerboard's squares, mm."""
        return self._square

    @square.setter
    def square(self, square: float) -> None:
        self._square = max(float(square), 1.0)
        self.update()

    def flicker(self) -> None:
        """Show the other volume; to be called by a timer or a key."""
        self._moving_shown = not self._moving_shown
        self._show_opacity()

    def update(self) -> None:
        """Compute the views again whose slice, volumes or settings changed."""
        for view in self._views:
            self._update(view)

    def close(self) -> None:
        """Show what was shown before, and leave no node behind."""
        self._observers.clear()
        self._before.restore()
        self._remove_derived()
        self._views = []

    def _observe(self) -> None:
        scene = self.fixed.GetScene()
        self._observers.add(scene, slicer.vtkMRMLScene.StartCloseEvent, self.close)
        self._observers.add(scene, slicer.vtkMRMLScene.NodeRemovedEvent, self._close_if_orphaned)
        for volume in (self.fixed, self.moving):
            for event in (
                slicer.vtkMRMLVolumeNode.ImageDataModifiedEvent,
                slicer.vtkMRMLTransformableNode.TransformModifiedEvent,
                slicer.vtkMRMLDisplayableNode.DisplayModifiedEvent,
            ):
                self._observers.add(volume, event, self.update)
        for view in self._views:
            self._observers.add(view.node, vtk.vtkCommand.ModifiedEvent, self._update, view)

    def _close_if_orphaned(self) -> None:
        nodes = [self.fixed, self.moving, *(view.node for view in self._views)]
        if any(node.GetScene() is None for node in nodes):
            self.close()

    def _arrange(self, view: _View) -> None:
        if self._mode not in _DERIVED:
            show_in(view.node, self.fixed, self.moving, self._foreground_opacity())
            return
        view.derived = view.derived or DerivedSlice(view.node, MODES[self._mode])
        self._style(view.derived)
        self._update(view)
        show_in(view.node, self.fixed, view.derived.volume)
        if self._mode == "difference":
            colors.add_legend(view.derived.volume, "Moving - fixed", self.difference_range())

    def _foreground_opacity(self) -> float:
        return float(self._moving_shown) if self._mode == "flicker" else self._opacity

    def _show_opacity(self) -> None:
        if self._mode in _DERIVED:
            return
        for view in self._views:
            composite_of(view.node).SetForegroundOpacity(self._foreground_opacity())

    def _style(self, derived: DerivedSlice) -> None:
        """Colors, window and the threshold that makes hidden pixels transparent."""
        scene, display = self.fixed.GetScene(), derived.display
        if self._mode == "checkerboard":
            shown = self.moving.GetScalarVolumeDisplayNode()
            window, level = shown.GetWindow(), shown.GetLevel()
            if shown.GetColorNodeID() not in (None, display.GetColorNodeID()):
                display.SetAndObserveColorNodeID(shown.GetColorNodeID())
            display.SetWindowLevel(window, level)
        elif self._mode == "difference":
            display.SetAndObserveColorNodeID(colors.difference_color_node(scene).GetID())
            display.SetWindowLevelMinMax(*self.difference_range())
        else:
            display.SetAndObserveColorNodeID(colors.edge_color_node(scene).GetID())
            display.SetWindowLevelMinMax(0, 1)
        display.SetThreshold(OUTSIDE / 2, -OUTSIDE)
        display.ApplyThresholdOn()

    def difference_range(self) -> tuple[float, float]:
        """Lowest and highest difference displayed: half of the fixed volume's display window."""
        half = self.fixed.GetScalarVolumeDisplayNode().GetWindow() / 2
        return -half, half

    def _remove_derived(self) -> None:
        for view in self._views:
            if view.derived is not None:
                view.derived.close()
            view.derived, view.computed_for = None, None

    def _update(self, view: _View) -> None:
        """Put off the computation of a view; events that come meanwhile ask for nothing more."""
        if view.derived is None or view.node.GetID() in self._pending:
            return
        name = view.node.GetID()
        self._pending.add(name)

        def compute() -> None:
            self._pending.discard(name)
            if view.derived is not None:
                self._compute(view, view.derived)

        self._later(compute)

    def _compute(self, view: _View, derived: DerivedSlice) -> None:
        state = self._state(view)
        if state == view.computed_for or min(view.node.GetDimensions()[:2]) < _SMALLEST_VIEW:
            return
        view.computed_for = state
        self._style(derived)
        derived.update(self._values(view.node))

    def _state(self, view: _View) -> tuple:
        """Everything that the derived slice depends on, to be compared."""
        place = tuple(matrix_to_numpy(view.node.GetXYToRAS()).ravel())
        volumes = []
        for volume in (self.fixed, self.moving):
            display, parent = volume.GetScalarVolumeDisplayNode(), volume.GetParentTransformNode()
            above = None if parent is None else parent.GetTransformToWorldMTime()
            volumes += [volume.GetID(), volume.GetImageData().GetMTime(), above]
            volumes += [_matrix(volume), display.GetMTime()]
        return (self._mode, self._square, place, view.node.GetDimensions(), *volumes)

    def _values(self, slice_node) -> np.ndarray:
        """The derived slice: float32 [height, width], ``OUTSIDE`` where nothing is to be shown."""
        moving = slice_of(self.moving, slice_node)
        if self._mode == "checkerboard":
            x, y = pixel_positions(slice_node)
            return mixing.checkerboard(moving, x, y, self._square, OUTSIDE)
        if self._mode == "difference":
            fixed = slice_of(self.fixed, slice_node)
            covered = (fixed > OUTSIDE / 2) & (moving > OUTSIDE / 2)
            return mixing.difference(fixed, moving, covered, OUTSIDE)
        display = self.moving.GetScalarVolumeDisplayNode()
        window = display.GetWindowLevelMin(), display.GetWindowLevelMax()
        found = mixing.edges(moving, moving > OUTSIDE / 2, window, pixel_size(slice_node))
        return np.where(found, np.float32(1), np.float32(OUTSIDE))


def _check_volume(volume, role: str) -> None:
    if volume is None or volume.GetImageData() is None:
        raise RegistrationError(f"There is no {role} volume to compare; choose one with voxels.")
    volume.CreateDefaultDisplayNodes()


def _check_mode(mode: str) -> None:
    if mode not in MODES:
        raise RegistrationError(
            f"There is no comparison {mode!r}; choose one of {', '.join(MODES)}."
        )


def _matrix(volume) -> tuple:
    matrix = vtk.vtkMatrix4x4()
    volume.GetIJKToRASMatrix(matrix)
    return tuple(matrix_to_numpy(matrix).ravel())
