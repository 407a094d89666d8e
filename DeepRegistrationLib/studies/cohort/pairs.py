"""Which pairs of a list of cases make the cohort."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

from DeepRegistrationLib.data.cases import Case, pairs_of
from DeepRegistrationLib.errors import RegistrationError
from DeepRegistrationLib.images.guard.tables import read_records
from DeepRegistrationLib.images.guard.text import read_text
from DeepRegistrationLib.studies.benchmark.protocol import BenchmarkPair, case_names, check_mask

ALL, SAME_PATIENT = "all", "same-patient"


def choose_pairs(
    cases: Sequence[Case],
    pairs: str = SAME_PATIENT,
    *,
    root: Path = Path(),
    with_self: bool = False,
    reference: str | None = None,
) -> list[BenchmarkPair]:
    """The pairs, in the order of the list of cases (or of the file of pairs).

    Args:
        cases: The list.
        pairs: ``all``: every ordered pair of different cases; ``same-patient``: those of one
            patient; or a CSV file with the columns fixed and moving, which name images as the
            list's column image does.
        root: The list's folder.
        with_self: With ``all``, also each case with itself. Rohe et al. 2017 count so: 37 hearts,
            37 x 37 = 1369 pairs.
        reference: ``first`` or a number from 0: the frame of each patient, in the list's order, to
            which all its other frames are registered; replaces ``pairs``.

    Raises:
        RegistrationError: No pairs, an unreadable file, images that are not in the list, a pair
            given twice, a patient without that frame, labels that are given as a mask.
    """
    if with_self and pairs != ALL:
        raise RegistrationError("--with-self needs --pairs all; give both or neither.")
    for case in cases:
        check_mask(case)
    if reference is not None:
        chosen = _to_reference(cases, reference)
    elif pairs == ALL:
        chosen = [(a, b) for a in cases for b in cases if with_self or a is not b]
    elif pairs == SAME_PATIENT:
        chosen = pairs_of(cases)
    else:
        chosen = _given(cases, Path(pairs), root)
    if not chosen:
        raise RegistrationError(
            "The list gives no pairs; list two images of a patient, or choose --pairs all."
        )
    names = {id(case): name for case, name in zip(cases, case_names(cases), strict=True)}
    return [BenchmarkPair(f"{names[id(a)]} < {names[id(b)]}", a, b) for a, b in chosen]


def _to_reference(cases: Sequence[Case], reference: str) -> list[tuple[Case, Case]]:
    """Each patient's frames to one of them: the reference is the fixed image."""
    if reference != "first" and not reference.isdecimal():
        raise RegistrationError(
            f"--reference {reference} is not a frame; write first, or the frame's number from 0."
        )
    index = 0 if reference == "first" else int(reference)
    patients: dict[str, list[Case]] = {}
    for case in cases:
        patients.setdefault(case.patient, []).append(case)
    for patient, frames in patients.items():
        if index >= len(frames):
            raise RegistrationError(
                f"{patient} has {len(frames)} frames and none of number {index}; the first is 0."
            )
    return [
        (frames[index], frame)
        for frames in patients.values()
        for frame in frames
        if frame is not frames[index]
    ]


def _given(cases: Sequence[Case], path: Path, root: Path) -> list[tuple[Case, Case]]:
    """The pairs of a CSV file."""
    try:
        _, rows = read_records(read_text(path), path.name)
    except RegistrationError as error:
        raise RegistrationError(
            f"--pairs {path} is neither {ALL}, {SAME_PATIENT} nor a readable CSV file: {error}"
        ) from error
    by_file = {os.path.abspath(case.image): case for case in cases}

    def find(number: int, cell: str | None) -> Case:
        text = (cell or "").strip()
        found = by_file.get(os.path.abspath(root / text))
        if found is None:
            raise RegistrationError(
                f"{path.name}, pair {number}: {text or 'an empty cell'} is not an image in the "
                "list; write it as the list does, in columns fixed and moving."
            )
        return found

    chosen = [
        (find(number, row.get("fixed")), find(number, row.get("moving")))
        for number, row in enumerate(rows, start=1)
    ]
    count = Counter((id(a), id(b)) for a, b in chosen)
    for number, (a, b) in enumerate(chosen, start=1):
        if count[id(a), id(b)] > 1:
            raise RegistrationError(
                f"{path.name}, pair {number}: {a.image.name} and {b.image.name} are listed twice; "
                "keep one."
            )
    return chosen
