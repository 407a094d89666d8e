"""Landmarks: pairs of corresponding points, and the target registration error (TRE).

Everything but :func:`mapped_points` is numpy in float64: importing this loads no PyTorch, so that
Slicer can show errors before, and without, the engine.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from DeepRegistrationLib.arguments import finite_points_of, require
from DeepRegistrationLib.errors import RegistrationError
from DeepRegistrationLib.evaluation.direction import outside_problem
from DeepRegistrationLib.files.landmark_files import (
    LANDMARK_FILES,
    is_landmark_file,
    read_landmarks,
    write_landmarks,
)

if TYPE_CHECKING:
    from DeepRegistrationLib.images.geometry import Grid
    from DeepRegistrationLib.transforms import Transform

__all__ = [
    "LANDMARK_FILES",
    "check_landmarks",
    "error_statistics",
    "is_landmark_file",
    "mapped_points",
    "paired_errors",
    "read_landmarks",
    "snapped_to_voxels",
    "target_registration_error",
    "write_landmarks",
]


def check_landmarks(
    fixed_points: np.ndarray,
    moving_points: np.ndarray,
    fixed_grid: Grid | None = None,
    moving_grid: Grid | None = None,
) -> None:
    """Check that two landmark lists are pairs and lie inside their images.

    Args:
        fixed_points, moving_points: LPS mm, [n, 3]; row i of one matches row i of the other.
        fixed_grid, moving_grid: Of the images; not checked when omitted.

    Raises:
        RegistrationError: Empty, of different length, or a point outside its image.
    """
    if len(fixed_points) != len(moving_points):
        raise RegistrationError(
            f"There are {len(fixed_points)} fixed but {len(moving_points)} moving landmarks; row i "
            "of one file has to match row i of the other."
        )
    if len(fixed_points) == 0:
        raise RegistrationError("The landmark files are empty; give one x,y,z row per landmark.")
    problem = outside_problem(fixed_points, moving_points, fixed_grid, moving_grid)
    if problem is not None:
        raise RegistrationError(problem)


def mapped_points(transform: Transform, points: np.ndarray) -> np.ndarray:
    """T of points in LPS mm, computed in float64: [n, 3]."""
    import torch

    from DeepRegistrationLib.transforms import Transform

    require(transform, "transform", Transform)
    values = torch.as_tensor(np.asarray(points, dtype=np.float64), device=transform.device)
    with torch.no_grad():
        return transform(values).cpu().numpy()


def target_registration_error(
    transform: Transform,
    fixed_points: np.ndarray,
    moving_points: np.ndarray,
    moving_grid: Grid | None = None,
) -> dict[str, Any]:
    """|T(x_F) - x_M| over landmark pairs, in mm.

    Args:
        transform: Fixed to moving.
        fixed_points, moving_points: LPS mm, [n, 3].
        moving_grid: Of the moving image, for the snapped error.

    Returns:
        ``n``; ``before`` (T the identity) and ``after``, each with ``mean``, ``std``, ``median``,
        ``p95``, ``max`` and ``per_component`` (mean |error| along LPS ``x``, ``y``, ``z``); and
        ``snapped``, the same after T(x_F) is rounded to the moving image's nearest voxel center,
        as DIR-Lab's evaluation does (Castillo et al. 2009), or None without ``moving_grid``.
        ``std`` divides by n.

    Raises:
        RegistrationError: The points are no pairs, or something is of another type.
    """
    fixed_points = finite_points_of(fixed_points, "fixed")
    moving_points = finite_points_of(moving_points, "moving")
    check_landmarks(fixed_points, moving_points)
    mapped = mapped_points(transform, fixed_points)
    matrix = None
    if moving_grid is not None:
        matrix = np.eye(4)
        matrix[:3, :3], matrix[:3, 3] = moving_grid.matrix, moving_grid.origin
    return paired_errors(fixed_points, mapped, moving_points, matrix)


def paired_errors(
    fixed_points: np.ndarray,
    mapped: np.ndarray,
    moving_points: np.ndarray,
    index_to_physical: np.ndarray | None = None,
) -> dict[str, Any]:
    """:func:`target_registration_error` of points that are mapped already.

    Args:
        fixed_points, mapped, moving_points: x_F, T(x_F) and x_M, LPS mm, [n, 3].
        index_to_physical: Voxel index (x, y, z) of the moving image to LPS mm, [4, 4].
    """
    fixed_points, mapped, moving_points = (
        np.asarray(points, dtype=np.float64) for points in (fixed_points, mapped, moving_points)
    )
    snapped = None
    if index_to_physical is not None:
        snapped = error_statistics(snapped_to_voxels(mapped, index_to_physical) - moving_points)
    return {
        "n": len(fixed_points),
        "before": error_statistics(fixed_points - moving_points),
        "after": error_statistics(mapped - moving_points),
        "snapped": snapped,
    }


def snapped_to_voxels(points: np.ndarray, index_to_physical: np.ndarray) -> np.ndarray:
    """The nearest voxel centers of an image, [..., 3].

    DIR-Lab's evaluation rounds the warped position so (Castillo et al. 2009); halves round up.

    Args:
        points: LPS mm, [..., 3].
        index_to_physical: Voxel index (x, y, z) to LPS mm, [4, 4].
    """
    matrix, origin = index_to_physical[:3, :3], index_to_physical[:3, 3]
    index = (np.asarray(points, dtype=np.float64) - origin) @ np.linalg.inv(matrix).T
    return np.floor(index + 0.5) @ matrix.T + origin


def error_statistics(errors: np.ndarray) -> dict[str, Any]:
    """Statistics of error vectors [n, 3] in mm; see :func:`target_registration_error`."""
    length = np.linalg.norm(errors, axis=1)
    components = np.abs(errors).mean(axis=0)
    return {
        "mean": float(length.mean()),
        "std": float(length.std()),
        "median": float(np.median(length)),
        "p95": float(np.percentile(length, 95)),
        "max": float(length.max()),
        "per_component": {axis: float(v) for axis, v in zip("xyz", components, strict=True)},
    }
