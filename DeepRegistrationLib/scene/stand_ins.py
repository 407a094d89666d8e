"""What is put into the scene for the time of a picture."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import slicer
import vtk

_GRAY_TO_RED = ((0.45, 0.45, 0.45), (0.1, 0.85, 0.2), (1.0, 0.9, 0.1), (1.0, 0.1, 0.1))


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


def displacement_colors(top: float) -> vtk.vtkColorTransferFunction:
    """Gray over green and yellow to red, from 0 to ``top`` mm."""
    result = vtk.vtkColorTransferFunction()
    for share, color in zip((0, 0.2, 0.55, 1), _GRAY_TO_RED, strict=True):
        result.AddRGBPoint(share * top, *color)
    return result


def grid_display(transform, region, spacing: float, scale: vtk.vtkColorTransferFunction):
    """Let the slice views draw the transform's deformed grid, colored by displacement.

    Args:
        spacing: Distance of the lines, mm.
        scale: Color of a displacement in mm.
    """
    display = slicer.vtkMRMLTransformDisplayNode()
    transform.GetScene().AddNode(display)
    display.SetVisualizationMode(display.VIS_MODE_GRID)
    display.SetAndObserveRegionNode(region)
    display.SetGridSpacingMm(spacing)
    display.SetGridResolutionMm(2.0)
    display.SetGridScalePercent(100)
    display.SetColorMap(scale)
    display.SetVisibility(True)
    display.SetVisibility2D(True)
    display.SetVisibility3D(False)  # at this resolution a 3D view would compute for many seconds
    transform.AddAndObserveDisplayNodeID(display.GetID())
    return display
