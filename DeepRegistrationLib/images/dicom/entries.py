"""Entries of DICOM headers as text: by pydicom, or of single slices by ITK where it is missing."""

from __future__ import annotations

import functools
import math
import struct
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import SimpleITK as sitk

from DeepRegistrationLib.errors import RegistrationError
from DeepRegistrationLib.images.dicom.files import (
    begins_as_dicom,
    is_uncompressed,
    load_pydicom,
    optional_pydicom,
)

Texts = dict[str, list[str]]
"""Header entries as text, by keyword."""

SYNTAX = "TransferSyntaxUID"

TAGS = {  # of what is read, as ITK calls them; pydicom takes the keywords
    "ImageType": "0008|0008",
    "SOPClassUID": "0008|0016",
    "SOPInstanceUID": "0008|0018",
    "AcquisitionDateTime": "0008|002a",
    "AcquisitionTime": "0008|0032",
    "ContentTime": "0008|0033",
    "Modality": "0008|0060",
    "SeriesDescription": "0008|103e",
    "SliceThickness": "0018|0050",
    "EchoTime": "0018|0081",
    "EchoNumbers": "0018|0086",
    "SpacingBetweenSlices": "0018|0088",
    "TriggerTime": "0018|1060",
    "NominalPercentageOfCardiacPhase": "0020|9241",
    "DiffusionBValue": "0018|9087",
    "SeriesInstanceUID": "0020|000e",
    "SeriesNumber": "0020|0011",
    "AcquisitionNumber": "0020|0012",
    "InstanceNumber": "0020|0013",
    "ImagePositionPatient": "0020|0032",
    "ImageOrientationPatient": "0020|0037",
    "FrameOfReferenceUID": "0020|0052",
    "TemporalPositionIdentifier": "0020|0100",
    "SamplesPerPixel": "0028|0002",
    "PhotometricInterpretation": "0028|0004",
    "NumberOfFrames": "0028|0008",
    "Rows": "0028|0010",
    "Columns": "0028|0011",
    "PixelSpacing": "0028|0030",
    "BitsAllocated": "0028|0100",
    "BitsStored": "0028|0101",
    "PixelRepresentation": "0028|0103",
    "RescaleIntercept": "0028|1052",
    "RescaleSlope": "0028|1053",
    "FrameReferenceTime": "0054|1300",
    "GridFrameOffsetVector": "3004|000c",
    "DoseGridScaling": "3004|000e",
}
_GROUPS = ("SharedFunctionalGroupsSequence", "PerFrameFunctionalGroupsSequence")
_OTHER_NAMES = {  # of functional groups, for what single slices call otherwise
    "EffectiveEchoTime": "EchoTime",
    "NominalCardiacTriggerDelayTime": "TriggerTime",
    "TemporalPositionIndex": "TemporalPositionIdentifier",
    "FrameType": "ImageType",
    "FrameAcquisitionDateTime": "AcquisitionDateTime",
    "FrameAcquisitionNumber": "AcquisitionNumber",
}
_OWN = (  # functional groups' entries that have no name among single slices
    "StackID",
    "ComplexImageComponent",
    "DiffusionGradientOrientation",
    "ReferencedSegmentNumber",
)

_BINARY = {  # of these value representations; all others are text
    "SamplesPerPixel": "H",
    "Rows": "H",
    "Columns": "H",
    "BitsAllocated": "H",
    "BitsStored": "H",
    "PixelRepresentation": "H",
    "DiffusionBValue": "d",
    "NominalPercentageOfCardiacPhase": "f",
}
_WANTED = {
    keyword: (int(tag.replace("|", ""), 16), _BINARY.get(keyword, ""))
    for keyword, tag in TAGS.items()
}


def read_entries(file: Path) -> tuple[Texts, list[Texts]]:
    """A file's entries, and for multi-frame objects those of each frame."""
    pydicom = optional_pydicom()
    if pydicom is None:
        return _header_by_itk(file), []
    wanted = _tags()
    with open(file, "rb") as opened:
        if not begins_as_dicom(opened.read(132)):
            return {}, []
        opened.seek(0)
        dataset = pydicom.dcmread(opened, stop_before_pixels=True, force=True, specific_tags=wanted)
        begin = opened.tell()  # of the element that holds the pixels
    texts = _raw_texts(dataset)
    meta = getattr(dataset, "file_meta", None)
    texts[SYNTAX] = [str(getattr(meta, "TransferSyntaxUID", ""))]
    _check_length(file, texts, file.stat().st_size - begin - 8)
    if _GROUPS[1] not in dataset:
        return texts, []
    shared: Texts = {}
    for item in dataset.get(_GROUPS[0], None) or []:
        shared |= _group(item)
    return texts, [shared | _group(item) for item in dataset[_GROUPS[1]].value]


@functools.lru_cache(maxsize=1)
def _tags() -> list[Any]:
    """What is read of a file, as pydicom's own tags: to look up keywords takes it longer."""
    tag = load_pydicom().tag.Tag
    return [tag(keyword) for keyword in (*TAGS, *_GROUPS)]


def _header_by_itk(file: Path) -> Texts:
    reader = sitk.ImageFileReader()
    reader.SetImageIO("GDCMImageIO")
    reader.SetFileName(str(file))
    try:
        reader.ReadImageInformation()
    except RuntimeError:
        return {}  # no image
    known = set(reader.GetMetaDataKeys())
    texts = {
        keyword: [part.strip() for part in reader.GetMetaData(tag).split("\\")]
        for keyword, tag in TAGS.items()
        if tag in known
    }
    if max(numbers(texts, "NumberOfFrames") or [1]) > 1:
        load_pydicom()  # ITK does not say where the frames lie
    return texts


def _raw_texts(dataset: Any) -> Texts:
    """As :func:`_texts` of all that is wanted, but several times faster: pydicom's own conversion
    to numbers would take longer than reading the files."""
    found: Texts = {}
    for keyword, (tag, binary) in _WANTED.items():
        if tag not in dataset:
            continue
        raw = dataset.get_item(tag)
        content = raw.value
        if not isinstance(content, bytes):
            found |= _texts(dataset, [keyword])
        elif binary:
            if content:
                order = "<" if raw.is_little_endian else ">"
                found[keyword] = [str(struct.unpack(order + binary, content)[0])]
        elif text := _decoded(content).strip(" \0"):
            found[keyword] = [part.strip(" \0") for part in text.split("\\")]
    return found


def _decoded(content: bytes) -> str:
    try:
        return content.decode()
    except UnicodeDecodeError:
        return content.decode("latin-1")


def _texts(dataset: Any, keywords: Iterable[str]) -> Texts:
    """Entries of a data set as text; those that are missing or empty are left out."""
    found = {}
    for keyword in keywords:
        value = dataset.get(keyword, None)
        if value is None or isinstance(value, bytes):
            continue
        several = value if isinstance(value, (list, tuple)) or hasattr(value, "append") else [value]
        texts = [str(v).strip() for v in several]
        if any(texts):
            found[keyword] = texts
    return found


def _group(item: Any) -> Texts:
    """The entries of a frame's functional groups, whatever macro they stand in."""
    found: Texts = {}
    for element in item:
        if element.VR == "SQ":
            for inner in element.value:
                found |= _group(inner)
        elif element.keyword in TAGS or element.keyword in _OTHER_NAMES or element.keyword in _OWN:
            texts = _texts(item, [element.keyword])
            for keyword, text in texts.items():
                found[_OTHER_NAMES.get(keyword, keyword)] = text
    return found


def _check_length(file: Path, texts: Texts, present: int) -> None:
    """Refuse a file that is too short for the pixels that its header promises."""
    if not is_uncompressed(texts[SYNTAX][0]):
        return
    sizes = [numbers(texts, k) for k in ("Rows", "Columns", "BitsAllocated")]
    if not all(sizes):
        return
    more = [numbers(texts, k) or [1] for k in ("NumberOfFrames", "SamplesPerPixel")]
    promised = math.prod(v[0] for v in (*sizes, *more)) // 8
    if present < promised:
        raise RegistrationError(
            f"{file} is cut short: its header promises {promised:.0f} bytes of pixels and the file "
            f"holds {max(present, 0)}; copy or download it again."
        )


def numbers(texts: Mapping[str, Sequence[str]], keyword: str) -> list[float]:
    """A header entry as numbers; empty where it is missing or holds anything else."""
    try:
        values = [float(text) for text in texts.get(keyword, [])]
    except ValueError:
        return []
    return values if all(math.isfinite(v) for v in values) else []
