"""Closed contours of a function sampled on a plane: marching squares."""

from __future__ import annotations

import numpy as np

# Corners of a cell counter-clockwise: (0,0), (1,0), (1,1), (0,1) as (x, y); edge k joins corners k
# and k + 1. For each pattern of corners inside (bit k: corner k) the pairs of edges to join.
_PAIRS = {
    1: [(3, 0)],
    2: [(0, 1)],
    3: [(3, 1)],
    4: [(1, 2)],
    6: [(0, 2)],
    7: [(3, 2)],
    8: [(2, 3)],
    9: [(2, 0)],
    11: [(2, 1)],
    12: [(1, 3)],
    13: [(1, 0)],
    14: [(0, 3)],
}
_APART = {5: [(3, 0), (1, 2)], 10: [(0, 1), (2, 3)]}  # the cell's middle is outside
_JOINED = {5: [(1, 0), (3, 2)], 10: [(0, 3), (2, 1)]}  # the middle is inside


def isolines(values: np.ndarray) -> list[np.ndarray]:
    """Closed lines where ``values`` is zero, around where it is negative.

    Args:
        values: [y, x]; beyond the border counts as outside.

    Returns:
        Each [n, 2] of index coordinates (x, y), in order, counter-clockwise around the inside
        (holes clockwise) with y up; the first point is not repeated.
    """
    padded = np.pad(np.asarray(values, dtype=np.float64), 1, constant_values=np.inf)
    inside = padded < 0
    corners = [inside[:-1, :-1], inside[:-1, 1:], inside[1:, 1:], inside[1:, :-1]]
    pattern = np.sum([corner.astype(int) << k for k, corner in enumerate(corners)], axis=0)
    follows: dict[tuple[int, int, int], tuple[int, int, int]] = {}
    for y, x in np.argwhere((pattern > 0) & (pattern < 15)).tolist():
        for first, second in _pairs(padded, int(pattern[y, x]), y, x):
            follows[_edge(second, y, x)] = _edge(first, y, x)
    return _loops(follows, padded)


def is_clockwise(line: np.ndarray) -> bool:
    """Whether a closed line [n, 2] goes round a hole."""
    x, y = line[:, 0], line[:, 1]
    return float(np.sum(x * np.roll(y, -1) - np.roll(x, -1) * y)) < 0


def _pairs(padded: np.ndarray, pattern: int, y: int, x: int) -> list[tuple[int, int]]:
    if pattern in _PAIRS:
        return _PAIRS[pattern]
    middle = padded[y : y + 2, x : x + 2].mean()
    return _JOINED[pattern] if middle < 0 else _APART[pattern]


def _edge(edge: int, y: int, x: int) -> tuple[int, int, int]:
    """(direction, y, x) of an edge: 0 along x, 1 along y; the same for both cells beside it."""
    return ((0, y, x), (1, y, x + 1), (0, y + 1, x), (1, y, x))[edge]


def _loops(
    follows: dict[tuple[int, int, int], tuple[int, int, int]], padded: np.ndarray
) -> list[np.ndarray]:
    loops = []
    while follows:
        start, here = follows.popitem()
        loop = [start]
        while here != start:
            loop.append(here)
            here = follows.pop(here)
        loops.append(np.array([_crossing(edge, padded) for edge in loop]))
    return loops


def _crossing(edge: tuple[int, int, int], padded: np.ndarray) -> tuple[float, float]:
    """Where the function is zero on an edge, linearly; at the border half-way."""
    along, y, x = edge
    one, two = padded[y, x], padded[y + along, x + 1 - along]
    part = one / (one - two) if np.isfinite(one) and np.isfinite(two) else 0.5
    return (x - 1 + part * (1 - along), y - 1 + part * along)
