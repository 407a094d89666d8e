"""Which series an image was read of, and whose it is, from one of its DICOM headers."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import SimpleITK as sitk

from DeepRegistrationLib.images.dicom.files import is_dicom
from DeepRegistrationLib.images.dicom.volumes import choose_volume, find_volumes

_UIDS = {"series": "0020|000e", "study": "0020|000d", "frame of reference": "0020|0052"}
_PATIENT = {
    "patient": "0010|0010",
    "patient ID": "0010|0020",
    "birth date": "0010|0030",
    "study": "0008|1030",
    "study date": "0008|0020",
    "series": "0008|103e",
}


@dataclass(frozen=True)
class DicomIdentity:
    """What a header says.

    Attributes:
        uids: By ``series``, ``study`` and ``frame of reference``.
        patient: Name, ID, birth date, study and series, as far as they are there.
    """

    uids: dict[str, str] = field(default_factory=dict)
    patient: dict[str, str] = field(default_factory=dict)


def dicom_identity(path: str | Path, series: Sequence[str] = ()) -> DicomIdentity:
    """The identity of the image that ``read_image`` reads; empty where it is no DICOM.

    Args:
        path, series: As for ``read_image``.

    Raises:
        RegistrationError: As for ``read_image``.
    """
    path = Path(path)
    if not path.is_dir() and not is_dicom(path):
        return DicomIdentity()
    reader = sitk.ImageFileReader()
    reader.SetImageIO("GDCMImageIO")
    reader.SetFileName(str(choose_volume(find_volumes(path), path, series).first.file))
    try:
        reader.ReadImageInformation()
    except RuntimeError:
        return DicomIdentity()
    return DicomIdentity(_texts(reader, _UIDS), _texts(reader, _PATIENT))


def _texts(reader: sitk.ImageFileReader, tags: dict[str, str]) -> dict[str, str]:
    known = set(reader.GetMetaDataKeys())
    found = {
        name: reader.GetMetaData(tag).strip("\x00 ") for name, tag in tags.items() if tag in known
    }
    return {name: text for name, text in found.items() if text}
