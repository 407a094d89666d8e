"""DICOM files: pydicom, loaded at the first use because it is optional, and what a file is."""

from __future__ import annotations

import contextlib
import os
import stat
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from DeepRegistrationLib.errors import RegistrationError

DEFORMABLE_REGISTRATION = "1.2.840.10008.5.1.4.1.1.66.3"
SPATIAL_REGISTRATION = "1.2.840.10008.5.1.4.1.1.66.1"
STRUCTURE_SET = "1.2.840.10008.5.1.4.1.1.481.3"
DOSE = "1.2.840.10008.5.1.4.1.1.481.2"
SEGMENTATION = "1.2.840.10008.5.1.4.1.1.66.4"
LABEL_MAP_SEGMENTATION = "1.2.840.10008.5.1.4.1.1.66.7"

DICOM_SUFFIX = ".dcm"

_MOST_FILES = 100_000  # of a folder and its sub-folders
_UNCOMPRESSED = (
    "1.2.840.10008.1.2",
    "1.2.840.10008.1.2.1",
    "1.2.840.10008.1.2.2",
)


def load_pydicom() -> Any:
    """The package pydicom.

    Raises:
        RegistrationError: It is not installed.
    """
    pydicom = optional_pydicom()
    if pydicom is None:
        raise RegistrationError(
            'DICOM objects need pydicom; install it with: pip install "pydicom>=2.4"'
        )
    return pydicom


def optional_pydicom() -> Any:
    """The package pydicom, or None where it is not installed."""
    try:
        import pydicom
    except ImportError:
        return None
    return pydicom


def read_object(path: str | Path, *, pixels: bool = True) -> Any:
    """Read one DICOM file.

    Raises:
        RegistrationError: pydicom is missing, no such file, not DICOM, or damaged.
    """
    pydicom = load_pydicom()
    path = Path(path)
    if not path.is_file():
        raise RegistrationError(f"{path} is not a file; check the name of the DICOM file.")
    try:
        return pydicom.dcmread(path, stop_before_pixels=not pixels, force=is_dicom(path))
    except Exception as error:  # noqa: BLE001 - a damaged file makes pydicom raise anything
        raise RegistrationError(f"{path} cannot be read as DICOM; export it again.") from error


def is_dicom(path: str | Path) -> bool:
    """Whether a file begins as DICOM does: with its prefix, or (before 1993) with group 8."""
    path = Path(path)
    try:
        if not stat.S_ISREG(path.stat().st_mode):
            return False
        with open(path, "rb") as file:
            head = file.read(132)
    except OSError:
        return False
    return begins_as_dicom(head)


def begins_as_dicom(head: bytes) -> bool:
    """:func:`is_dicom` of the first 132 bytes."""
    return head[128:] == b"DICM" or (head[:2] == b"\x08\x00" and head[3:4] == b"\x00")


def sop_class(path: str | Path) -> str:
    """SOP class UID of a file; empty where it is not DICOM."""
    if not is_dicom(path):
        return ""
    return str(read_object(path, pixels=False).get("SOPClassUID", ""))


def regular_files(path: Path) -> Iterator[Path]:
    """The regular files of a folder and its sub-folders, by name; of a file, itself.

    Links to folders are not followed.

    Raises:
        RegistrationError: There are far more files than an image has.
    """
    if path.is_file():
        yield path
        return
    seen = 0
    for folder, folders, names in os.walk(path):
        folders.sort()
        seen += len(names)
        if seen > _MOST_FILES:
            raise RegistrationError(
                f"{path} and its sub-folders hold more than {_MOST_FILES} files; give the folder "
                "of one series."
            )
        for name in sorted(names):
            file = Path(folder) / name
            with contextlib.suppress(OSError):
                if stat.S_ISREG(file.stat().st_mode):  # to open a pipe would wait for ever
                    yield file


def is_image_class(uid: str) -> bool:
    """Whether a SOP class is one of images, by the standard's name of it."""
    pydicom = optional_pydicom()
    return pydicom is not None and pydicom.uid.UID(uid).name.endswith("Image Storage")


def is_uncompressed(transfer_syntax: str) -> bool:
    """Whether pixels are stored as they are, so that their length is known."""
    return transfer_syntax in _UNCOMPRESSED
