"""What is put into the scene for the time of a picture."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import slicer
import vtk


def stand_in(volume, color_node_id: str, limits: tuple[float, float]):
    """A volume node that shares another's voxels and place but not its display."""
    node = slicer.vtkMRMLScalarVolumeNode()
    node.SetName("picture")
    matrix = vtk.vtkMatrix4x4()
    volume.GetIJKToRASMatrix(matrix)
    node.SetIJKToRASMatrix(matrix)
    node.SetAndObserveImageData(volume.GetImageData())
    volume.GetScene().AddNode(node)
    node.SetAndObserveTransformNodeID(volume.GetTransformNodeID())
    node.CreateDefaultDisplayNodes()
    display = node.GetDisplayNode()
    display.SetAndObserveColorNodeID(color_node_id)
    display.AutoWindowLevelOff()
    display.SetWindowLevelMinMax(*limits)
    return node


@contextmanager
def without_transform(volume, transform) -> Iterator[None]:
    """Show the volume as it was before it was placed under ``transform``, for a while."""
    node, above = volume, volume.GetParentTransformNode()
    while above is not None and above is not transform:
        node, above = above, above.GetParentTransformNode()
    if above is None:
        yield
        return
    node.SetAndObserveTransformNodeID(None)
    try:
        yield
    finally:
        node.SetAndObserveTransformNodeID(transform.GetID())


def grid_display(transform, region, spacing: float):
    """Let the slice views draw the transform's deformed grid, colored by displacement.

    Args:
        spacing: Distance of the lines, mm.
    """
    display = slicer.vtkMRMLTransformDisplayNode()
    transform.GetScene().AddNode(display)
    display.SetVisualizationMode(display.VIS_MODE_GRID)
    display.SetAndObserveRegionNode(region)
    display.SetGridSpacingMm(spacing)
    display.SetGridResolutionMm(2.0)
    display.SetGridScalePercent(100)
    display.SetVisibility(True)
    display.SetVisibility2D(True)
    transform.AddAndObserveDisplayNodeID(display.GetID())
    return display
