"""NIfTI headers read for themselves: what ITK repairs, overlooks or decides without a word.

nifti1.h: a header may say twice where the voxels lie, by a quaternion (qform) and by a matrix
(sform), and how large they are by pixdim. ITK and Slicer take one of them; here they are compared.
"""

from __future__ import annotations

import math
import struct
import zlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from DeepRegistrationLib.errors import RegistrationError
from DeepRegistrationLib.images.geometry import Grid
from DeepRegistrationLib.images.guard.compression import GZIP

SUFFIXES = (".nii", ".nii.gz", ".hdr", ".img", ".hdr.gz", ".img.gz")

_FLOATS = {16: "f4", 64: "f8"}
_SHEAR = 1e-3  # cosine between two axes from which they are not at right angles
_FLIP = np.array([-1.0, -1.0, 1.0])  # RAS to LPS
_APART = 0.1  # voxels by which two descriptions of the same place may differ


@dataclass(frozen=True, eq=False)
class NiftiHeader:
    """What a NIfTI or Analyze header says.

    Attributes:
        version: 1 or 2; 0 for Analyze.
        order: ``<`` or ``>``.
        size: Voxels along x, y, z, t ...
        code, bits: Of the voxel type.
        pixdim: Voxel size along the first axes, as written.
        offset: Bytes before the voxels in the file that holds them; negative where what is written
            cannot be: no number, or a place inside of the header (which takes 352 bytes).
        qform, sform: Index to RAS, [3, 4], in the file's unit; None where their code is 0.
        unit: Of length, mm.
    """

    version: int
    order: str
    size: Sequence[int]
    code: int
    bits: int
    pixdim: Sequence[float]
    offset: int
    qform: np.ndarray | None
    sform: np.ndarray | None
    unit: float

    @property
    def kind(self) -> str:
        """Voxel type of floating point images, for numpy; else empty."""
        return self.order + _FLOATS[self.code] if self.code in _FLOATS else ""


def read_nifti_header(path: Path) -> NiftiHeader:
    """The header of a NIfTI or Analyze file, also of one that is cut short.

    Raises:
        ValueError, struct.error, zlib.error: It is none.
    """
    head = _start(_header_file(path))
    for order in "<>":
        size_of_header = struct.unpack_from(order + "i", head)[0]
        if size_of_header in (348, 540):
            break
    else:
        raise ValueError("no NIfTI header")
    if size_of_header == 540:
        return _version_2(head, order)
    return _version_1(head, order)


def data_file(path: Path) -> Path:
    """The file that holds the voxels: the ``.img`` of a pair, else the file itself."""
    return _partner(path, ".hdr", ".img")


def check_geometry(header: NiftiHeader, name: str) -> None:
    """Refuse a geometry that no image of straight axes has.

    Raises:
        RegistrationError: A sheared or singular sform; an sform whose voxel size contradicts
            pixdim so that neither can be trusted.
    """
    if header.sform is None:
        return
    columns = header.sform[:, :3]
    lengths = np.linalg.norm(columns, axis=0)
    if not np.isfinite(header.sform).all() or lengths.min() < 1e-9:
        raise RegistrationError(
            f"{name} has a singular sform in its header (an axis of length 0); correct it."
        )
    cosines = (columns / lengths).T @ (columns / lengths) - np.eye(3)
    if np.abs(cosines).max() > _SHEAR:
        angle = math.degrees(math.asin(min(1.0, float(np.abs(cosines).max()))))
        raise RegistrationError(
            f"{name} has sheared axes (the axes of its sform deviate from right angles by "
            f"{angle:.2f} degrees, as after gantry tilt or an affine registration); resample it on "
            "an orthogonal grid first."
        )
    if header.qform is None and not _same_size(lengths, header.pixdim):
        if not (_is_unit(lengths) or _is_unit(header.pixdim)):
            raise RegistrationError(
                f"{name} contradicts itself: a voxel is {_times(header.pixdim)} by its pixdim and "
                f"{_times(lengths)} by its sform; correct its header."
            )


def read_geometry(header: NiftiHeader, name: str, grid: Grid) -> tuple[Grid, list[str]]:
    """The grid that a header means, given the one that ITK read, and what has to be said.

    ITK's choice between sform and qform is kept, as Slicer makes the same; what a header leaves
    open or says in two ways is told.
    """
    if header.sform is None and header.qform is None:
        return grid, [
            f"{name} does not say how it is oriented (its sform and qform codes are 0): its axes "
            "are taken as right to left, anterior to posterior and foot to head, so left and right "
            "may be exchanged"
        ]
    if header.sform is None:
        return grid, []
    lengths = np.linalg.norm(header.sform[:, :3], axis=0)
    if header.qform is None:
        return _by_sform(header, name, grid, lengths)
    places = [_corners(m * header.unit, grid.size) for m in (header.sform, header.qform)]
    apart = float(np.abs(places[0] - places[1]).max())
    if apart <= _APART * min(grid.spacing):
        return grid, []
    taken = [float(np.abs(p - grid.corners()).max()) for p in places]
    which = "sform" if taken[0] < taken[1] else "qform"
    return grid, [
        f"{name} states two different positions: its sform and its qform are up to {apart:.1f} mm "
        f"apart; the {which} was used, as ITK and Slicer do (nibabel, FSL and SPM use the sform)"
    ]


def _by_sform(
    header: NiftiHeader, name: str, grid: Grid, lengths: np.ndarray
) -> tuple[Grid, list[str]]:
    """Where only an sform says where the image lies: ITK takes its axes, and pixdim's size."""
    if _same_size(lengths, header.pixdim):
        return grid, []
    if _is_unit(lengths):
        return grid, [
            f"{name} states two voxel sizes: {_times(header.pixdim)} by its pixdim and 1 x 1 x 1 "
            "by its sform; the pixdim was used"
        ]
    spacing = tuple(float(v) for v in lengths * header.unit)
    return Grid(grid.size, spacing, grid.origin, grid.direction), [  # type: ignore[arg-type]
        f"{name} states two voxel sizes: 1 x 1 x 1 by its pixdim and {_times(lengths)} by its "
        "sform; the sform was used (ITK and Slicer use the pixdim)"
    ]


def _header_file(path: Path) -> Path:
    return _partner(path, ".img", ".hdr")


def _partner(path: Path, suffix: str, other: str) -> Path:
    """The other file of a pair of header and voxels; ``path`` itself where it is no pair."""
    name = path.name
    for end in (suffix, suffix + ".gz"):
        if name.lower().endswith(end):
            stem = name[: -len(end)]
            for candidate in (
                stem + other + end[len(suffix) :],
                stem + other,
                stem + other + ".gz",
            ):
                if path.with_name(candidate).is_file():
                    return path.with_name(candidate)
    return path


def _start(path: Path) -> bytes:
    """The first 540 bytes, unpacked; also of a file that is cut short."""
    with open(path, "rb") as file:
        head = file.read(1 << 14)
    return zlib.decompressobj(31).decompress(head, 540) if head.startswith(GZIP) else head


def _version_1(head: bytes, order: str) -> NiftiHeader:
    dim = struct.unpack_from(order + "8h", head, 40)
    code, bits = struct.unpack_from(order + "2h", head, 70)
    pixdim = struct.unpack_from(order + "8f", head, 76)
    nifti = head[344:347] in (b"n+1", b"ni1")
    codes = struct.unpack_from(order + "2h", head, 252) if nifti else (0, 0)
    quaternion = struct.unpack_from(order + "6f", head, 256)
    matrix = np.array(struct.unpack_from(order + "12f", head, 280), dtype=float).reshape(3, 4)
    return NiftiHeader(
        1 if nifti else 0,
        order,
        _size(dim),
        code,
        bits,
        pixdim[1 : min(dim[0], 3) + 1],
        _offset_1(struct.unpack_from(order + "f", head, 108)[0], head[344:347] == b"n+1"),
        _qform(quaternion, pixdim) if codes[0] > 0 else None,
        matrix if codes[1] > 0 else None,
        _unit(head[123]) if nifti else 1.0,
    )


def _offset_1(written: float, one_file: bool) -> int:
    possible = math.isfinite(written) and written >= (352 if one_file else 0)
    return int(written) if possible else -1


def _version_2(head: bytes, order: str) -> NiftiHeader:
    code, bits = struct.unpack_from(order + "2h", head, 12)
    dim = struct.unpack_from(order + "8q", head, 16)
    pixdim = struct.unpack_from(order + "8d", head, 104)
    offset = struct.unpack_from(order + "q", head, 168)[0]
    qcode, scode = struct.unpack_from(order + "2i", head, 344)
    quaternion = struct.unpack_from(order + "6d", head, 352)
    matrix = np.array(struct.unpack_from(order + "12d", head, 400), dtype=float).reshape(3, 4)
    return NiftiHeader(
        2,
        order,
        _size(dim),
        code,
        bits,
        pixdim[1 : min(dim[0], 3) + 1],
        offset,
        _qform(quaternion, pixdim) if qcode > 0 else None,
        matrix if scode > 0 else None,
        _unit(struct.unpack_from(order + "i", head, 500)[0]),
    )


def _size(dim: Sequence[int]) -> list[int]:
    if not 1 <= dim[0] <= 7:
        raise ValueError("no number of dimensions")
    return [max(n, 1) for n in dim[1 : dim[0] + 1]]


def _unit(code: int) -> float:
    """Millimeters of the unit of length (xyzt_units)."""
    return {1: 1000.0, 3: 0.001}.get(code & 7, 1.0)


def _qform(values: Sequence[float], pixdim: Sequence[float]) -> np.ndarray:
    """Index to RAS by quaternion, offset and pixdim (nifti1.h, method 2): [3, 4]."""
    b, c, d = values[:3]
    a = math.sqrt(max(0.0, 1.0 - (b * b + c * c + d * d)))
    rotation = np.array(
        [
            [a * a + b * b - c * c - d * d, 2 * (b * c - a * d), 2 * (b * d + a * c)],
            [2 * (b * c + a * d), a * a + c * c - b * b - d * d, 2 * (c * d - a * b)],
            [2 * (b * d - a * c), 2 * (c * d + a * b), a * a + d * d - b * b - c * c],
        ]
    )
    scale = np.array(pixdim[1:4]) * [1, 1, -1 if pixdim[0] < 0 else 1]
    return np.column_stack([rotation * scale, values[3:6]])


def _corners(matrix: np.ndarray, size: Sequence[int]) -> np.ndarray:
    """The outermost voxel centers in LPS mm, in the order of :meth:`Grid.corners`."""
    ends = Grid(tuple(size)).corners()  # type: ignore[arg-type]
    return (ends @ matrix[:, :3].T + matrix[:, 3]) * _FLIP


def _same_size(lengths: np.ndarray, pixdim: Sequence[float]) -> bool:
    sizes = np.array([*pixdim, *lengths[len(pixdim) :]])[:3]
    return bool(np.allclose(lengths, sizes, rtol=1e-3, atol=1e-6))


def _is_unit(sizes: Sequence[float] | np.ndarray) -> bool:
    return bool(np.allclose(sizes, 1.0, atol=1e-6))


def _times(sizes: Sequence[float] | np.ndarray) -> str:
    return " x ".join(f"{v:.4g}" for v in sizes)
