"""The image series or dose grid that a DICOM object refers to, from its headers."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from DeepRegistrationLib.errors import RegistrationError
from DeepRegistrationLib.images.dicom.files import is_dicom, load_pydicom, read_object
from DeepRegistrationLib.images.dicom.reader import stack_of
from DeepRegistrationLib.images.dicom.volumes import (
    DicomVolume,
    choose_volume,
    find_volumes,
    volumes_in,
)
from DeepRegistrationLib.images.geometry import Grid


@dataclass(frozen=True)
class Series:
    """The side of a DICOM object that belongs to one image: who, where, and its instances.

    Attributes:
        example: A data set of it, without pixels: patient and study are copied from here.
        uid: Series Instance UID.
        frame: Frame of Reference UID.
        grid: Where its voxels lie; of a tilted stack the straight grid that it is read on.
        instances: (SOP class UID, SOP instance UID) of each slice along z of the grid; one alone
            where all planes are in one object.
    """

    example: Any
    uid: str
    frame: str
    grid: Grid
    instances: tuple[tuple[str, str], ...]

    @property
    def patient(self) -> str:
        """Patient ID; empty when the series has none."""
        return str(self.example.get("PatientID", "") or "")


def read_series(path: str | Path, series: Sequence[str] = ()) -> Series:
    """The headers of an image series, or of a dose grid: the same planes that images are read of.

    Args:
        path: A folder, or a file of several frames.
        series: Which one of several (see ``choose_volume``).

    Raises:
        RegistrationError: No series, several, unevenly spaced, or without a frame of reference.
    """
    load_pydicom()
    path = Path(path)
    if not path.exists():
        raise RegistrationError(f"{path} does not exist; check the folder's name.")
    if path.is_file() and not is_dicom(path):
        raise RegistrationError(
            f"{path} is not a folder of a DICOM series; a DICOM object gets patient, study and "
            "frame of reference from there, so give the folder of the original slices."
        )
    volumes = find_volumes(path)
    if not volumes:
        raise RegistrationError(
            f"{path} holds no DICOM slices; a DICOM object gets patient, study and frame of "
            "reference from there, so give the folder of the original slices."
        )
    return _series_of(choose_volume(volumes, path, series), path)


def series_of_files(files: Sequence[str | Path]) -> Series:
    """The headers of a series whose files are known.

    Raises:
        RegistrationError: As :func:`read_series`.
    """
    load_pydicom()
    paths = [Path(file) for file in files]
    gone = next((path for path in paths if not path.is_file()), None)
    if gone is not None:
        raise RegistrationError(f"{gone} does not exist any more; import the DICOM series again.")
    folder = paths[0].parent
    return _series_of(choose_volume(volumes_in(paths), folder), folder)


def _series_of(volume: DicomVolume, path: Path) -> Series:
    if len(volume.times) > 1:
        raise RegistrationError(
            f"{path} holds {len(volume.times)} volumes of one position by {volume.order}, so no "
            "object can refer to it as one image; give a folder with the slices of one of them."
        )
    stack = stack_of(volume.times[0], path)
    first = stack.frames[0]
    frame = first.text("FrameOfReferenceUID")
    if not frame:
        raise RegistrationError(
            f"{path} has no Frame of Reference UID, so no registration can refer to it; give the "
            "original series."
        )
    instances = [(f.text("SOPClassUID"), f.text("SOPInstanceUID")) for f in stack.frames]
    if first.frames > 1:
        instances = instances[:1]
    example = read_object(first.file, pixels=False)
    grid = stack.straight_grid()
    return Series(example, first.text("SeriesInstanceUID"), frame, grid, tuple(instances))
