"""Loss terms of training on pairs of images; fields are displacements in mm along the grid's axes.

All are means over voxels (or over a weight), so that weights of terms do not depend on the size.
"""

from __future__ import annotations

import torch
from torch import Tensor

from DeepRegistrationLib.images.sampling import sample_at_indices


def gradient(values: Tensor, spacing: Tensor) -> Tensor:
    """Spatial gradient per mm: central differences, one-sided at the border.

    Args:
        values: [B, z, y, x].
        spacing: Voxel size along x, y, z in mm, one row an image: [B, 3].

    Returns:
        [B, 3 (d/dx, d/dy, d/dz), z, y, x].
    """
    parts = []
    for k in range(3):
        axis = 3 - k
        n = values.shape[axis]
        inner = (values.narrow(axis, 2, n - 2) - values.narrow(axis, 0, n - 2)) / 2
        low = values.narrow(axis, 1, 1) - values.narrow(axis, 0, 1)
        high = values.narrow(axis, n - 1, 1) - values.narrow(axis, n - 2, 1)
        parts.append(torch.cat([low, inner, high], axis) / spacing[:, k, None, None, None])
    return torch.stack(parts, 1)


def normalized_gradient_fields(
    fixed: Tensor,
    warped: Tensor,
    spacing: Tensor,
    *,
    edge: float,
    form: str = "parallel",
) -> Tensor:
    """Distance of normalized gradient fields: 0 where edges are parallel, 1 where they cross.

    ``parallel`` (Ruehaak et al. 2013; mlVIRNET): 1 - <a, b>_e^2 / (|a|_e^2 |b|_e^2) with
    <a, b>_e = a . b + e^2, so that flat regions cost nothing. ``cross`` (Haber & Modersitzki 2006):
    the numerator is (a . b)^2, so that flat regions cost 1.

    Args:
        fixed, warped: [B, z, y, x].
        spacing: [B, 3], mm.
        edge: e, the gradient per mm that counts as an edge and not as noise.
        form: ``parallel`` or ``cross``.

    Returns:
        Scalar, the mean over voxels.
    """
    a, b = gradient(fixed, spacing), gradient(warped, spacing)
    offset = edge**2
    product = (a * b).sum(1)
    if form == "parallel":
        product = product + offset
    norms = ((a * a).sum(1) + offset) * ((b * b).sum(1) + offset)
    return (1 - product**2 / norms).mean()


def curvature(displacement: Tensor, spacing: Tensor) -> Tensor:
    """Half the mean of the squared Laplacian of each component (Fischer & Modersitzki 2003).

    Neumann border: the field is continued by its border value, so a shift costs nothing.

    Args:
        displacement: [B, 3, z, y, x], mm.
        spacing: [B, 3], mm.

    Returns:
        Scalar, 1/mm^2.
    """
    total = torch.zeros_like(displacement)
    for k in range(3):
        axis = 4 - k
        n = displacement.shape[axis]
        before = torch.cat(
            [displacement.narrow(axis, 0, 1), displacement.narrow(axis, 0, n - 1)], axis
        )
        after = torch.cat(
            [displacement.narrow(axis, 1, n - 1), displacement.narrow(axis, n - 1, 1)], axis
        )
        second = before - 2 * displacement + after
        total = total + second / spacing[:, k, None, None, None, None] ** 2
    return 0.5 * (total**2).sum(1).mean()


def mask_overlap(fixed: Tensor, warped: Tensor) -> Tensor:
    """Half the mean squared difference of two masks in [0, 1]: [B, z, y, x] each."""
    return 0.5 * ((fixed - warped) ** 2).mean()


def jacobian_determinant(displacement: Tensor, spacing: Tensor) -> Tensor:
    """det(I + du/dx) from forward differences, at the low corner of each cell.

    Args:
        displacement: [B, 3, z, y, x], mm along the grid's axes.
        spacing: [B, 3], mm.

    Returns:
        [B, z - 1, y - 1, x - 1].
    """
    columns = []
    for k in range(3):
        slope = displacement.diff(dim=4 - k) / spacing[:, k, None, None, None, None]
        columns.append(
            slope[:, :, : _less(displacement, 2), : _less(displacement, 3)][
                ..., : _less(displacement, 4)
            ]
        )
    (xx, yx, zx), (xy, yy, zy), (xz, yz, zz) = (column.unbind(1) for column in columns)
    return (
        (1 + xx) * ((1 + yy) * (1 + zz) - yz * zy)
        - xy * (yx * (1 + zz) - yz * zx)
        + xz * (yx * zy - (1 + yy) * zx)
    )


def folding(displacement: Tensor, spacing: Tensor, least: float = 0.2) -> Tensor:
    """Mean of relu(least - J)^2: nothing until cells come near folding."""
    return (torch.relu(least - jacobian_determinant(displacement, spacing)) ** 2).mean()


def field_error(displacement: Tensor, target: Tensor, weight: Tensor) -> Tensor:
    """Weighted mean of the L1 norm of the error, mm.

    Args:
        displacement, target: [B, 3, z, y, x], mm.
        weight: [B, z, y, x], non-negative; images of zero weight do not count.
    """
    error = (displacement - target).abs().sum(1)
    return (error * weight).sum() / weight.sum().clamp(min=1e-6)


def _less(values: Tensor, axis: int) -> int:
    return values.shape[axis] - 1


def landmark_error(
    displacement: Tensor,
    points: list[Tensor],
    spacing: Tensor,
    first: tuple[int, int, int] = (0, 0, 0),
) -> Tensor:
    """Mean distance at landmarks, mm.

    Args:
        displacement: In voxels, [B, 3, z, y, x].
        points: Per image [k, 6]: fixed landmark in voxels, true displacement in voxels (x, y, z).
        spacing: [B, 3], mm.
        first: Voxel (x, y, z) at which ``displacement`` begins; landmarks outside do not count.
    """
    size = displacement.new_tensor(displacement.shape[:1:-1])
    total, count = displacement.sum() * 0, 0
    for number, rows in enumerate(points):
        index = rows[:, :3] - rows.new_tensor(first)
        inside = ((index >= 0) & (index <= size - 1)).all(1)
        if inside.any():
            field = displacement[number]
            found = sample_at_indices(field, index[inside], fill=None).T
            error = (found - rows[inside, 3:]) * spacing[number]
            total = total + error.norm(dim=1).sum()
            count += int(inside.sum())
    return total / max(count, 1)
