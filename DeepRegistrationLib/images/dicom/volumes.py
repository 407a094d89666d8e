"""Which volumes the DICOM files of a folder make: series, stacks in a series, frames over time."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Hashable, Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from DeepRegistrationLib.errors import RegistrationError
from DeepRegistrationLib.images.dicom.files import (
    DOSE,
    STRUCTURE_SET,
    optional_pydicom,
    regular_files,
    sop_class,
)
from DeepRegistrationLib.images.dicom.frames import DicomFrame, frames_of, is_segmentation
from DeepRegistrationLib.images.dicom.stack import places_along

_SHOWN = 12  # volumes in a list
_KINDS = (  # what may set images apart that lie at the same place
    "StackID",
    "ComplexImageComponent",
    "ImageType",
    "EchoTime",
    "EchoNumbers",
    "DiffusionBValue",
    "DiffusionGradientOrientation",
)
_TIMES = {  # what puts images of one place in order, the first that does
    "TemporalPositionIdentifier": "temporal position",
    "TriggerTime": "trigger time (ms)",
    "NominalPercentageOfCardiacPhase": "cardiac phase (%)",
    "FrameReferenceTime": "frame reference time (ms)",
    "AcquisitionNumber": "acquisition number",
    "AcquisitionDateTime": "acquisition time",
    "AcquisitionTime": "acquisition time",
    "ContentTime": "content time",
    "InstanceNumber": "instance number",
}


@dataclass(frozen=True, eq=False)
class DicomVolume:
    """One volume, or several of the same place in the order of time.

    Attributes:
        times: Frames of each time point, one at each position.
        order: What the time points are ordered by; empty where there is one.
        values: Of that at each time point.
        left_out: Localizers in the same series that are no part of it.
    """

    times: tuple[tuple[DicomFrame, ...], ...]
    order: str = ""
    values: tuple[str, ...] = ()
    left_out: int = 0

    @property
    def first(self) -> DicomFrame:
        """A frame that stands for all."""
        return self.times[0][0]

    @property
    def series(self) -> str:
        """Series Instance UID."""
        return self.first.text("SeriesInstanceUID")

    def __str__(self) -> str:
        first, size = self.first, (*self.first.size, len(self.times[0]))
        words = [first.text("Modality") or "image", " x ".join(str(n) for n in size)]
        if len(self.times) > 1:
            words.append(f"{len(self.times)} times")
        if description := first.text("SeriesDescription"):
            words.append(f'"{description[:40]}"')
        return " ".join(words)


def find_volumes(path: Path) -> list[DicomVolume]:
    """The volumes in a file, or in a folder and its sub-folders, in the order of series number.

    Dose and segmentations count only where there are no images.

    Raises:
        RegistrationError: A file is damaged, or images of one place cannot be told apart.
    """
    return volumes_in(regular_files(path))


def volumes_in(files: Iterable[Path]) -> list[DicomVolume]:
    """:func:`find_volumes` of files that are known.

    Raises:
        RegistrationError: As there.
    """
    frames = [frame for file in files for frame in frames_of(file)]
    frames = _without_copies(frames)
    images = [f for f in frames if not is_segmentation(f) and f.text("SOPClassUID") != DOSE]
    by_series: dict[str, list[DicomFrame]] = defaultdict(list)
    for frame in images or frames:
        # a series of a dose or of a segmentation may hold several, each a volume of its own
        own = "" if images else frame.text("SOPInstanceUID")
        by_series[frame.text("SeriesInstanceUID") + own].append(frame)
    found = sorted(by_series.values(), key=_series_order)
    return [volume for series in found for volume in _volumes_of(series)]


def choose_volume(
    volumes: Sequence[DicomVolume], path: Path, wanted: Sequence[str] = ()
) -> DicomVolume:
    """The one volume, or the one that was asked for.

    Args:
        volumes: Of ``path``.
        path: For messages.
        wanted: Numbers in the list from 1, Series Instance UIDs, or the ends of such.

    Raises:
        RegistrationError: There are several, and ``wanted`` does not name one of them.
    """
    if not volumes:
        contours = path.is_file() and optional_pydicom() and sop_class(path) == STRUCTURE_SET
        what = "contours (an RT Structure Set) and no image" if contours else "no DICOM series"
        raise RegistrationError(
            f"{path} holds {what}; give the folder of the slices (or a NIfTI, NRRD or MetaImage "
            "file)."
        )
    if len(volumes) == 1:
        return volumes[0]
    named = [v for n, v in enumerate(volumes, 1) if any(_is_named(n, v, w) for w in wanted)]
    if len(named) == 1:
        return named[0]
    shown = "; ".join(f"{n}: {v} (UID {v.series})" for n, v in enumerate(volumes, 1) if n <= _SHOWN)
    more = f"; and {len(volumes) - _SHOWN} more" if len(volumes) > _SHOWN else ""
    series = len({v.series for v in volumes})
    what = f"{series} DICOM series" if series > 1 else f"{len(volumes)} volumes in one DICOM series"
    said = f"; --series {' '.join(wanted)} names {len(named)} of them" if wanted else ""
    raise RegistrationError(
        f"{path} holds {what}: {shown}{more}{said}; choose one with --series, by its number here "
        "or by its UID (a number alone where one UID has several)."
    )


def _is_named(number: int, volume: DicomVolume, wanted: str) -> bool:
    wanted = wanted.strip()
    if wanted.isdigit() and len(wanted) < 4:
        return int(wanted) == number
    return bool(wanted) and volume.series.endswith(wanted)


def _without_copies(frames: list[DicomFrame]) -> list[DicomFrame]:
    """Frames without files that are the same instance, byte by byte, under another name."""
    known: dict[Hashable, DicomFrame] = {}
    kept = []
    for frame in frames:
        key = frame.text("SOPInstanceUID"), frame.number, frame.text("InstanceNumber")
        other = known.setdefault(key, frame)
        same = other is not frame and other.file != frame.file and key[0] != ""
        if same and frame.file.read_bytes() == other.file.read_bytes():
            continue
        kept.append(frame)
    return kept


def _series_order(frames: list[DicomFrame]) -> tuple[float, str, float]:
    first = frames[0]
    numbers = [frame.number_of("InstanceNumber") or 0.0 for frame in frames]
    return first.number_of("SeriesNumber") or 0.0, first.text("SeriesInstanceUID"), min(numbers)


def _volumes_of(series: list[DicomFrame]) -> list[DicomVolume]:
    """The volumes of one series: stacks apart, each with its time points."""
    stacks = _by_geometry(series)
    localizers = [s for s in stacks if _is_localizer(s)]
    if len(stacks) - len(localizers) == 1:
        stacks = [s for s in stacks if not _is_localizer(s)]
    else:
        localizers = []
    if len(stacks) > 3 and all(len(stack) == 1 for stack in stacks):
        raise RegistrationError(
            f"The {len(stacks)} images of the DICOM series {series[0].text('SeriesInstanceUID')} "
            "are not parallel or differ in size, so they do not form a volume; give a series of "
            "parallel slices."
        )
    left_out = sum(len(s) for s in localizers)
    return [replace(v, left_out=left_out) for stack in stacks for v in _time_points(stack)]


def _is_localizer(frames: list[DicomFrame]) -> bool:
    return all(
        "LOCALIZER" in frame.text("ImageType").upper() or frame.position is None
        for frame in frames
    )  # fmt: skip


def _by_geometry(frames: list[DicomFrame]) -> list[list[DicomFrame]]:
    """Frames of one size, spacing, frame of reference and orientation together."""
    groups: list[list[DicomFrame]] = []
    for frame in frames:
        for group in groups:
            if _alike(group[0], frame):
                group.append(frame)
                break
        else:
            groups.append([frame])
    return groups


def _alike(one: DicomFrame, two: DicomFrame) -> bool:
    if one.size != two.size or one.text("SamplesPerPixel") != two.text("SamplesPerPixel"):
        return False
    if one.text("FrameOfReferenceUID") != two.text("FrameOfReferenceUID"):
        return False
    for a, b, tolerance in (
        (one.axes, two.axes, 2e-3),
        (one.spacing, two.spacing, 1e-3 * min(one.spacing or (1.0,))),
    ):
        if a is b:
            continue
        if (a is None) != (b is None):
            return False
        if a is not None and b is not None:
            if np.abs(np.asarray(a) - np.asarray(b)).max() > tolerance:
                return False
    return (one.position is None) == (two.position is None)


def _time_points(stack: list[DicomFrame]) -> list[DicomVolume]:
    """Volumes of frames that lie in parallel planes."""
    if any(getattr(stack[0], name) is None for name in ("position", "axes", "spacing")):
        return [DicomVolume((tuple(stack),))]  # refused where it is read, with what is missing
    if is_segmentation(stack[0]):
        return [DicomVolume((tuple(stack),))]
    places = places_along(stack)
    if len(places) == len(stack):
        return [DicomVolume((tuple(stack),))]
    for keyword in (*_KINDS, "AcquisitionNumber"):
        if parts := _separated(stack, places, keyword):
            return [volume for part in parts for volume in _time_points(part)]
    count = len(places[0])
    if all(len(place) == count for place in places):
        for keyword, title in _TIMES.items():
            if times := _ordered(places, keyword):
                values = tuple(time[0].text(keyword) for time in times)
                return [DicomVolume(tuple(times), title, values)]
        if all(frame.frames > 1 for frame in stack):
            numbered = [sorted(place, key=lambda f: f.number) for place in places]
            return [DicomVolume(tuple(zip(*numbered, strict=True)), "frame number")]
    counts = [len(place) for place in places]
    repeated = sum(count > 1 for count in counts)
    why = (
        "nothing tells these images apart"
        if _equal(places)
        else f"not all equally often ({min(counts)} to {max(counts)} times), so images are missing"
    )
    raise RegistrationError(
        f"The DICOM series {stack[0].text('SeriesInstanceUID')} holds {len(stack)} images of "
        f"{len(places)} positions; {repeated} of these occur more than once and {why}; export one "
        "volume as a series of its own."
    )


def _separated(
    stack: list[DicomFrame], places: list[list[DicomFrame]], keyword: str
) -> list[list[DicomFrame]] | None:
    """Parts of the stack by the value of an entry, where each part makes volumes of its own.

    An acquisition number may also count the time points; then it does not separate.
    """
    parts: dict[str, list[DicomFrame]] = defaultdict(list)
    for frame in stack:
        parts[frame.text(keyword)].append(frame)
    if len(parts) < 2:
        return None
    counts = [_counts(places, part) for part in parts.values()]
    if keyword == "AcquisitionNumber":
        once = all(max(c) == 1 for c in counts)
        return list(parts.values()) if once and not _equal(places) else None
    if all(min(c) == max(c) > 0 for c in counts):
        return list(parts.values())
    if keyword == "StackID" or (not _equal(places) and all(max(c) == 1 for c in counts)):
        return list(parts.values())
    return None


def _counts(places: list[list[DicomFrame]], part: list[DicomFrame]) -> list[int]:
    """How many frames of a part lie at each place."""
    members = {id(frame) for frame in part}
    return [sum(id(frame) in members for frame in place) for place in places]


def _equal(places: list[list[DicomFrame]]) -> bool:
    return len({len(place) for place in places}) == 1


def _ordered(places: list[list[DicomFrame]], keyword: str) -> list[tuple[DicomFrame, ...]] | None:
    """Time points by an entry that differs between all frames of each place; else None."""
    ordered = []
    for place in places:
        if len({frame.text(keyword) for frame in place} - {""}) < len(place):
            return None
        ordered.append(sorted(place, key=lambda f: _sort_key(f, keyword)))
    return list(zip(*ordered, strict=True))


def _sort_key(frame: DicomFrame, keyword: str) -> tuple[float, str]:
    value = frame.number_of(keyword)
    return (value if value is not None else 0.0), frame.text(keyword)
