"""DICOM files: pydicom, loaded at the first use because it is optional, and what a file is."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from DeepRegistrationLib.errors import RegistrationError

DEFORMABLE_REGISTRATION = "1.2.840.10008.5.1.4.1.1.66.3"
SPATIAL_REGISTRATION = "1.2.840.10008.5.1.4.1.1.66.1"
STRUCTURE_SET = "1.2.840.10008.5.1.4.1.1.481.3"
DOSE = "1.2.840.10008.5.1.4.1.1.481.2"

DICOM_SUFFIX = ".dcm"


def load_pydicom() -> Any:
    """The package pydicom.

    Raises:
        RegistrationError: It is not installed.
    """
    try:
        import pydicom
    except ImportError as error:
        raise RegistrationError(
            'DICOM objects need pydicom; install it with: pip install "pydicom>=2.4"'
        ) from error
    return pydicom


def read_object(path: str | Path, *, pixels: bool = True) -> Any:
    """Read one DICOM file.

    Raises:
        RegistrationError: pydicom is missing, no such file, or not DICOM.
    """
    pydicom = load_pydicom()
    path = Path(path)
    if not path.is_file():
        raise RegistrationError(f"{path} is no file; check the name of the DICOM file.")
    try:
        return pydicom.dcmread(path, stop_before_pixels=not pixels)
    except (pydicom.errors.InvalidDicomError, OSError, EOFError) as error:
        raise RegistrationError(f"{path} cannot be read as DICOM; export it again.") from error


def sop_class(path: str | Path) -> str:
    """SOP class UID of a file; empty where it is not DICOM (told by its first 132 bytes)."""
    path = Path(path)
    if not path.is_file():
        return ""
    with open(path, "rb") as file:
        if file.read(132)[128:] != b"DICM":
            return ""
    return str(read_object(path, pixels=False).get("SOPClassUID", ""))
