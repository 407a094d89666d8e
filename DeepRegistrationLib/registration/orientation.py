"""Does one image lie mirrored or turned against the other, as their headers have it?"""

from __future__ import annotations

import itertools

import torch
import torch.nn.functional as F

from DeepRegistrationLib.errors import RegistrationError
from DeepRegistrationLib.images.image import Image
from DeepRegistrationLib.images.masks import extent_of
from DeepRegistrationLib.methods.anatomy import LUNG_CT
from DeepRegistrationLib.methods.anatomy_recognition import recognize
from DeepRegistrationLib.methods.image_pair import ImagePair
from DeepRegistrationLib.transforms import Transform

_CELLS = 24  # along each axis of the lungs' boxes, on which the two images are compared
_MARGIN = 1.2  # times the lungs' box: ribs, spine and heart tell where left and front are
_RANGE = (-1000.0, 200.0)  # HU
# At the right orientation the images of one patient correlate by 0.93 or more, at any other by 0.77
# or less; those of two patients by up to 0.77, and then within 0.02 of it in another.
_ALIKE, _CLEARLY = 0.6, 0.1
_AXES = ("left and right", "front and back", "head and foot")


def check_orientation(pair: ImagePair, initial: Transform | None = None) -> None:
    """Refuse two chests of which one is mirrored or turned against the other by its header.

    The images around the lungs are compared in all eight orientations along the patient's axes;
    not where an initial transform was given, which may turn them.

    Raises:
        RegistrationError: They are clearly more alike in another orientation.
    """
    fixed, moving = pair.fixed, pair.moving
    if initial is not None or pair.fixed_mask is None or pair.moving_mask is None:
        return
    if recognize(fixed, moving, pair.fixed_mask).name != LUNG_CT:
        return  # the limits were found around lungs, and are of no other organ
    first, second = _cells(fixed, pair.fixed_mask), _cells(moving, pair.moving_mask)
    scores = {
        swapped: _correlation(first, second.flip([2 - axis for axis in swapped]))
        for count in range(4)
        for swapped in itertools.combinations(range(3), count)
    }
    best = max(scores, key=lambda swapped: scores[swapped])
    if scores[best] < _ALIKE or scores[best] - scores[()] < _CLEARLY:
        return
    axes = ", and ".join(_AXES[axis] for axis in best)
    raise RegistrationError(
        f"{moving.name} shows the chest with {axes} swapped relative to {fixed.name} (around the "
        f"lungs the correlation is {scores[best]:.2f} that way and {scores[()]:.2f} as their "
        "headers say); correct the header of one of them, or give an initial transform."
    )


def _cells(image: Image, mask: Image) -> torch.Tensor:
    """The image around the lungs on a fixed number of cells: [z, y, x] along the LPS axes."""
    low, high = extent_of(mask)
    center, half = 0.5 * (low + high), 0.5 * (high - low) * _MARGIN
    n = 2 * _CELLS
    axes = [
        torch.linspace(float(c - h), float(c + h), n) for c, h in zip(center, half, strict=True)
    ]
    z, y, x = torch.meshgrid(axes[2], axes[1], axes[0], indexing="ij")
    points = torch.stack([x, y, z], dim=-1).to(image.data.device)
    values = image.sample(points, fill=None).clamp(*_RANGE)
    return F.avg_pool3d(values[None, None], 2)[0, 0]


def _correlation(first: torch.Tensor, second: torch.Tensor) -> float:
    a, b = first - first.mean(), second - second.mean()
    return float((a * b).sum() / (a.square().sum() * b.square().sum()).sqrt().clamp(min=1e-6))
