"""ITK's HDF5 transform files, written piece by piece.

SimpleITK writes displacement fields in float64 only, twice the bytes of what they hold, and makes
several copies of them on the way. ITK, and with it Slicer, reads float32 as well. This is the part
of the format (HDF5 File Format Specification 3.0) that such a file needs: groups, arrays in one
piece, and strings of variable length.
"""

from __future__ import annotations

import struct
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import BinaryIO, NamedTuple

import numpy as np

_NOWHERE = 0xFFFF_FFFF_FFFF_FFFF  # HDF5's undefined address
_HEAP = 4096  # bytes of a heap of strings at least
_SUPERBLOCK = 96
_DATASPACE, _LINK_INFO, _DATATYPE, _FILL, _LINK, _LAYOUT, _GROUP_INFO = 1, 2, 3, 5, 6, 8, 10
_TYPES = {  # IEEE 754, little-endian; section IV.A.2.d
    4: struct.pack("<B3BI2H4BI", 0x11, 0x20, 31, 0, 4, 0, 32, 23, 8, 0, 23, 127),
    8: struct.pack("<B3BI2H4BI", 0x11, 0x20, 63, 0, 8, 0, 64, 52, 11, 0, 52, 1023),
}
_STRING = struct.pack("<B3BIB3BI2H", 0x19, 1, 0, 0, 16, 0x10, 0, 0, 0, 1, 0, 8)  # of bytes


class Numbers(NamedTuple):
    """A list of numbers that is handed over in pieces.

    Attributes:
        length: How many.
        dtype: ``<f4`` or ``<f8``.
        pieces: Arrays, in order.
    """

    length: int
    dtype: str
    pieces: Iterable[np.ndarray]


class StoredTransform(NamedTuple):
    """A transform as ITK stores it.

    Attributes:
        kind: ITK's name of its class, precision and dimensions.
        fixed, parameters: ITK's two lists; none of a composite.
    """

    kind: str
    fixed: Numbers | None = None
    parameters: Numbers | None = None


def numbers(values: Iterable[float]) -> Numbers:
    """A few numbers, in float64."""
    array = np.array(list(values), "<f8")
    return Numbers(len(array), "<f8", [array])


def write_itk_transforms(
    transforms: list[StoredTransform], path: Path, more: Mapping[str, str] | None = None
) -> None:
    """Write a file that ITK reads as these transforms: one, or a composite and its members.

    Args:
        transforms: Of a composite, first itself.
        path: Of the file.
        more: Texts by the names of their data sets; ITK does not look at them.
    """
    with open(path, "wb") as file:
        file.write(bytes(_SUPERBLOCK))
        members = {
            str(number): _group(
                file,
                {
                    name: _text(file, content) if isinstance(content, str) else _list(file, content)
                    for name, content in (
                        ("TransformType", transform.kind),
                        ("TransformFixedParameters", transform.fixed),
                        ("TransformParameters", transform.parameters),
                    )
                    if content is not None
                },
            )
            for number, transform in enumerate(transforms)
        }
        texts = {name: _text(file, text) for name, text in (more or {}).items()}
        root = _group(file, {"TransformGroup": _group(file, members), **texts})
        end = file.tell()
        file.seek(0)
        file.write(b"\x89HDF\r\n\x1a\n" + struct.pack("<8B2HI", 0, 0, 0, 0, 0, 8, 8, 0, 4, 16, 0))
        file.write(struct.pack("<4Q", 0, _NOWHERE, end, _NOWHERE))
        file.write(struct.pack("<2Q2I16x", 0, root, 0, 0))


def _padded(content: bytes) -> bytes:
    return content + bytes(-len(content) % 8)


def _object(file: BinaryIO, messages: list[tuple[int, bytes]]) -> int:
    """An object's header (version 1, section IV.A.1.a): its address."""
    body = b"".join(
        struct.pack("<2HB3x", kind, len(_padded(content)), 0) + _padded(content)
        for kind, content in messages
    )
    address = file.tell()
    file.write(struct.pack("<BxH2I4x", 1, len(messages), 1, len(body)) + body)
    return address


def _group(file: BinaryIO, members: dict[str, int]) -> int:
    links = [
        (_LINK, struct.pack("<3B", 1, 0, len(name)) + name.encode() + struct.pack("<Q", address))
        for name, address in members.items()
    ]
    about = (_LINK_INFO, struct.pack("<2B2Q", 0, 0, _NOWHERE, _NOWHERE))
    return _object(file, [about, (_GROUP_INFO, bytes(2)), *links])


def _dataset(file: BinaryIO, count: int, datatype: bytes, address: int, size: int) -> int:
    return _object(
        file,
        [
            (_DATASPACE, struct.pack("<3B5xQ", 1, 1, 0, count)),
            (_DATATYPE, datatype),
            (_FILL, bytes([2, 2, 2, 0])),
            (_LAYOUT, struct.pack("<2B2Q", 3, 1, address, size)),
        ],
    )


def _list(file: BinaryIO, values: Numbers) -> int:
    address, width = file.tell(), np.dtype(values.dtype).itemsize
    for piece in values.pieces:
        file.write(np.ascontiguousarray(piece, values.dtype).data)
    size = file.tell() - address
    if size != values.length * width:
        raise ValueError(f"{values.length} numbers were announced, {size} bytes came")
    file.write(bytes(-size % 8))
    return _dataset(file, values.length, _TYPES[width], address, size)


def _text(file: BinaryIO, text: str) -> int:
    """A string of variable length: it stands in a heap (section III.E), its place in the data."""
    content, heap = text.encode(), file.tell()
    entry = struct.pack("<2H4xQ", 1, 1, len(content)) + _padded(content)
    used = 16 + len(entry)
    size = max(_HEAP, used + 16)
    file.write(b"GCOL" + struct.pack("<B3xQ", 1, size) + entry)
    file.write(struct.pack("<2H4xQ", 0, 0, size - used).ljust(size - used, b"\0"))
    data = file.tell()
    file.write(struct.pack("<IQI", len(content), heap, 1))
    return _dataset(file, 1, _STRING, data, 16)
