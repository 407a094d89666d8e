"""Values of the planes of DICOM objects, with each one's own rescale."""

from __future__ import annotations

import tempfile
from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import SimpleITK as sitk

from DeepRegistrationLib.errors import RegistrationError
from DeepRegistrationLib.images.dicom.entries import SYNTAX
from DeepRegistrationLib.images.dicom.files import is_uncompressed, load_pydicom, read_object
from DeepRegistrationLib.images.dicom.frames import DicomFrame
from DeepRegistrationLib.images.guard.itk import Unreadable, read_itk_image
from DeepRegistrationLib.images.guard.itk_warnings import quiet_itk

_STORAGE = ("BitsAllocated", "BitsStored", "PixelRepresentation", "PhotometricInterpretation")
_WORDS = "1.2.840.10008.5.1.4.1.1.7.3"  # Multi-frame Grayscale Word Secondary Capture


def read_values(frames: Sequence[DicomFrame]) -> np.ndarray:
    """Real values of planes of one size, in their order: [z, y, x].

    Whole numbers where the rescale of all planes is one of whole numbers, else float32.

    Raises:
        RegistrationError: Pixels that cannot be decoded, color, or planes of different files that
            do not belong together.
    """
    if frames[0].text("SamplesPerPixel") not in ("", "1"):
        raise RegistrationError(
            f"{frames[0].file.name} is a color image; give a series of scalar slices."
        )
    inverted = any(frame.text("PhotometricInterpretation") == "MONOCHROME1" for frame in frames)
    if inverted or any(frame.frames > 1 for frame in frames):
        return _from_objects(frames)  # ITK would invert what is only to be shown inverted
    uncompressed = all(is_uncompressed(frame.text(SYNTAX)) for frame in frames)
    # a damaged stream can crash the decoder, so those are read in a process of its own
    read = _read_here if uncompressed else read_itk_image
    kinds = {(frame.slope, frame.intercept, *(frame.text(k) for k in _STORAGE)) for frame in frames}
    files = [str(frame.file) for frame in frames]
    try:
        if len(kinds) == 1:  # ITK takes the first slice's type and rescale for all
            values = sitk.GetArrayFromImage(read(files))
            if values.dtype == np.float64:
                values = values.astype(np.float32)
        else:
            planes = [sitk.GetArrayFromImage(read([f])) for f in files]
            values = _joined([plane.reshape(plane.shape[-2:]) for plane in planes])
    except (RuntimeError, Unreadable) as error:
        raise RegistrationError(
            f"The pixels of {frames[0].file.parent} cannot be decoded; export the series again, "
            "uncompressed."
        ) from error
    return values.reshape(len(frames), *values.shape[-2:])


def _read_here(files: list[str]) -> sitk.Image:
    with quiet_itk():
        return sitk.ReadImage(files, imageIO="GDCMImageIO")


def _joined(planes: list[np.ndarray]) -> np.ndarray:
    """Planes of different types as one array that holds them all."""
    kind = np.result_type(*planes)
    if kind.kind == "f":
        kind = np.dtype(np.float32)
    return np.stack([plane.astype(kind) for plane in planes])


def _from_objects(frames: Sequence[DicomFrame]) -> np.ndarray:
    """Planes of multi-frame objects."""
    rescale = {(frame.slope, frame.intercept) for frame in frames}
    whole = all(float(v).is_integer() for pair in rescale for v in pair)
    stored = _stored(frames)
    if whole:
        limits = [abs(int(stored.min())), abs(int(stored.max()))]
        largest = max(abs(s) * max(limits) + abs(i) for s, i in rescale)
        kind = np.dtype(np.int32 if largest < 2**31 else np.int64)
    else:
        kind = np.dtype(np.float32)
    if rescale == {(1.0, 0.0)}:
        return stored
    values = np.empty(stored.shape, kind)
    for k, frame in enumerate(frames):
        values[k] = stored[k].astype(np.float64) * frame.slope + frame.intercept
    return values


def _stored(frames: Sequence[DicomFrame]) -> np.ndarray:
    """Stored numbers of the planes, without rescale."""
    wanted: dict[Path, list[int]] = defaultdict(list)
    for k, frame in enumerate(frames):
        wanted[frame.file].append(k)
    result: np.ndarray | None = None
    for file, places in wanted.items():
        numbers = [frames[k].number for k in places]
        array = stored_values(read_object(file), file)[numbers]
        if result is None:
            result = np.empty((len(frames), *array.shape[1:]), array.dtype)
        if result.shape[1:] != array.shape[1:]:
            raise RegistrationError(f"{file} has frames of a different size from the other files.")
        result[places] = array
    assert result is not None
    return result


def stored_values(dataset: Any, file: Path) -> np.ndarray:
    """The stored numbers of a data set, as they are: [frames, y, x].

    Raises:
        RegistrationError: They cannot be decoded.
    """
    try:
        syntax = str(dataset.file_meta.TransferSyntaxUID)
        if is_uncompressed(syntax) or int(dataset.BitsAllocated) == 1:
            array = dataset.pixel_array
        else:
            array = _decompressed(dataset)
        return np.asarray(array).reshape(-1, int(dataset.Rows), int(dataset.Columns))
    except Exception as error:  # noqa: BLE001 - a damaged file makes pydicom raise anything
        raise RegistrationError(
            f"The values of {file.name} cannot be decoded; export it again, uncompressed."
        ) from error


def _decompressed(dataset: Any) -> np.ndarray:
    """Compressed pixels by ITK, from a copy without the rescale that ITK would apply."""
    pydicom = load_pydicom()
    copy = pydicom.Dataset()
    for keyword in (
        "NumberOfFrames", "SamplesPerPixel", "PhotometricInterpretation", "Rows", "Columns",
        "BitsAllocated", "BitsStored", "HighBit", "PixelRepresentation", "PixelData",
    ):  # fmt: skip
        if keyword in dataset:
            copy[keyword] = dataset[keyword]
    copy.PhotometricInterpretation = "MONOCHROME2"
    copy.SOPClassUID, copy.SOPInstanceUID = _WORDS, pydicom.uid.generate_uid()
    copy.file_meta = pydicom.dataset.FileMetaDataset()
    copy.file_meta.MediaStorageSOPClassUID = copy.SOPClassUID
    copy.file_meta.MediaStorageSOPInstanceUID = copy.SOPInstanceUID
    copy.file_meta.TransferSyntaxUID = dataset.file_meta.TransferSyntaxUID
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "stored.dcm"
        if int(pydicom.__version__.split(".")[0]) >= 3:
            copy.save_as(path, enforce_file_format=True)
        else:
            copy.is_little_endian, copy.is_implicit_VR = True, False
            copy.save_as(path, write_like_original=False)
        return sitk.GetArrayFromImage(read_itk_image(path))
