"""Small grids, images and fields with known content, for the tests of the scene."""

from __future__ import annotations

import numpy as np
import slicer
import torch

from DeepRegistrationLib.images.geometry import Grid
from DeepRegistrationLib.images.image import Image
from DeepRegistrationLib.registration.engine import Registration
from DeepRegistrationLib.transforms import (
    DisplacementField,
    displacement_magnitude,
    invert,
    jacobian,
    warp,
)


def rotation(degrees: tuple[float, float, float]) -> np.ndarray:
    """Rotation about x, then y, then z: [3, 3]."""
    x, y, z = np.radians(degrees)
    about_x = np.array([[1, 0, 0], [0, np.cos(x), -np.sin(x)], [0, np.sin(x), np.cos(x)]])
    about_y = np.array([[np.cos(y), 0, np.sin(y)], [0, 1, 0], [-np.sin(y), 0, np.cos(y)]])
    about_z = np.array([[np.cos(z), -np.sin(z), 0], [np.sin(z), np.cos(z), 0], [0, 0, 1]])
    return about_z @ about_y @ about_x


def centered_grid(size, spacing, center, degrees=(0.0, 0.0, 0.0)) -> Grid:
    """A grid about a center, rotated."""
    direction = rotation(degrees)
    half = (np.array(size) - 1) / 2 * np.array(spacing)
    origin = np.array(center) - direction @ half
    return Grid(size, spacing, tuple(origin), tuple(direction.ravel()))


def smooth(points: np.ndarray) -> np.ndarray:
    """A smooth scene in LPS mm, between -950 and about 100: [...] of [..., 3]."""
    result = np.full(points.shape[:-1], -950.0)
    for center, width in (((5, -8, 20), 16), ((-12, 10, 14), 12), ((14, 12, 30), 10)):
        distance = np.sum((points - np.array(center)) ** 2, axis=-1)
        result = result + 900 * np.exp(-distance / (2 * width**2))
    return result


def image_on(grid: Grid, name: str = "image") -> Image:
    """The smooth scene on a grid."""
    values = smooth(grid.points(dtype=torch.float64).numpy())
    return Image(torch.from_numpy(values).float(), grid, name)


def bump(grid: Grid, strength: float = 4.0) -> DisplacementField:
    """A smooth displacement field of up to about ``strength`` mm that differs along each axis."""
    points = grid.points(dtype=torch.float64).numpy()
    u = np.stack(
        [
            np.sin(points[..., 1] / 17) * strength,
            np.cos(points[..., 2] / 19) * strength * 0.7,
            np.sin((points[..., 0] + points[..., 2]) / 23) * strength * 0.8,
        ]
    )
    return DisplacementField(torch.from_numpy(u).float(), grid)


def move_preview(node, position) -> None:
    """What Slicer does in place mode while the mouse moves over a view, to a RAS position.

    As vtkSlicerMarkupsWidget::UpdatePreviewPoint; the point's index is then its last one.
    """
    data = slicer.vtkMRMLInteractionEventData()
    data.SetWorldPosition(list(position))
    last = node.GetNumberOfControlPoints() - 1
    waiting = last >= 0 and node.GetNthControlPointPositionStatus(last) == node.PositionPreview
    node.GetDisplayNode().UpdateActiveControlPointWorld(
        last if waiting else -1,
        data,
        [1.0, 0.0, 0.0, 0.0, 1.0, 0.0, 0.0, 0.0, 1.0],
        "",
        "",
        node.PositionPreview,
    )


def registration_of(transform, fixed, moving, inverse=False) -> Registration:
    return Registration(
        transform=transform,
        grid=fixed.grid,
        warped=warp(moving, transform, fixed.grid, fill=-1000.0),
        jacobian=jacobian(transform, fixed.grid),
        displacement=displacement_magnitude(transform, fixed.grid),
        inverse=invert(transform, moving.grid) if inverse else None,
    )
