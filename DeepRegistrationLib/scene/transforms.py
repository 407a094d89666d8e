"""Transforms to MRML transform nodes and back.

T maps fixed points to moving points. On a node this is the transform *from* parent (from the
world to what lies under the node), so a moving volume placed under it appears registered.
"""

from __future__ import annotations

from functools import reduce

import numpy as np
import slicer
import torch
import vtk
from vtk.util import numpy_support

from DeepRegistrationLib.errors import RegistrationError
from DeepRegistrationLib.geometry import Grid
from DeepRegistrationLib.scene.space import (
    FLIP,
    between,
    flipped,
    linear_matrix,
    map_points,
    matrix_to_numpy,
    matrix_to_vtk,
    require_node,
)
from DeepRegistrationLib.transforms import (
    Affine,
    Composite,
    DisplacementField,
    Transform,
    VelocityField,
)

_TO_RAS = np.array([-1, -1, 1], dtype=np.float32)  # of vectors; its own inverse


def single_transform(transform: Transform, grid: Grid) -> Affine | DisplacementField:
    """One affine or one displacement field with the same meaning, as a MRML node holds it.

    A chain of affines is multiplied; anything else becomes a field on :func:`sampling_grid`.

    Args:
        grid: The fixed image's grid, which the field has to cover.
    """
    members = transform.transforms if isinstance(transform, Composite) else [transform]
    affines = [member for member in members if isinstance(member, Affine)]
    if len(affines) == len(members):
        return reduce(Affine.then, affines)
    if len(members) == 1 and isinstance(members[0], DisplacementField):
        return members[0]
    if len(members) == 1 and isinstance(members[0], VelocityField):
        return members[0].exp()
    return transform.on_grid(sampling_grid(transform, grid))


def sampling_grid(transform: Transform, grid: Grid) -> Grid:
    """The grid on which a chain of transforms is sampled as one field.

    It covers ``grid`` corner to corner. Its spacing is that of the chain's finest field, and never
    finer than ``grid``: sampling more densely would only cost memory, since a field is smooth
    between its own samples.
    """
    members = transform.transforms if isinstance(transform, Composite) else [transform]
    fields = [m.grid for m in members if isinstance(m, DisplacementField | VelocityField)]
    finest = min((min(field.spacing) for field in fields), default=2.0)
    return grid.with_spacing(tuple(np.maximum(grid.spacing, finest)))  # type: ignore[arg-type]


def grid_transform(field: DisplacementField) -> vtk.vtkAbstractTransform:
    """A vtkOrientedGridTransform of the same displacements, in RAS."""
    grid = field.grid
    data = vtk.vtkImageData()
    data.SetDimensions(*grid.size)
    data.SetSpacing(*grid.spacing)
    data.SetOrigin(*flipped(np.array(grid.origin)))
    vectors = field.vectors.detach().cpu().float().movedim(0, -1).numpy()
    displacements = np.multiply(vectors, _TO_RAS, dtype=np.float32).reshape(-1, 3)
    scalars = numpy_support.numpy_to_vtk(displacements, deep=True)
    scalars.SetName("displacement")
    data.GetPointData().SetScalars(scalars)
    direction = FLIP[:3, :3] @ np.reshape(grid.direction, (3, 3))
    result = slicer.vtkOrientedGridTransform()
    result.SetGridDirectionMatrix(matrix_to_vtk(direction))
    result.SetDisplacementGridData(data)
    result.SetInterpolationModeToLinear()
    return result


def vtk_transform(transform: Affine | DisplacementField) -> vtk.vtkAbstractTransform:
    """The map itself, fixed RAS to moving RAS, for :func:`set_transform`."""
    if isinstance(transform, DisplacementField):
        return grid_transform(transform)
    matrix = np.eye(4)
    matrix[:3, :3] = transform.matrix
    matrix[:3, 3] = transform.translation
    result = vtk.vtkTransform()
    result.SetMatrix(matrix_to_vtk(FLIP @ matrix @ FLIP))
    return result


def node_class(transform: vtk.vtkAbstractTransform) -> str:
    """The MRML class that saves a vtk transform best."""
    if linear_matrix(transform) is not None:
        return "vtkMRMLLinearTransformNode"
    if transform.IsA("vtkOrientedGridTransform"):
        return "vtkMRMLGridTransformNode"
    return "vtkMRMLTransformNode"


def set_transform(node, transform: vtk.vtkAbstractTransform) -> None:
    """Let a node map fixed to moving points: its transform from parent, in the world."""
    node.SetAndObserveTransformNodeID(None)
    if transform.IsA("vtkTransform"):
        node.SetMatrixTransformFromParent(transform.GetMatrix())
    else:
        node.SetAndObserveTransformFromParent(transform)


def transform_node_from(transform: Transform, scene, name: str, grid: Grid | None = None):
    """Add a transform node to the scene.

    Args:
        transform: Fixed to moving.
        grid: The fixed image's grid; needed for chains that hold a field.

    Returns:
        A vtkMRMLLinearTransformNode for affines, else a vtkMRMLGridTransformNode.
    """
    if grid is None and isinstance(transform, Composite):
        raise ValueError("transform_node_from: a chain of transforms needs a grid")
    single = single_transform(transform, grid) if grid is not None else transform
    if isinstance(single, VelocityField):
        single = single.exp()
    mapping = vtk_transform(single)  # type: ignore[arg-type]
    node = scene.AddNewNodeByClass(node_class(mapping), scene.GenerateUniqueName(name))
    set_transform(node, mapping)
    return node


def transform_from_node(node, grid: Grid | None = None, role: str = "the transform") -> Transform:
    """The map from the world to what lies under a transform node, its parents included.

    Linear chains become an :class:`Affine`, and an oriented grid a :class:`DisplacementField` of
    the same samples; everything else (B-splines, thin plates, inverses, chains) is
    sampled on ``grid``.

    Args:
        node: Any transform node of the scene.
        grid: Where to sample; usually the fixed image's.

    Raises:
        RegistrationError: Not a transform node, or a grid is needed and none was given.
    """
    require_node(node, "vtkMRMLTransformNode", role)
    general = between(None, node)
    matrix = linear_matrix(general)
    if matrix is not None:
        matrix = FLIP @ matrix @ FLIP
        return Affine(matrix[:3, :3], matrix[:3, 3])
    field = _own_field(node) if node.GetParentTransformNode() is None else None
    if field is not None:
        return field
    if grid is None:
        raise RegistrationError(
            f"{role[0].upper()}{role[1:]} {node.GetName()!r} has to be sampled on a grid; give the "
            "fixed volume too."
        )
    grid = grid.with_spacing(tuple(np.maximum(grid.spacing, 2.0)))  # type: ignore[arg-type]
    vectors = torch.empty(3, *grid.shape)
    for slab in grid.slabs(500_000):
        points = grid.points(slab, dtype=torch.float64).numpy()
        mapped = flipped(map_points(general, flipped(points)))
        vectors[:, slab] = torch.from_numpy(mapped - points).float().movedim(-1, 0)
    return DisplacementField(vectors, grid)


def _own_field(node) -> DisplacementField | None:
    """The displacement field that a node stores from parent, if any.

    Slicer interpolates the fields of files cubically, the engine linearly: the samples are the
    same, and between them a smooth field differs by hundredths of a millimeter.
    """
    stored = node.GetTransformFromParentAs("vtkOrientedGridTransform", False)
    if stored is None or stored.GetInverseFlag():
        return None
    data = stored.GetDisplacementGrid()
    if data is None or data.GetPointData().GetScalars() is None:
        return None
    direction = stored.GetGridDirectionMatrix()
    axes = np.eye(3) if direction is None else matrix_to_numpy(direction)[:3, :3]
    if data.GetExtent()[::2] != (0, 0, 0):
        return None
    grid = Grid(
        data.GetDimensions(),
        data.GetSpacing(),
        tuple(flipped(np.array(data.GetOrigin()))),
        tuple((FLIP[:3, :3] @ axes).ravel()),
    )
    array = numpy_support.vtk_to_numpy(data.GetPointData().GetScalars())
    scaled = array * stored.GetDisplacementScale() + stored.GetDisplacementShift()
    vectors = np.float32(scaled.reshape(*grid.shape, 3)) * _TO_RAS
    return DisplacementField(torch.from_numpy(vectors).movedim(-1, 0).contiguous(), grid)
