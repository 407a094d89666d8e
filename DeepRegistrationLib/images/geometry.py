"""Grid: where the samples of an image or field lie in physical space (LPS, millimetres)."""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from DeepRegistrationLib.arguments import require
from DeepRegistrationLib.errors import RegistrationError

if TYPE_CHECKING:  # Slicer's own process describes grids without ever loading PyTorch
    import torch

IDENTITY = (1.0, 0.0, 0.0, 0.0, 1.0, 0.0, 0.0, 0.0, 1.0)

_SLAB = ContextVar("voxels of a slab", default=2_000_000)


@contextmanager
def slabs_of(voxels: int) -> Iterator[None]:
    """Let all work inside this block go in slabs of about so many voxels (memory is short)."""
    before = _SLAB.set(voxels)
    try:
        yield
    finally:
        _SLAB.reset(before)


@dataclass(frozen=True)
class Grid:
    """A regular, possibly oblique lattice of voxel centres.

    The physical position of index i = (ix, iy, iz) is ``origin + direction @ (spacing * i)``.
    Arrays on the grid are ``[z, y, x]``, so their shape is the reversed ``size``.

    Attributes:
        size: Number of voxels along x, y, z.
        spacing: Distance of voxel centres along the three index axes, in mm.
        origin: Physical position of the voxel (0, 0, 0), LPS mm.
        direction: Row-major 3x3 matrix whose columns are the index axes in LPS.
    """

    size: tuple[int, int, int]
    spacing: tuple[float, float, float] = (1.0, 1.0, 1.0)
    origin: tuple[float, float, float] = (0.0, 0.0, 0.0)
    direction: tuple[float, ...] = IDENTITY

    def __post_init__(self) -> None:
        for name in ("size", "spacing", "origin", "direction"):
            try:
                values = np.asarray(getattr(self, name)).astype(np.float64).ravel().tolist()
            except (TypeError, ValueError):
                found = repr(getattr(self, name))[:80]
                raise RegistrationError(f"The {name} of a grid is {found}; give numbers.") from None
            object.__setattr__(self, name, tuple(values))
        if not all(np.isfinite(n) and n == int(n) for n in self.size):
            raise RegistrationError(f"The size of a grid is {self.size}; give whole numbers.")
        object.__setattr__(self, "size", tuple(int(n) for n in self.size))
        if len(self.size) != 3 or len(self.spacing) != 3 or len(self.origin) != 3:
            raise RegistrationError(
                f"A grid needs three dimensions, but its size is {self.size} and its spacing "
                f"{self.spacing}; give a 3D image."
            )
        if min(self.size) < 1:
            raise RegistrationError(f"A grid of size {self.size} holds no voxels.")
        if not all(np.isfinite(s) and s > 0 for s in self.spacing):
            raise RegistrationError(
                f"The voxel spacing {self.spacing} mm is not positive; correct the image's header."
            )
        if not np.all(np.isfinite(self.origin)):
            raise RegistrationError(
                f"The origin {self.origin} is not finite; correct the image's header."
            )
        if len(self.direction) != 9 or not abs(np.linalg.det(self._direction())) >= 1e-6:
            raise RegistrationError(
                f"The direction cosines {self.direction} are singular; correct the image's header."
            )

    def _direction(self) -> np.ndarray:
        return np.asarray(self.direction, dtype=np.float64).reshape(3, 3)

    @property
    def shape(self) -> tuple[int, int, int]:
        """Shape (z, y, x) of an array on this grid."""
        return self.size[::-1]

    @property
    def voxels(self) -> int:
        """Number of voxels."""
        return int(np.prod(self.size))

    @property
    def extent(self) -> np.ndarray:
        """Distance in mm between the first and the last voxel centre along x, y, z: [3]."""
        return (np.asarray(self.size) - 1) * np.asarray(self.spacing)

    @property
    def matrix(self) -> np.ndarray:
        """Index to mm, float64 [3, 3]: ``direction @ diag(spacing)`` (u_mm = matrix @ u_voxel)."""
        return self._direction() * np.asarray(self.spacing)

    @property
    def inverse_matrix(self) -> np.ndarray:
        """Mm to index, float64 [3, 3]."""
        return np.linalg.inv(self.matrix)

    def to_physical(self, index: np.ndarray) -> np.ndarray:
        """Physical positions (LPS mm) of continuous indices (x, y, z), both [..., 3]."""
        return np.asarray(index, dtype=np.float64) @ self.matrix.T + np.asarray(self.origin)

    def to_index(self, points: np.ndarray) -> np.ndarray:
        """Continuous indices (x, y, z) of physical positions (LPS mm), both [..., 3]."""
        offset = np.asarray(points, dtype=np.float64) - np.asarray(self.origin)
        return offset @ self.inverse_matrix.T

    def contains(self, points: np.ndarray, margin: float = 0.5) -> np.ndarray:
        """Which points (LPS mm) lie inside, to ``margin`` voxels past the centres: bool [...]."""
        index = self.to_index(points)
        return np.all((index >= -margin) & (index <= np.asarray(self.size) - 1 + margin), axis=-1)

    def corners(self) -> np.ndarray:
        """The eight outermost voxel centres in LPS mm: [8, 3]."""
        ends = [(0, n - 1) for n in self.size]
        return self.to_physical(np.array(list(itertools.product(*ends))))

    def center(self) -> np.ndarray:
        """The physical centre in mm: [3]."""
        return self.to_physical((np.asarray(self.size) - 1) / 2)

    def points(
        self,
        slab: slice | None = None,
        *,
        device: torch.device | str = "cpu",
        dtype: torch.dtype | None = None,
    ) -> torch.Tensor:
        """Physical positions of the voxel centres.

        Args:
            slab: Range of z indices; all when omitted. Whole clinical grids do not fit in memory
                comfortably (12 bytes a voxel), so large work goes slab by slab.
            dtype: float32 when omitted.

        Returns:
            Positions in LPS mm, [z, y, x, 3] with the components ordered (x, y, z); in memory each
            component lies in one piece.
        """
        import torch

        dtype = dtype or torch.float32
        begin, end, _ = (slab or slice(None)).indices(self.size[2])
        counts = (*self.size[:2], end - begin)
        x, y, z = (torch.arange(n, dtype=torch.float64, device=device) for n in counts)
        result = torch.empty(3, len(z), len(y), len(x), dtype=dtype, device=device)
        for k in range(3):
            a, b, c = self.matrix[k].tolist()
            outer = (z + begin)[:, None] * c + y * b + self.origin[k]
            torch.add(outer.to(dtype)[..., None], (x * a).to(dtype), out=result[k])
        return result.movedim(0, -1)

    def positions(self, slab: slice) -> np.ndarray:
        """As :meth:`points`, in numpy: float64 [z, y, x, 3]."""
        z, y, x = np.meshgrid(
            np.arange(self.size[2])[slab], *map(np.arange, self.shape[1:]), indexing="ij"
        )
        return self.to_physical(np.stack((x, y, z), axis=-1))

    def slabs(self, voxels: int | None = None) -> list[slice]:
        """Ranges of z that cover the grid with at most about ``voxels`` voxels each.

        Two millions when omitted, or what :func:`slabs_of` says.
        """
        plane = self.size[0] * self.size[1]
        depth = max(1, (voxels or _SLAB.get()) // plane)
        return [slice(z, min(z + depth, self.size[2])) for z in range(0, self.size[2], depth)]

    def with_spacing(self, spacing: float | tuple[float, float, float]) -> Grid:
        """The grid over the same box, corner centre to corner centre, near another spacing (mm).

        The first and last voxel centres stay where they are, so the spacing is adapted to divide
        the extent; an axis of one voxel stays as it is.
        """
        wanted = np.broadcast_to(np.asarray(spacing, dtype=np.float64), 3)
        counts = np.maximum(np.rint(self.extent / wanted).astype(int), 1) + 1
        size = tuple(int(c) if n > 1 else 1 for c, n in zip(counts, self.size, strict=True))
        new = tuple(
            float(e / (n - 1)) if n > 1 else s
            for e, n, s in zip(self.extent, size, self.spacing, strict=True)
        )
        return Grid(size, new, self.origin, self.direction)  # type: ignore[arg-type]

    def cropped(self, lower: tuple[int, int, int], upper: tuple[int, int, int]) -> Grid:
        """The part from index ``lower`` up to, not including, ``upper`` (x, y, z)."""
        low = np.maximum(lower, 0)
        high = np.minimum(upper, self.size)
        if np.any(high <= low):
            raise RegistrationError(f"The crop from {lower} to {upper} holds no voxels.")
        origin = self.to_physical(low)
        return Grid(tuple(high - low), self.spacing, tuple(origin), self.direction)  # type: ignore[arg-type]

    def along_lps(self) -> Grid:
        """The same voxel centres, with the axes in the order and sense nearest to L, P, S.

        What a network finds then does not depend on the order in which an array was stored.
        """
        direction = self._direction()

        def nearness(order: Iterable[int]) -> tuple[float, ...]:
            """How near; halfway between two, by what changes with neither order nor sense."""
            x, y, z = direction[:, list(order)]
            near = abs(x[0]) + abs(y[1]) + abs(z[2])
            return tuple((np.round([near, *(x * y), *(y * z), *(x * z)], 9) + 0.0).tolist())

        order = list(max(itertools.permutations(range(3)), key=nearness))
        turned = [direction[k, axis] < 0 for k, axis in enumerate(order)]
        first = np.zeros(3)
        for axis, backward in zip(order, turned, strict=True):
            first[axis] = self.size[axis] - 1 if backward else 0
        columns = direction[:, order] * np.where(turned, -1.0, 1.0)
        size, spacing = (tuple(np.asarray(v)[order]) for v in (self.size, self.spacing))
        return Grid(size, spacing, tuple(self.to_physical(first)), tuple(columns.ravel()))  # type: ignore[arg-type]

    def pulled_back(self, matrix: np.ndarray, translation: np.ndarray) -> Grid:
        """The grid before an affine map: its voxels land on this grid's by ``matrix @ x + t``.

        So values on this grid, looked up at ``matrix @ x + t``, are the values on the pulled-back
        grid at x. Its direction may be sheared.
        """
        back = np.linalg.inv(np.asarray(matrix, dtype=np.float64))
        axes = back @ self.matrix
        spacing = np.linalg.norm(axes, axis=0)
        origin = back @ (np.asarray(self.origin) - np.asarray(translation))
        return Grid(self.size, tuple(spacing), tuple(origin), tuple((axes / spacing).ravel()))  # type: ignore[arg-type]

    def same_as(self, other: Grid, tolerance: float = 1e-3) -> bool:
        """Whether every voxel centre agrees with the other grid's within ``tolerance`` mm."""
        require(other, "The other grid", Grid)
        if self.size != other.size:
            return False
        return bool(np.abs(self.corners() - other.corners()).max() <= tolerance)


def largest_voxel(*spacings: Sequence[float] | None) -> float | None:
    """The largest voxel dimension in mm of those images that there are; None without any."""
    return max((float(mm) for spacing in spacings for mm in spacing or ()), default=None)
