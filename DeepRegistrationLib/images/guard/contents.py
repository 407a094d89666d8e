"""Whether an image file holds what its header promises: NIfTI, NRRD and MetaImage.

ITK believes headers. It reads a NIfTI file that is cut short as if it were whole, allocates what a
NRRD header asks for before it looks at the file, and compares no checksum of compressed voxels.
"""

from __future__ import annotations

import gzip
import os
import struct
import zlib
from pathlib import Path

from DeepRegistrationLib.errors import RegistrationError
from DeepRegistrationLib.images.guard.formats import Contents, read_promise
from DeepRegistrationLib.images.guard.memory import require_memory
from DeepRegistrationLib.images.guard.paths import shown

_RATIO = 1100  # deflate packs at most 1032 bytes into one
_BLOCK = 1 << 22
_FARTHEST = 1e9  # of what an image's place is given in: mm, at times micrometers
_MORE = "crop or resample the image, or close other programs"


def check_contents(path: Path) -> Contents | None:
    """Compare the header with the file and the memory, before anything is allocated.

    Returns:
        None where the format, or a layout that it allows, is not understood here: such a file is
        read in another process.

    Raises:
        RegistrationError: Fewer bytes than the header promises, or more than the memory holds; a
            place that no image has, as at some ITK computes without end.
    """
    try:
        found = read_promise(path)
        if found is not None:
            _check_length(path, found)
            _check_place(path, found)
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
            f"{shown(path.name)} is damaged: its compressed voxels do not match their checksum or "
            "length; copy or download it again."
        )


def _check_place(path: Path, contents: Contents) -> None:
    for number in contents.place:
        if not abs(number) < _FARTHEST:
            raise RegistrationError(
                f"{shown(path.name)} does not say where it lies: the spacing, the directions or "
                f"the origin in its header hold {number:g}; correct its header, or export it again."
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
