"""A map of the transform (Jacobian, displacement, errors) in color over the fixed volume."""

from __future__ import annotations

import slicer
import vtk

from DeepRegistrationLib.errors import RegistrationError
from DeepRegistrationLib.scene.nodes import colors
from DeepRegistrationLib.scene.nodes.coordinates import require_node
from DeepRegistrationLib.scene.views.slice_views import (
    Observers,
    ShownVolumes,
    WithOpacity,
    composite_of,
    remove_with_displays,
    show_in,
    unlisted,
)

KINDS = {
    "jacobian": "J, yellow: folding",
    "displacement": "Displacement, mm",
    "predicted": "Error estimate, mm",
    "consistency": "Inverse consistency, mm",
    "spread": "Spread, mm",
    "misalignment": "Misalignment, mm",
    "ventilation": "Volume change",
}
"""Which maps can be shown, and the titles of their legends."""

_RANGES = {
    "jacobian": colors.JACOBIAN_RANGE,
    "displacement": colors.DISPLACEMENT_RANGE,
    "ventilation": colors.VENTILATION_RANGE,
    **dict.fromkeys(("predicted", "consistency", "spread", "misalignment"), colors.ESTIMATE_RANGE),
}


class MapOverlay(WithOpacity):
    """Shows a map over the fixed volume with a fixed color scale, until :meth:`close`.

    The Jacobian's scale runs from -0.5 to 0 in yellow, from there (dark blue) over 1 (no color: a
    change below 10 %) to 2 (dark red). The scale never adapts to the data, so colors mean the same
    in every case. Shown is a stand-in that shares the map's voxels, so the map's own display stays
    as it is.
    In views that show a :class:`~DeepRegistrationLib.scene.views.comparison.Comparison`, close that
    one first.

    Args:
        fixed: Volume node below.
        volume: The map's volume node.
        slice_nodes: vtkMRMLSliceNodes of the views.
        kind: A key of ``KINDS``.
        opacity: 0 to 1.

    Raises:
        RegistrationError: A volume is missing, or there is no such kind.
    """

    def __init__(
        self, fixed, volume, slice_nodes, kind: str = "jacobian", opacity: float = 0.5
    ) -> None:
        require_node(fixed, "vtkMRMLScalarVolumeNode", "the fixed volume")
        require_node(volume, "vtkMRMLScalarVolumeNode", "the map")
        if kind not in KINDS:
            raise RegistrationError(f"There is no map {kind!r}; choose one of {', '.join(KINDS)}.")
        self.volume = volume
        self._views = [node for node in slice_nodes if composite_of(node) is not None]
        self._before = ShownVolumes(self._views)
        scene = volume.GetScene()
        self.stand_in = scene.AddNode(unlisted("vtkMRMLScalarVolumeNode", KINDS[kind]))
        display = scene.AddNode(unlisted("vtkMRMLScalarVolumeDisplayNode", KINDS[kind]))
        self.stand_in.SetAndObserveDisplayNodeID(display.GetID())
        self._copy()
        table = colors.overlay_color_node(scene, kind)
        self._opacity = min(max(float(opacity), 0.0), 1.0)
        for view in self._views:
            show_in(view, fixed, self.stand_in, self._opacity)
        # Slice views look for legends when a legend changes, not when they show other volumes.
        colors.show_with_range(self.stand_in, table, _RANGES[kind], KINDS[kind])
        self._observers = Observers()
        self._observers.add(scene, slicer.vtkMRMLScene.StartCloseEvent, self.close)
        self._observers.add(scene, slicer.vtkMRMLScene.NodeRemovedEvent, self._close_if_orphaned)
        for event in (
            slicer.vtkMRMLVolumeNode.ImageDataModifiedEvent,
            slicer.vtkMRMLTransformableNode.TransformModifiedEvent,
        ):
            self._observers.add(volume, event, self._copy)

    def close(self) -> None:
        """Show what was shown before; the map stays as it was."""
        self._observers.clear()
        self._before.restore()
        remove_with_displays(self.stand_in)
        self._views = []

    def _copy(self) -> None:
        """Share the map's voxels and take over its place."""
        matrix = vtk.vtkMatrix4x4()
        self.volume.GetIJKToRASMatrix(matrix)
        before = self.stand_in.StartModify()
        self.stand_in.SetIJKToRASMatrix(matrix)
        self.stand_in.SetAndObserveImageData(self.volume.GetImageData())
        self.stand_in.SetAndObserveTransformNodeID(self.volume.GetTransformNodeID())
        self.stand_in.EndModify(before)

    def _close_if_orphaned(self) -> None:
        if self.volume.GetScene() is None:
            self.close()
