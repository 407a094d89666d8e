"""The HTML report of ``deepreg register`` and ``deepreg evaluate``."""

from __future__ import annotations

import argparse
import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from DeepRegistrationLib.cli.inputs import check_inputs_survive, choice
from DeepRegistrationLib.errors import RegistrationError
from DeepRegistrationLib.evaluation.landmark_pairs import LandmarkPairs
from DeepRegistrationLib.images.dicom.identity import dicom_identity
from DeepRegistrationLib.images.image import Image
from DeepRegistrationLib.images.segment_names import file_and_names
from DeepRegistrationLib.reports.decision import (
    Decision,
    check_decision,
    decided,
    decision_in_page,
)
from DeepRegistrationLib.reports.file_pair import FilePair, named
from DeepRegistrationLib.reports.file_report import identity_of_transform
from DeepRegistrationLib.reports.identity import TransformIdentity, file_checksum
from DeepRegistrationLib.transforms import Transform

_KINDS = ("", "_mask", "_labels", "_landmarks")
_READ = ("transform", "compare", *(f"{side}{k}" for side in ("fixed", "moving") for k in _KINDS))
UNKNOWN_ORIGIN = "read from a file; how it was made is not known"


def check_page_options(arguments: argparse.Namespace) -> None:
    """Refuse options of the page that mean nothing together, before any work.

    Raises:
        RegistrationError: With what to do.
    """
    words = {"--reviewer": arguments.reviewer, "--comment": arguments.comment}
    needing = {**words, "--decision": arguments.decision, "--compare": arguments.compare}
    given = [name for name, value in needing.items() if value is not None]
    given += page_flags(arguments)
    if given and arguments.report is None:
        raise RegistrationError(f"{given[0]} is about the page; say with --report where it goes.")
    function = [name for name in page_flags(arguments) if name != "--patient-data"]
    if function and None in (arguments.fixed, arguments.moving):
        raise RegistrationError(
            f"{function[0]} is about a transform of two images; give --fixed and --moving."
        )
    written = [path for path in (arguments.output, arguments.report) if path is not None]
    check_inputs_survive(written, [getattr(arguments, name) for name in _READ])
    if len({os.path.realpath(path) for path in written}) < len(written):
        raise RegistrationError(
            f"{arguments.report} is given twice; choose another name for the page."
        )
    if arguments.decision is None:
        alone = next((name for name, value in words.items() if value is not None), None)
        if alone is not None:
            raise RegistrationError(f"{alone} belongs to a decision; give --decision too.")
        return
    if arguments.compare is not None:
        raise RegistrationError(
            "A decision is about one transform; leave out --compare or --decision."
        )
    if None in (arguments.fixed, arguments.moving):
        raise RegistrationError(
            "A decision is about a transform of two images; give --fixed and --moving too."
        )
    check_decision(arguments.decision, arguments.reviewer or "", arguments.comment or "")


def page_flags(arguments: argparse.Namespace) -> list[str]:
    """Which options are given that say what the page shows."""
    names = ("patient_data", "ventilation", "strain")
    return [f"--{name.replace('_', '-')}" for name in names if getattr(arguments, name)]


def file_pair(
    arguments: argparse.Namespace,
    fixed: Image | None,
    moving: Image | None,
    landmarks: LandmarkPairs | None,
    driving: LandmarkPairs | None = None,
    **labels: Any,
) -> FilePair:
    """The images of a command line, with what the page may say of whose they are."""
    names, uids = {}, {}
    for place, side in enumerate(("fixed", "moving")):
        path = getattr(arguments, side)
        if path is None:
            continue
        found = dicom_identity(path, choice(arguments, place)[0])
        uids[side] = found.uids
        names[side] = named(path, found.patient) if arguments.patient_data else {}
    hidden = {} if arguments.patient_data else _stand_ins(arguments)
    return FilePair(fixed, moving, names, uids, hidden, landmarks, driving, **labels)


def _stand_ins(arguments: argparse.Namespace) -> dict[str, str]:
    """What to call the files of the command line where their names are not to be shown."""
    files = {
        "fixed": "the fixed image",
        "moving": "the moving image",
        "fixed_mask": "the fixed mask",
        "moving_mask": "the moving mask",
        "fixed_labels": "the fixed label map",
        "moving_labels": "the moving label map",
        "fixed_landmarks": "the fixed landmarks",
        "moving_landmarks": "the moving landmarks",
        "transform": "the transform",
        "compare": "the other transform",
        "initial": "the initial transform",
    }
    given = {files[key]: getattr(arguments, key, None) for key in files}
    for key, what in (("guide", "driving landmarks"), ("guide_labels", "driving labels")):
        names = f"the fixed {what}", f"the moving {what}"
        given |= zip(names, getattr(arguments, key, None) or (), strict=False)
    return {
        Path(file_and_names(path)[0]).name: name for name, path in given.items() if path is not None
    }


def identity_of_file(
    path: str, transform: Transform, made: Mapping[str, Any] | None, names: bool
) -> TransformIdentity:
    """The identity of a transform that was read from a file."""
    return identity_of_transform(
        transform,
        origin=UNKNOWN_ORIGIN if made is None else origin_of(made),
        names={"file": Path(path).name} if names else {},
        file_checksum=file_checksum(path) if Path(path).is_file() else "",
    )


def origin_of(report: Mapping[str, Any]) -> str:
    """How a transform was made, of the report of its registration."""
    version = (report.get("versions") or {}).get("deepregistration", "of unknown version")
    text = f"registered by DeepRegistration {version}, method {report['method']}, quality "
    text += f"{report['quality']}"
    return f"{text}, {report['date']}" if report.get("date") else text


def report_beside(path: str, transform: Transform) -> dict[str, Any] | None:
    """The report that ``deepreg register`` left beside a transform, where it is of this one."""
    file = Path(path).with_name("report.json")
    try:
        report = json.loads(file.read_text(encoding="utf-8"))
        own = report["transform"]["sha256"] == identity_of_transform(transform).checksum
        return report if own and report["method"] else None
    except (OSError, ValueError, KeyError, TypeError):
        return None


def decision_for(arguments: argparse.Namespace, subject: str) -> Decision | None:
    """The decision of the command line, or that of the page which is about to be replaced."""
    if arguments.decision is None:
        return decision_in_page(arguments.report)
    return decided(arguments.decision, arguments.reviewer or "", arguments.comment or "", subject)
