"""Cubic B-spline free-form deformation on a grid's own axes."""

from __future__ import annotations

import math

import torch

from DeepRegistrationLib.images.gaussian import AxisMatrix, along_axes


class BSplineLattice:
    """Uniform cubic B-spline control points over an array (Rueckert et al. 1999, eq. 3).

    Control points are ``stride`` voxels apart and reach one beyond either end. Evaluation at all
    voxels is a product with a banded matrix along each axis, exact and differentiable.

    Args:
        shape: (z, y, x) of the array.
        strides: Control spacing in voxels along x, y, z (real numbers).
        device: Where to compute.
    """

    def __init__(
        self,
        shape: tuple[int, int, int],
        strides: tuple[float, float, float],
        device: torch.device | str = "cpu",
    ) -> None:
        self.shape = shape
        self.strides = tuple(max(stride, 1.0) for stride in strides[::-1])
        self.bases = [
            _basis(n, stride).to(device) for n, stride in zip(shape, self.strides, strict=True)
        ]
        # Of the transposes: their adjoint products begin with x, where the values are fewest.
        self._z, self._y, self._x = (AxisMatrix(basis.T) for basis in self.bases)

    @property
    def control_shape(self) -> tuple[int, int, int]:
        """Number of control points (z, y, x)."""
        return (self.bases[0].shape[1], self.bases[1].shape[1], self.bases[2].shape[1])

    def evaluate(self, coefficients: torch.Tensor) -> torch.Tensor:
        """Values at every voxel: [C, control z, y, x] to [C, z, y, x]."""
        return along_axes(coefficients, (self._x, self._y, self._z), adjoint=True)

    def along_planes(self, coefficients: torch.Tensor) -> torch.Tensor:
        """Values along x and y alone: [C, control z, y, x] to [C, control z, voxels of a plane].

        What :meth:`planes` says is left to be done along z.
        """
        return along_axes(coefficients, (self._x, self._y, None), adjoint=True).flatten(2)

    def planes(self, part: slice) -> tuple[slice, torch.Tensor]:
        """The planes of control points that planes of the array are made of, and their weights.

        Returns:
            The control points along z, and [planes, control points].
        """
        stride = self.strides[0]
        control = slice(int(part.start / stride), int((part.stop - 1) / stride) + 4)
        return control, self.bases[0][part, control].contiguous()

    def weights(self, index: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        """What the control points along z, y and x weigh at points inside the array.

        Args:
            index: Continuous indices (x, y, z) of the array, [n, 3].

        Returns:
            [n, control points] for each of the three axes; see :func:`spline_at`.
        """
        z, y, x = (
            _weights(index[:, 2 - axis].double().cpu() / stride, basis.shape[1]).to(basis)
            for axis, (stride, basis) in enumerate(zip(self.strides, self.bases, strict=True))
        )
        return z, y, x

    def fit(self, values: torch.Tensor, stiffness: float = 1e-8) -> torch.Tensor:
        """Control points whose spline is nearest to ``values`` [C, z, y, x] (least squares).

        Args:
            stiffness: Weight of their squared second differences along each axis. The outermost
                control points hardly touch the samples; with more of it they go on straight.
        """
        for axis, basis in zip((1, 2, 3), self.bases, strict=True):
            normal = basis.double().T @ basis.double()
            ones = torch.eye(normal.shape[0], dtype=torch.float64, device=normal.device)
            bends = ones.diff(n=2, dim=0)
            # One sample says nothing of a slope: of all solutions, the smallest.
            normal += stiffness * bends.T @ bends + 1e-10 * ones
            solve = torch.linalg.solve(normal, basis.double().T).to(values.dtype)
            values = torch.tensordot(solve, values.movedim(axis, 0), 1).movedim(0, axis)
        return values.contiguous()


def spline_at(
    coefficients: torch.Tensor, weights: tuple[torch.Tensor, torch.Tensor, torch.Tensor]
) -> torch.Tensor:
    """A spline at points: [C, control z, y, x] and ``BSplineLattice.weights`` to [n, C]."""
    z, y, x = weights
    rows = torch.einsum("czyx,nx->nczy", coefficients, x)
    rows = torch.einsum("nczy,ny->ncz", rows, y)
    return torch.einsum("ncz,nz->nc", rows, z)


def _basis(n: int, stride: float) -> torch.Tensor:
    """Weights of the control points at the n samples of an axis: [n, control points]."""
    count = math.floor((n - 1) / stride) + 4
    return _weights(torch.arange(n, dtype=torch.float64) / stride, count)


def _weights(position: torch.Tensor, count: int) -> torch.Tensor:
    """Weights of an axis' control points at positions in units of their spacing: [n, count]."""
    cell = torch.floor(position)
    t = position - cell
    weights = torch.zeros(len(position), count, dtype=torch.float64)
    pieces = (
        (1 - t) ** 3 / 6,
        (4 - 6 * t**2 + 3 * t**3) / 6,
        (1 + 3 * t + 3 * t**2 - 3 * t**3) / 6,
        t**3 / 6,
    )
    for k, piece in enumerate(pieces):
        weights[torch.arange(len(position)), cell.long() + k] = piece
    return weights.float()
