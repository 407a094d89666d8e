"""Matrices with few entries beside the diagonal, as a list of small ones without the zeros."""

from __future__ import annotations

from typing import NamedTuple

import torch


class Band(NamedTuple):
    """Some new samples of an axis.

    Attributes:
        old: The old samples that they are made of.
        weights: [new, old].
    """

    old: slice
    weights: torch.Tensor


def bands_of(matrix: torch.Tensor, height: int) -> list[Band]:
    """The bands of a matrix [new, old] whose rows follow its diagonal.

    A CPU multiplies with few rows at once and leaves out the rest; for a GPU the whole matrix is
    one product, and so is one that is not even two bands high.

    Args:
        height: New samples of a band.
    """
    if matrix.device.type != "cpu" or len(matrix) < 2 * height:
        return [Band(slice(0, matrix.shape[1]), matrix.contiguous())]
    bands = []
    for rows in matrix.split(height):
        used = torch.nonzero(rows.any(dim=0))[:, 0].tolist() or [0]
        part = slice(used[0], used[-1] + 1)
        bands.append(Band(part, rows[:, part].contiguous()))
    return bands
