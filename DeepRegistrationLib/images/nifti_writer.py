"""Compressed NIfTI files in two thirds of the time: ITK's header, and zlib at its fastest level.

ITK compresses NIfTI at one level only, and slowly.
"""

from __future__ import annotations

import struct
import zlib
from pathlib import Path
from tempfile import TemporaryDirectory

import SimpleITK as sitk

_LEVEL = 1  # of zlib: files of CT become 4 % larger than by ITK
_LARGEST = 32767  # voxels along an axis, in a header of version 1
_HEADER = 352  # bytes of it, with its four of extensions, of which there are none


def suits(image: sitk.Image, path: Path) -> bool:
    """Whether :func:`write_nifti` writes this image to this file."""
    scalar = image.GetDimension() == 3 and image.GetNumberOfComponentsPerPixel() == 1
    small = max(image.GetSize()) <= _LARGEST
    return path.name.lower().endswith(".nii.gz") and scalar and small


def write_nifti(image: sitk.Image, path: Path, scale: float = 1.0) -> None:
    """Write a scalar volume as a compressed NIfTI file.

    Args:
        scale: Who reads the file multiplies the values with it (the header's scl_slope).

    Raises:
        OSError: The file cannot be written.
        RuntimeError: ITK cannot write such voxels.
    """
    header = _header(image, scale)
    packer = zlib.compressobj(_LEVEL, zlib.DEFLATED, 31)
    with open(path, "wb") as file:
        file.write(packer.compress(header))
        for plane in sitk.GetArrayViewFromImage(image):
            file.write(packer.compress(plane))
        file.write(packer.flush())


def _header(image: sitk.Image, scale: float) -> bytes:
    """The header as ITK writes it, for one voxel of the image, with its size and scale in it."""
    voxel = sitk.RegionOfInterest(image, (1, 1, 1), (0, 0, 0))
    with TemporaryDirectory() as folder:
        file = Path(folder) / "voxel.nii"
        sitk.WriteImage(voxel, str(file))
        header = bytearray(file.read_bytes()[:_HEADER])
    struct.pack_into("=3h", header, 42, *image.GetSize())
    if scale != 1:
        struct.pack_into("=2f", header, 112, scale, 0.0)
    return bytes(header)
