"""Volume nodes to Images and back."""

from __future__ import annotations

from collections.abc import Generator
from typing import TYPE_CHECKING

import numpy as np
import vtk
from vtk.util import numpy_support

from DeepRegistrationLib.errors import RegistrationError
from DeepRegistrationLib.images.geometry import Grid
from DeepRegistrationLib.images.plain_data import Volume, background
from DeepRegistrationLib.scene.nodes.coordinates import (
    FLIP,
    flipped,
    linear_matrix,
    map_points,
    matrix_to_numpy,
    matrix_to_vtk,
    orthonormalized,
    placement,
    require_node,
)

if TYPE_CHECKING:
    from DeepRegistrationLib.images.image import Image

_LATTICE = 17  # points along each axis by which a nonlinearly placed volume's box is found
_BLOCK = 1 << 20  # voxels copied at once: a few milliseconds
_SLAB = 50_000  # voxels resampled at once through a nonlinear transform: some 50 ms


def volume_from_node(node, role: str = "the volume", *, ignoring=None) -> Volume:
    """The voxels of a volume node, where the scene shows them, without copying them.

    A parent transform is honored. Where it is nonlinear, or shears (gantry tilt), the volume is
    resampled on an upright grid of its own spacing that covers it; the node stays as it is.

    Args:
        node: Scalar volume or label map.
        role: What the node is for, as messages call it ("the fixed volume").
        ignoring: A transform node to be taken as the identity where it lies above the volume: the
            result of an earlier registration.

    Returns:
        A view of the node's voxels, to be read only; it stays valid when the node is removed.

    Raises:
        RegistrationError: No node, not a scalar volume, or one without voxels.
    """
    check_volume_node(node, role)
    return placed_volume(
        voxels_of(node),
        ijk_to_lps(node),
        placement(node, ignoring),
        node.GetName(),
        labels=node.IsA("vtkMRMLLabelMapVolumeNode"),
    )


def image_from_node(node, role: str = "the volume", *, ignoring=None) -> Image:
    """As :func:`volume_from_node`, but a copy that the engine computes with; loads PyTorch."""
    from DeepRegistrationLib.transforms.tensors import image_of

    return image_of(volume_from_node(node, role, ignoring=ignoring))


def placed_volume(
    array: np.ndarray,
    own_ijk_to_lps: np.ndarray,
    to_world: vtk.vtkAbstractTransform,
    name: str,
    *,
    labels: bool,
) -> Volume:
    """A volume where a transform puts it; resampled only where no grid describes the place.

    Args:
        array: [z, y, x].
        own_ijk_to_lps: Voxel index to LPS mm before the transform, [4, 4].
        to_world: Own RAS to the world's.
        labels: Resample by nearest neighbor, with 0 outside.
    """
    parent = linear_matrix(to_world)
    if parent is not None:
        matrix = FLIP @ parent @ FLIP @ own_ijk_to_lps
        direction = matrix[:3, :3] / np.linalg.norm(matrix[:3, :3], axis=0)
        if np.allclose(direction.T @ direction, np.eye(3), atol=1e-4):
            return Volume(array, _grid(array.shape, matrix), name)
    volume = Volume(array, _grid(array.shape, own_ijk_to_lps), name)
    return _straightened(volume, to_world, labels)


def check_volume_node(node, role: str) -> None:
    """Refuse what is not one scalar value a voxel.

    Raises:
        RegistrationError: With a sentence that names the node.
    """
    require_node(node, "vtkMRMLScalarVolumeNode", role)
    data = node.GetImageData()
    if data is None or data.GetNumberOfPoints() == 0 or data.GetPointData().GetScalars() is None:
        raise RegistrationError(
            f"{role[0].upper()}{role[1:]} {node.GetName()!r} has no voxels; load an image into it "
            "or choose another node."
        )
    components = data.GetNumberOfScalarComponents()
    if components != 1:
        raise RegistrationError(
            f"{role[0].upper()}{role[1:]} {node.GetName()!r} has {components} values per voxel "
            "(color or vector volume); choose a scalar volume, or convert it in the Vector to "
            "Scalar Volume module."
        )


def voxels_of(node) -> np.ndarray:
    """A view of a scalar volume node's voxels: [z, y, x]."""
    data = node.GetImageData()
    view = numpy_support.vtk_to_numpy(data.GetPointData().GetScalars())
    return view.reshape(data.GetDimensions()[::-1])


def ijk_to_lps(node) -> np.ndarray:
    """Voxel index to LPS mm, without the parent transform: [4, 4]."""
    matrix = vtk.vtkMatrix4x4()
    node.GetIJKToRASMatrix(matrix)
    return FLIP @ matrix_to_numpy(matrix)


def grid_of(node, ignoring=None) -> Grid | None:
    """The grid of a volume node where the scene shows it, or None where it is bent.

    Args:
        ignoring: As in :func:`volume_from_node`.
    """
    parent = linear_matrix(placement(node, ignoring))
    if parent is None or node.GetImageData() is None:
        return None
    shape = node.GetImageData().GetDimensions()[::-1]
    return _grid(shape, FLIP @ parent @ FLIP @ ijk_to_lps(node))


def _grid(shape: tuple[int, ...], ijk_to_lps: np.ndarray) -> Grid:
    columns = ijk_to_lps[:3, :3]
    spacing = np.linalg.norm(columns, axis=0)
    size = (shape[2], shape[1], shape[0])
    return Grid(size, tuple(spacing), tuple(ijk_to_lps[:3, 3]), tuple((columns / spacing).ravel()))


def _straightened(volume: Volume, to_world: vtk.vtkAbstractTransform, labels: bool) -> Volume:
    """The volume resampled on an upright grid: labels by nearest neighbor, else float32."""
    return resliced(volume, _covering_grid(volume.grid, to_world), to_world.GetInverse(), labels)


def resliced(volume: Volume, grid: Grid, mapping: vtk.vtkAbstractTransform, labels: bool) -> Volume:
    """A volume resampled on another grid: labels by nearest neighbor, else linearly as float32.

    Args:
        mapping: Points of the new grid to points of the volume, both RAS.
        labels: Then 0 fills what lies outside, else the volume's background.
    """
    return exhausted(reslicing(volume, grid, mapping, labels))


def reslicing(
    volume: Volume, grid: Grid, mapping: vtk.vtkAbstractTransform, labels: bool
) -> Generator[float, None, Volume]:
    """:func:`resliced` in steps; yields the fraction done."""
    chain = vtk.vtkGeneralTransform()  # index of the new grid to index of the volume
    chain.PostMultiply()
    chain.Concatenate(matrix_to_vtk(FLIP @ _index_to_lps(grid)))
    chain.Concatenate(mapping)
    chain.Concatenate(matrix_to_vtk(np.linalg.inv(FLIP @ _index_to_lps(volume.grid))))
    source = volume if labels else Volume(np.float32(volume.data), volume.grid)
    reslice = vtk.vtkImageReslice()  # keeps the border's value for half a voxel, as the engine does
    reslice.SetInputData(vtk_image(source))
    reslice.SetResliceTransform(chain)
    reslice.SetOutputSpacing(1, 1, 1)
    reslice.SetOutputOrigin(0, 0, 0)
    reslice.SetInterpolationMode(vtk.VTK_RESLICE_NEAREST if labels else vtk.VTK_RESLICE_LINEAR)
    reslice.SetBackgroundLevel(0.0 if labels else background(volume.data))
    result = np.empty(grid.shape, source.data.dtype)
    width, height, depth = grid.size
    step = max(1, _SLAB // (width * height))
    for begin in range(0, depth, step):
        end = min(begin + step, depth)
        reslice.SetOutputExtent(0, width - 1, 0, height - 1, begin, end - 1)
        reslice.Update()
        slab = reslice.GetOutput().GetPointData().GetScalars()
        result[begin:end] = numpy_support.vtk_to_numpy(slab).reshape(-1, height, width)
        yield end / depth
    return Volume(result, grid, volume.name)


def _index_to_lps(grid: Grid) -> np.ndarray:
    """Voxel index to LPS mm: [4, 4]."""
    matrix = np.eye(4)
    matrix[:3, :3] = grid.matrix
    matrix[:3, 3] = grid.origin
    return matrix


def _covering_grid(grid: Grid, to_world: vtk.vtkAbstractTransform) -> Grid:
    """An orthonormal grid near the placed image's axes, of its spacing, that covers it."""
    ends = [np.linspace(-0.5, n - 0.5, _LATTICE) for n in grid.size]
    lattice = grid.to_physical(np.stack(np.meshgrid(*ends, indexing="ij"), -1))
    placed = flipped(map_points(to_world, flipped(lattice)))
    index = np.stack(np.meshgrid(*ends, indexing="ij"), -1).reshape(-1, 3)
    design = np.column_stack([index, np.ones(len(index))])
    mean_matrix = np.linalg.lstsq(design, placed.reshape(-1, 3), rcond=None)[0][:3].T
    spacing = np.maximum(np.linalg.norm(mean_matrix, axis=0), 1e-3)
    direction = orthonormalized(mean_matrix / spacing)
    along = placed.reshape(-1, 3) @ direction
    low, high = along.min(0), along.max(0)
    size = np.maximum(np.ceil((high - low) / spacing - 1e-6), 1).astype(int)
    origin = direction @ ((low + high) / 2 - (size - 1) / 2 * spacing)
    return Grid(tuple(size), tuple(spacing), tuple(origin), tuple(direction.ravel()))


def vtk_image(image: Image | Volume) -> vtk.vtkImageData:
    """A copy of the voxels as a vtkImageData with unit geometry, as volume nodes keep it."""
    return exhausted(copying(image))


def copying(image: Image | Volume) -> Generator[None, None, vtk.vtkImageData]:
    """:func:`vtk_image` in steps of milliseconds, so that a view can stay responsive."""
    source = np.ascontiguousarray(image.data).reshape(-1)
    result = vtk.vtkImageData()
    result.SetDimensions(*image.grid.size)
    result.AllocateScalars(numpy_support.get_vtk_array_type(source.dtype), 1)
    scalars = result.GetPointData().GetScalars()
    scalars.SetName("scalars")
    target = numpy_support.vtk_to_numpy(scalars)
    for begin in range(0, len(source), _BLOCK):
        target[begin : begin + _BLOCK] = source[begin : begin + _BLOCK]
        yield
    return result


def exhausted(steps: Generator):
    """Do all steps at once; what the generator returns."""
    try:
        while True:
            next(steps)
    except StopIteration as end:
        return end.value


def place_on_grid(node, grid: Grid) -> None:
    """Give a volume node the geometry of ``grid`` in the world, under no transform."""
    node.SetAndObserveTransformNodeID(None)
    node.SetIJKToRASMatrix(matrix_to_vtk(FLIP @ _index_to_lps(grid)))


def update_volume_node(node, data: vtk.vtkImageData, grid: Grid) -> None:
    """Put voxels into a volume node, on ``grid`` and under no transform; its name stays."""
    place_on_grid(node, grid)
    node.SetAndObserveImageData(data)


def volume_node_from_image(
    image: Image | Volume, scene, name: str | None = None, *, label_map: bool = False
):
    """Add a volume node with default display to the scene, and return it."""
    kind = "vtkMRMLLabelMapVolumeNode" if label_map else "vtkMRMLScalarVolumeNode"
    node = scene.AddNewNodeByClass(kind, scene.GenerateUniqueName(name or image.name))
    update_volume_node(node, vtk_image(image), image.grid)
    node.CreateDefaultDisplayNodes()
    return node
