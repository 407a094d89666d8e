"""Currents: surfaces as vector measures, compared without point correspondences.

<S, T> = sum_f sum_g exp(-|c_f - c_g|^2 / sigma^2) n_f . n_g with the triangles' centres c and area
normals n (Vaillant and Glaunes 2005; Rohe et al. 2017). Triangles with normal zero count nothing,
so surfaces of different size are padded with them into one batch.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch

from DeepRegistrationLib.training.shapes.surfaces import Surface


@dataclass(frozen=True, eq=False)
class Currents:
    """A batch of surfaces as currents.

    Attributes:
        centers: Triangle centres in mm: [batch, faces, 3].
        normals: Area normals in mm^2, zero where a surface has fewer faces: [batch, faces, 3].
    """

    centers: torch.Tensor
    normals: torch.Tensor

    def to(self, device: torch.device | str) -> Currents:
        """The same currents on another device."""
        return Currents(self.centers.to(device), self.normals.to(device))


def currents_of(surfaces: Sequence[Surface]) -> Currents:
    """Surfaces as one padded batch of currents (float32)."""
    faces = max(len(surface.faces) for surface in surfaces)
    centers = torch.zeros(len(surfaces), faces, 3)
    normals = torch.zeros(len(surfaces), faces, 3)
    for k, surface in enumerate(surfaces):
        n = len(surface.faces)
        centers[k, :n] = torch.from_numpy(surface.centers())
        normals[k, :n] = torch.from_numpy(surface.normals())
    return Currents(centers, normals)


def moved_currents(vertices: torch.Tensor, faces: torch.Tensor) -> Currents:
    """The currents of meshes with common faces [m, 3] and vertices [batch, n, 3]."""
    a, b, c = (vertices[:, faces[:, k]] for k in range(3))
    return Currents((a + b + c) / 3, 0.5 * torch.linalg.cross(b - a, c - a))


def product(first: Currents, second: Currents, sigma: float) -> torch.Tensor:
    """The scalar products <S, T> of a batch of pairs in mm^4: [batch]."""
    kernel = torch.exp(squared_distances(first.centers, second.centers) / -(sigma**2))
    return (first.normals * (kernel @ second.normals)).sum(dim=(1, 2))


def squared_distances(first: torch.Tensor, second: torch.Tensor) -> torch.Tensor:
    """|x_i - y_j|^2 of points [batch, n, 3] and [batch, m, 3]: [batch, n, m].

    By |x|^2 + |y|^2 - 2 x.y about a common centre: one matrix product instead of an array of
    differences, exact to about 1e-3 mm^2 in float32 at the size of an organ.
    """
    middle = first.mean(dim=1, keepdim=True).detach()
    x, y = first - middle, second - middle
    squares = x.square().sum(-1)[:, :, None] + y.square().sum(-1)[:, None, :]
    return torch.baddbmm(squares, x, y.transpose(1, 2), alpha=-2).clamp(min=0)
