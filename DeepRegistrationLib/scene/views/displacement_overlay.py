"""How far a transform moves each point, in color over the fixed volume."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import slicer
import vtk

from DeepRegistrationLib.scene.nodes import colors
from DeepRegistrationLib.scene.nodes.coordinates import (
    between,
    map_points,
    matrix_to_numpy,
    require_node,
)
from DeepRegistrationLib.scene.views.jacobian_overlay import KINDS
from DeepRegistrationLib.scene.views.resliced import OUTSIDE, slice_of
from DeepRegistrationLib.scene.views.slice_views import (
    DerivedSlice,
    Observers,
    ShownVolumes,
    WithOpacity,
    composite_of,
    show_in,
)

_SMALLEST_VIEW = 8  # pixels; layouts leave views without room


class DisplacementOverlay(WithOpacity):
    """Shows |T(x) - x| in mm over the fixed volume with a fixed color scale, until :meth:`close`.

    The transform itself is asked at each pixel of the views, so nothing is computed in advance and
    every transform of the scene can be shown.

    Args:
        fixed: Scalar volume node below.
        transform: Transform node.
        slice_nodes: vtkMRMLSliceNodes of the views.
        opacity: 0 to 1.
        later: How to put off work; see
            :class:`~DeepRegistrationLib.scene.views.comparison.Comparison`.

    Raises:
        RegistrationError: Not such nodes.
    """

    def __init__(
        self,
        fixed,
        transform,
        slice_nodes,
        opacity: float = 0.5,
        *,
        later: Callable[[Callable[[], None]], None] | None = None,
    ) -> None:
        require_node(fixed, "vtkMRMLScalarVolumeNode", "the fixed volume")
        require_node(transform, "vtkMRMLTransformNode", "the transform")
        self._fixed, self._transform = fixed, transform
        self._later = later or (lambda function: function())
        self._pending: set[str] = set()
        views = [node for node in slice_nodes if composite_of(node) is not None]
        self._before = ShownVolumes(views)
        self._views = views
        self._slices = {node: DerivedSlice(node, KINDS["displacement"]) for node in views}
        self._opacity = min(max(float(opacity), 0.0), 1.0)
        table = colors.overlay_color_node(fixed.GetScene(), "displacement")
        self._observers = Observers()
        for view, derived in self._slices.items():
            show_in(view, fixed, derived.volume, self._opacity)
            colors.show_with_range(
                derived.volume, table, colors.DISPLACEMENT_RANGE, KINDS["displacement"]
            )
            derived.display.SetInterpolate(False)
            derived.display.SetThreshold(OUTSIDE / 2, -OUTSIDE)
            derived.display.ApplyThresholdOn()
            self._observers.add(view, vtk.vtkCommand.ModifiedEvent, self._update, view)
            self._update(view)
        self._observe(fixed.GetScene())

    def close(self) -> None:
        """Show what was shown before."""
        self._observers.clear()
        self._before.restore()
        for derived in self._slices.values():
            derived.close()
        self._views, self._slices = [], {}

    def _observe(self, scene) -> None:
        changed = slicer.vtkMRMLTransformableNode.TransformModifiedEvent
        for node in (self._fixed, self._transform):
            self._observers.add(node, changed, self._update_all)
        self._observers.add(scene, slicer.vtkMRMLScene.StartCloseEvent, self.close)
        self._observers.add(scene, slicer.vtkMRMLScene.NodeRemovedEvent, self._close_if_orphaned)

    def _close_if_orphaned(self) -> None:
        if any(n.GetScene() is None for n in (self._fixed, self._transform, *self._slices)):
            self.close()

    def _update_all(self) -> None:
        for view in self._slices:
            self._update(view)

    def _update(self, view) -> None:
        """Put off the computation of a view; events that come meanwhile ask for nothing more."""
        if view.GetID() in self._pending:
            return
        self._pending.add(view.GetID())

        def compute() -> None:
            self._pending.discard(view.GetID())
            if view in self._slices and min(view.GetDimensions()[:2]) >= _SMALLEST_VIEW:
                self._slices[view].update(self._values(view))

        self._later(compute)

    def _values(self, view) -> np.ndarray:
        """|T(x) - x| at a view's pixels, ``OUTSIDE`` beside the fixed volume: [height, width]."""
        result = np.full(view.GetDimensions()[1::-1], np.float32(OUTSIDE))
        rows, columns = np.nonzero(slice_of(self._fixed, view) > OUTSIDE / 2)
        pixels = np.stack([columns, rows, np.zeros_like(rows), np.ones_like(rows)], axis=-1)
        points = (pixels @ matrix_to_numpy(view.GetXYToRAS()).T)[:, :3]
        moved = map_points(between(None, self._transform), points) - points
        result[rows, columns] = np.linalg.norm(moved, axis=1)
        return result
