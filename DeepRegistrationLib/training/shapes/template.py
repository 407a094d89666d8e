"""A heart's walls as surfaces, and the mean of many hearts as the template.

Structures are regions of a label map whose walls are matched each for itself: the cavity of the
left ventricle, the left ventricle with its muscle (its wall is the epicardium), and the cavity of
the right ventricle.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from scipy import ndimage

from DeepRegistrationLib.errors import RegistrationError
from DeepRegistrationLib.images.geometry import Grid
from DeepRegistrationLib.images.image import Image
from DeepRegistrationLib.methods.heart.preparation import (
    LEFT,
    MYOCARDIUM,
    RIGHT,
    frame_map,
    frame_of_labels,
    standard_frame,
)
from DeepRegistrationLib.training.shapes.surfaces import (
    Surface,
    decimate,
    isosurface,
    signed_distance,
)

STRUCTURES: Mapping[str, tuple[int, ...]] = {
    "LV": (LEFT,),
    "epicardium": (MYOCARDIUM, LEFT),
    "RV": (RIGHT,),
}
"""Name and labels of the regions whose walls are matched."""

_SPACING = 3.0  # mm, of the distance maps
_MARGIN = 12.0  # mm around the frame, so that no wall is cut open
_SURROUNDING = 30.0  # mm around the labels in which distances are computed
_SMOOTHING = 2.0  # mm (Gaussian) on the distance maps: rounds the steps of thick slices


@dataclass(frozen=True, eq=False)
class Shape:
    """The walls of one heart in the standard frame.

    Attributes:
        frame: Where the standard frame lies in the patient.
        distances: Signed distance maps in mm, float32 [structures, z, y, x] on ``distance_grid()``.
        surfaces: One wall a structure, in mm of the standard frame.
    """

    frame: Grid
    distances: np.ndarray
    surfaces: tuple[Surface, ...]


def distance_grid() -> Grid:
    """The isotropic grid of the distance maps, around the standard frame."""
    frame = standard_frame()
    extent = frame.extent + 2 * _MARGIN
    size = np.ceil(extent / _SPACING).astype(int) + 1
    origin = -0.5 * (size - 1) * _SPACING
    return Grid(tuple(size), (_SPACING,) * 3, tuple(origin))  # type: ignore[arg-type]


def shape_of(labels: Image, cell: float, frame: Grid | None = None) -> Shape:
    """The walls of a segmented heart.

    Args:
        labels: RV 1, myocardium 2, LV 3.
        cell: Size of the triangles in mm.
        frame: Where the heart lies; found from the labels when omitted.

    Raises:
        RegistrationError: A structure is missing.
    """
    frame = frame or frame_of_labels(labels)
    labels = _cropped(labels)
    grid = _in_patient(distance_grid(), frame)
    maps = []
    for name, numbers in STRUCTURES.items():
        inside = torch.isin(labels.data.round().long(), torch.tensor(numbers))
        if not bool(inside.any()):
            raise RegistrationError(
                f"{labels.name} has no {name} (label {' or '.join(map(str, numbers))}); give RV 1, "
                "myocardium 2, LV 3."
            )
        region = Image(inside, labels.grid, f"{labels.name} ({name})")
        values = signed_distance(region).resampled(grid, fill=None).data.numpy()
        maps.append(ndimage.gaussian_filter(values, _SMOOTHING / _SPACING))
    distances = np.stack(maps)
    return Shape(frame, distances, surfaces_of(distances, cell))


def surfaces_of(distances: np.ndarray, cell: float) -> tuple[Surface, ...]:
    """The walls of signed distance maps [structures, z, y, x], with triangles of ``cell`` mm."""
    grid = distance_grid()
    return tuple(decimate(isosurface(values, grid), cell) for values in distances)


def mean_shape(shapes: Sequence[Shape], cell: float) -> tuple[Surface, ...]:
    """The template: the walls of the mean signed distance maps."""
    return surfaces_of(np.mean([shape.distances for shape in shapes], axis=0), cell)


def _cropped(labels: Image) -> Image:
    """The part of a label map around its labels: distances are not needed further out."""
    index = np.argwhere(labels.data.detach().cpu().numpy() != 0)[:, ::-1]
    margin = np.ceil(_SURROUNDING / np.asarray(labels.grid.spacing)).astype(int)
    low = np.maximum(index.min(axis=0) - margin, 0)
    high = np.minimum(index.max(axis=0) + margin + 1, labels.grid.size)
    part = tuple(slice(int(a), int(b)) for a, b in zip(low[::-1], high[::-1], strict=True))
    grid = labels.grid.cropped(tuple(low), tuple(high))
    return Image(labels.data[part], grid, labels.name)


def _in_patient(grid: Grid, frame: Grid) -> Grid:
    """A grid of the standard frame's coordinates, placed in the patient."""
    place = frame_map(frame)
    origin = place.matrix @ np.asarray(grid.origin) + place.translation
    return Grid(grid.size, grid.spacing, tuple(origin), tuple(place.matrix.ravel()))  # type: ignore[arg-type]
