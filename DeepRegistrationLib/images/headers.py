"""What image readers repair or overlook without a word: bad spacing, NaN, files cut short.

ITK turns a negative spacing into a flipped axis, a zero spacing of a NIfTI file into 1 mm and its
NaN into 0, and reads a NIfTI file that ends too early as if it were whole. Here the header is read
for itself.
"""

from __future__ import annotations

import contextlib
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
from DeepRegistrationLib.images import nifti, nrrd
from DeepRegistrationLib.images.geometry import Grid
from DeepRegistrationLib.images.guard.compression import GZIP, check_packing, open_unpacked
from DeepRegistrationLib.images.guard.formats import META_BYTES
from DeepRegistrationLib.images.nifti import data_file, read_nifti_header
from DeepRegistrationLib.images.nrrd import read_nrrd_header

_UNREADABLE = (OSError, EOFError, ValueError, KeyError, IndexError, struct.error, zlib.error)


@dataclass(frozen=True)
class _Header:
    """What a file's header says, and how many bytes of voxels follow it.

    Attributes:
        spacing: As written, mm.
        promised: Bytes of voxels by the header; 0 where it cannot be told.
        present: Bytes of voxels in the file.
        size: Voxels along x, y, z ...
        kind: Voxel type where NaN has to be looked for here, as the reader hides it.
        offset: Bytes before the voxels.
        data: The file of the voxels, where it is another one.
    """

    spacing: Sequence[float] = ()
    promised: int = 0
    present: int = 0
    size: Sequence[int] = ()
    kind: str = ""
    offset: int = 0
    data: Path | None = None


def check_header(path: Path) -> None:
    """Refuse a file with bad geometry, with too few voxels, or (NIfTI) with NaN or infinity.

    Formats: NIfTI (.nii, .nii.gz, .hdr and .img), MetaImage (.mha, .mhd), NRRD (.nrrd, .nhdr); any
    other file, or a header that makes no sense, is left to the reader.

    Raises:
        RegistrationError: A name that hides compression; zero, negative or not finite spacing;
            sheared axes (NIfTI); fewer bytes than the header says, or voxels that begin before the
            file (ITK then takes its last bytes); voxels that are not finite in a NIfTI file (ITK's
            reader turns them into 0).
    """
    if is_nifti(path):
        check_packing(path)
        with contextlib.suppress(*_UNREADABLE):
            nifti.check_geometry(read_nifti_header(path), path.name)
    header = _inspect(path)
    if not all(math.isfinite(s) and s > 0 for s in header.spacing):
        shown = " x ".join(f"{s:g}" for s in header.spacing)
        raise RegistrationError(
            f"{path.name} has a voxel spacing of {shown} mm, which is not positive; correct the "
            "image's header."
        )
    if header.offset < 0:
        raise RegistrationError(
            f"{path.name} does not say where its voxels begin (its vox_offset lies outside the "
            "file); correct its header, or export it again."
        )
    if header.present < header.promised:
        raise RegistrationError(
            f"{path.name} is cut short: its header promises {header.promised} bytes of voxels and "
            f"the file holds {max(header.present, 0)}; copy or download it again."
        )
    if header.kind:
        _check_finite(header.data or path, header)


def is_nifti(path: Path) -> bool:
    """Whether a file is NIfTI or Analyze by its name."""
    return path.name.lower().endswith(nifti.SUFFIXES)


def meant_geometry(path: Path, grid: Grid) -> tuple[Grid, list[str]]:
    """The grid that a file's header means, given the one that ITK read, and notes about it.

    Raises:
        RegistrationError: The header contradicts itself so that no grid can be trusted.
    """
    try:
        if is_nifti(path):
            header = nifti.read_nifti_header(path)
            return nifti.read_geometry(header, path.name, grid)
        if path.name.lower().endswith(nrrd.SUFFIXES):
            return nrrd.read_geometry(read_nrrd_header(path), path.name, grid)
    except _UNREADABLE:
        pass  # ITK read it all the same
    return grid, []


def why_unreadable(path: Path) -> str:
    """What a header or a damaged file explains of ITK's refusal; empty where it says nothing."""
    try:
        if is_nifti(path):
            if nifti.read_nifti_header(path).version == 2:
                return (
                    "it is a NIfTI-2 file, which ITK and Slicer do not read; convert it to NIfTI-1"
                )
            with open_unpacked(data_file(path)) as file:
                while file.read(1 << 22):
                    pass
    except (zlib.error, gzip.BadGzipFile, EOFError):
        return "its compressed data are damaged; copy or download it again"
    except _UNREADABLE:
        pass
    return ""


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
        if name.endswith(nifti.SUFFIXES):
            return _nifti(path)
        if name.endswith((".mha", ".mhd")):
            return _metaimage(path)
        if name.endswith(nrrd.SUFFIXES):
            return _Header(read_nrrd_header(path).spacing)  # ITK refuses one that is cut short
    except _UNREADABLE:
        pass  # the reader will say what is wrong
    return _Header()


def _check_finite(path: Path, header: _Header) -> None:
    """Look for NaN and infinity in the voxels of a NIfTI file, block by block."""
    kind = np.dtype(header.kind)
    count, before, first = 0, 0, (0.0, 0)
    with open_unpacked(path) as file:
        file.read(header.offset)
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
        shape = (*header.size[:3], math.prod(header.size[3:]))
        index = [int(i) for i in np.unravel_index(first[1], shape, order="F")]
        raise not_finite(path.name, count, first[0], index[: 3 if shape[3] == 1 else 4])


def _nifti(path: Path) -> _Header:
    """NIfTI-1 and -2, and Analyze."""
    header = read_nifti_header(path)
    data = data_file(path)
    promised = math.prod(header.size) * header.bits // 8
    with open(data, "rb") as file:
        packed = file.read(2) == GZIP
    unpacked = _unpacked_size(data, header.offset + promised) if packed else data.stat().st_size
    present = unpacked - header.offset
    return _Header(header.pixdim, promised, present, header.size, header.kind, header.offset, data)


def _unpacked_size(path: Path, expected: int) -> int:
    """Size of a gzip file's content: from its trailer, or by unpacking where that disagrees."""
    with open(path, "rb") as file:
        file.seek(-4, os.SEEK_END)
        if struct.unpack("<I", file.read(4))[0] == expected % 2**32:
            return expected
    total = 0
    try:
        with gzip.open(path) as file:
            while block := file.read1(1 << 22):
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
        promised = voxels * channels * META_BYTES[kind]
    return _Header(spacing, promised, present)
