"""Volumes as a slice view samples them: one value a pixel of the view, in numpy.

The cost is that of a view's pixels, whatever the size of the volume, and no copy of a volume is
made: vtkImageReslice reads the node's own voxels through its transforms.
"""

from __future__ import annotations

from functools import reduce

import numpy as np
import vtk
from vtk.util import numpy_support

from DeepRegistrationLib.scene.nodes.coordinates import (
    between,
    linear_matrix,
    matrix_to_numpy,
    matrix_to_vtk,
)

OUTSIDE = -3.0e38
"""Value of pixels that no voxel lies under."""


def slice_of(volume, slice_node) -> np.ndarray:
    """A volume node in the plane of a slice view, where the scene shows it.

    Args:
        volume: Scalar volume node; transforms above it are honored, nonlinear ones too.
        slice_node: vtkMRMLSliceNode; its pixels are sampled.

    Returns:
        float32 [height, width], the bottom row first; ``OUTSIDE`` where the volume is not.
    """
    width, height = slice_node.GetDimensions()[:2]
    reslice = vtk.vtkImageReslice()
    reslice.SetInputData(volume.GetImageData())
    reslice.SetResliceTransform(pixel_to_voxel(volume, slice_node))
    reslice.SetInterpolationModeToLinear()
    reslice.SetOutputDimensionality(3)
    reslice.SetOutputOrigin(0, 0, 0)
    reslice.SetOutputSpacing(1, 1, 1)
    reslice.SetOutputExtent(0, width - 1, 0, height - 1, 0, 0)
    reslice.SetOutputScalarType(vtk.VTK_FLOAT)
    reslice.SetBackgroundLevel(OUTSIDE)
    reslice.Update()
    scalars = reslice.GetOutput().GetPointData().GetScalars()
    return numpy_support.vtk_to_numpy(scalars).reshape(height, width).copy()


def pixel_size(slice_node) -> tuple[float, float]:
    """Width and height of a slice view's pixel in mm."""
    axes = matrix_to_numpy(slice_node.GetXYToRAS())[:3, :2]
    return float(np.linalg.norm(axes[:, 0])), float(np.linalg.norm(axes[:, 1]))


def pixel_positions(slice_node) -> tuple[np.ndarray, np.ndarray]:
    """Place of a view's pixel columns and rows along its axes, mm from the scene's origin.

    Returns:
        [width] and [height], the bottom row first. They do not change when the view is moved.
    """
    matrix = matrix_to_numpy(slice_node.GetXYToRAS())
    size = np.array(pixel_size(slice_node))
    start = (matrix[:3, :2] / size).T @ matrix[:3, 3]
    width, height = slice_node.GetDimensions()[:2]
    return start[0] + size[0] * np.arange(width), start[1] + size[1] * np.arange(height)


def pixel_to_voxel(volume, slice_node) -> vtk.vtkAbstractTransform:
    """View pixel to voxel index; as one matrix where that is possible, which is much faster."""
    to_voxel = vtk.vtkMatrix4x4()
    volume.GetRASToIJKMatrix(to_voxel)
    to_own = between(None, volume.GetParentTransformNode())
    linear = linear_matrix(to_own)
    if linear is not None:
        steps = [matrix_to_numpy(to_voxel), linear, matrix_to_numpy(slice_node.GetXYToRAS())]
        whole = vtk.vtkTransform()
        whole.SetMatrix(matrix_to_vtk(reduce(np.matmul, steps)))
        return whole
    result = vtk.vtkGeneralTransform()
    result.PostMultiply()
    result.Concatenate(slice_node.GetXYToRAS())
    result.Concatenate(to_own)
    result.Concatenate(to_voxel)
    return result
