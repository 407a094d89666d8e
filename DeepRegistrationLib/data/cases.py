"""Lists of cases: which image, mask, labels and landmarks belong to which patient and split.

A list is a CSV file with a header, or a JSON array of objects, with the columns ``image``,
``patient``, ``split`` and, where there are any, ``mask``, ``labels``, ``landmarks``. Paths are
relative to the list. Cases of one patient form pairs; row i of the landmarks of one case matches
row i of the other's.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, cast

from DeepRegistrationLib.errors import RegistrationError
from DeepRegistrationLib.images.guard.itk import Unreadable, read_itk_header
from DeepRegistrationLib.images.guard.paths import require_readable
from DeepRegistrationLib.images.guard.tables import read_records
from DeepRegistrationLib.images.guard.text import parse_json, read_text

Split = Literal["train", "validation", "test"]
SPLITS: tuple[Split, ...] = ("train", "validation", "test")
_REQUIRED = ("image", "patient", "split")
_FILES = ("image", "mask", "labels", "landmarks")
COLUMNS = ("image", "mask", "labels", "landmarks", "patient", "split")


@dataclass(frozen=True)
class Case:
    """One image and what is known about it.

    Attributes:
        patient: Whom it shows; all cases of a patient are in one split.
        split: ``train``, ``validation`` or ``test`` (held out: never read by training).
        image: File, or folder of a DICOM series.
        mask: Non-zero where the image counts, on the image's grid.
        labels: Label map on the image's grid.
        landmarks: Points in LPS mm; row i matches row i of the patient's other cases.
    """

    patient: str
    split: Split
    image: Path
    mask: Path | None = None
    labels: Path | None = None
    landmarks: Path | None = None


def read_cases(path: str | Path) -> list[Case]:
    """Read and check a list of cases (.csv or .json).

    Raises:
        RegistrationError: Unreadable list, unknown or missing columns, missing files, a mask or
            label map of another geometry, landmarks of one patient of different number, an unknown
            or empty split, a patient in two splits, an image that is listed twice.
    """
    path = Path(path)
    rows = _read_rows(path)
    if not rows:
        raise RegistrationError(f"{path.name} lists no cases; write one row per image.")
    cases = [_case(path, number, row) for number, row in enumerate(rows, start=1)]
    _check_images(path, cases)
    for case in cases:
        _check_geometry(path, case)
    return cases


def cases_of(cases: Sequence[Case], split: Split) -> list[Case]:
    """The cases of one split.

    Raises:
        RegistrationError: It is empty.
    """
    chosen = [case for case in cases if case.split == split]
    if not chosen:
        raise RegistrationError(
            f"The list has no cases in the split {split!r}; assign some patients to it."
        )
    return chosen


def pairs_of(cases: Sequence[Case]) -> list[tuple[Case, Case]]:
    """All ordered pairs (fixed, moving) of different cases of one patient, in the list's order."""
    return [
        (fixed, moving)
        for fixed in cases
        for moving in cases
        if fixed is not moving and fixed.patient == moving.patient
    ]


def _read_rows(path: Path) -> list[dict[str, Any]]:
    if not path.is_file():
        what = "is a folder" if path.is_dir() else "does not exist"
        raise RegistrationError(f"{path} {what}; give a list of cases as .csv or .json.")
    text = read_text(path)
    if path.suffix.lower() == ".json":
        try:
            rows = parse_json(text)
        except ValueError as error:
            raise RegistrationError(f"{path.name} is not JSON ({error}); correct it.") from error
        if not isinstance(rows, list) or not all(isinstance(row, dict) for row in rows):
            raise RegistrationError(
                f"{path.name} is not an array of objects; write one object per case."
            )
        names = [str(name) for row in rows for name in row]
    else:
        names, rows = read_records(text, path.name)
    unknown = sorted(set(names) - set(COLUMNS))
    if unknown:
        raise RegistrationError(
            f"{path.name} has unknown columns ({', '.join(unknown)[:200]}); the columns are "
            f"{', '.join(COLUMNS)}."
        )
    missing = [name for name in _REQUIRED if name not in names]
    if rows and missing:
        raise RegistrationError(
            f"{path.name} has no column {' and no column '.join(missing)}; the columns are "
            f"{', '.join(COLUMNS)}, of which {', '.join(_REQUIRED)} are required."
        )
    return rows


def _case(path: Path, number: int, row: dict[str, Any]) -> Case:
    """One row as a case whose files exist."""
    where = f"{path.name}, case {number}"
    for name in COLUMNS:
        if not isinstance(row.get(name) or "", str | int):
            raise RegistrationError(f"{where}: {name} is neither text nor a number; correct it.")
    values = {name: str(row.get(name) or "").strip() for name in COLUMNS}
    for name in _REQUIRED:
        if not values[name]:
            raise RegistrationError(f"{where} has no {name}; fill in that column.")
    if values["split"] not in SPLITS:
        raise RegistrationError(
            f"{where} is in the split {values['split']!r}; write one of {', '.join(SPLITS)}."
        )
    files = {name: path.parent / values[name] if values[name] else None for name in _FILES}
    for name, file in files.items():
        if file is not None:
            try:
                require_readable(file, folder=True)
            except RegistrationError as error:
                raise RegistrationError(f"{where}: the {name} {error}") from error
    return Case(
        patient=values["patient"],
        split=cast(Split, values["split"]),
        image=cast(Path, files["image"]),
        mask=files["mask"],
        labels=files["labels"],
        landmarks=files["landmarks"],
    )


def _check_images(path: Path, cases: Sequence[Case]) -> None:
    """No patient, and no image file, in two splits; no image file twice."""
    for kind in ("patient", "image"):
        seen: dict[Any, Split] = {}
        for case in cases:
            key = case.patient if kind == "patient" else os.path.realpath(case.image)
            before = seen.setdefault(key, case.split)
            if before != case.split:
                raise RegistrationError(
                    f"{path.name}: {kind} {key} is in the splits {before} and {case.split}; keep "
                    "each patient in one, or the evaluation is meaningless."
                )
    listed: dict[str, int] = {}
    for number, case in enumerate(cases, start=1):
        first = listed.setdefault(os.path.realpath(case.image), number)
        if first != number:
            raise RegistrationError(
                f"{path.name}: case {number} is the image of case {first}, {case.image}; list each "
                "image once, or it is registered to itself."
            )


def _check_geometry(path: Path, case: Case) -> None:
    """Mask and labels lie on the image's grid (headers only, no voxels)."""
    for name in ("mask", "labels"):
        file = getattr(case, name)
        if file is None or case.image.is_dir() or file.is_dir():
            continue
        if file.name.endswith(".seg.nrrd"):  # Slicer saves the part that is filled
            continue
        image, other = _header(case.image), _header(file)
        if image != other:
            raise RegistrationError(
                f"{path.name}: the {name} {file.name} and the image {case.image.name} differ in "
                f"geometry (size {other[0]} and {image[0]}); resample the {name} to the image's "
                "grid."
            )


def _header(path: Path) -> tuple[Any, ...]:
    """Size, and spacing, origin and direction to a hundredth."""
    try:
        header = read_itk_header(path)
    except Unreadable as error:
        raise RegistrationError(
            f"{path} cannot be read as an image; give a NIfTI, NRRD or MetaImage file."
        ) from error
    numbers = (*header["spacing"], *header["origin"], *header["direction"])
    return tuple(header["size"]), tuple(round(v, 2) + 0.0 for v in numbers)
