"""Pairs of images that are moved together, with the velocity between them."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor


def moved_together(
    images: Tensor,
    velocity: Tensor,
    distances: Tensor,
    matrix: Tensor,
    shift: Tensor,
    bend: Tensor,
) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Images, velocity and structures of a pair under one map S(x) = A x + t + d(x) of the slice.

    exp(v) becomes S^-1 o exp(v) o S, so v becomes (DS)^-1 v(S(x)).

    Args:
        images: [n, 2, z, y, x].
        velocity: In voxels, [n, 3, z, y, x]; the voxels are square in the slice.
        distances: Signed, of the structures in both images: [n, 2, structures, z, y, x].
        matrix, shift: A [n, 2, 2] about the slice's centre and t in voxels [n, 2].
        bend: d in voxels, the same in all slices: [n, 2, y, x].

    Returns:
        Images, velocity, distances (not made longer or shorter where S is: they are for their
        sign), and 1 where all come from inside the frame [n, 1, z, y, x].
    """
    n, _, depth, height, width = images.shape
    matrix, shift, bend = (values.to(images.device) for values in (matrix, shift, bend))
    middle = shift.new_tensor([(width - 1) / 2, (height - 1) / 2])[:, None, None]
    axes = [torch.arange(count, device=shift.device) for count in (height, width)]
    y, x = torch.meshgrid(*axes, indexing="ij")
    offset = torch.stack([x, y]) - middle
    place = torch.einsum("nij,jyx->niyx", matrix, offset) + shift[..., None, None] + bend
    grid = (place / middle).movedim(1, -1)

    def moved(values: Tensor, padding: str = "zeros") -> Tensor:
        found = F.grid_sample(values.flatten(1, -3), grid, padding_mode=padding, align_corners=True)
        return found.reshape(values.shape)

    fields, inside = moved(velocity), moved(torch.ones_like(velocity[:, :1]))
    slopes = torch.stack(torch.gradient(bend, dim=(3, 2)), dim=-1)  # [n, 2, y, x, 2]
    local = matrix[:, None, None] + slopes.permute(0, 2, 3, 1, 4)
    turned = torch.einsum("nyxij,njzyx->nizyx", torch.linalg.inv(local), fields[:, :2])
    fields = torch.cat([turned, fields[:, 2:]], dim=1)
    return moved(images), fields, moved(distances, "border"), (inside > 0.999).float()
