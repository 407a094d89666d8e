"""Surfaces colored by uncertainty: the walls of a multi-atlas segmentation as model nodes."""

from __future__ import annotations

import numpy as np
import vtk
from vtk.util import numpy_support

from DeepRegistrationLib.errors import RegistrationError
from DeepRegistrationLib.scene.colors import ERROR_RANGE, error_color_node
from DeepRegistrationLib.scene.space import flipped

SPREAD = "spread_mm"
"""Name of the point array that holds the spread."""


def add_wall(scene, vertices: np.ndarray, faces: np.ndarray, spread: np.ndarray, name: str):
    """Add a surface to the scene, colored by the spread of the atlases' walls.

    Blue: the atlases agree; red: they differ by 5 mm (standard deviation) or more.

    Args:
        scene: MRML scene.
        vertices: LPS mm: [n, 3].
        faces: Vertex numbers, counter-clockwise seen from outside: [m, 3].
        spread: In mm at each vertex: [n].
        name: Of the model node.

    Returns:
        The vtkMRMLModelNode; the spread is its active scalar ``spread_mm``.

    Raises:
        RegistrationError: The arrays do not belong together.
    """
    if len(spread) != len(vertices) or (len(faces) and faces.max() >= len(vertices)):
        raise RegistrationError(
            f"The surface {name} has {len(vertices)} vertices, but {len(spread)} values of the "
            "spread or faces beyond them; compute it again."
        )
    node = scene.AddNewNodeByClass("vtkMRMLModelNode", name)
    node.SetAndObservePolyData(_mesh(vertices, faces, spread))
    node.CreateDefaultDisplayNodes()
    display = node.GetDisplayNode()
    display.SetActiveScalar(SPREAD, vtk.vtkAssignAttribute.POINT_DATA)
    display.SetAndObserveColorNodeID(error_color_node(scene).GetID())
    display.SetScalarRangeFlag(display.UseManualScalarRange)
    display.SetScalarRange(*ERROR_RANGE)
    display.SetScalarVisibility(True)
    display.SetVisibility2D(True)
    return node


def _mesh(vertices: np.ndarray, faces: np.ndarray, spread: np.ndarray) -> vtk.vtkPolyData:
    """The surface in RAS with its normals; turning two axes keeps the faces' orientation."""
    points = vtk.vtkPoints()
    points.SetData(numpy_support.numpy_to_vtk(flipped(vertices).astype(np.float32), deep=True))
    cells = vtk.vtkCellArray()
    connected = np.ascontiguousarray(faces, dtype=np.int64).ravel()
    offsets = np.arange(0, len(connected) + 1, 3, dtype=np.int64)
    cells.SetData(
        numpy_support.numpy_to_vtkIdTypeArray(offsets, deep=True),
        numpy_support.numpy_to_vtkIdTypeArray(connected, deep=True),
    )
    values = numpy_support.numpy_to_vtk(np.asarray(spread, dtype=np.float32), deep=True)
    values.SetName(SPREAD)
    mesh = vtk.vtkPolyData()
    mesh.SetPoints(points)
    mesh.SetPolys(cells)
    mesh.GetPointData().AddArray(values)
    normals = vtk.vtkPolyDataNormals()
    normals.SetInputData(mesh)
    normals.SplittingOff()
    normals.ConsistencyOff()
    normals.Update()
    return normals.GetOutput()
