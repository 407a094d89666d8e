"""The HTML report of a registration from the scene: errors, pictures, versions, and no patient.

Nothing that identifies a patient gets into the page unless the user asks for it: volumes are
called the fixed and the moving image, names of nodes are taken out of the texts, and a landmark
whose label holds a word of such a name has its row's number instead. UIDs and names of segments
and parameters stay.
"""

from __future__ import annotations

import platform
from collections.abc import Generator, Mapping, Sequence
from dataclasses import dataclass, replace
from importlib import metadata
from itertools import count
from pathlib import Path
from typing import Any

import numpy as np
import slicer
import vtk

from DeepRegistrationLib import __version__
from DeepRegistrationLib.images.geometry import largest_voxel
from DeepRegistrationLib.reports.content import (
    FunctionPart,
    LandmarkErrors,
    Picture,
    ReportContent,
)
from DeepRegistrationLib.reports.decision import now
from DeepRegistrationLib.reports.function_parts import VENTILATION
from DeepRegistrationLib.reports.html_report import write_html
from DeepRegistrationLib.reports.verdict import Verdict, verdict
from DeepRegistrationLib.reports.worst_places import WorstPlace, worst_places
from DeepRegistrationLib.scene.landmarks.driving_record import caution_about
from DeepRegistrationLib.scene.landmarks.state import LandmarkState
from DeepRegistrationLib.scene.nodes.function_records import function_of
from DeepRegistrationLib.scene.nodes.provenance import decision_about, made_of
from DeepRegistrationLib.scene.nodes.volumes import exhausted
from DeepRegistrationLib.scene.report.identity import (
    Subject,
    names_a_patient,
    patient_words,
    subject_of,
)
from DeepRegistrationLib.scene.report.page_pictures import PagePictures, PictureInSteps
from DeepRegistrationLib.scene.views.offscreen_views import rendering_problem

_PACKAGES = ("numpy", "SimpleITK", "torch", "itk-elastix")
_HASHING = 0.1  # of the progress: the checksums
_HALF_WAY = 12  # steps after which a picture counts as half done


def write_report(path: str | Path, fixed, moving, transform, **options: Any) -> None:
    """:func:`drawn_report`, all steps at once, as one HTML page; an earlier one is replaced.

    Raises:
        RegistrationError: The page cannot be written.
    """
    write_html(exhausted(drawn_report(fixed, moving, transform, **options)), path)


def drawn_report(
    fixed,
    moving,
    transform,
    *,
    landmarks: LandmarkState | None = None,
    jacobian=None,
    no_jacobian: str = "",
    quality: Mapping[str, Any] | None = None,
    notes: Sequence[str] = (),
    identified: bool = False,
    places: Sequence[WorstPlace] | None = None,
) -> Generator[float, None, ReportContent]:
    """What the report of a transform says, with its pictures.

    Everything is taken from the scene at once; the scene itself takes no part in the steps and
    stays as it is.

    Args:
        fixed, moving: Volume nodes.
        transform: Transform node; the moving volume placed under it appears registered.
        landmarks: From :class:`LiveLandmarks`.
        jacobian: Volume node of the Jacobian determinant, for its picture.
        no_jacobian: Why there is none; a sentence for the page.
        quality: What :func:`DeepRegistrationLib.evaluation.quality.measure_quality` gave; looked
            at in the first step, so that it may be filled in until then.
        notes: Of the registration.
        identified: The user wants names and patient data in the report.
        places: To be pictured, may be filled in until the first step; the worst ones when omitted.

    Returns:
        Steps of some 0.1 s at most, which yield the fraction done.

    Raises:
        RegistrationError: A node without voxels, or of the wrong kind.
    """
    subject = subject_of(fixed, moving, transform, identified=identified)
    text = _Texts(fixed, moving, identified)
    hidden = set() if identified else patient_words(fixed, moving)
    errors = None if landmarks is None else _errors(landmarks, hidden)
    doubts = [caution_about(transform), no_jacobian if jacobian is None else ""]
    notes = [*notes, *filter(None, doubts)]
    content = _content(transform, errors, [text(note) for note in notes])
    problem = rendering_problem()
    drawing = None
    if problem is None:
        drawing = PagePictures(fixed, moving, transform, jacobian, landmarks)
    judge = _Judge(errors, landmarks, largest_voxel(fixed.GetSpacing(), moving.GetSpacing()), text)
    function = [(of, text.part(part)) for of, part in function_of(transform)]
    return _drawn(
        replace(content, no_pictures=problem or ""),
        subject,
        judge,
        quality,
        drawing,
        places,
        function,
    )


def places_in_scene(
    fixed, moving, landmarks: LandmarkState | None, quality: Mapping[str, Any], identified: bool
) -> list[WorstPlace]:
    """Where a transform looks worst, by its measures and the errors at landmarks."""
    if landmarks is None:
        return worst_places(quality)
    hidden = set() if identified else patient_words(fixed, moving)
    return worst_places(quality, _errors(landmarks, hidden), landmarks.fixed)


def _drawn(
    content: ReportContent,
    subject: Subject,
    judge: _Judge,
    quality: Mapping[str, Any] | None,
    drawing: PagePictures | None,
    places: Sequence[WorstPlace] | None,
    function: Sequence[tuple[str, FunctionPart]],
) -> Generator[float, None, ReportContent]:
    images, identity = yield from _paced(subject.hashing(), 0.0, _HASHING)
    measured = dict(quality or {})
    content = replace(
        content,
        images=images,
        transform=identity,
        quality=measured,
        verdict=judge.verdict(measured),
    )
    parts = [part for of, part in function if of == content.subject]  # of nothing else
    content = replace(content, function=parts)
    if drawing is None:
        return content
    if places is None:
        places = worst_places(measured, content.landmarks, judge.points)
    shown = drawing.ventilation if any(p.title == VENTILATION for p in parts) else None
    makers = drawing.all(places)
    pictures = yield from _pictures([*makers, *([shown] if shown is not None else [])])
    own = pictures[len(makers) :]
    parts = [replace(p, pictures=own) if p.title == VENTILATION else p for p in parts]
    return replace(content, pictures=pictures[: len(makers)], function=parts)


def _pictures(makers: Sequence[PictureInSteps]) -> Generator[float, None, list[Picture]]:
    made, share = [], (1 - _HASHING) / len(makers)
    for k, maker in enumerate(makers):
        made.append((yield from _paced(maker.steps(), _HASHING + k * share, share)))
    return made


def _paced(
    steps: Generator[None, None, Any], begin: float, share: float
) -> Generator[float, None, Any]:
    """Steps of unknown number, with a fraction done that nears the end of their share."""
    for turn in count(1):
        try:
            next(steps)
        except StopIteration as end:
            return end.value
        yield begin + share * turn / (turn + _HALF_WAY)


def _content(transform, errors: LandmarkErrors | None, notes: Sequence[str]) -> ReportContent:
    """What the page says that needs no time: nothing of images, measures and pictures."""
    made = made_of(transform)
    made.pop("lungs", None)  # the verdict says it
    versions, seconds = _versions(), made.pop("seconds", None) or {}
    for name in ("deepregistration", "torch"):  # of the process that computed
        versions.update({name: made.pop(name)} if name in made else {})
    return ReportContent(
        date=now(),
        decision=decision_about(transform),
        landmarks=errors,
        weights=made.pop("weights", None) or {},
        provenance=made,
        seconds=seconds,
        versions=versions,
        notes=notes,
    )


def _errors(state: LandmarkState, hidden: set[str]) -> LandmarkErrors | None:
    if state.statistics is None:
        return None
    return LandmarkErrors(
        labels=["" if names_a_patient(label, hidden) else label for label in state.labels],
        before=state.before,
        after=state.after,
        snapped=state.snapped,
        residual=state.residual,
        counted=state.counted,
        statistics=state.statistics,
        drove=state.marks.drove,
        left_out=state.marks.left_out,
    )


class _Texts:
    """Takes the names of the volumes out of sentences, unless they are wanted."""

    def __init__(self, fixed, moving, identified: bool) -> None:
        names = {fixed.GetName(): "the fixed image", moving.GetName(): "the moving image"}
        longest = sorted(filter(None, names), key=len, reverse=True)
        self._names = {} if identified else {name: names[name] for name in longest}

    def __call__(self, text: str) -> str:
        for name, stand_in in self._names.items():
            text = text.replace(repr(name), stand_in).replace(name, stand_in)
        return text

    def part(self, value: FunctionPart) -> FunctionPart:
        return replace(value, notes=[self(note) for note in value.notes])

    def verdict(self, value: Verdict) -> Verdict:
        findings = tuple(replace(finding, text=self(finding.text)) for finding in value.findings)
        return replace(value, headline=self(value.headline), findings=findings)


@dataclass(frozen=True, eq=False)
class _Judge:
    """What the verdict needs besides measures."""

    errors: LandmarkErrors | None
    state: LandmarkState | None
    voxel: float | None
    text: _Texts

    @property
    def points(self) -> np.ndarray:
        """The landmarks in the fixed image, LPS mm."""
        return np.empty((0, 3)) if self.state is None else self.state.fixed

    def verdict(self, quality: dict[str, Any]) -> Verdict:
        """The verdict in the page's words."""
        state, errors = self.state, self.errors
        left_out = () if state is None else state.marks.left_out[state.fitted].tolist()
        if errors is None or not errors.registered:
            return self.text.verdict(verdict(quality, left_out=left_out, voxel=self.voxel))
        rows, names = np.flatnonzero(errors.counted), errors.names()
        judged = verdict(
            quality,
            labels=[names[row] for row in rows],
            before=errors.before[rows].tolist(),
            after=errors.after[rows].tolist(),
            left_out=left_out,
            voxel=self.voxel,
        )
        return self.text.verdict(judged)


def _versions() -> dict[str, str]:
    """Of what is installed; nothing is imported for it."""
    found = {"deepregistration": __version__, "python": platform.python_version()}
    if hasattr(slicer, "app"):
        found["slicer"] = slicer.app.applicationVersion
    found["vtk"] = vtk.vtkVersion.GetVTKVersion()
    for package in _PACKAGES:
        try:
            found[package] = metadata.version(package)
        except metadata.PackageNotFoundError:
            continue
    return found
