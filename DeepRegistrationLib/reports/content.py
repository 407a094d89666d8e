"""What a report of a registration says, as plain data; nothing here loads PyTorch or vtk."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from DeepRegistrationLib.reports.decision import Decision
from DeepRegistrationLib.reports.identity import (
    ImageIdentity,
    TransformIdentity,
    subject_checksum,
)
from DeepRegistrationLib.reports.verdict import Verdict


@dataclass(frozen=True)
class Picture:
    """A PNG file's bytes, and what is to be seen."""

    title: str
    png: bytes
    caption: str = ""


@dataclass(frozen=True)
class FunctionPart:
    """What was measured of an organ's function by the transform.

    Attributes:
        title: ``Ventilation`` or ``Heart strain``.
        notes: Sentences: what was found, and how far to trust it.
        head, rows, caption: A table; without rows there is none.
        pictures: Shown above it.
        plots: SVG by its caption, shown above it too.
    """

    title: str
    notes: Sequence[str]
    head: Sequence[str] = ()
    rows: Sequence[Sequence[str]] = ()
    caption: str = ""
    pictures: Sequence[Picture] = ()
    plots: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, eq=False)
class LandmarkErrors:
    """Errors of landmark pairs, a row each, in mm; NaN where unknown.

    Attributes:
        labels: Of the landmarks, as their lists have them; "" for one without.
        before, after, snapped: [n].
        residual: T(fixed) - moving, LPS: [n, 3].
        counted: Which rows the statistics are of: bool [n].
        statistics: See :func:`DeepRegistrationLib.evaluation.landmarks.paired_errors`.
        drove: Which drove the deformation, and so are not counted: bool [n]; None for none.
        left_out: Of these, the error when each is left out, where measured: [n].
    """

    labels: Sequence[str]
    before: np.ndarray
    after: np.ndarray
    snapped: np.ndarray
    residual: np.ndarray
    counted: np.ndarray
    statistics: Mapping[str, Any]
    drove: np.ndarray | None = None
    left_out: np.ndarray | None = None

    @property
    def registered(self) -> bool:
        """Whether errors after the registration are known."""
        return self.statistics["after"] is not None

    def names(self) -> list[str]:
        """What to call each: its label, or its row's number."""
        return [label or str(row) for row, label in enumerate(self.labels, start=1)]


@dataclass(frozen=True, eq=False)
class ReportContent:
    """What the page shows; what is empty is left out.

    Attributes:
        images: ``fixed`` and ``moving``: which ones.
        transform: Which one is judged.
        date: When, ISO 8601.
        decision: That of a person, of now or of earlier.
        verdict: The registration in words.
        landmarks: Errors at landmarks.
        quality: What :func:`DeepRegistrationLib.evaluation.quality.measure_quality` gave.
        provenance: ``method``, ``quality``, ``parameters``, ``device``, ``seed`` and so on.
        weights: Of the networks that were used: SHA-256 by name.
        seconds: By stage.
        versions: Of the programs.
        notes: Sentences.
        pictures: Shown in this order.
        no_pictures: Why there are none.
        function: Of the organ, where it was measured by this transform.
    """

    images: Mapping[str, ImageIdentity] = field(default_factory=dict)
    transform: TransformIdentity | None = None
    date: str = ""
    decision: Decision | None = None
    verdict: Verdict | None = None
    landmarks: LandmarkErrors | None = None
    quality: Mapping[str, Any] = field(default_factory=dict)
    provenance: Mapping[str, Any] = field(default_factory=dict)
    weights: Mapping[str, Any] = field(default_factory=dict)
    seconds: Mapping[str, float] = field(default_factory=dict)
    versions: Mapping[str, str] = field(default_factory=dict)
    notes: Sequence[str] = ()
    pictures: Sequence[Picture] = ()
    no_pictures: str = ""
    function: Sequence[FunctionPart] = ()

    @property
    def subject(self) -> str:
        """What a decision on this page is about; "" where it is not known."""
        if self.transform is None or set(self.images) != {"fixed", "moving"}:
            return ""
        return subject_checksum(self.images["fixed"], self.images["moving"], self.transform)
