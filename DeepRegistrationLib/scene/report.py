"""The HTML report of a registration from the scene: errors, pictures, versions, and no patient.

Nothing that identifies a patient gets into the page unless the user asks for it: volumes are
called the fixed and the moving image, landmarks have their row's number, and names of nodes are
taken out of the texts. Names of segments and parameters stay.
"""

from __future__ import annotations

import platform
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from importlib import metadata
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import slicer
import vtk

from DeepRegistrationLib import __version__
from DeepRegistrationLib.evaluation.html_report import (
    LandmarkErrors,
    Picture,
    ReportContent,
    write_html,
)
from DeepRegistrationLib.evaluation.verdict import Verdict, verdict
from DeepRegistrationLib.scene import pictures
from DeepRegistrationLib.scene.landmark_picture import picture_landmarks
from DeepRegistrationLib.scene.landmark_state import LandmarkState
from DeepRegistrationLib.scene.landmarks import taken_as_identity
from DeepRegistrationLib.scene.space import flipped
from DeepRegistrationLib.scene.views import png_of, rendering_problem

_DICOM = {
    "patient": "DICOM.PatientName",
    "patient ID": "DICOM.PatientID",
    "birth date": "DICOM.PatientBirthDate",
    "study": "DICOM.StudyDescription",
    "study date": "DICOM.StudyDate",
}
_OVERLAY = "Green: only in the fixed image, magenta: only in the moving image, gray: both agree."
_PACKAGES = ("numpy", "SimpleITK", "torch", "itk-elastix")


def write_report(
    path: str | Path,
    fixed,
    moving,
    transform,
    *,
    landmarks: LandmarkState | None = None,
    jacobian=None,
    quality: Mapping[str, Any] | None = None,
    provenance: Mapping[str, Any] | None = None,
    weights: Mapping[str, Any] | None = None,
    seconds: Mapping[str, float] | None = None,
    notes: Sequence[str] = (),
    identified: bool = False,
    application=None,
) -> None:
    """Write the report of a transform as one HTML page, pictures included.

    Args:
        path: The page; an earlier one is replaced.
        fixed, moving: Volume nodes.
        transform: Transform node; the moving volume placed under it appears registered.
        landmarks: From :class:`LiveLandmarks`.
        jacobian: Volume node of the Jacobian determinant, for its picture.
        quality: What :func:`DeepRegistrationLib.evaluation.quality.measure_quality` gave.
        provenance, seconds, notes: Of the registration, as its outcome has them.
        weights: Facts about a network's weights: name, SHA-256, license.
        identified: The user wants names and patient data in the report.
        application: With ``scene`` and ``logic``; Slicer's own when omitted.

    Raises:
        RegistrationError: The page cannot be written.
    """
    content = report_content(
        fixed,
        moving,
        landmarks=landmarks,
        quality=quality,
        provenance=provenance,
        weights=weights,
        seconds=seconds,
        notes=notes,
        identified=identified,
    )
    problem = rendering_problem()
    if problem is None:
        application = application or SimpleNamespace(
            scene=fixed.GetScene(), logic=slicer.app.applicationLogic()
        )
        shown = report_pictures(application, fixed, moving, transform, jacobian, landmarks)
        content = replace(content, pictures=shown)
    else:
        content = replace(content, no_pictures=problem)
    write_html(content, path)


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
    """What the page says, without pictures; arguments as for :func:`write_report`."""
    errors = None if landmarks is None else _errors(landmarks, identified)
    given = dict(provenance or {})
    versions = _versions()
    for name in ("deepregistration", "torch"):  # of the process that computed
        versions.update({name: given.pop(name)} if name in given else {})
    text = _Texts(fixed, moving, identified)
    return ReportContent(
        identity=_identity(fixed, moving) if identified else {},
        verdict=text.verdict(_verdict(errors, quality)),
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
    )


def _verdict(errors: LandmarkErrors | None, quality: Mapping[str, Any] | None) -> Verdict:
    if errors is None or errors.statistics["after"] is None:
        return verdict(dict(quality or {}))
    rows = np.flatnonzero(errors.counted)
    return verdict(
        dict(quality or {}),
        labels=[errors.labels[row] for row in rows],
        before=errors.before[rows],
        after=errors.after[rows],
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


def report_pictures(
    application, fixed, moving, transform, jacobian=None, landmarks: LandmarkState | None = None
) -> list[Picture]:
    """Before, after, Jacobian where there is one, the deformed grid, and errors at landmarks.

    The slices meet amid the landmarks that count, else in the middle of the fixed volume.
    """
    center = None
    if landmarks is not None and landmarks.counted.any():
        center = flipped(landmarks.fixed[landmarks.counted].mean(axis=0))
    place = pictures.place_of(fixed, center)
    result = []

    def add(title: str, caption: str, render, *arguments) -> None:
        pixels = render(application, *arguments[:2], title, place, *arguments[2:])
        result.append(Picture(title, png_of(pixels), caption))

    with placed_under(moving, transform, None):
        add("Before registration", _OVERLAY, pictures.picture_overlay, fixed, moving)
    with placed_under(moving, transform, transform):
        add("After registration", _OVERLAY, pictures.picture_overlay, fixed, moving)
        if jacobian is not None:
            add(
                "Volume change on the fixed image",
                "Blue: the tissue is smaller in the moving image, red: larger, yellow: folding.",
                pictures.picture_jacobian,
                fixed,
                jacobian,
            )
        add(
            "Deformation of the registered image",
            "The moving image's regular grid, bent by the transform.",
            pictures.picture_grid,
            moving,
            transform,
            fixed,
        )
    if landmarks is not None and landmarks.counted.any():
        add(
            "Errors at the landmarks",
            "All landmarks, whatever their depth, over slices of the fixed image.",
            picture_landmarks,
            fixed,
            landmarks,
            transform,
        )
    return result


@contextmanager
def placed_under(moving, evaluated, transform) -> Iterator[None]:
    """Show the moving volume under a transform, or none, for a while.

    Args:
        evaluated: Transform node; it, or else the result of a registration, is replaced where it
            is above the volume (see :func:`landmarks.taken_as_identity`).
        transform: What takes its place, or None.
    """
    replaced = taken_as_identity(moving, evaluated)
    node, above = moving, moving.GetParentTransformNode()
    while above is not None and above is not replaced:
        node, above = above, above.GetParentTransformNode()
    before = node.GetTransformNodeID()
    node.SetAndObserveTransformNodeID(None if transform is None else transform.GetID())
    try:
        yield
    finally:
        node.SetAndObserveTransformNodeID(before)
