"""The border between MRML, which is RAS, and the engine, which is LPS; vtk arrays and matrices."""

from __future__ import annotations

import numpy as np
import slicer
import vtk
from vtk.util import numpy_support

from DeepRegistrationLib.errors import RegistrationError

FLIP = np.diag([-1.0, -1.0, 1.0, 1.0])
"""RAS to LPS and back, for points, vectors and (from both sides) matrices."""

_BLOCK = 500_000  # points a call: bounds the memory of the float64 copies


def flipped(values: np.ndarray) -> np.ndarray:
    """Points or vectors [..., 3] from RAS to LPS or back."""
    return np.asarray(values, dtype=np.float64) * (-1.0, -1.0, 1.0)


def matrix_to_numpy(matrix: vtk.vtkMatrix4x4) -> np.ndarray:
    """float64 [4, 4]."""
    return np.array([[matrix.GetElement(i, j) for j in range(4)] for i in range(4)])


def matrix_to_vtk(matrix: np.ndarray) -> vtk.vtkMatrix4x4:
    """A vtkMatrix4x4 from [4, 4]; a [3, 3] is padded."""
    full = np.eye(4)
    full[: matrix.shape[0], : matrix.shape[1]] = matrix
    result = vtk.vtkMatrix4x4()
    result.DeepCopy(full.ravel().tolist())
    return result


def orthonormalized(matrix: np.ndarray) -> np.ndarray:
    """The orthonormal [3, 3] nearest to a matrix (its polar factor)."""
    u, _, vt = np.linalg.svd(matrix)
    return u @ vt


def map_points(transform: vtk.vtkAbstractTransform, points: np.ndarray) -> np.ndarray:
    """Apply a vtk transform to points, in C++ and by blocks: RAS [..., 3] to RAS [..., 3]."""
    points = np.asarray(points, dtype=np.float64)
    flat = np.ascontiguousarray(points.reshape(-1, 3))
    result = np.empty_like(flat)
    for begin in range(0, len(flat), _BLOCK):
        block = vtk.vtkPoints()
        block.SetData(numpy_support.numpy_to_vtk(flat[begin : begin + _BLOCK]))
        mapped = vtk.vtkPoints()
        mapped.SetDataTypeToDouble()
        transform.TransformPoints(block, mapped)
        result[begin : begin + _BLOCK] = numpy_support.vtk_to_numpy(mapped.GetData())
    return result.reshape(points.shape)


def between(source, target) -> vtk.vtkGeneralTransform:
    """The map from one transform node's space to another's; None stands for the world."""
    result = vtk.vtkGeneralTransform()
    slicer.vtkMRMLTransformNode.GetTransformBetweenNodes(source, target, result)
    return result


def placement(node, ignoring=None) -> vtk.vtkGeneralTransform:
    """Where the scene puts a node: its own RAS to the world's.

    Args:
        node: Any transformable node.
        ignoring: A transform node. Where it is among the node's parents, it and all above it are
            taken as the identity.
    """
    below = ignoring if ignoring is not None and ignoring in parents_of(node) else None
    return between(node.GetParentTransformNode(), below)


def parents_of(node) -> list:
    """The transform nodes above a node, the nearest first."""
    result = []
    parent = node.GetParentTransformNode()
    while parent is not None:
        result.append(parent)
        parent = parent.GetParentTransformNode()
    return result


def linear_matrix(transform: vtk.vtkAbstractTransform) -> np.ndarray | None:
    """The transform as a [4, 4] matrix, or None where a member of its chain is not linear."""
    linear = vtk.vtkTransform()
    if not slicer.vtkMRMLTransformNode.IsGeneralTransformLinear(transform, linear):
        return None
    return matrix_to_numpy(linear.GetMatrix())


def set_map_from_parent(node, transform: vtk.vtkAbstractTransform) -> None:
    """Let a transform node hold a map from its parent; as a matrix where it is linear.

    A node with a chain of linear transforms, or an empty one, calls itself linear but has no
    matrix to give.
    """
    matrix = linear_matrix(transform)
    if matrix is not None:
        transform = vtk.vtkTransform()
        transform.SetMatrix(matrix_to_vtk(matrix))
    node.SetAndObserveTransformFromParent(transform)


def require_node(node, class_name: str, role: str) -> None:
    """Check that a node is there and of a class.

    Args:
        node: A MRML node or None.
        class_name: For example ``vtkMRMLTransformNode``; derived classes pass.
        role: What the node is for, as the message should call it ("the fixed volume").

    Raises:
        RegistrationError: It is not.
    """
    kind = class_name.removeprefix("vtkMRML").removesuffix("Node")
    if node is None:
        raise RegistrationError(f"No node was given for {role}; choose a {kind} node.")
    if not hasattr(node, "IsA") or not node.IsA(class_name):
        found = node.GetClassName() if hasattr(node, "GetClassName") else type(node).__name__
        raise RegistrationError(
            f"{role[0].upper()}{role[1:]} must be a {kind} node, but a {found} was given; "
            "choose another node."
        )
