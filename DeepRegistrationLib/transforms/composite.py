"""Chains of transforms."""

from __future__ import annotations

from collections.abc import Sequence

import torch

from DeepRegistrationLib.arguments import takes
from DeepRegistrationLib.errors import RegistrationError
from DeepRegistrationLib.images.geometry import Grid
from DeepRegistrationLib.transforms.affine import Affine
from DeepRegistrationLib.transforms.base import Transform


class Composite(Transform):
    """Applies ``transforms`` in the order of the list: T = t[n-1] o ... o t[1] o t[0].

    ITK's composite transform applies its last-added member first; ``transforms.io`` turns the
    order round.
    """

    @takes(transforms=[Transform])
    def __init__(self, transforms: Sequence[Transform]) -> None:
        self._members: list[Transform] = []
        for transform in transforms:
            self._members.extend(transform.members)
        if not self._members:
            raise RegistrationError("A composite transform needs at least one member.")

    @property
    def members(self) -> list[Transform]:
        return self._members

    @property
    def device(self) -> torch.device:
        return self._members[0].device

    def to(self, device: torch.device | str) -> Composite:
        return Composite([t.to(device) for t in self._members])

    def __call__(self, points: torch.Tensor) -> torch.Tensor:
        for transform in self._members:
            points = transform(points)
        return points

    def at_voxels(self, grid: Grid, slab: slice | None = None) -> torch.Tensor:
        points = self._members[0].at_voxels(grid, slab)
        for transform in self._members[1:]:
            points = transform(points)
        return points

    def inverse(self) -> Composite:
        return Composite([t.inverse() for t in reversed(self._members)])


def split_affine(transform: Transform) -> tuple[Transform | None, Affine]:
    """T as (rest, affine) with T = affine o rest: what costs time, and what algebra can absorb.

    The affine members that are applied last are merged into one (the identity where there are
    none); the rest is None where nothing else is left.
    """
    members = list(transform.members)
    tail = Affine(device=transform.device)
    while members and isinstance(last := members[-1], Affine):
        tail = last.then(tail)
        members.pop()
    if not members:
        return None, tail
    return members[0] if len(members) == 1 else Composite(members), tail
