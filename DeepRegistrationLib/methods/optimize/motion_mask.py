"""The region that moves with the lungs, found from two deformations of one pair."""

from __future__ import annotations

import numpy as np
import torch
from scipy import ndimage

from DeepRegistrationLib.images.gaussian import gaussian_mean
from DeepRegistrationLib.images.geometry import Grid

_RESIDUAL = 40.0  # HU between two images from which a place tells which deformation is right
_SCALES = (16.0, 8.0, 5.0)  # mm, of the means of the evidence
_COARSER = 0.1  # weight of the mean of the scale before, where there is no evidence
_PRIOR = 0.2  # weight of where a place lies
_KNOWN = 0.3  # weight of what is known: lungs are inside, what surrounds the body is not
_SMOOTH = 6.0  # mm: the surface is as smooth as that
_ABOVE, _BELOW = 60.0, 80.0  # mm along the body: see cavity
_DIRECTIONS = 24


def motion_mask(
    inner: torch.Tensor, outer: torch.Tensor, lungs: torch.Tensor, body: torch.Tensor, grid: Grid
) -> torch.Tensor:
    """Lungs, mediastinum and upper abdomen: what is inside the rib cage, where it slides.

    Vandemeulebroucke et al. (Med Phys 2012) find this region, the motion mask, from the anatomy of
    one image. Here the pair itself shows it: a place belongs to the deformation by which the images
    agree there. Where neither is better, as within the liver, the neighbourhood decides, and
    whether the place lies between the lungs or below them.

    Args:
        inner: Squared difference of the images after the deformation of the lungs, HU^2, [z, y, x].
        outer: The same after that of the body.
        lungs: bool [z, y, x].
        body: Anything but the air around the patient, bool [z, y, x].
        grid: Of these.

    Returns:
        bool [z, y, x]; it contains the lungs.
    """
    weight = (inner + outer) / (inner + outer + _RESIDUAL**2) + _PRIOR
    vote = (outer - inner) / (inner + outer + _RESIDUAL**2)
    vote += _PRIOR * (2 * cavity(lungs, grid).float() - 1)
    for place, side in ((~body, -1.0), (lungs, 1.0)):
        weight, vote = weight.masked_fill(place, _KNOWN), vote.masked_fill(place, side * _KNOWN)
    found = torch.zeros_like(weight)
    for scale in _SCALES:
        means = (_mean(vote, scale, grid), _mean(weight, scale, grid))
        found = (means[0] + _COARSER * found) / (means[1] + _COARSER)
    inside = ((found > 0) | lungs).float()
    region = ((_mean(inside, _SMOOTH, grid) > 0.5) | lungs).numpy()
    parts = ndimage.label(region)[0]
    with_lungs = np.isin(parts, np.unique(parts[lungs.numpy()]))
    return torch.from_numpy(ndimage.binary_fill_holes(with_lungs))


def cavity(lungs: torch.Tensor, grid: Grid) -> torch.Tensor:
    """About where the rib cage's inside is: the convex hulls of the lungs' axial slices.

    A slice shows the widest of the 6 cm above it, so that it holds the liver, too; the lowest one
    goes on for 8 cm.

    Args:
        lungs: bool [z, y, x], not empty.

    Returns:
        bool [z, y, x].
    """
    axis, upward = along_body(grid)
    slices = lungs.movedim(axis, 0)
    slices = slices.flip(0) if upward else slices  # the head first
    spacing = list(grid.spacing[::-1])
    step = spacing.pop(axis)
    rows, columns = (
        mm * torch.arange(n, dtype=torch.float32)
        for mm, n in zip(spacing, slices.shape[1:], strict=True)
    )
    last = int(slices.flatten(1).any(1).nonzero().max())
    above, end = round(_ABOVE / step), last + round(_BELOW / step)
    inside = torch.ones_like(slices)
    for angle in np.arange(_DIRECTIONS) * 2 * np.pi / _DIRECTIONS:
        along = rows[:, None] * float(np.cos(angle)) + columns * float(np.sin(angle))
        reach = along.expand(slices.shape).masked_fill(~slices, -torch.inf).amax((1, 2))
        widest = torch.full_like(reach, -torch.inf)
        for k in range(min(end + 1, len(reach))):
            low = min(k, last)
            widest[k] = reach[max(0, low - above) : low + 1].max()
        inside &= along <= widest[:, None, None]
    return (inside.flip(0) if upward else inside).movedim(0, axis)


def filled_slices(mask: torch.Tensor, grid: Grid) -> torch.Tensor:
    """A mask with the holes of its axial slices filled: airways and gas belong to the body."""
    axis, _ = along_body(grid)
    slices = [ndimage.binary_fill_holes(s) for s in mask.movedim(axis, 0).numpy()]
    return torch.from_numpy(np.stack(slices)).movedim(0, axis)


def along_body(grid: Grid) -> tuple[int, bool]:
    """The array axis nearest to the body's, and whether it runs toward the head."""
    upward = np.reshape(grid.direction, (3, 3))[2]
    axis = int(np.abs(upward).argmax())
    return 2 - axis, bool(upward[axis] > 0)


def _mean(values: torch.Tensor, sigma: float, grid: Grid) -> torch.Tensor:
    """Gaussian mean; ``sigma`` in mm."""
    return gaussian_mean(values, tuple(sigma / s for s in grid.spacing))  # type: ignore[arg-type]
