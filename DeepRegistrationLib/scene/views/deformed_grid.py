"""The transform's deformed grid in slice views."""

from __future__ import annotations

from DeepRegistrationLib.scene.nodes.colors import displacement_colors
from DeepRegistrationLib.scene.nodes.coordinates import require_node
from DeepRegistrationLib.scene.views.slice_views import unlisted


class DeformedGrid:
    """Draws the moving image's regular grid, bent by the transform, until :meth:`close`.

    The transform node's own display nodes are not touched.

    Args:
        transform: Transform node.
        region: Volume node over which the grid is drawn; usually the fixed one.
        slice_nodes: vtkMRMLSliceNodes of the views; all views when omitted.
        spacing: Distance of the lines, mm.
        top: Displacement with the color scale's last color, mm.
    """

    def __init__(
        self, transform, region, slice_nodes=None, *, spacing: float = 10.0, top: float = 20.0
    ) -> None:
        require_node(transform, "vtkMRMLTransformNode", "the transform")
        display = unlisted("vtkMRMLTransformDisplayNode", "Deformed grid")
        display.SetVisualizationMode(display.VIS_MODE_GRID)
        display.SetAndObserveRegionNode(region)
        display.SetGridScalePercent(100)
        display.SetGridLineDiameterMm(0.6)
        display.SetVisibility(True)
        display.SetVisibility2D(True)
        display.SetVisibility3D(False)
        self.display = transform.GetScene().AddNode(display)
        self.display.SetColorMap(displacement_colors(top))  # makes a color node
        self._colors = self.display.GetColorNode()
        if slice_nodes is not None:
            self.display.SetViewNodeIDs([node.GetID() for node in slice_nodes])
        self.spacing = spacing
        transform.AddAndObserveDisplayNodeID(self.display.GetID())

    @property
    def spacing(self) -> float:
        """Distance of the lines, mm."""
        return self.display.GetGridSpacingMm()

    @spacing.setter
    def spacing(self, spacing: float) -> None:
        self.display.SetGridSpacingMm(max(float(spacing), 2.0))
        self.display.SetGridResolutionMm(max(float(spacing) / 4, 2.0))

    def close(self) -> None:
        """Take the grid out of the views and the scene."""
        # The scene takes the reference from the transform node too. Removing the reference first
        # ends the process in the slice view's displayable manager while the grid is visible.
        for node in (self.display, self._colors):
            if node is not None and node.GetScene() is not None:
                node.GetScene().RemoveNode(node)
