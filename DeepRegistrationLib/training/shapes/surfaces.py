"""Closed surfaces of label maps: signed distance, isosurface, decimation."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from scipy import ndimage

from DeepRegistrationLib.errors import RegistrationError
from DeepRegistrationLib.images.geometry import Grid
from DeepRegistrationLib.images.image import Image

# The six tetrahedra of a cube that share its main diagonal 0-7 (Kuhn): neighboring cubes agree on
# the diagonals of their common faces, so the surface is closed. Corner k = x + 2 y + 4 z.
_TETRAHEDRA = np.array(
    [[0, 1, 3, 7], [0, 3, 2, 7], [0, 2, 6, 7], [0, 6, 4, 7], [0, 4, 5, 7], [0, 5, 1, 7]]
)


@dataclass(frozen=True, eq=False)
class Surface:
    """A triangle mesh.

    Attributes:
        vertices: LPS mm, float64 [n, 3].
        faces: Vertex numbers, int64 [m, 3]; counter-clockwise seen from outside.
    """

    vertices: np.ndarray
    faces: np.ndarray

    def centers(self) -> np.ndarray:
        """Centres of the triangles: [m, 3]."""
        return self.vertices[self.faces].mean(axis=1)

    def normals(self) -> np.ndarray:
        """Area normals, pointing outward, of the triangles' areas as length: [m, 3]."""
        return _normals(self.vertices[self.faces])

    def area(self) -> float:
        """Total area in mm^2."""
        return float(np.linalg.norm(self.normals(), axis=1).sum())

    def volume(self) -> float:
        """Enclosed volume in mm^3, positive when the normals point outward (Gauss)."""
        return float((self.centers() * self.normals()).sum() / 3)


def _normals(corners: np.ndarray) -> np.ndarray:
    """Area normals of triangles [m, 3 corners, 3]: [m, 3]."""
    return 0.5 * np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0])


def signed_distance(mask: Image) -> Image:
    """Distance in mm to the border of a mask, negative inside, on its grid with one empty layer.

    Measured to the centre of the nearest voxel on the other side, so it changes sign half-way
    between voxels inside and outside, and is up to half a voxel too long elsewhere. Interpolated
    linearly, it gives smooth walls between thick slices, where the label map itself has steps
    (shape-based interpolation, Raya and Udupa 1990).

    Raises:
        RegistrationError: The mask is empty.
    """
    inside = np.pad(mask.data.detach().cpu().numpy() != 0, 1)
    if not inside.any():
        raise RegistrationError(f"{mask.name} is empty; give a segmentation that holds the organ.")
    sampling = mask.grid.spacing[::-1]
    distance = ndimage.distance_transform_edt(~inside, sampling=sampling)
    distance -= ndimage.distance_transform_edt(inside, sampling=sampling)
    size = tuple(n + 2 for n in mask.grid.size)
    origin = mask.grid.to_physical(np.full(3, -1.0))
    grid = Grid(size, mask.grid.spacing, tuple(origin), mask.grid.direction)  # type: ignore[arg-type]
    return Image(torch.from_numpy(distance.astype(np.float32)), grid, mask.name)


def isosurface(values: np.ndarray, grid: Grid, level: float = 0.0) -> Surface:
    """The surface where ``values`` cross ``level``, by marching tetrahedra, normals to the higher.

    Args:
        values: [z, y, x] on ``grid``; the region below the level is the inside.
        grid: Any geometry.
        level: Value on the surface.

    Returns:
        A surface that is closed where the region does not touch the array's border.

    Raises:
        RegistrationError: The values do not cross the level.
    """
    shifted = np.asarray(values, dtype=np.float64) - level
    least = 1e-6 * np.abs(shifted).max()  # a corner on the surface would make triangles of no area
    shifted = np.where(np.abs(shifted) < least, least, shifted)
    tetrahedra = _crossed(shifted)
    if not len(tetrahedra):
        raise RegistrationError("The values never cross the level; there is no surface.")
    flat = shifted.ravel()
    order = np.argsort(flat[tetrahedra] >= 0, axis=1, kind="stable")  # corners inside come first
    tetrahedra = np.take_along_axis(tetrahedra, order, axis=1)
    count = (flat[tetrahedra] < 0).sum(axis=1)
    edges = np.concatenate(
        [
            tetrahedra[count == n][:, corners].reshape(-1, 3, 2)
            for n, corners in (
                (1, [[0, 1], [0, 2], [0, 3]]),
                (3, [[0, 3], [1, 3], [2, 3]]),
                (2, [[0, 2], [0, 3], [1, 3], [0, 2], [1, 3], [1, 2]]),
            )
        ]
    )
    keys, faces = np.unique(edges.reshape(-1, 2), axis=0, return_inverse=True)
    inner, outer = (_positions(keys[:, k], values.shape) for k in (0, 1))
    part = flat[keys[:, 0]] / (flat[keys[:, 0]] - flat[keys[:, 1]])
    vertices = grid.to_physical(inner + part[:, None] * (outer - inner))
    faces = faces.reshape(-1, 3)
    outward = grid.to_physical(outer)[faces].mean(1) - grid.to_physical(inner)[faces].mean(1)
    flipped = (_normals(vertices[faces]) * outward).sum(axis=1) < 0
    faces[flipped] = faces[flipped][:, ::-1]
    return Surface(vertices, faces)


def _crossed(values: np.ndarray) -> np.ndarray:
    """The tetrahedra that have corners on both sides of zero, as voxel numbers: [n, 4]."""
    strides = np.array([1, values.shape[2], values.shape[2] * values.shape[1]])
    first = np.arange(values.size).reshape(values.shape)[:-1, :-1, :-1].ravel()
    bits = (np.arange(8)[:, None] >> np.arange(3)) & 1
    corners = first[:, None] + bits @ strides
    inside = values.ravel()[corners] < 0
    corners = corners[inside.any(axis=1) & ~inside.all(axis=1)]
    tetrahedra = corners[:, _TETRAHEDRA].reshape(-1, 4)
    inside = values.ravel()[tetrahedra] < 0
    return tetrahedra[inside.any(axis=1) & ~inside.all(axis=1)]


def _positions(numbers: np.ndarray, shape: tuple[int, ...]) -> np.ndarray:
    """Voxel numbers as indices (x, y, z): [n, 3]."""
    return np.stack(np.unravel_index(numbers, shape)[::-1], axis=1).astype(np.float64)


def decimate(surface: Surface, cell: float) -> Surface:
    """Merge the vertices of each cube of ``cell`` mm, and drop the triangles that collapse.

    The merged vertex lies where the squared distance to the planes of its triangles is smallest
    (quadric error, Lindstrom 2000), held near the mean where the planes do not fix it.

    Returns:
        A coarser surface of the same orientation; its volume is kept to a few percent.
    """
    low = surface.vertices.min(axis=0)
    cells = np.floor((surface.vertices - low) / cell).astype(np.int64)
    _, cluster = np.unique(cells, axis=0, return_inverse=True)
    cluster = cluster.ravel()
    count = int(cluster.max()) + 1
    mean = np.zeros((count, 3))
    np.add.at(mean, cluster, surface.vertices)
    mean /= np.bincount(cluster)[:, None]
    vertices = _quadric_minima(surface, cluster, mean, cell)
    faces = cluster[surface.faces]
    apart = (
        (faces[:, 0] != faces[:, 1]) & (faces[:, 1] != faces[:, 2]) & (faces[:, 2] != faces[:, 0])
    )
    faces = faces[apart]
    turned = np.take_along_axis(
        faces, (faces.argmin(axis=1)[:, None] + np.arange(3)) % 3, axis=1
    )  # smallest number first, so that equal triangles are found; the orientation stays
    faces = np.unique(turned, axis=0)
    used, faces = np.unique(faces, return_inverse=True)
    return Surface(vertices[used], faces.reshape(-1, 3))


def _quadric_minima(
    surface: Surface, cluster: np.ndarray, mean: np.ndarray, cell: float
) -> np.ndarray:
    """For each cluster the point nearest to the planes of its triangles: [clusters, 3]."""
    normals = surface.normals()
    matrix = np.zeros((len(mean), 3, 3))
    vector = np.zeros((len(mean), 3))
    centers = surface.centers()
    for corner in range(3):
        owner = cluster[surface.faces[:, corner]]
        np.add.at(matrix, owner, normals[:, :, None] * normals[:, None, :])
        distance = (normals * (centers - mean[owner])).sum(axis=1)
        np.add.at(vector, owner, normals * distance[:, None])
    ridge = 0.05 * np.trace(matrix, axis1=1, axis2=2)[:, None, None] * np.eye(3)
    step = np.linalg.solve(matrix + ridge + 1e-12 * np.eye(3), vector[:, :, None])[:, :, 0]
    return mean + np.clip(step, -0.5 * cell, 0.5 * cell)
