"""Which images and which transform a report is about: geometry, UIDs and checksums.

Nothing here loads PyTorch. A checksum is a SHA-256:

- of an image, of its voxels as little-endian float32, x fastest, then y, then z;
- of a transform, of its parts in the order of application: of an affine the matrix, row by row, and
  the translation, of a field its geometry and its vectors, as little-endian float32, components
  fastest, then x, y, z, in LPS mm.

So a transform has one checksum whether it lies in a file or in a scene, and keeps it when the scene
is saved and read again.
"""

from __future__ import annotations

import hashlib
from collections.abc import Generator, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from DeepRegistrationLib.images.geometry import Grid
from DeepRegistrationLib.images.plain_data import AffineMap, ChunkedArray, FieldMap, GivenMap

_BLOCK = 1 << 20  # numbers hashed at once: a few milliseconds
_DIGITS = 6  # of geometry and matrices: far below what a file's format keeps


@dataclass(frozen=True)
class ImageIdentity:
    """An image that a report is about.

    Attributes:
        grid: Where its voxels lie.
        checksum: Of its voxels.
        uids: By ``series``, ``study`` and ``frame of reference``, where it comes from DICOM.
        names: What else tells it from others, and the patient, as far as the user wants it shown.
        bending: Checksum of the transform that bends it in the scene; "" for none.
    """

    grid: Grid
    checksum: str
    uids: Mapping[str, str] = field(default_factory=dict)
    names: Mapping[str, str] = field(default_factory=dict)
    bending: str = ""


@dataclass(frozen=True)
class TransformIdentity:
    """The transform that a report is about.

    Attributes:
        kind: In words.
        checksum: Of its numbers.
        grid: Of its field, where it is one.
        origin: Where it came from, in words.
        names: File or node, as far as the user wants names shown.
        file_checksum: SHA-256 of the file's bytes, as ``sha256sum`` gives it; "" without a file.
    """

    kind: str
    checksum: str
    grid: Grid | None = None
    origin: str = ""
    names: Mapping[str, str] = field(default_factory=dict)
    file_checksum: str = ""


def voxel_checksum(voxels: np.ndarray) -> str:
    """The checksum of an image's voxels, [z, y, x]."""
    return _exhausted(hashing_voxels(voxels))


def hashing_voxels(voxels: np.ndarray) -> Generator[None, None, str]:
    """:func:`voxel_checksum` in steps of milliseconds."""
    digest = hashlib.sha256()
    step = max(1, _BLOCK // max(1, voxels[0].size))
    for begin in range(0, len(voxels), step):
        digest.update(np.ascontiguousarray(voxels[begin : begin + step], "<f4").data)
        yield
    return digest.hexdigest()


def map_checksum(parts: Iterable[GivenMap]) -> str:
    """The checksum of a transform, given its parts in the order of application."""
    return _exhausted(hashing_map(parts))


def hashing_map(parts: Iterable[GivenMap]) -> Generator[None, None, str]:
    """:func:`map_checksum` in steps of milliseconds."""
    digest = hashlib.sha256()
    for part in parts:
        if isinstance(part, AffineMap):
            values = (*np.ravel(part.matrix), *np.ravel(part.translation))
            digest.update(f"affine {_numbers(values)}\n".encode())
            continue
        digest.update(f"field {geometry_text(part.grid)}\n".encode())
        for block in _vectors(part):
            digest.update(np.ascontiguousarray(block + np.float32(0), "<f4").data)  # no -0
            yield
    return digest.hexdigest()


def subject_checksum(
    fixed: ImageIdentity, moving: ImageIdentity, transform: TransformIdentity
) -> str:
    """What a decision is about: voxels and geometry of both images, and the transform."""
    lines = [
        f"{image.checksum} {geometry_text(image.grid)} {image.bending}".rstrip()
        for image in (fixed, moving)
    ]
    return hashlib.sha256("\n".join([*lines, transform.checksum]).encode()).hexdigest()


def file_checksum(path: str | Path) -> str:
    """SHA-256 of a file's bytes."""
    digest = hashlib.sha256()
    with open(path, "rb") as file:
        while block := file.read(4 * _BLOCK):
            digest.update(block)
    return digest.hexdigest()


def kind_of(parts: Sequence[GivenMap]) -> str:
    """A transform's parts in words."""
    names = ["affine" if isinstance(part, AffineMap) else "displacement field" for part in parts]
    return ", then ".join(names) or "identity"


def field_grid(parts: Sequence[GivenMap]) -> Grid | None:
    """The grid of a transform's only field; None where there is none, or several."""
    grids = [part.grid for part in parts if not isinstance(part, AffineMap)]
    return grids[0] if len(grids) == 1 else None


def geometry_text(grid: Grid) -> str:
    """Size, spacing, origin and directions, with as many digits as files keep."""
    numbers = (_numbers(v) for v in (grid.spacing, grid.origin, grid.direction))
    return " ".join([*(str(n) for n in grid.size), *numbers])


def _numbers(values: Iterable[float]) -> str:
    return " ".join(f"{round(float(value), _DIGITS) + 0.0:.{_DIGITS}f}" for value in values)


def _vectors(part: GivenMap) -> Iterator[np.ndarray]:
    """A field's vectors block by block, components last."""
    assert not isinstance(part, AffineMap)
    if isinstance(part.vectors, ChunkedArray):
        yield from part.vectors.make()
        return
    first = isinstance(part, FieldMap)
    for slab in part.grid.slabs(_BLOCK // 3):
        yield np.moveaxis(part.vectors[:, slab], 0, -1) if first else part.vectors[slab]


def _exhausted(steps: Generator[None, None, str]) -> str:
    while True:
        try:
            next(steps)
        except StopIteration as end:
            return end.value
