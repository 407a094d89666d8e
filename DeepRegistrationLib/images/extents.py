"""Where the voxels of a mask lie: found on its device, with one small copy to the host each."""

from __future__ import annotations

import numpy as np
import torch


def mask_box(mask: torch.Tensor) -> tuple[np.ndarray, np.ndarray]:
    """First and last index (x, y, z) of the voxels that are not zero: float64 [3] each.

    Args:
        mask: [z, y, x], not all zero.
    """
    inside = mask != 0
    lines = [inside.any(b).any(a) for a, b in ((0, 1), (0, 2), (1, 2))]  # along x, y, z
    found = torch.cat(lines).cpu().split([len(line) for line in lines])
    index = [np.flatnonzero(line.numpy()) for line in found]
    return np.array([i[0] for i in index], float), np.array([i[-1] for i in index], float)


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
