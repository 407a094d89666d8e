"""Volume nodes to Images and back."""

from __future__ import annotations

import numpy as np
import torch
import vtk
from vtk.util import numpy_support

from DeepRegistrationLib.errors import RegistrationError
from DeepRegistrationLib.geometry import Grid
from DeepRegistrationLib.image import Image
from DeepRegistrationLib.sampling import sample
from DeepRegistrationLib.scene.space import (
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
from DeepRegistrationLib.validation import background

_WIDER = {"uint16": np.int32, "uint32": np.float64, "uint64": np.float64}  # torch lacks these
_LATTICE = 17  # points along each axis by which a nonlinearly placed volume's box is found


def image_from_node(node, role: str = "the volume", *, ignoring=None) -> Image:
    """The voxels of a volume node, where the scene shows them.

    A parent transform is honored. Where it is nonlinear, or shears (gantry tilt), the volume is
    resampled on an upright grid of its own spacing that covers it; the node stays as it is.

    Args:
        node: Scalar volume or label map.
        role: What the node is for, as messages call it ("the fixed volume").
        ignoring: A transform node to be taken as the identity where it lies above the volume: the
            result of an earlier registration.

    Raises:
        RegistrationError: No node, not a scalar volume, or one without voxels.
    """
    check_volume_node(node, role)
    return placed_image(
        voxels_of(node),
        ijk_to_lps(node),
        placement(node, ignoring),
        node.GetName(),
        labels=node.IsA("vtkMRMLLabelMapVolumeNode"),
    )


def placed_image(
    array: np.ndarray,
    own_ijk_to_lps: np.ndarray,
    to_world: vtk.vtkAbstractTransform,
    name: str,
    *,
    labels: bool,
) -> Image:
    """An image where a transform puts it; resampled only where no grid describes the place.

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
            return Image(torch.from_numpy(array), _grid(array.shape, matrix), name)
    image = Image(torch.from_numpy(array), _grid(array.shape, own_ijk_to_lps), name)
    return _straightened(image, to_world, labels)


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
            f"{role[0].upper()}{role[1:]} {node.GetName()!r} has {components} values a voxel "
            "(color or vector volume); choose a scalar volume, or convert it in the Vector to "
            "Scalar Volume module."
        )


def voxels_of(node) -> np.ndarray:
    """A copy of a scalar volume node's voxels in a type that torch has: [z, y, x]."""
    data = node.GetImageData()
    view = numpy_support.vtk_to_numpy(data.GetPointData().GetScalars())
    kind = _WIDER.get(view.dtype.name, view.dtype)
    return np.array(view, dtype=kind).reshape(data.GetDimensions()[::-1])


def ijk_to_lps(node) -> np.ndarray:
    """Voxel index to LPS mm, without the parent transform: [4, 4]."""
    matrix = vtk.vtkMatrix4x4()
    node.GetIJKToRASMatrix(matrix)
    return FLIP @ matrix_to_numpy(matrix)


def _grid(shape: tuple[int, ...], ijk_to_lps: np.ndarray) -> Grid:
    columns = ijk_to_lps[:3, :3]
    spacing = np.linalg.norm(columns, axis=0)
    size = (shape[2], shape[1], shape[0])
    return Grid(size, tuple(spacing), tuple(ijk_to_lps[:3, 3]), tuple((columns / spacing).ravel()))


def _straightened(image: Image, to_world: vtk.vtkAbstractTransform, labels: bool) -> Image:
    """The image resampled on an upright grid."""
    grid = _covering_grid(image.grid, to_world)
    back = to_world.GetInverse()
    fill = 0.0 if labels else background(image)
    values = image.data.float()[None]
    result = torch.empty(grid.shape)
    for slab in grid.slabs(500_000):
        points = flipped(map_points(back, flipped(grid.points(slab, dtype=torch.float64).numpy())))
        result[slab] = sample(
            values,
            image.grid,
            torch.from_numpy(points).float(),
            interpolation="nearest" if labels else "linear",
            fill=fill,
        )[0]
    return Image(result.to(image.data.dtype) if labels else result, grid, image.name)


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


def vtk_image(image: Image) -> vtk.vtkImageData:
    """The voxels as a vtkImageData with unit geometry, as volume nodes keep it."""
    array = np.ascontiguousarray(image.data.detach().cpu().numpy())
    result = vtk.vtkImageData()
    result.SetDimensions(*image.grid.size)
    scalars = numpy_support.numpy_to_vtk(array.ravel(), deep=True)
    scalars.SetName("scalars")
    result.GetPointData().SetScalars(scalars)
    return result


def place_on_grid(node, grid: Grid) -> None:
    """Give a volume node the geometry of ``grid`` in the world, under no transform."""
    matrix = np.eye(4)
    matrix[:3, :3] = grid.matrix
    matrix[:3, 3] = grid.origin
    node.SetAndObserveTransformNodeID(None)
    node.SetIJKToRASMatrix(matrix_to_vtk(FLIP @ matrix))


def update_volume_node(node, image: Image) -> None:
    """Put an image into a volume node: voxels, geometry, no parent transform; its name stays."""
    data = vtk_image(image)
    place_on_grid(node, image.grid)
    node.SetAndObserveImageData(data)


def volume_node_from_image(
    image: Image, scene, name: str | None = None, *, label_map: bool = False
):
    """Add a volume node with default display to the scene, and return it."""
    kind = "vtkMRMLLabelMapVolumeNode" if label_map else "vtkMRMLScalarVolumeNode"
    node = scene.AddNewNodeByClass(kind, scene.GenerateUniqueName(name or image.name))
    update_volume_node(node, image)
    node.CreateDefaultDisplayNodes()
    return node
