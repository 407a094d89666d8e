"""What image readers repair or overlook without a word: bad voxel spacing, files cut short.

ITK turns a negative spacing into a flipped axis and a zero spacing of a NIfTI file into 1 mm, and
reads a NIfTI file that ends too early as if it were whole. Here the header is read for itself.
"""

from __future__ import annotations

import gzip
import math
import os
import struct
import zlib
from collections.abc import Sequence
from pathlib import Path

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


def check_header(path: Path) -> None:
    """Refuse a file whose spacing is not positive or whose voxels are not all there.

    Formats: NIfTI (.nii, .nii.gz), MetaImage (.mha, .mhd), NRRD (.nrrd, .nhdr); any other file, or
    a header that makes no sense, is left to the reader.

    Raises:
        RegistrationError: Zero, negative or not finite spacing; fewer bytes than the header says.
    """
    spacing, promised, present = _inspect(path)
    if not all(math.isfinite(s) and s > 0 for s in spacing):
        shown = " x ".join(f"{s:g}" for s in spacing)
        raise RegistrationError(
            f"{path.name} has a voxel spacing of {shown} mm, which is not positive; correct the "
            "image's header."
        )
    if present < promised:
        raise RegistrationError(
            f"{path.name} is cut short: its header promises {promised} bytes of voxels and the "
            f"file holds {present}; copy or download it again."
        )


def is_complete(path: Path) -> bool:
    """Whether an image file holds as many bytes as its header promises."""
    _, promised, present = _inspect(path)
    return present >= promised


def _inspect(path: Path) -> tuple[Sequence[float], int, int]:
    """Spacing (mm) as written, bytes of voxels promised, bytes present (equal where unknown)."""
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
    return (), 0, 0


def _nifti(path: Path) -> tuple[Sequence[float], int, int]:
    """NIfTI-1 and -2 (nifti1.h, nifti2.h)."""
    zipped = path.name.lower().endswith(".gz")
    with open(path, "rb") as file:
        head = file.read(1 << 14)
    if zipped:  # gzip.open would refuse to give the first part of a file that is cut short
        head = zlib.decompressobj(31).decompress(head, 540)
    order = "<" if struct.unpack_from("<i", head)[0] in (348, 540) else ">"
    if struct.unpack_from(order + "i", head)[0] == 348:
        dim = struct.unpack_from(order + "8h", head, 40)
        bits = struct.unpack_from(order + "h", head, 72)[0]
        pixdim = struct.unpack_from(order + "8f", head, 76)
        offset = int(struct.unpack_from(order + "f", head, 108)[0])
    elif struct.unpack_from(order + "i", head)[0] == 540:
        bits = struct.unpack_from(order + "h", head, 14)[0]
        dim = struct.unpack_from(order + "8q", head, 16)
        pixdim = struct.unpack_from(order + "8d", head, 104)
        offset = struct.unpack_from(order + "q", head, 168)[0]
    else:
        return (), 0, 0
    axes = dim[0]
    promised = math.prod(max(n, 1) for n in dim[1 : axes + 1]) * bits // 8
    unpacked = _unpacked_size(path, offset + promised) if zipped else path.stat().st_size
    return pixdim[1 : min(axes, 3) + 1], promised, unpacked - offset


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


def _metaimage(path: Path) -> tuple[Sequence[float], int, int]:
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
        return spacing, 0, 0
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
    return spacing, promised, present


def _nrrd(path: Path) -> tuple[Sequence[float], int, int]:
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
    return spacing, 0, 0
