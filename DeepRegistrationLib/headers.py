"""What image readers repair or overlook without a word: bad spacing, NaN, files cut short.

ITK turns a negative spacing into a flipped axis, a zero spacing of a NIfTI file into 1 mm and its
NaN into 0, and reads a NIfTI file that ends too early as if it were whole. Here the header is read
for itself.
"""

from __future__ import annotations

import gzip
import math
import os
import struct
import zlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from DeepRegistrationLib.errors import RegistrationError

_META_BYTES = {
    "CHAR": 1,
    "UCHAR": 1,
    "SHORT": 2,
    "USHORT": 2,
    "INT": 4,
    "UINT": 4,
    "LONG": 4,
    "ULONG": 4,
    "LONG_LONG": 8,
    "ULONG_LONG": 8,
    "FLOAT": 4,
    "DOUBLE": 8,
}


@dataclass(frozen=True)
class _Header:
    """What a file's header says, and how many bytes of voxels follow it.

    Attributes:
        spacing: As written, mm.
        promised: Bytes of voxels by the header; 0 where it cannot be told.
        present: Bytes of voxels in the file.
        size: Voxels along x, y, z ...
        kind: Voxel type where NaN has to be looked for here, as the reader hides it.
    """

    spacing: Sequence[float] = ()
    promised: int = 0
    present: int = 0
    size: Sequence[int] = ()
    kind: str = ""


def check_header(path: Path) -> None:
    """Refuse a file with bad spacing, with too few voxels, or (NIfTI) with NaN or infinity.

    Formats: NIfTI (.nii, .nii.gz), MetaImage (.mha, .mhd), NRRD (.nrrd, .nhdr); any other file, or
    a header that makes no sense, is left to the reader.

    Raises:
        RegistrationError: Zero, negative or not finite spacing; fewer bytes than the header says;
            voxels that are not finite in a NIfTI file (ITK's reader turns them into 0).
    """
    header = _inspect(path)
    if not all(math.isfinite(s) and s > 0 for s in header.spacing):
        shown = " x ".join(f"{s:g}" for s in header.spacing)
        raise RegistrationError(
            f"{path.name} has a voxel spacing of {shown} mm, which is not positive; correct the "
            "image's header."
        )
    if header.present < header.promised:
        raise RegistrationError(
            f"{path.name} is cut short: its header promises {header.promised} bytes of voxels and "
            f"the file holds {max(header.present, 0)}; copy or download it again."
        )
    if header.kind:
        _check_finite(path, header)


def is_complete(path: Path) -> bool:
    """Whether an image file holds as many bytes as its header promises."""
    header = _inspect(path)
    return header.present >= header.promised


def not_finite(name: str, count: int, value: float, index: Sequence[int]) -> RegistrationError:
    """The error for an image with NaN or infinity; ``index`` is (x, y, z) of the first."""
    place = ", ".join(str(i) for i in index)
    found, them = (
        ("1 voxel that is not a finite number", "it")
        if count == 1
        else (f"{count} voxels that are not finite numbers", "them")
    )
    first = f"{value}" if count == 1 else f"the first is {value}"
    return RegistrationError(
        f"{name} holds {found} ({first} at index {place}); replace {them} with the background "
        "value."
    )


def _inspect(path: Path) -> _Header:
    name = path.name.lower()
    try:
        if name.endswith((".nii", ".nii.gz")):
            return _nifti(path)
        if name.endswith((".mha", ".mhd")):
            return _metaimage(path)
        if name.endswith((".nrrd", ".nhdr")):
            return _nrrd(path)
    except (OSError, EOFError, ValueError, KeyError, IndexError, struct.error, zlib.error):
        pass  # the reader will say what is wrong
    return _Header()


def _check_finite(path: Path, header: _Header) -> None:
    """Look for NaN and infinity in the voxels of a NIfTI file, block by block."""
    kind = np.dtype(header.kind)
    count, before, first = 0, 0, (0.0, 0)
    with gzip.open(path) if path.name.lower().endswith(".gz") else open(path, "rb") as file:
        file.read(_nifti_offset(path))
        left = header.promised
        while left > 0 and (block := file.read(min(left, 1 << 22))):
            values = np.frombuffer(block[: len(block) // kind.itemsize * kind.itemsize], kind)
            wrong = np.flatnonzero(~np.isfinite(values))
            if wrong.size and not count:
                first = float(values[wrong[0]]), before + int(wrong[0])
            count += wrong.size
            before += values.size
            left -= len(block)
    if count:
        index = [int(i) for i in np.unravel_index(first[1], header.size[:3], order="F")]
        raise not_finite(path.name, count, first[0], index)


def _nifti(path: Path) -> _Header:
    """NIfTI-1 and -2 (nifti1.h, nifti2.h)."""
    head = _nifti_start(path)
    order = "<" if struct.unpack_from("<i", head)[0] in (348, 540) else ">"
    if struct.unpack_from(order + "i", head)[0] == 348:
        dim = struct.unpack_from(order + "8h", head, 40)
        code, bits = struct.unpack_from(order + "2h", head, 70)
        pixdim = struct.unpack_from(order + "8f", head, 76)
    else:
        code, bits = struct.unpack_from(order + "2h", head, 12)
        dim = struct.unpack_from(order + "8q", head, 16)
        pixdim = struct.unpack_from(order + "8d", head, 104)
    offset = _nifti_offset(path)
    size = [max(n, 1) for n in dim[1 : dim[0] + 1]]
    promised = math.prod(size) * bits // 8
    zipped = path.name.lower().endswith(".gz")
    unpacked = _unpacked_size(path, offset + promised) if zipped else path.stat().st_size
    kind = {16: order + "f4", 64: order + "f8"}.get(code, "") if len(size) == 3 else ""
    return _Header(pixdim[1 : min(dim[0], 3) + 1], promised, unpacked - offset, size, kind)


def _nifti_start(path: Path) -> bytes:
    """The first 540 bytes, unpacked; also of a file that is cut short."""
    with open(path, "rb") as file:
        head = file.read(1 << 14)
    if path.name.lower().endswith(".gz"):
        head = zlib.decompressobj(31).decompress(head, 540)
    return head


def _nifti_offset(path: Path) -> int:
    """Where the voxels begin, in bytes."""
    head = _nifti_start(path)
    order = "<" if struct.unpack_from("<i", head)[0] in (348, 540) else ">"
    if struct.unpack_from(order + "i", head)[0] == 348:
        return int(struct.unpack_from(order + "f", head, 108)[0])
    return int(struct.unpack_from(order + "q", head, 168)[0])


def _unpacked_size(path: Path, expected: int) -> int:
    """Size of a gzip file's content: from its trailer, or by unpacking where that disagrees."""
    with open(path, "rb") as file:
        file.seek(-4, os.SEEK_END)
        if struct.unpack("<I", file.read(4))[0] == expected % 2**32:
            return expected
    total = 0
    try:
        with gzip.open(path) as file:
            while block := file.read(1 << 22):
                total += len(block)
    except (EOFError, zlib.error, gzip.BadGzipFile):
        return min(total, expected - 1)
    return total


def _metaimage(path: Path) -> _Header:
    """MetaImage: ``key = value`` lines up to ElementDataFile."""
    entries: dict[str, str] = {}
    with open(path, "rb") as file:
        for line in file:
            key, _, value = line.decode("ascii", "replace").partition("=")
            entries[key.strip()] = value.strip()
            if key.strip() == "ElementDataFile" or len(entries) > 200:
                break
        begin = file.tell()
    written = entries.get("ElementSpacing", entries.get("ElementSize", ""))
    spacing = [float(value) for value in written.split()]
    data = entries["ElementDataFile"]
    if "%" in data or data.upper().startswith("LIST"):
        return _Header(spacing)
    local = data.upper() == "LOCAL"
    present = path.stat().st_size - begin if local else (path.parent / data).stat().st_size
    if entries.get("CompressedData", "False").lower() == "true":
        promised = int(entries.get("CompressedDataSize", 0))
    elif entries.get("BinaryData", "True").lower() == "false":
        promised = 0  # text: no length can be told
    else:
        voxels = math.prod(int(n) for n in entries["DimSize"].split())
        channels = int(entries.get("ElementNumberOfChannels", 1))
        kind = entries["ElementType"].removeprefix("MET_").removesuffix("_ARRAY")
        promised = voxels * channels * _META_BYTES[kind]
    return _Header(spacing, promised, present)


def _nrrd(path: Path) -> _Header:
    """NRRD: the spacing only (ITK refuses one that is cut short)."""
    spacing: list[float] = []
    with open(path, "rb") as file:
        for line in file:
            text = line.decode("ascii", "replace").strip()
            if not text:
                break
            key, _, value = text.partition(":")
            if key == "spacings":
                spacing = [float(v) for v in value.split() if v.lower() != "nan"]
            elif key == "space directions":
                vectors = value.replace("none", "").split(")")[:-1]
                rows = [[float(v) for v in row.strip(" (").split(",")] for row in vectors]
                spacing = [math.hypot(*row) for row in rows]
    return _Header(spacing)
