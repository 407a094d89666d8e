"""The heart's frame: 64 x 64 x 16 voxels around the ventricles of a short-axis cine MRI.

Rohe et al. 2017 align all cases rigidly by their segmentation and resample them to 64 x 64 x 16.
The paper does not give the voxel size; here it is 2.5 x 2.5 x 7.5 mm, so that the box of
157 x 157 x 112 mm holds a dilated heart with a margin. The frame's axes:

- z along the slice axis, from base to apex;
- x in the slice, from the right ventricle to the left one: the right ventricle lies to the left of
  the picture, as in most unturned short-axis images;
- origin of the axes (the middle of the box): the centroid of the ventricles.

Two frames define the rigid alignment of two images: the map from one frame's voxels to the other's.
"""

from __future__ import annotations

import numpy as np
import torch

from DeepRegistrationLib.errors import RegistrationError
from DeepRegistrationLib.images.geometry import Grid
from DeepRegistrationLib.images.image import Image
from DeepRegistrationLib.transforms import Affine, Transform, warp

FRAME_SIZE = (64, 64, 16)
FRAME_SPACING = (2.5, 2.5, 7.5)  # mm

RIGHT, MYOCARDIUM, LEFT = 1, 2, 3
"""Labels of the right ventricle's cavity, the myocardium and the left ventricle's cavity (ACDC)."""

LABEL_NAMES = {RIGHT: "RV", MYOCARDIUM: "myocardium", LEFT: "LV"}

USUAL_TURN = np.deg2rad(-25.0)  # of the axis RV -> LV against the rows of an unturned image
"""In radians: where a heart of which only the shape is known is taken to point."""

_FLAT = 0.01  # mm: along the slice axis, of a single slice

_THICKER = 1.3  # times the voxel's other edges, of slices


def standard_frame() -> Grid:
    """The frame in its own coordinates: axes along x, y, z, the middle at 0 mm."""
    origin = -0.5 * (np.asarray(FRAME_SIZE) - 1) * FRAME_SPACING
    return Grid(FRAME_SIZE, FRAME_SPACING, tuple(origin))  # type: ignore[arg-type]


def heart_frame(center: np.ndarray, axes: np.ndarray) -> Grid:
    """The frame at a place.

    Args:
        center: The middle of the box in LPS mm: [3].
        axes: Rotation matrix whose columns are the frame's x, y and z axis in LPS: [3, 3].
    """
    origin = np.asarray(center) + np.asarray(axes) @ np.asarray(standard_frame().origin)
    return Grid(FRAME_SIZE, FRAME_SPACING, tuple(origin), tuple(np.asarray(axes).ravel()))  # type: ignore[arg-type]


def middle_frame(grid: Grid) -> Grid:
    """The frame in the middle of a stack, as most are planned: where no heart was found."""
    across = slice_axis(grid)
    direction = np.asarray(grid.direction).reshape(3, 3)
    return heart_frame(grid.center(), _axes(_usual(grid, across), direction[:, across]))


def frame_map(frame: Grid) -> Affine:
    """The rigid map from the standard frame's coordinates (mm) to LPS."""
    return Affine(np.asarray(frame.direction).reshape(3, 3), frame.center())


def rigid_between(fixed: Grid, moving: Grid) -> Affine:
    """The rigid map that takes each voxel of the fixed frame to its like in the moving frame."""
    return frame_map(fixed).inverse().then(frame_map(moving))


def slice_axis(grid: Grid) -> int:
    """The axis across the slices (0: x, 1: y, 2: z).

    That of a single plane, else that of clearly thicker voxels, else the shortest: stacks of
    hearts are wider than deep, also where they were resampled.
    """
    if min(grid.size) == 1:
        return int(np.argmin(grid.size))
    spacing = np.array(grid.spacing)
    if spacing.max() > _THICKER * np.median(spacing):
        return int(np.argmax(spacing))
    return int(np.argmin(grid.extent))


def frame_of_labels(labels: Image) -> Grid:
    """The heart's frame from a segmentation.

    Args:
        labels: Label map with the right ventricle 1, the myocardium 2 and the left ventricle 3; or
            any mask of the heart, whose longer axis in the slice is then taken for the axis
            through both ventricles, turned to the usual side.

    Raises:
        RegistrationError: The label map is empty.
    """
    values = labels.data.detach().cpu().numpy()
    index = np.argwhere(values != 0)[:, ::-1]
    if not len(index):
        raise RegistrationError(
            f"{labels.name} holds no label; give a segmentation of the heart (RV 1, myocardium 2, "
            "LV 3)."
        )
    kinds = values[values != 0]
    points = labels.grid.to_physical(index)
    center = points.mean(axis=0)
    axis = slice_axis(labels.grid)
    apex = np.asarray(labels.grid.direction).reshape(3, 3)[:, axis]
    right, left = points[kinds == RIGHT], points[(kinds == LEFT) | (kinds == MYOCARDIUM)]
    if len(right) and len(left):
        across = left.mean(axis=0) - right.mean(axis=0)
    else:
        across = _longer_axis(points - center, labels.grid, axis)
    to_apex = _to_apex((points - center) @ apex, kinds)
    return heart_frame(center, _axes(across, apex if to_apex >= 0 else -apex))


def apex_evidence(labels: Image) -> float:
    """How clearly the labels tell apex from base: from 0, of a single slice, to about 2."""
    values = labels.data.detach().cpu().numpy()
    index = np.argwhere(values != 0)[:, ::-1]
    axis = slice_axis(labels.grid)
    along = (index[:, axis] - index[:, axis].mean()) * labels.grid.spacing[axis]
    return abs(_to_apex(along, values[values != 0]))


def _to_apex(along: np.ndarray, kinds: np.ndarray) -> float:
    """Above 0 where the apex is on the positive side; 0 of a single slice.

    The heart thins out towards the apex, and the right ventricle ends before it.

    Args:
        along: Distance of each voxel from the middle along the slice axis: [n], mm.
        kinds: The voxels' labels: [n].
    """
    deviation = along.std()
    if deviation < _FLAT:
        return 0.0
    tail = float((along**3).mean() / deviation**3)
    if not (kinds == RIGHT).any():
        return tail
    middle = np.unique(along.round(2)).mean()  # of the slices, however much each shows
    return tail + float((middle - along[kinds == RIGHT].mean()) / deviation)


def _axes(across: np.ndarray, apex: np.ndarray) -> np.ndarray:
    """The right-handed axes with z along ``apex`` and x nearest to ``across``: [3, 3], columns."""
    x = across - (across @ apex) * apex
    x /= np.linalg.norm(x)
    return np.stack([x, np.cross(apex, x), apex], axis=1)


def _longer_axis(offsets: np.ndarray, grid: Grid, across: int) -> np.ndarray:
    """The in-plane principal axis of a mask, on the side where unturned images have it: [3]."""
    plane = np.asarray(grid.direction).reshape(3, 3)[:, [k for k in range(3) if k != across]]
    inside = offsets @ plane
    _, vectors = np.linalg.eigh(inside.T @ inside)
    axis = plane @ vectors[:, -1]
    return axis if axis @ _usual(grid, across) >= 0 else -axis


def _usual(grid: Grid, across: int) -> np.ndarray:
    """Where unturned images have the axis RV -> LV: [3]."""
    first, second = (
        np.asarray(grid.direction).reshape(3, 3)[:, k] for k in range(3) if k != across
    )
    return np.cos(USUAL_TURN) * first + np.sin(USUAL_TURN) * second


def framed(image: Image, frame: Grid, transform: Transform | None = None) -> torch.Tensor:
    """The image in the frame: clamped and scaled to about [0, 1], 0 outside it: float32 [z, y, x].

    The 2nd and 98th percentile inside the frame become 0 and 1; values are held in [0, 1.5].

    Args:
        image: A short-axis stack.
        frame: Of the heart, or of the fixed heart where a transform leads to this one.
        transform: From the frame's voxels to the image, in mm.

    Raises:
        RegistrationError: The frame does not meet the image.
    """
    transform = transform or Affine(device=image.data.device)
    values = warp(image, transform, frame).data
    everywhere = Image(torch.ones_like(image.data, dtype=torch.float32), image.grid)
    inside = warp(everywhere, transform, frame, fill=0.0).data > 0.5
    if not bool(inside.any()):
        raise RegistrationError(
            f"The heart's frame lies outside {image.name}; give a mask of the heart."
        )
    share = torch.tensor([0.02, 0.98], device=values.device)
    low, high = torch.quantile(values[inside], share).tolist()
    return ((values - low) / max(high - low, 1e-6)).clamp(0.0, 1.5) * inside
