"""The HTML report of a registration from the scene: errors, pictures, versions, and no patient.

Nothing that identifies a patient gets into the page unless the user asks for it: volumes are
called the fixed and the moving image, landmarks have their row's number, and names of nodes are
taken out of the texts. Names of segments and parameters stay.
"""

from __future__ import annotations

import platform
from collections.abc import Generator, Mapping, Sequence
from dataclasses import dataclass, replace
from importlib import metadata
from itertools import count, takewhile
from pathlib import Path
from typing import Any

import numpy as np
import slicer
import vtk

from DeepRegistrationLib import __version__
from DeepRegistrationLib.images.geometry import largest_voxel
from DeepRegistrationLib.reports.html_report import (
    LandmarkErrors,
    Picture,
    ReportContent,
    write_html,
)
from DeepRegistrationLib.reports.verdict import Verdict, verdict
from DeepRegistrationLib.scene.landmarks.pairs import taken_as_identity
from DeepRegistrationLib.scene.landmarks.picture import landmark_map
from DeepRegistrationLib.scene.landmarks.state import LandmarkState
from DeepRegistrationLib.scene.nodes.coordinates import flipped, parents_of
from DeepRegistrationLib.scene.nodes.outputs import outputs_of
from DeepRegistrationLib.scene.nodes.volumes import exhausted
from DeepRegistrationLib.scene.report import pictures
from DeepRegistrationLib.scene.views.offscreen_views import encoding_png, rendering_problem

_DICOM = {
    "patient": "DICOM.PatientName",
    "patient ID": "DICOM.PatientID",
    "birth date": "DICOM.PatientBirthDate",
    "study": "DICOM.StudyDescription",
    "study date": "DICOM.StudyDate",
}
_ESTIMATE = (
    "How far several registrations disagree. Not an error bar: true errors are usually larger, "
    "and can be large where there is no color."
)
_OVERLAY = "Green: only in the fixed image, magenta: only in the moving image, gray: both agree."
_HALF_WAY = 12  # steps after which a picture counts as half done
_PACKAGES = ("numpy", "SimpleITK", "torch", "itk-elastix")


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
    **facts: Any,
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
        **facts: Of :func:`report_content`.

    Returns:
        Steps of some 0.1 s at most, which yield the fraction done.
    """
    content = report_content(fixed, moving, landmarks=landmarks, **facts)
    if jacobian is None and no_jacobian:
        content = replace(content, notes=[*content.notes, no_jacobian])
    problem = rendering_problem()
    if problem is not None:
        return _drawn(replace(content, no_pictures=problem), [])
    return _drawn(content, _pictures(fixed, moving, transform, jacobian, landmarks))


def _drawn(
    content: ReportContent, makers: Sequence[_PictureInSteps]
) -> Generator[float, None, ReportContent]:
    made = []
    for k, maker in enumerate(makers):
        steps = maker.steps()
        for turn in count(1):
            try:
                next(steps)
            except StopIteration as end:
                made.append(end.value)
                break
            yield (k + turn / (turn + _HALF_WAY)) / len(makers)
    return replace(content, pictures=made)


def report_content(
    fixed,
    moving,
    *,
    landmarks: LandmarkState | None = None,
    quality: Mapping[str, Any] | None = None,
    provenance: Mapping[str, Any] | None = None,
    weights: Mapping[str, Any] | None = None,
    seconds: Mapping[str, float] | None = None,
    notes: Sequence[str] = (),
    identified: bool = False,
) -> ReportContent:
    """What the page says, without pictures.

    Args:
        fixed, moving: Volume nodes.
        landmarks: From :class:`LiveLandmarks`.
        quality: What :func:`DeepRegistrationLib.evaluation.quality.measure_quality` gave.
        provenance, seconds, notes: Of the registration, as its outcome has them.
        weights: Facts about a network's weights: name, SHA-256, license.
        identified: The user wants names and patient data in the report.
    """
    errors = None if landmarks is None else _errors(landmarks, identified)
    given = dict(provenance or {})
    versions = _versions()
    for name in ("deepregistration", "torch"):  # of the process that computed
        versions.update({name: given.pop(name)} if name in given else {})
    text = _Texts(fixed, moving, identified)
    return ReportContent(
        identity=_identity(fixed, moving) if identified else {},
        verdict=text.verdict(
            _verdict(
                errors, landmarks, quality, largest_voxel(fixed.GetSpacing(), moving.GetSpacing())
            )
        ),
        landmarks=errors,
        quality=quality or {},
        provenance=given,
        weights=weights or {},
        seconds=seconds or {},
        versions=versions,
        notes=[text(note) for note in notes],
    )


def _errors(state: LandmarkState, identified: bool) -> LandmarkErrors | None:
    if state.statistics is None:
        return None
    numbers = [str(row) for row in range(1, len(state.labels) + 1)]
    return LandmarkErrors(
        labels=state.labels if identified else numbers,
        before=state.before,
        after=state.after,
        snapped=state.snapped,
        residual=state.residual,
        counted=state.counted,
        statistics=state.statistics,
        drove=state.marks.drove,
        left_out=state.marks.left_out,
    )


def _verdict(
    errors: LandmarkErrors | None,
    state: LandmarkState | None,
    quality: Mapping[str, Any] | None,
    voxel: float | None,
) -> Verdict:
    left_out = () if state is None else state.marks.left_out[state.fitted]
    if errors is None or errors.statistics["after"] is None:
        return verdict(dict(quality or {}), left_out=left_out, voxel=voxel)
    rows = np.flatnonzero(errors.counted)
    return verdict(
        dict(quality or {}),
        labels=[errors.labels[row] for row in rows],
        before=errors.before[rows],
        after=errors.after[rows],
        left_out=left_out,
        voxel=voxel,
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

    def verdict(self, value: Verdict) -> Verdict:
        findings = tuple(replace(finding, text=self(finding.text)) for finding in value.findings)
        return replace(value, headline=self(value.headline), findings=findings)


def _identity(fixed, moving) -> dict[str, str]:
    """Names of the volumes, and what the subject hierarchy knows of patient and study."""
    result = {}
    hierarchy = slicer.vtkMRMLSubjectHierarchyNode.GetSubjectHierarchyNode(fixed.GetScene())
    for side, node in (("fixed", fixed), ("moving", moving)):
        result[f"{side} image"] = node.GetName()
        item = 0 if hierarchy is None else hierarchy.GetItemByDataNode(node)
        for name, attribute in _DICOM.items() if item else ():
            value = hierarchy.GetAttributeFromItemAncestor(item, attribute, "")
            if value:
                result[f"{side} image, {name}"] = value
    return result


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


@dataclass(frozen=True, eq=False)
class _PictureInSteps:
    """A picture of the report: its title, what is to be seen, and how it is rendered."""

    title: str
    caption: str
    rendering: pictures.Steps

    def steps(self) -> Generator[None, None, Picture]:
        pixels = yield from self.rendering
        png = yield from encoding_png(pixels)
        return Picture(self.title, png, self.caption)


def _pictures(
    fixed, moving, transform, jacobian, landmarks: LandmarkState | None
) -> list[_PictureInSteps]:
    """Before, after, Jacobian and error estimate where there are, the grid, errors at landmarks.

    The slices meet amid the landmarks that count, else in the middle of the fixed volume.
    """
    counted = landmarks if landmarks is not None and landmarks.counted.any() else None
    center = None if counted is None else flipped(counted.fixed[counted.counted].mean(axis=0))
    place, titles = pictures.view_position_of(fixed, center), pictures.TITLES
    before = transforms_above(moving, transform, None)
    after = transforms_above(moving, transform, transform)

    def overlay(key: str, above: list) -> _PictureInSteps:
        steps = pictures.overlay(fixed, moving, titles[key], place, above)
        return _PictureInSteps(titles[key], _OVERLAY, steps)

    result = [overlay("before", before), overlay("after", after)]
    if jacobian is not None:
        caption = "Blue: the tissue is smaller in the moving image, red: larger, yellow: folding."
        steps = pictures.jacobian_map(fixed, jacobian, titles["jacobian"], place)
        result.append(_PictureInSteps(titles["jacobian"], caption, steps))
    predicted = outputs_of(transform).get("predicted")
    if predicted is not None:
        steps = pictures.error_map(fixed, predicted, titles["predicted"], place)
        result.append(_PictureInSteps(titles["predicted"], _ESTIMATE, steps))
    caption = "The moving image's regular grid, bent by the transform."
    steps = pictures.deformed_grid(fixed, moving, transform, titles["grid"], place, after)
    result.append(_PictureInSteps(titles["grid"], caption, steps))
    if counted is not None:
        title = "Errors at the landmarks"
        caption = "All landmarks, whatever their depth, over slices of the fixed image."
        steps = landmark_map(fixed, counted, title, place, transform)
        result.append(_PictureInSteps(title, caption, steps))
    return result


def transforms_above(moving, evaluated, transform) -> list:
    """The transform nodes above the moving volume, were it registered by ``transform``.

    Args:
        moving: Volume node.
        evaluated: Transform node; it, or else the result of a registration, is replaced where it
            is above the volume (see :func:`landmarks.taken_as_identity`).
        transform: What takes its place, or None.

    Returns:
        The nearest one first.
    """
    replaced = taken_as_identity(moving, evaluated)
    own = list(takewhile(lambda node: node is not replaced, parents_of(moving)))
    return own if transform is None else [*own, transform, *parents_of(transform)]
