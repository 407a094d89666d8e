"""Transforms to MRML transform nodes and back.

T maps fixed points to moving points. On a node this is the transform *from* parent (from the
world to what lies under the node), so a moving volume placed under it appears registered.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterator
from typing import TYPE_CHECKING

import numpy as np
import slicer
import vtk
from vtk.util import numpy_support

from DeepRegistrationLib.errors import RegistrationError
from DeepRegistrationLib.images.geometry import Grid
from DeepRegistrationLib.images.plain_data import (
    AffineMap,
    ChunkedArray,
    FieldMap,
    Map,
    StoredField,
)
from DeepRegistrationLib.scene.nodes.coordinates import (
    FLIP,
    between,
    flipped,
    linear_matrix,
    map_points,
    matrix_to_numpy,
    matrix_to_vtk,
    require_node,
)
from DeepRegistrationLib.scene.nodes.volumes import exhausted

if TYPE_CHECKING:
    from DeepRegistrationLib.transforms import Transform

_BLOCK = 20_000  # vectors of a field read at once: some 20 ms through splines
_TO_RAS = np.array([-1, -1, 1], dtype=np.float32)  # of vectors; its own inverse


def vtk_transform(mapping: Map) -> vtk.vtkAbstractTransform:
    """The map itself, fixed RAS to moving RAS, for :func:`set_transform`; copies a field."""
    return exhausted(converting(mapping))


def converting(mapping: Map) -> Generator[None, None, vtk.vtkAbstractTransform]:
    """:func:`vtk_transform` in steps of milliseconds, so that a view can stay responsive."""
    if isinstance(mapping, FieldMap):
        return (yield from _converting_field(mapping))
    matrix = np.eye(4)
    matrix[:3, :3] = mapping.matrix
    matrix[:3, 3] = mapping.translation
    result = vtk.vtkTransform()
    result.SetMatrix(matrix_to_vtk(FLIP @ matrix @ FLIP))
    return result


def _converting_field(field: FieldMap) -> Generator[None, None, vtk.vtkAbstractTransform]:
    """A vtkOrientedGridTransform of the same displacements, in RAS."""
    grid = field.grid
    data = vtk.vtkImageData()
    data.SetDimensions(*grid.size)
    data.SetSpacing(*grid.spacing)
    data.SetOrigin(*flipped(np.array(grid.origin)))
    data.AllocateScalars(vtk.VTK_FLOAT, 3)
    scalars = data.GetPointData().GetScalars()
    scalars.SetName("displacement")
    target = numpy_support.vtk_to_numpy(scalars).reshape(*grid.shape, 3)
    for slab in grid.slabs(500_000):
        np.multiply(np.moveaxis(field.vectors[:, slab], 0, -1), _TO_RAS, out=target[slab])
        yield
    direction = FLIP[:3, :3] @ np.reshape(grid.direction, (3, 3))
    result = slicer.vtkOrientedGridTransform()
    result.SetGridDirectionMatrix(matrix_to_vtk(direction))
    result.SetDisplacementGridData(data)
    result.SetInterpolationModeToLinear()
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


def transform_node_from(transform: Transform | Map, scene, name: str, grid: Grid | None = None):
    """Add a transform node to the scene.

    Args:
        transform: Fixed to moving; plain data, or a transform of the engine.
        grid: The fixed image's grid; needed for the engine's chains that hold a field.

    Returns:
        A vtkMRMLLinearTransformNode for affines, else a vtkMRMLGridTransformNode.
    """
    if not isinstance(transform, Map):
        from DeepRegistrationLib.transforms.single import single_transform
        from DeepRegistrationLib.transforms.tensors import map_of

        transform = map_of(single_transform(transform, grid))
    mapping = vtk_transform(transform)
    node = scene.AddNewNodeByClass(node_class(mapping), scene.GenerateUniqueName(name))
    set_transform(node, mapping)
    return node


def map_from_node(
    node, grid: Grid | None = None, role: str = "the transform"
) -> AffineMap | StoredField:
    """The map from the world to what lies under a transform node, its parents included.

    Linear chains become an :class:`AffineMap`, and an oriented grid a :class:`StoredField` of the
    same samples; everything else (B-splines, thin plates, inverses, chains) is sampled on
    ``grid``. Fields are read block by block when they are handed over.

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
        return AffineMap(matrix[:3, :3], matrix[:3, 3])
    field = _own_field(node) if node.GetParentTransformNode() is None else None
    if field is not None:
        return field
    if grid is None:
        raise RegistrationError(
            f"{role[0].upper()}{role[1:]} {node.GetName()!r} has to be sampled on a grid; give the "
            "fixed volume too."
        )
    return sampled_map(general, grid, node.GetName())


def places_under(node, grid: Grid) -> list[float]:
    """Where a transform node takes 27 points of a grid, RAS mm: what it is known by again."""
    ends = [np.linspace(0, size - 1, 3) for size in grid.size]
    points = grid.to_physical(np.stack(np.meshgrid(*ends), axis=-1).reshape(-1, 3))
    return map_points(between(None, node), flipped(points)).round(3).ravel().tolist()


def sampled_map(general: vtk.vtkAbstractTransform, grid: Grid, name: str) -> StoredField:
    """A transform of RAS points as a field that is sampled when it is handed over.

    Args:
        grid: Which the samples cover.
        name: What it is called where it changes meanwhile.
    """
    samples = grid.with_spacing(spacing_of_samples(grid))
    return _stored(samples, lambda: _sampled(general, samples, name))


def _stored(grid: Grid, make: Callable[[], Iterator[np.ndarray]]) -> StoredField:
    return StoredField(ChunkedArray((*grid.shape, 3), np.dtype(np.float32), make), grid)


def _sampled(general: vtk.vtkAbstractTransform, grid: Grid, name: str) -> Iterator[np.ndarray]:
    """Displacements on a grid, block by block."""
    time = general.GetMTime()
    for slab in grid.slabs(_BLOCK):
        if general.GetMTime() != time:
            raise RegistrationError(f"{name!r} was changed while it was read; try again.")
        points = grid.positions(slab)
        yield np.float32(flipped(map_points(general, flipped(points))) - points)


def spacing_of_samples(grid: Grid) -> tuple[float, float, float]:
    """The spacing, mm, at which splines and chains are sampled on ``grid``: its own, at least 2."""
    return tuple(np.maximum(grid.spacing, 2.0))  # type: ignore[return-value]


def transform_from_node(node, grid: Grid | None = None, role: str = "the transform") -> Transform:
    """As :func:`map_from_node`, as a transform of the engine; loads PyTorch."""
    from DeepRegistrationLib.transforms.tensors import transform_of

    return transform_of(map_from_node(node, grid, role))


def _own_field(node) -> StoredField | None:
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
    rows = array.reshape(-1, 3 * grid.size[0])
    scale, shift = stored.GetDisplacementScale(), stored.GetDisplacementShift()
    return _stored(grid, lambda: _in_lps(rows, scale, shift))


def _in_lps(rows: np.ndarray, scale: float, shift: float) -> Iterator[np.ndarray]:
    """Rows of RAS vectors as MRML stores them, some at a time: float32, LPS."""
    count = max(1, 3 * _BLOCK // rows.shape[1])
    # Row by row: a loop over the three components of each vector takes many times as long.
    signs = np.tile(_TO_RAS, rows.shape[1] // 3)
    for begin in range(0, len(rows), count):
        block = rows[begin : begin + count]
        if (scale, shift) != (1, 0):
            block = block * scale + shift
        yield np.float32(block * signs)
