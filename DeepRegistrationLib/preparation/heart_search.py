"""The heart's frame from the image alone: where the image looks most like the mean heart.

The paper aligns by segmentation. Without one, the mean of the training images in their frames is
compared with the image at every place in the slice and every turn about the slice axis, by
normalized correlation inside an ellipse around the ventricles (our choice). Along the slice axis
the few thick slices say little; there the frame's middle is put a little to the basal side of the
image's, as short-axis stacks are planned (10 mm; 3 mm standard deviation over the training data).
"""

from __future__ import annotations

import numpy as np
import torch
import torch.nn.functional as F

from DeepRegistrationLib.geometry import Grid
from DeepRegistrationLib.image import Image
from DeepRegistrationLib.preparation.heart import FRAME_SPACING, heart_frame

_STEP = 5.0  # mm in the slice
_FIELD = 64  # places that are tried along x and y
_BASAL = 10.0  # mm from the image's middle towards the base
_TURNS = np.arange(-120, 121, 20.0)  # degrees against the rows of the image
_PART = (10, 20, 24)  # (z, y, x) steps of the middle of the frame that is compared ...
_HALF_AXES = (60.0, 50.0)  # ... inside an ellipse, mm along x and y


def frame_of_image(image: Image, mean: torch.Tensor) -> tuple[Grid, float]:
    """The frame in which the image correlates best with the mean heart.

    Args:
        image: A short-axis stack.
        mean: The mean of framed images: [16, 64, 64].

    Returns:
        The frame, and the correlation there (-1 to 1).
    """
    template = _middle(mean.to(image.data.device).float())
    window = _window().to(template)
    axis = int(np.argmax(image.grid.spacing))
    best: tuple[float, Grid] | None = None
    for side in (1.0, -1.0):  # the slices may be stored from base to apex or the other way
        turns = _TURNS
        for spread in (20.0, 10.0, 5.0):
            found = [(*_place(image, axis, side, turn, template, window), turn) for turn in turns]
            score, frame, turn = max(found, key=lambda entry: entry[0])
            if best is None or score > best[0]:
                best = score, frame
            turns = np.array([turn - spread / 2, turn + spread / 2])
    assert best is not None
    return best[1], best[0]


def _middle(mean: torch.Tensor) -> torch.Tensor:
    """The middle of the mean heart in steps of the search: [1, *_PART]."""
    coarse = F.avg_pool3d(mean[None, None], (1, 2, 2))
    for axis, size in enumerate(_PART, start=2):
        coarse = coarse.narrow(axis, (coarse.shape[axis] - size) // 2, size)
    return coarse[0]


def _window() -> torch.Tensor:
    """1 inside the ellipse, 0 outside: [1, 1, height, width] of ``_PART``."""
    _, height, width = _PART
    y = (torch.arange(height) - (height - 1) / 2) * _STEP / _HALF_AXES[1]
    x = (torch.arange(width) - (width - 1) / 2) * _STEP / _HALF_AXES[0]
    inside = (y[:, None] ** 2 + x[None] ** 2 <= 1).float()
    return inside[None, None]


def _place(
    image: Image,
    axis: int,
    side: float,
    turn: float,
    template: torch.Tensor,
    window: torch.Tensor,
) -> tuple[float, Grid]:
    """The best place in the slice for one turn: correlation and frame."""
    direction = np.asarray(image.grid.direction).reshape(3, 3)
    first, second = (direction[:, k] for k in range(3) if k != axis)
    apex = side * direction[:, axis]
    angle = np.deg2rad(turn)
    x = np.cos(angle) * first + np.sin(angle) * second
    axes = np.stack([x, np.cross(apex, x), apex], axis=1)
    center = image.grid.center() - _BASAL * apex
    part = np.array(_PART[::-1])
    spacing = (_STEP, _STEP, FRAME_SPACING[2])
    size = (_FIELD + _PART[2] - 1, _FIELD + _PART[1] - 1, _PART[0])
    origin = center - axes @ (0.5 * (np.array(size) - 1) * spacing)
    grid = Grid(size, spacing, tuple(origin), tuple(axes.ravel()))  # type: ignore[arg-type]
    field = image.resampled(grid, fill=0.0).data[None]
    score = _correlation(field, template, window)[0, 0]
    row, column = divmod(int(score.argmax()), score.shape[1])
    corner = np.array([column, row, 0.0]) * spacing
    middle = origin + axes @ (corner + 0.5 * (part - 1) * spacing)
    return float(score.max()), heart_frame(middle, axes)


def _correlation(field: torch.Tensor, template: torch.Tensor, window: torch.Tensor) -> torch.Tensor:
    """Normalized correlation of the template with every part of the field, inside the window.

    Args:
        field: [1, z, y, x].
        template: [1, z, height, width], as deep as the field: its planes are channels.
        window: [1, 1, height, width], the same for every plane.

    Returns:
        [1, 1, y - height + 1, x - width + 1].
    """
    weight = window / window.sum()
    centered = template - (template * weight).sum(dim=(2, 3)).mean()
    energy = (centered.square() * weight).sum(dim=(2, 3)).mean()
    mean = torch.conv2d(field.mean(dim=1, keepdim=True), weight)
    square = torch.conv2d(field.square().mean(dim=1, keepdim=True), weight)
    covariance = torch.conv2d(field, centered * weight / template.shape[1])
    return covariance / ((square - mean.square()) * energy).clamp(min=1e-12).sqrt()
