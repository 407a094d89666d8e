"""Images and transforms as plain numpy data: what Slicer's process and the engine's exchange.

Nothing here loads PyTorch. :mod:`DeepRegistrationLib.transforms.tensors` turns these into the
engine's own types and back.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from DeepRegistrationLib.images.geometry import Grid
from DeepRegistrationLib.images.hounsfield import hounsfield_offset
from DeepRegistrationLib.options import Outputs, RegistrationOptions

AIR = -1000.0
"""HU of air; also the value that CT padding (-1024, -2048, -3024) is clamped to."""

GIVEN, LUNGS = "mask", "lungs"
"""Where the mask of a registration came from: the user, or the search for lungs."""


@dataclass(frozen=True, eq=False)
class Volume:
    """A scalar image.

    Attributes:
        data: [z, y, x], any real dtype.
        grid: Where the voxels lie.
        name: What to call it in messages.
    """

    data: np.ndarray
    grid: Grid
    name: str = "image"


def background(data: np.ndarray) -> float:
    """The value to put where an image has none: as ``validation.background``, in numpy."""
    offset = hounsfield_offset(data)
    if offset is not None:
        return AIR - offset
    return float(np.quantile(data.ravel()[:: max(1, data.size // 1_000_000)], 0.01))


@dataclass(frozen=True, eq=False)
class AffineMap:
    """T(x) = matrix @ x + translation; [3, 3] and [3], LPS mm, float64."""

    matrix: np.ndarray
    translation: np.ndarray


@dataclass(frozen=True, eq=False)
class FieldMap:
    """T(x) = x + u(x); u in LPS mm, components (x, y, z) first: float32 [3, z, y, x]."""

    vectors: np.ndarray
    grid: Grid


Map = AffineMap | FieldMap


@dataclass(frozen=True, eq=False)
class ChunkedArray:
    """An array that is made block by block while it is handed over, so that nothing waits for it.

    Attributes:
        shape, dtype: Of the array.
        make: Gives its blocks, in the order of an array in C's layout; called at each use.
    """

    shape: tuple[int, ...]
    dtype: np.dtype
    make: Callable[[], Iterator[np.ndarray]]

    @property
    def nbytes(self) -> int:
        """Size of the array."""
        return math.prod(self.shape) * self.dtype.itemsize

    def whole(self) -> np.ndarray:
        """The array, all of it at once."""
        return np.concatenate([block.reshape(-1) for block in self.make()]).reshape(self.shape)


@dataclass(frozen=True, eq=False)
class StoredField:
    """A :class:`FieldMap` with the components last, as Slicer and ITK keep it: [z, y, x, 3]."""

    vectors: np.ndarray | ChunkedArray
    grid: Grid

    def field(self) -> FieldMap:
        """The same field with its components first."""
        whole = self.vectors.whole() if isinstance(self.vectors, ChunkedArray) else self.vectors
        return FieldMap(np.moveaxis(whole, -1, 0), self.grid)


GivenMap = Map | StoredField
"""A map as a request may hold it."""


@dataclass(frozen=True, eq=False)
class PointPairs:
    """Landmark pairs.

    Attributes:
        labels: Of the fixed points.
        fixed, moving: LPS mm, float64 [n, 3]; row i of one matches row i of the other.
    """

    labels: list[str]
    fixed: np.ndarray
    moving: np.ndarray


@dataclass(frozen=True, eq=False)
class LabelPair:
    """Segmentations of two images, in which equal numbers mean the same structure.

    Attributes:
        fixed, moving: Whole numbers, each on any grid; several where segments overlap.
        names: What structures are called, by their number as text; those without a name have none.
    """

    fixed: list[Volume]
    moving: list[Volume]
    names: dict[str, str]


@dataclass(frozen=True, eq=False)
class Task:
    """What to register: everything that the engine's ``register`` takes.

    Attributes:
        fixed, moving: The images.
        options, outputs: How to register, and what to compute besides the transform.
        fixed_mask, moving_mask: Non-zero where the image counts, each on any grid.
        initial: Fixed to moving, replaces the affine stage.
        guide, guide_labels: Landmark pairs, and segmentations, that drive the registration.
    """

    fixed: Volume
    moving: Volume
    options: RegistrationOptions = RegistrationOptions()
    outputs: Outputs = Outputs()
    fixed_mask: Volume | None = None
    moving_mask: Volume | None = None
    initial: GivenMap | None = None
    guide: PointPairs | None = None
    guide_labels: LabelPair | None = None


@dataclass(frozen=True, eq=False)
class RegistrationOutcome:
    """What a registration gave.

    Attributes:
        transform: Fixed to moving, everything in one.
        grid: The fixed image's.
        jacobian, displacement: det(dT/dx) and abs(T(x) - x) in mm on that grid, when asked for.
        warped: The moving image on that grid, when asked for.
        inverse: Moving to fixed, when asked for.
        fixed_mask: The mask that was used, given or found, on the fixed image's grid.
        error_maps: On the fixed image's grid in mm, when asked for: ``predicted``, ``consistency``
            and, where there are such, ``spread`` and ``misalignment``; as in
            ``uncertainty_maps.Uncertainty``.
        error_statistics: Of these maps, see ``uncertainty.uncertainty_statistics``.
        folding: Percentage of J <= 0 in the ``image`` and, where there is a mask, in what it is
            called: ``mask`` or ``lungs``; empty without ``jacobian``.
        seconds, notes, provenance, driving_labels: As in the engine's ``Registration``.
    """

    transform: Map
    grid: Grid
    jacobian: Volume | None = None
    displacement: Volume | None = None
    warped: Volume | None = None
    inverse: Map | None = None
    fixed_mask: Volume | None = None
    error_maps: dict[str, Volume] = field(default_factory=dict)
    error_statistics: dict[str, Any] = field(default_factory=dict)
    folding: dict[str, float] = field(default_factory=dict)
    seconds: dict[str, float] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)
    provenance: dict[str, Any] = field(default_factory=dict)
    driving_labels: list[str] = field(default_factory=list)
