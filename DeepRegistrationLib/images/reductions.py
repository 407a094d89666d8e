"""Sums that are the same to the last bit with any number of threads.

PyTorch divides a long sum among its threads, so its rounding depends on how many there are. An
optimization goes on from what it gets, and can end elsewhere. Sums of short runs are not divided.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F

_RUN = 512  # PyTorch divides sums of 32,768 values or more


def total(values: torch.Tensor) -> torch.Tensor:
    """The sum of all values, a float64 scalar."""
    sums = values.detach().flatten()
    while len(sums) > 1:
        sums = _runs(sums[None])[0].sum(-1, dtype=torch.float64)
    return sums.double().sum()


def mean(values: torch.Tensor) -> torch.Tensor:
    """The mean of all values, a float64 scalar."""
    return total(values) / values.numel()


def products(rows: torch.Tensor) -> torch.Tensor:
    """The sum of products of each row with each: [k, n] to [k, k], float64."""
    padded = F.pad(rows.double(), (0, -rows.shape[1] % _RUN))
    result = rows.new_zeros(len(rows), len(rows), dtype=torch.float64)
    for k in range(len(rows)):
        partial = (padded[k:] * padded[k]).reshape(-1, _RUN).sum(-1).reshape(len(rows) - k, -1)
        while partial.shape[1] > 1:
            partial = _runs(partial).sum(-1)
        result[k, k:] = result[k:, k] = partial[:, 0]
    return result


def _runs(rows: torch.Tensor) -> torch.Tensor:
    """Rows cut into runs, the last filled up with zeros: [k, n] to [k, runs, length]."""
    return F.pad(rows, (0, -rows.shape[1] % _RUN)).unflatten(1, (-1, _RUN))
