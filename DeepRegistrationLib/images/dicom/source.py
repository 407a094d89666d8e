"""Which image something belongs to, by DICOM's identifiers, and whether it is the one meant."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any

from DeepRegistrationLib.errors import RegistrationError


@dataclass(frozen=True)
class Source:
    """The series and the frame of reference of an image, or of what was drawn on one.

    Attributes:
        series: Series Instance UIDs; none where they are not known.
        frames: Frame of Reference UIDs.
    """

    series: frozenset[str] = frozenset()
    frames: frozenset[str] = frozenset()


UNKNOWN = Source()


def source_of(series: Iterable[str], frames: Iterable[str]) -> Source:
    """Of UIDs, some of them perhaps empty."""
    return Source(*(frozenset(filter(None, uids)) for uids in (series, frames)))


def drawn_on(dataset: Any) -> Source:
    """What the headers of an RT Structure Set or of a segmentation refer to."""
    return source_of(_series(dataset), _frames(dataset))


def _series(dataset: Any) -> Iterator[str]:
    found = list(dataset.get("ReferencedSeriesSequence", None) or [])
    for frame in dataset.get("ReferencedFrameOfReferenceSequence", None) or []:
        for study in frame.get("RTReferencedStudySequence", None) or []:
            found += study.get("RTReferencedSeriesSequence", None) or []
    return (str(item.get("SeriesInstanceUID", "") or "") for item in found)


def _frames(dataset: Any) -> Iterator[str]:
    yield str(dataset.get("FrameOfReferenceUID", "") or "")
    for item in dataset.get("ReferencedFrameOfReferenceSequence", None) or []:
        yield str(item.get("FrameOfReferenceUID", "") or "")
    for roi in dataset.get("StructureSetROISequence", None) or []:
        yield str(roi.get("ReferencedFrameOfReferenceUID", "") or "")


def other_image(name: str, side: str, drawn: Source, own: Source, other: Source) -> list[str]:
    """A sentence where structures were drawn on another image than the one that they are given for.

    Args:
        name: Of the structures' file.
        side: Of the image that they are given for: ``fixed`` or ``moving``.
        drawn: What they refer to.
        own, other: That image, and the other one of the pair.

    Raises:
        RegistrationError: They were drawn on the other one.
    """
    if drawn.series & (other.series - own.series) and not drawn.series & own.series:
        opposite = "moving" if side == "fixed" else "fixed"
        raise RegistrationError(
            f"{name} was drawn on the {opposite} image, but is given for the {side} one; exchange "
            "the two segmentations, or give those of the right image."
        )
    if drawn.frames and own.frames and not drawn.frames & own.frames:
        return [
            f"Warning: {name} has another frame of reference than the {side} image, so it may "
            "belong to another scan or patient; check that it lies where it should."
        ]
    if drawn.series and own.series and not drawn.series & own.series:
        return [
            f"{name} was drawn on another series than the {side} image, in the same frame of "
            "reference; check that both show the same state, such as one phase of the breath."
        ]
    return []
