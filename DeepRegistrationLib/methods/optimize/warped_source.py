"""The moving image behind a spline, at the voxels that matter, and its gradient."""

from __future__ import annotations

import math
from typing import NamedTuple

import torch

from DeepRegistrationLib.images.lookup import gradient_of_places, looked_up
from DeepRegistrationLib.methods.optimize.moving_source import MovingSource
from DeepRegistrationLib.transforms.bspline import BSplineLattice

_BLOCK = 200_000  # voxels worked on at once: on a CPU, what its cache holds


class _Block(NamedTuple):
    """Some planes of the fixed image.

    Attributes:
        control: Planes of control points that they are made of.
        weights: Of these: [z, control].
        near: Voxels that are looked up, among those of the planes: [n]; all when None.
        base: Where they are without a displacement: [3, n].
        voxels: The planes' part of the flattened image.
    """

    control: slice
    weights: torch.Tensor
    near: torch.Tensor | None
    base: torch.Tensor
    voxels: slice


class WarpedSource:
    """Warped values as a function of a spline's control points, with its gradient.

    Planes go in blocks: each needs few planes of control points, and nothing is stored of the
    displacement but what is looked up.

    Args:
        source: The moving image.
        lattice: The spline, over the fixed image.
        where: Voxels that are looked up, bool [z, y, x]; all when None.
        start: Displacement in mm along the axes, [3, z, y, x], behind which the others are seen.
    """

    def __init__(
        self,
        source: MovingSource,
        lattice: BSplineLattice,
        where: torch.Tensor | None,
        start: torch.Tensor,
    ) -> None:
        self.source, self.lattice = source, lattice
        depth, *plane = lattice.shape
        voxels = math.prod(plane)
        height = max(1, _BLOCK // voxels) if source.values.device.type == "cpu" else depth
        self.rest = torch.empty(depth * voxels, device=source.values.device)
        self.blocks = []
        for low in range(0, depth, height):
            part = slice(low, min(low + height, depth))
            here = slice(part.start * voxels, part.stop * voxels)
            base, near = source.base[:, part].flatten(1), None
            if where is not None:
                displaced = base + multiplied(source.matrix, start[:, part].flatten(1))
                self.rest[here] = looked_up(source.values[None], displaced.T)[0]
                near = where[part].flatten().nonzero()[:, 0]
                base = base.index_select(1, near)
            self.blocks.append(_Block(*lattice.planes(part), near, base, here))

    def __call__(self, coefficients: torch.Tensor) -> torch.Tensor:
        """The warped values: control points in mm, [3, z, y, x], to [z, y, x]."""
        # A spline in other units has its control points in them: the few are multiplied.
        lines = self.lattice.along_planes(multiplied(self.source.matrix, coefficients))
        return _Warped.apply(lines, self).view(self.lattice.shape)


class _Warped(torch.autograd.Function):
    """From the spline's values at planes of control points: [3, control z, y x]."""

    @staticmethod
    def forward(ctx, lines: torch.Tensor, warped: WarpedSource) -> torch.Tensor:
        values, places = warped.source.values[None], []
        result = warped.rest.clone()
        for block in warped.blocks:
            shift = (block.weights @ lines[:, block.control]).flatten(1)
            shift = shift if block.near is None else shift.index_select(1, block.near)
            place = shift.add_(block.base).T
            found, here = looked_up(values, place)[0], result[block.voxels]
            if block.near is None:
                here.copy_(found)
            else:
                here.index_copy_(0, block.near, found)
            places.append(place)
        ctx.shape, ctx.warped, ctx.places = lines.shape, warped, places
        return result

    @staticmethod
    def backward(ctx, upstream: torch.Tensor) -> tuple[torch.Tensor, None]:
        values, result = ctx.warped.source.values[None], upstream.new_zeros(ctx.shape)
        for block, place in zip(ctx.warped.blocks, ctx.places, strict=True):
            given = upstream[block.voxels]
            near = given if block.near is None else given.index_select(0, block.near)
            back = gradient_of_places(values, place, near[None]).T
            if block.near is not None:
                back = given.new_zeros(3, len(given)).index_copy_(1, block.near, back)
            planes = back.unflatten(1, (len(block.weights), -1))
            result[:, block.control] += block.weights.T @ planes
        return result, None


def multiplied(matrix: torch.Tensor, vectors: torch.Tensor) -> torch.Tensor:
    """``matrix @ v`` of vectors [3, ...], in full precision on every device."""
    return torch.stack([sum(a * v for a, v in zip(row, vectors, strict=True)) for row in matrix])
