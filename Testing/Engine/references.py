"""What the tests of the core compare with: oblique grids, smooth fields, float64 references."""

from __future__ import annotations

import numpy as np
import SimpleITK as sitk
import torch
from hypothesis import settings
from hypothesis import strategies as st

from DeepRegistrationLib.images.geometry import Grid
from DeepRegistrationLib.images.image import Image, set_geometry
from DeepRegistrationLib.transforms import Affine, DisplacementField, Transform

# The same few examples on every run: a test that fails, fails for everyone.
PROPERTY = settings(derandomize=True, max_examples=40, deadline=None, database=None)

SHEAR = Affine(np.array([[1.1, 0.05, 0], [0, 0.9, 0.02], [0.03, 0, 1.05]]), (4.0, 1.0, -6.0))

RAS = (-1.0, 0.0, 0.0, 0.0, -1.0, 0.0, 0.0, 0.0, 1.0)


def rotation(x: float, y: float, z: float) -> np.ndarray:
    """Rotation by Euler angles in degrees."""
    euler = sitk.Euler3DTransform()
    euler.SetRotation(*np.deg2rad([x, y, z]))
    return np.array(euler.GetMatrix()).reshape(3, 3)


def oblique_grid(size=(23, 19, 17), spacing=(1.1, 1.7, 2.6), origin=(-31.0, 12.0, 40.0)) -> Grid:
    """An anisotropic grid turned about all three axes."""
    return Grid(size, spacing, origin, tuple(rotation(11, -17, 24).ravel()))


def ras_grid(size=(23, 19, 17), spacing=(1.1, 1.7, 2.6), origin=(31.0, 12.0, 40.0)) -> Grid:
    """A grid with the axes of a RAS image: direction diag(-1, -1, 1)."""
    return Grid(size, spacing, origin, RAS)


def straight_grid(size=(23, 19, 17), spacing=(1.1, 1.7, 2.6), origin=(-9.0, 2.0, 40.0)) -> Grid:
    """An anisotropic grid along the physical axes."""
    return Grid(size, spacing, origin)


def left_handed_grid(size=(23, 19, 17), spacing=(1.1, 1.7, 2.6), origin=(20.0, -8.0, 5.0)) -> Grid:
    """An oblique grid whose x axis is mirrored: the determinant of its direction is -1."""
    mirrored = rotation(-9, 14, 21) @ np.diag([-1.0, 1.0, 1.0])
    return Grid(size, spacing, origin, tuple(mirrored.ravel()))


GRIDS = {
    "straight": straight_grid,
    "ras": ras_grid,
    "oblique": oblique_grid,
    "left-handed": left_handed_grid,
}


def waves(points: np.ndarray, amplitude: float = 2.0, length: float = 40.0) -> np.ndarray:
    """A smooth vector field at physical points, of the given amplitude and wave length in mm."""
    k = 2 * np.pi / length
    x, y, z = np.moveaxis(np.asarray(points, dtype=np.float64), -1, 0)
    parts = (
        np.sin(k * (y + 3)) * np.cos(k * z),
        np.sin(k * z) * np.cos(k * (x - 5)),
        np.sin(k * x + 1) * np.cos(k * y),
    )
    return amplitude * np.stack(parts, axis=-1)


def wave_field(grid: Grid, amplitude: float = 2.0, length: float = 40.0) -> DisplacementField:
    """:func:`waves` sampled on a grid."""
    points = grid.points(dtype=torch.float64).numpy()
    return as_field(waves(points, amplitude, length), grid)


def as_field(vectors: np.ndarray, grid: Grid) -> DisplacementField:
    """A displacement field from vectors [z, y, x, 3]."""
    tensor = torch.from_numpy(np.ascontiguousarray(vectors, dtype=np.float32))
    return DisplacementField(tensor.movedim(-1, 0).contiguous(), grid)


def blobs(grid: Grid, seed: int = 0) -> Image:
    """A smooth random image: noise filtered to a width of about three voxels."""
    noise = np.random.default_rng(seed).normal(0, 1000, grid.shape).astype(np.float32)
    smooth = sitk.DiscreteGaussian(sitk.GetImageFromArray(noise), 2.0)
    return Image(torch.from_numpy(sitk.GetArrayFromImage(smooth)), grid, "blobs")


def sitk_image(image: Image) -> sitk.Image:
    """The image in SimpleITK, made here and not by the code under test."""
    return set_geometry(sitk.GetImageFromArray(image.data.cpu().numpy()), image.grid)


def sitk_field(field: DisplacementField) -> sitk.DisplacementFieldTransform:
    """The field as a SimpleITK transform, made here and not by the code under test."""
    array = np.moveaxis(field.vectors.cpu().numpy().astype(np.float64), 0, -1)
    return sitk.DisplacementFieldTransform(
        set_geometry(sitk.GetImageFromArray(np.ascontiguousarray(array), isVector=True), field.grid)
    )


def itk_points(transform: sitk.Transform, points: np.ndarray) -> np.ndarray:
    """Points [n, 3] through a SimpleITK transform, one by one, in float64."""
    return np.array([transform.TransformPoint(p) for p in points.reshape(-1, 3).tolist()])


def at(transform: Transform, points: np.ndarray) -> np.ndarray:
    """Where a transform of the engine takes points: [n, 3]."""
    return transform(torch.from_numpy(points)).numpy()


def inner_points(grid: Grid, count: int = 200, margin: float = 0.1, seed: int = 3) -> np.ndarray:
    """Random physical points inside the grid, off the voxel centres: float64 [count, 3]."""
    unit = np.random.default_rng(seed).uniform(margin, 1 - margin, (count, 3))
    return grid.to_physical(unit * (np.asarray(grid.size) - 1))


def trilinear(vectors: np.ndarray, grid: Grid, points: np.ndarray) -> np.ndarray:
    """Brute-force trilinear interpolation in float64, border repeated: [n, C] at [n, 3]."""
    index = np.clip(grid.to_index(points), 0, np.asarray(grid.size) - 1)
    low = np.minimum(np.floor(index).astype(int), np.maximum(np.asarray(grid.size) - 2, 0))
    part = index - low
    total = np.zeros((len(points), vectors.shape[0]))
    for corner in np.ndindex(2, 2, 2):
        place = np.minimum(low + corner, np.asarray(grid.size) - 1)
        weight = np.prod(np.where(corner, part, 1 - part), axis=1)
        total += weight[:, None] * vectors[:, place[:, 2], place[:, 1], place[:, 0]].T
    return total


_angles = st.floats(-180, 180)
_shifts = st.floats(-200, 200)


@st.composite
def grids(draw, smallest: int = 1, largest: int = 12) -> Grid:
    """Any grid: anisotropic, oblique, some of left-handed axes, some flat."""
    size = draw(st.tuples(*[st.integers(smallest, largest)] * 3))
    spacing = draw(st.tuples(*[st.floats(0.3, 6)] * 3))
    origin = draw(st.tuples(*[_shifts] * 3))
    direction = rotation(*draw(st.tuples(*[_angles] * 3)))
    if draw(st.booleans()):
        direction[:, 0] *= -1
    return Grid(size, spacing, origin, tuple(direction.ravel()))


@st.composite
def matrices(draw) -> np.ndarray:
    """A well-conditioned linear map: rotations around scales between 0.6 and 1.6."""
    scales = draw(st.tuples(*[st.floats(0.6, 1.6)] * 3))
    first = rotation(*draw(st.tuples(*[_angles] * 3)))
    second = rotation(*draw(st.tuples(*[_angles] * 3)))
    return first @ np.diag(scales) @ second


def shifts() -> st.SearchStrategy[np.ndarray]:
    """Translations in mm."""
    return st.tuples(*[_shifts] * 3).map(np.array)


def stored_along(image: Image, order: tuple[int, int, int]) -> Image:
    """The same voxels in the same places, its axes x, y, z stored in another order."""
    grid = image.grid
    direction = np.reshape(grid.direction, (3, 3))[:, order]
    size, spacing = (tuple(values[k] for k in order) for values in (grid.size, grid.spacing))
    data = image.data.permute(*(2 - k for k in reversed(order))).contiguous()
    return Image(data, Grid(size, spacing, grid.origin, tuple(direction.ravel())), image.name)
