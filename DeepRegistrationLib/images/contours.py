"""Planar contours as a signed distance, so that a structure can be resampled like an image."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from scipy.ndimage import distance_transform_edt
from scipy.spatial import cKDTree

from DeepRegistrationLib.errors import RegistrationError
from DeepRegistrationLib.images.geometry import Grid
from DeepRegistrationLib.images.image import Image

FAR = 30.0  # mm; distances are cut off here
_FLAT = 0.5  # mm that a point may lie off its contour's plane
_SAME_PLANE = 0.05  # mm
_SAME_LINE = 0.1  # mm


def signed_distance(
    contours: Sequence[np.ndarray], name: str, spacing: float, thickness: float
) -> Image:
    """Distance to a structure in mm, negative inside.

    In each plane the contours are combined by exclusive or (a contour inside another one is a
    hole). Between neighboring planes the distances are interpolated; a plane without contours is
    empty, and the structure reaches half a plane distance past its last planes.

    Args:
        contours: Closed, planar, in parallel planes: each [n, 3], LPS mm.
        name: Of the structure, for messages.
        spacing: Of the samples in a plane, mm.
        thickness: Distance of planes where there is only one, mm.

    Raises:
        RegistrationError: A contour is not planar, or planes are not parallel or evenly spaced.
    """
    axes = _axes(contours, name)
    local = [np.asarray(c, dtype=np.float64) @ axes for c in contours]
    planes, step, first = _planes(local, name, thickness)
    points = np.concatenate([c[:, :2] for c in local])
    margin = 6 * spacing
    low = points.min(axis=0) - margin
    size = np.ceil((points.max(axis=0) + margin - low) / spacing).astype(int) + 1
    values = np.full((len(planes) + 2, size[1], size[0]), np.nan)
    for number, members in enumerate(planes, 1):
        if members:
            outlines = [(local[k][:, :2] - low) / spacing for k in members]
            values[number] = spacing * _plane_distance(outlines, (size[1], size[0]))
    _fill_empty(values, step)
    origin = axes @ np.array([low[0], low[1], first - step])
    grid = Grid(
        (int(size[0]), int(size[1]), len(values)),
        (spacing, spacing, step),
        tuple(origin),
        tuple(axes.ravel()),
    )
    data = torch.from_numpy(np.clip(values, -FAR, FAR).astype(np.float32))
    return Image(data, grid, name)


def without_copies(contours: Sequence[np.ndarray]) -> list[np.ndarray]:
    """Closed contours without those that were drawn twice.

    The second one would take the first one's inside away. Two contours are the same where neither
    leaves the other by more than 0.1 mm, whatever their first points, directions and numbers of
    points are.

    Args:
        contours: Each [n, 3], LPS mm.
    """
    kept: list[np.ndarray] = []
    boxes: list[np.ndarray] = []
    for contour in contours:
        box = np.stack([contour.min(axis=0), contour.max(axis=0)])
        alike = [k for k, other in enumerate(boxes) if np.abs(box - other).max() < 2 * _SAME_LINE]
        if not any(_same_line(contour, kept[k]) for k in alike):
            kept.append(contour)
            boxes.append(box)
    return kept


def _same_line(one: np.ndarray, two: np.ndarray) -> bool:
    dense = [_dense(line / (4 * _SAME_LINE)) * (4 * _SAME_LINE) for line in (one, two)]
    trees = [cKDTree(points) for points in dense]
    return all(
        tree.query(points)[0].max() < _SAME_LINE
        for tree, points in zip(trees, reversed(dense), strict=True)
    )


def _axes(contours: Sequence[np.ndarray], name: str) -> np.ndarray:
    """Two axes in the planes and their normal as columns, right-handed: [3, 3]."""
    normals = [_area_vector(np.asarray(c, dtype=np.float64)) for c in contours]
    normal = max(normals, key=lambda n: float(np.linalg.norm(n)))
    length = np.linalg.norm(normal)
    if length < 1e-6:
        raise RegistrationError(f"The contours of {name} enclose no area; draw them again.")
    normal = normal / length
    normal *= np.sign(normal[np.argmax(np.abs(normal))])
    along = np.eye(3)[np.argmin(np.abs(normal))]
    along = along - (along @ normal) * normal
    along /= np.linalg.norm(along)
    axes = np.stack((along, np.cross(normal, along), normal), axis=1)
    if max(float(np.ptp(np.asarray(c) @ normal)) for c in contours) > _FLAT:
        raise RegistrationError(
            f"The contours of {name} do not lie in parallel planes; export them slice by slice."
        )
    return axes


def _area_vector(points: np.ndarray) -> np.ndarray:
    """Area times normal of a polygon (Newell)."""
    points = points - points.mean(axis=0)
    return 0.5 * np.cross(points, np.roll(points, -1, axis=0)).sum(axis=0)


def _planes(
    local: list[np.ndarray], name: str, thickness: float
) -> tuple[list[list[int]], float, float]:
    """Contours by plane (some may be empty), the planes' distance and the first one's place."""
    heights = np.array([c[:, 2].mean() for c in local])
    levels = np.sort(heights)
    gaps = np.diff(levels)
    gaps = gaps[gaps > _SAME_PLANE]
    step = float(gaps.min()) if len(gaps) else thickness
    first = float(levels[0])
    # the smallest gap is rounded like the others; over many planes it has to be exact
    step = float((levels[-1] - first) / max(round((levels[-1] - first) / step), 1)) or step
    index = (heights - first) / step
    if np.abs(index - np.rint(index)).max() > 0.1:
        raise RegistrationError(
            f"The contours of {name} lie on unevenly spaced planes; export them slice by slice."
        )
    planes: list[list[int]] = [[] for _ in range(int(np.rint(index.max())) + 1)]
    for number, place in enumerate(np.rint(index).astype(int)):
        planes[place].append(number)
    return planes, step, first


def _plane_distance(outlines: list[np.ndarray], shape: tuple[int, int]) -> np.ndarray:
    """Signed distance in pixels of polygons [n, 2] (x, y): exact near them, to a pixel beyond."""
    inside = filled(outlines, shape)
    far = np.where(inside, -distance_transform_edt(inside), distance_transform_edt(~inside))
    near = np.argwhere(np.abs(far) < 3)
    tree = cKDTree(np.concatenate([_dense(outline) for outline in outlines]))
    exact, _ = tree.query(near[:, ::-1])
    y, x = near.T
    # never zero: the two coinciding edges of a key-hole contour are no border
    far[y, x] = np.where(inside[y, x], -1.0, 1.0) * np.maximum(exact, 1e-3)
    return far


def _dense(outline: np.ndarray) -> np.ndarray:
    """Points at most an eighth of a pixel apart on a closed polygon."""
    step = np.roll(outline, -1, axis=0) - outline
    count = np.maximum(np.ceil(8 * np.linalg.norm(step, axis=1)), 1).astype(int)
    edge = np.repeat(np.arange(len(outline)), count)
    part = (np.arange(len(edge)) - np.repeat(np.cumsum(count) - count, count)) / count[edge]
    return outline[edge] + part[:, None] * step[edge]


def filled(outlines: Sequence[np.ndarray], shape: tuple[int, int]) -> np.ndarray:
    """Pixels (bool [y, x]) inside an odd number of the polygons [n, 2] (x, y)."""
    toggles = np.zeros((shape[0], shape[1] + 1), dtype=np.int64)
    for outline in outlines:
        one, two = outline, np.roll(outline, -1, axis=0)
        low = np.where((one[:, 1] <= two[:, 1])[:, None], one, two)
        high = np.where((one[:, 1] <= two[:, 1])[:, None], two, one)
        start, stop = np.ceil(low[:, 1]).astype(int), np.ceil(high[:, 1]).astype(int)
        count = stop - start  # rows start..stop-1 are crossed
        edge = np.repeat(np.arange(len(outline)), count)
        row = np.arange(len(edge)) - np.repeat(np.cumsum(count) - count, count) + start[edge]
        rise = (high - low)[edge]
        x = low[edge, 0] + (row - low[edge, 1]) * rise[:, 0] / rise[:, 1]
        np.add.at(toggles, (row, np.clip(np.ceil(x).astype(int), 0, shape[1])), 1)
    return (np.cumsum(toggles[:, :-1], axis=1) % 2).astype(bool)


def _fill_empty(values: np.ndarray, step: float) -> None:
    """Give planes without contours distances that put the border half-way to their neighbors."""
    empty = np.isnan(values[:, 0, 0])
    for k in np.flatnonzero(empty):
        beside = [values[j] for j in (k - 1, k + 1) if 0 <= j < len(values) and not empty[j]]
        mirrored = [np.where(v < 0, -v, np.maximum(v, step / 2)) for v in beside]
        values[k] = np.min(mirrored, axis=0) if mirrored else FAR
