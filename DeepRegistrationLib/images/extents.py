"""Where the voxels of a mask lie: found on its device, with one small copy to the host each."""

from __future__ import annotations

import numpy as np
import torch


def mask_box(mask: torch.Tensor) -> tuple[np.ndarray, np.ndarray]:
    """First and last index (x, y, z) of the voxels that are not zero: float64 [3] each.

    Args:
        mask: [z, y, x], not all zero.
    """
    bytes_ = mask if mask.dtype in (torch.uint8, torch.bool) else mask != 0
    inside = bytes_.view(torch.uint8)  # of which the maximum takes a tenth of the time of any()
    rows = inside.amax(2)
    lines = [inside.amax(0).amax(0), rows.amax(0), rows.amax(1)]  # along x, y, z
    found = torch.cat(lines).cpu().split([len(line) for line in lines])
    index = [np.flatnonzero(line.numpy()) for line in found]
    return np.array([i[0] for i in index], float), np.array([i[-1] for i in index], float)


def mask_slices(mask: torch.Tensor) -> tuple[slice, slice, slice]:
    """The box of the voxels that are not zero, as array slices along z, y, x."""
    low, high = mask_box(mask)
    x, y, z = (slice(int(a), int(b) + 1) for a, b in zip(low, high, strict=True))
    return z, y, x


def values_inside(values: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
    """The values, [z, y, x], where a mask of this shape is not zero: [n].

    Args:
        mask: Not all zero.
    """
    if mask.device.type == "cpu":  # a GPU takes longer to say where the box lies
        box = mask_slices(mask)
        values, mask = values[box], mask[box]
    return values[mask != 0]


def centroid_index(mask: torch.Tensor) -> np.ndarray:
    """Mean index (x, y, z) of the voxels that are not zero: float64 [3].

    Args:
        mask: [z, y, x], not all zero.
    """
    rows, columns = [], torch.zeros(mask.shape[1:], device=mask.device)
    for planes in mask.split(16):
        inside = (planes != 0).float()  # whole numbers below 2^24; sums of integers take ten times
        rows.append(inside.sum(2))  # by z and y: the volume is passed over but twice
        columns += inside.sum(0)
    by_row = torch.cat(rows).double()
    lines = [columns.double().sum(0), by_row.sum(0), by_row.sum(1)]
    counts = torch.cat(lines).cpu().split([len(line) for line in lines])
    return np.array([np.average(np.arange(len(n)), weights=n.numpy()) for n in counts])


def dilated(mask: torch.Tensor, axis: int, radius: int) -> torch.Tensor:
    """What lies at most ``radius`` voxels from a mask along an array axis: uint8, as the mask.

    Bytes and shifts of growing length, which take a twentieth of the time of a pooling.
    """
    n, done = mask.shape[axis], 0
    while done < radius:
        shift = min(2 * done + 1, radius - done, n)  # no gap between the shifted windows
        near, far = mask.narrow(axis, 0, n - shift), mask.narrow(axis, shift, n - shift)
        wider = mask.clone()
        wider.narrow(axis, 0, n - shift).bitwise_or_(far)
        wider.narrow(axis, shift, n - shift).bitwise_or_(near)
        mask, done = wider, done + shift
    return mask
