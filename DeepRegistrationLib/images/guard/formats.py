"""The headers of NIfTI, NRRD and MetaImage, read for what they promise.

Only what is understood to the last entry counts as known: ITK's readers of these formats have
buffers of fixed size, and end the process at some headers.
"""

from __future__ import annotations

import math
import re
import struct
import zlib
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

_HEADER_LIMIT = 1 << 20  # bytes of a text header
_LINE_LIMIT = 4096  # bytes of a line in it: ITK's readers have buffers of fixed size

_NIFTI_BITS = {2: 8, 4: 16, 8: 32, 16: 32, 64: 64, 256: 8, 512: 16, 768: 32, 1024: 64, 1280: 64}
META_BYTES = {
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
_META_KEYS = frozenset(
    "ObjectType NDims BinaryData BinaryDataByteOrderMSB ElementByteOrderMSB CompressedData "
    "CompressedDataSize TransformMatrix Rotation Orientation Offset Position Origin "
    "CenterOfRotation AnatomicalOrientation ElementSpacing ElementSize DimSize ElementType "
    "ElementNumberOfChannels ElementDataFile Modality Comment Name ITK_InputFilterName".split()
)
_META_MATRICES = frozenset(["TransformMatrix", "Rotation", "Orientation"])
_META_PLACE = _META_MATRICES | frozenset(
    ["ElementSpacing", "ElementSize", "Offset", "Position", "Origin", "CenterOfRotation"]
)
_NRRD_FIELDS = frozenset(
    [
        "type", "dimension", "space", "space dimension", "sizes", "space directions", "kinds",
        "centers", "centerings", "endian", "encoding", "space origin", "spacings", "content",
        "measurement frame", "data file", "datafile",
    ]
)  # fmt: skip
_NUMBER = r"[+-]?[\d.]+([eE][+-]?\d+)?"
_REAL = r"\s*([+-]?[\d.]+([eE][+-]?\d+)?|nan|NaN)\s*"
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
        known: Whether every entry of the header is understood, so that ITK may read it here.
        place: All numbers that say where the voxels lie: spacing, directions, origin.
    """

    promised: int
    data: Path
    offset: int
    packed: str = ""
    length: int = 0
    head: bytes = field(default=b"", repr=False)
    known: bool = True
    place: Sequence[float] = field(default=(), repr=False)


def read_promise(path: Path) -> Contents | None:
    """What the header says; None where the format, or an entry of it, is not known here.

    Raises:
        OSError, ValueError, KeyError, IndexError, OverflowError, struct.error, zlib.error: The
            header is damaged.
    """
    name = path.name.lower()
    readers = {(".nii", ".nii.gz"): _nifti, (".mha", ".mhd"): _metaimage, (".nrrd", ".nhdr"): _nrrd}
    reader = next((r for suffixes, r in readers.items() if name.endswith(suffixes)), None)
    return None if reader is None else reader(path)


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
    place = _nifti_place(head, order, first)
    return Contents(
        promised, path, start, packed, head=head[:start] if packed else b"", place=place
    )


def _nifti_place(head: bytes, order: str, size: int) -> list[float]:
    """pixdim, and the qform and the sform where their codes are not 0; ``size`` of the header."""
    kinds, offsets = (("h", "f"), (80, 252, 256)) if size == 348 else (("i", "d"), (112, 344, 352))
    axes = struct.unpack_from(f"{order}3{kinds[1]}", head, offsets[0])
    codes = struct.unpack_from(f"{order}2{kinds[0]}", head, offsets[1])
    forms = struct.unpack_from(f"{order}18{kinds[1]}", head, offsets[2])
    return [*axes, *(forms[:6] if codes[0] else ()), *(forms[6:] if codes[1] else ())]


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
            line = file.readline(_LINE_LIMIT)
            if not line.endswith(b"\n") or file.tell() > _HEADER_LIMIT:
                return None
            key, equals, value = line.decode("ascii").partition("=")
            if not equals or key.strip() in entries:
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
    known = entries.keys() <= _META_KEYS
    place = [float(v) for key in _META_PLACE & entries.keys() for v in entries[key].split()]
    promised = math.prod(size) * channels * META_BYTES[kind]
    name = entries["ElementDataFile"]
    if name.upper() == "LOCAL":
        data = path
    elif re.search(r"[%\\]|^LIST", name, re.IGNORECASE):
        return None
    else:
        data, begin = path.parent / name, 0
    if entries.get("CompressedData", "False").lower() != "true":
        return Contents(promised, data, begin, known=known, place=place)
    length = int(entries.get("CompressedDataSize", 0))
    return Contents(promised, data, begin, "zlib", length, known=known, place=place)


def _vectors_fit(entries: dict[str, str], dimensions: int) -> bool:
    """Whether each list of numbers has as many as ITK will take from it."""
    return all(
        len(entries[key].split()) == (dimensions**2 if key in _META_MATRICES else dimensions)
        for key in _META_PLACE & entries.keys()
    )


def _nrrd(path: Path) -> Contents | None:
    """NRRD: fields up to an empty line; raw or gzip voxels in one file."""
    fields: dict[str, str] = {}
    with open(path, "rb") as file:
        if not re.match(rb"NRRD000[1-6]\s", file.readline(16)):
            return None
        while line := file.readline(_LINE_LIMIT):
            text = line.decode("utf-8").strip()
            if not text:
                break
            key, colon, value = text.partition(":")
            if not line.endswith(b"\n") or file.tell() > _HEADER_LIMIT:
                return None
            if text.startswith("#") or value.startswith("="):
                continue
            if not colon or key in fields:
                return None
            fields[key] = value.strip()
        begin = file.tell()
    size = _whole(fields["sizes"])
    if len(size) != int(fields["dimension"]) or not 1 <= len(size) <= 5 or min(size) < 1:
        return None
    if not _axes_fit(fields, len(size)):
        return None
    promised = math.prod(size) * _NRRD_BYTES[fields["type"].lower()]
    name = fields.get("data file", fields.get("datafile", ""))
    data = path.parent / name if name else path
    if name and (name.upper().startswith("LIST") or re.search(r"[%\\ ]", name)):
        return None
    begin = 0 if name else begin
    encoding, known = fields["encoding"].lower(), fields.keys() <= _NRRD_FIELDS
    packed = {"raw": "", "gzip": "gzip", "gz": "gzip"}.get(encoding)
    if packed is None:
        return None
    return Contents(promised, data, begin, packed, known=known, place=_nrrd_place(fields))


def _nrrd_place(fields: dict[str, str]) -> list[float]:
    """Of the spatial axes; NaN stands for axes without a place."""
    axes = fields.get("space directions", "") + " " + fields.get("spacings", "")
    numbers = [float(match[0]) for match in re.finditer(_NUMBER, axes)]
    origin = [float(v) for v in re.split(r"[(),\s]+", fields.get("space origin", "")) if v]
    return [*numbers, *origin]


def _axes_fit(fields: dict[str, str], dimension: int) -> bool:
    """Whether each list has an entry an axis, and each vector three numbers."""
    vector = rf"\({_REAL},{_REAL},{_REAL}\)"
    patterns = {
        "kinds": rf"[\w?-]+(\s+[\w?-]+){{{dimension - 1}}}",
        "centers": rf"[\w?-]+(\s+[\w?-]+){{{dimension - 1}}}",
        "centerings": rf"[\w?-]+(\s+[\w?-]+){{{dimension - 1}}}",
        "spacings": rf"{_REAL}(\s+{_REAL}){{{dimension - 1}}}",
        "space directions": rf"(none|{vector})(\s+(none|{vector})){{{dimension - 1}}}",
        "space origin": vector,
        "measurement frame": rf"{vector}\s+{vector}\s+{vector}",
    }
    return all(re.fullmatch(patterns[k], v) for k, v in fields.items() if k in patterns)


def _whole(text: str) -> Sequence[int]:
    return [int(word) for word in text.split()]
