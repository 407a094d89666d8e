"""What an image file promises, and whether it holds it: NIfTI, NRRD and MetaImage.

ITK believes headers. It reads a NIfTI file that is cut short as if it were whole, allocates what a
NRRD header asks for before it looks at the file, ends the process at some MetaImage headers, and
compares no checksum of compressed voxels. Here each header is read for itself, once, before ITK.
"""

from __future__ import annotations

import gzip
import math
import os
import re
import struct
import zlib
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from DeepRegistrationLib.errors import RegistrationError
from DeepRegistrationLib.guard.memory import require_memory
from DeepRegistrationLib.guard.paths import shown

_HEADER_LIMIT = 1 << 20  # bytes of a text header
_RATIO = 1100  # deflate packs at most 1032 bytes into one
_BLOCK = 1 << 22
_MORE = "crop or resample the image, or close other programs"

_NIFTI_BITS = {2: 8, 4: 16, 8: 32, 16: 32, 64: 64, 256: 8, 512: 16, 768: 32, 1024: 64, 1280: 64}
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
_NRRD_BYTES = {
    name: size
    for size, names in {
        1: "signed char,int8,int8_t,uchar,unsigned char,uint8,uint8_t",
        2: "short,short int,signed short,signed short int,int16,int16_t,"
        "ushort,unsigned short,unsigned short int,uint16,uint16_t",
        4: "int,signed int,int32,int32_t,uint,unsigned int,uint32,uint32_t,float",
        8: "longlong,long long,long long int,signed long long,signed long long int,int64,int64_t,"
        "ulonglong,unsigned long long,unsigned long long int,uint64,uint64_t,double",
    }.items()
    for name in names.split(",")
}


@dataclass(frozen=True)
class Contents:
    """What a header says about the voxels.

    Attributes:
        promised: Bytes of voxels, unpacked.
        data: The file that holds them.
        offset: Where they begin in it; of a packed NIfTI file, in what is unpacked.
        packed: ``gzip``, ``zlib`` or empty.
        length: Bytes of packed voxels where the header says so, else 0.
        head: What is unpacked before the voxels (NIfTI), for the checksum.
    """

    promised: int
    data: Path
    offset: int
    packed: str = ""
    length: int = 0
    head: bytes = field(default=b"", repr=False)


def check_contents(path: Path) -> Contents | None:
    """Compare the header with the file and the memory, before anything is allocated.

    Returns:
        None where the format, or a layout that it allows, is not understood here: such a file is
        read in another process.

    Raises:
        RegistrationError: Fewer bytes than the header promises, or more than the memory holds.
    """
    name = path.name.lower()
    readers = {(".nii", ".nii.gz"): _nifti, (".mha", ".mhd"): _metaimage, (".nrrd", ".nhdr"): _nrrd}
    reader = next((r for suffixes, r in readers.items() if name.endswith(suffixes)), None)
    if reader is None:
        return None
    try:
        found = reader(path)
        if found is not None:
            _check_length(path, found)
    except (ValueError, KeyError, IndexError, EOFError, OverflowError, struct.error, zlib.error):
        return None
    except OSError as error:
        reason = error.strerror or str(error)
        raise RegistrationError(
            f"The voxels of {shown(path)} cannot be read ({reason})."
        ) from error
    if found is not None:
        require_memory(found.promised, f"Reading {shown(path.name)}", _MORE)
    return found


def check_voxels(path: Path, contents: Contents, voxels: memoryview) -> None:
    """Compare what was read from packed voxels with the checksum that the file holds.

    The quick way: the checksum of the voxels as ITK gives them. Where ITK changed them (scaling,
    byte order), the file is unpacked once more.

    Raises:
        RegistrationError: The packed voxels are damaged.
    """
    if not contents.packed or _sum_agrees(contents, voxels):
        return
    if not _unpacks(contents):
        raise RegistrationError(
            f"{shown(path.name)} is damaged: its compressed voxels do not fit their checksum or "
            "length; copy or download it again."
        )


def _check_length(path: Path, contents: Contents) -> None:
    present = contents.data.stat().st_size
    if not contents.packed:
        present -= contents.offset
        needed, unit = contents.promised, "bytes of voxels"
    elif contents.packed == "gzip" and contents.head:
        present, needed = _unpacked_size(contents, contents.offset + contents.promised)
        unit = "bytes"
    else:
        present -= contents.offset
        needed, unit = (
            contents.length or contents.promised // _RATIO,
            "bytes of packed voxels at least",
        )
    if present < needed:
        raise RegistrationError(
            f"{shown(path.name)} is cut short: its header promises {needed} {unit} and the file "
            f"holds {max(present, 0)}; copy or download it again."
        )


def _unpacked_size(contents: Contents, expected: int) -> tuple[int, int]:
    """Bytes that a gzip file holds (by its trailer, else counted to ``expected``) and should."""
    size = contents.data.stat().st_size
    if expected > _RATIO * size:
        return min(_count(contents.data, expected), expected - 1), expected
    with open(contents.data, "rb") as file:
        file.seek(-4, os.SEEK_END)
        if struct.unpack("<I", file.read(4))[0] == expected % 2**32:
            return expected, expected
    return _count(contents.data, expected), expected


def _count(path: Path, enough: int) -> int:
    """Bytes that can be unpacked, counted up to ``enough``."""
    total = 0
    try:
        with gzip.open(path) as file:
            while total < enough and (block := file.read(_BLOCK)):
                total += len(block)
    except (OSError, EOFError, zlib.error):
        return min(total, enough - 1)
    return total


def _sum_agrees(contents: Contents, voxels: memoryview) -> bool:
    with open(contents.data, "rb") as file:
        end = contents.offset + contents.length if contents.length else 0
        file.seek(*((end - 8, os.SEEK_SET) if end else (-8, os.SEEK_END)))
        trailer = file.read(8)
    if len(voxels) != contents.promised:
        return False
    if contents.packed == "zlib":
        return zlib.adler32(voxels) == struct.unpack(">I", trailer[4:])[0]
    total = zlib.crc32(voxels, zlib.crc32(contents.head))
    size = len(contents.head) + len(voxels)
    return struct.unpack("<2I", trailer) == (total, size % 2**32)


def _unpacks(contents: Contents) -> bool:
    """Whether the whole stream can be unpacked, to its checksum."""
    unpacker = zlib.decompressobj(31 if contents.packed == "gzip" else 15)
    total, wanted = 0, contents.promised + len(contents.head)
    with open(contents.data, "rb") as file:
        file.seek(0 if contents.head else contents.offset)
        try:
            while not unpacker.eof and (block := file.read(1 << 18)):
                while block:
                    total += len(unpacker.decompress(block, _BLOCK))
                    if total > wanted + _BLOCK:
                        return True  # more than promised: nothing that is read is missing
                    block = unpacker.unconsumed_tail
        except zlib.error:
            return False
    return unpacker.eof and total >= wanted


def _nifti(path: Path) -> Contents | None:
    """NIfTI-1 and -2 in one file (nifti1.h, nifti2.h); up to 4D, or vectors in 3D."""
    with open(path, "rb") as file:
        head = file.read(1 << 16)
    packed = "gzip" if head[:2] == b"\x1f\x8b" else ""
    if bool(packed) != path.name.lower().endswith(".gz"):
        return None
    if packed:
        head = zlib.decompressobj(31).decompress(head, 1 << 16)
    order = "<" if struct.unpack_from("<i", head)[0] in (348, 540) else ">"
    if struct.unpack_from(order + "i", head)[0] == 348:
        magic, start = head[344:348], int(struct.unpack_from(order + "f", head, 108)[0])
        dim, first = struct.unpack_from(order + "8h", head, 40), 348
        code, bits = struct.unpack_from(order + "2h", head, 70)
    else:
        magic, start = head[4:8], struct.unpack_from(order + "q", head, 168)[0]
        dim, first = struct.unpack_from(order + "8q", head, 16), 540
        code, bits = struct.unpack_from(order + "2h", head, 12)
    if magic not in (b"n+1\0", b"n+2\0") or not first + 4 <= start <= len(head):
        return None
    if not 1 <= dim[0] <= 5 or min(dim[1 : dim[0] + 1]) < 1 or (dim[0] == 5 and dim[4] != 1):
        return None
    if _NIFTI_BITS.get(code) != bits or not _extensions_fit(head[first:start], order):
        return None
    promised = math.prod(dim[1 : dim[0] + 1]) * bits // 8
    return Contents(promised, path, start, packed, head=head[:start] if packed else b"")


def _extensions_fit(block: bytes, order: str) -> bool:
    """Whether the extensions (size, code, content) fill their place and no more."""
    if block[0] == 0:
        return True
    place = 4
    while place + 8 <= len(block):
        size = struct.unpack_from(order + "i", block, place)[0]
        if size < 16 or size % 16 or place + size > len(block):
            return False
        place += size
    return place == len(block)


def _metaimage(path: Path) -> Contents | None:
    """MetaImage: ``key = value`` lines up to ElementDataFile; one file of binary voxels."""
    entries: dict[str, str] = {}
    with open(path, "rb") as file:
        while "ElementDataFile" not in entries:
            line = file.readline(_HEADER_LIMIT)
            if not line or file.tell() > _HEADER_LIMIT or b"=" not in line:
                return None
            key, _, value = line.decode("ascii").partition("=")
            if key.strip() in entries:
                return None
            entries[key.strip()] = value.strip()
        begin = file.tell()
    size = _whole(entries["DimSize"])
    if len(size) != int(entries["NDims"]) or not 1 <= len(size) <= 4 or min(size) < 1:
        return None
    if entries.get("BinaryData", "True").lower() != "true" or "HeaderSize" in entries:
        return None
    channels = int(entries.get("ElementNumberOfChannels", 1))
    kind = entries["ElementType"].removeprefix("MET_").removesuffix("_ARRAY")
    if not 1 <= channels <= 16 or not _vectors_fit(entries, len(size)):
        return None
    promised = math.prod(size) * channels * _META_BYTES[kind]
    name = entries["ElementDataFile"]
    if name.upper() == "LOCAL":
        data = path
    elif re.search(r"[%\\]|^LIST", name, re.IGNORECASE):
        return None
    else:
        data, begin = path.parent / name, 0
    if entries.get("CompressedData", "False").lower() != "true":
        return Contents(promised, data, begin)
    length = int(entries.get("CompressedDataSize", 0))
    return Contents(promised, data, begin, "zlib", length)


def _vectors_fit(entries: dict[str, str], dimensions: int) -> bool:
    """Whether each list of numbers has as many as ITK will take from it."""
    wanted = {
        "ElementSpacing": dimensions,
        "ElementSize": dimensions,
        "Offset": dimensions,
        "Position": dimensions,
        "Origin": dimensions,
        "CenterOfRotation": dimensions,
        "TransformMatrix": dimensions**2,
        "Rotation": dimensions**2,
        "Orientation": dimensions**2,
    }
    return all(len(entries[k].split()) == n for k, n in wanted.items() if k in entries)


def _nrrd(path: Path) -> Contents | None:
    """NRRD: fields up to an empty line; raw or gzip voxels in one file."""
    fields: dict[str, str] = {}
    with open(path, "rb") as file:
        if not re.match(rb"NRRD000[1-6]\s", file.readline(16)):
            return None
        while line := file.readline(_HEADER_LIMIT):
            text = line.decode("utf-8").strip()
            if not text or file.tell() > _HEADER_LIMIT:
                break
            key, colon, value = text.partition(":")
            if not text.startswith("#") and colon and not value.startswith("="):
                if key.strip().lower() in fields:
                    return None
                fields[key.strip().lower()] = value.strip()
        begin = file.tell()
    size = _whole(fields["sizes"])
    if len(size) != int(fields["dimension"]) or not 1 <= len(size) <= 5 or min(size) < 1:
        return None
    if any(name.replace(" ", "") in ("byteskip", "lineskip") for name in fields):
        return None
    promised = math.prod(size) * _NRRD_BYTES[fields["type"].lower()]
    name = fields.get("data file", fields.get("datafile", ""))
    data = path.parent / name if name else path
    if name and (name.upper().startswith("LIST") or re.search(r"[%\\ ]", name)):
        return None
    begin = 0 if name else begin
    encoding = fields["encoding"].lower()
    if encoding == "raw":
        return Contents(promised, data, begin)
    return Contents(promised, data, begin, "gzip") if encoding in ("gzip", "gz") else None


def _whole(text: str) -> Sequence[int]:
    return [int(word) for word in text.split()]
