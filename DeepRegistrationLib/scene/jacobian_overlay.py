"""The Jacobian determinant, or the displacement, in color over the fixed volume."""

from __future__ import annotations

import slicer

from DeepRegistrationLib.scene import colors
from DeepRegistrationLib.scene.slice_views import Observers, ShownVolumes, composite_of, show_in
from DeepRegistrationLib.scene.space import require_node

KINDS = {"jacobian": "Jacobian determinant", "displacement": "Displacement, mm"}
"""Which maps can be shown, and the titles of their legends."""


class MapOverlay:
    """Shows a map over the fixed volume with a fixed color scale, until :meth:`close`.

    The Jacobian's scale runs from 0 (dark blue) over 1 (white: no change of volume) to 2 (dark
    red); J <= 0 is yellow. The scale never adapts to the data, so colors mean the same in every
    case. In views that show a :class:`~DeepRegistrationLib.scene.comparison.Comparison`, close that
    one first.

    Args:
        fixed: Volume node below.
        volume: The map's volume node.
        slice_nodes: vtkMRMLSliceNodes of the views.
        kind: A key of ``KINDS``.
        opacity: 0 to 1.
    """

    def __init__(
        self, fixed, volume, slice_nodes, kind: str = "jacobian", opacity: float = 0.5
    ) -> None:
        require_node(fixed, "vtkMRMLScalarVolumeNode", "the fixed volume")
        require_node(volume, "vtkMRMLScalarVolumeNode", "the map")
        self.volume = volume
        self._views = [node for node in slice_nodes if composite_of(node) is not None]
        self._before = ShownVolumes(self._views)
        scene = volume.GetScene()
        table, limits = _scale(scene, kind)
        colors.show_with_range(volume, table, limits, KINDS[kind])
        self._opacity = min(max(float(opacity), 0.0), 1.0)
        for view in self._views:
            show_in(view, fixed, volume, self._opacity)
        self._observers = Observers()
        self._observers.add(scene, slicer.vtkMRMLScene.StartCloseEvent, self.close)

    @property
    def opacity(self) -> float:
        """Of the map, 0 to 1."""
        return self._opacity

    @opacity.setter
    def opacity(self, opacity: float) -> None:
        self._opacity = min(max(float(opacity), 0.0), 1.0)
        for view in self._views:
            composite_of(view).SetForegroundOpacity(self._opacity)

    def close(self) -> None:
        """Show what was shown before; the map and its scale stay."""
        self._observers.clear()
        self._before.restore()
        self._views = []


def _scale(scene, kind: str) -> tuple:
    if kind == "jacobian":
        return colors.jacobian_color_node(scene), colors.JACOBIAN_RANGE
    return colors.displacement_color_node(scene), colors.DISPLACEMENT_RANGE
