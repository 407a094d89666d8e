"""Which pairs of a list are registered."""

from __future__ import annotations

import hashlib
import os
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from DeepRegistrationLib.data.cases import Case
from DeepRegistrationLib.errors import RegistrationError
from DeepRegistrationLib.evaluation.landmark_pairs import read_landmark_pairs
from DeepRegistrationLib.methods.heart.preparation import LABEL_NAMES
from DeepRegistrationLib.training.synthesis.smoothed_points import FAMILIES

BEFORE = "before"
"""The row of a pair as it was given (or aligned), before any method."""

ALIGNMENTS = ("none", "hearts", "segmentations")


@dataclass(frozen=True)
class BenchmarkPair:
    """Two cases to register, or one and its synthetic deformation.

    Attributes:
        name: Of the pair, the same on every run.
        fixed, moving: The cases; the same one for a synthetic pair.
        family: RegNet's spatial frequency of the synthetic deformation, else empty.
    """

    name: str
    fixed: Case
    moving: Case
    family: str = ""


@dataclass(frozen=True)
class Protocol:
    """How a list of cases becomes pairs.

    Attributes:
        name: What the command line calls it.
        title: What it is for.
        pairs: Cases to pairs.
        alignment: Of the images before every method; one of ``ALIGNMENTS``.
        least: Sentence for a list without pairs.
        label_names: What the labels of its images are called, by their number.
    """

    name: str
    title: str
    pairs: Callable[[Sequence[Case]], list[BenchmarkPair]]
    alignment: str
    least: str
    label_names: Mapping[int, str] = field(default_factory=dict)

    def label_name(self, label: str) -> str:
        """What a label is called in tables and plots."""
        return self.label_names.get(int(label), f"label {label}")


def same_patient(cases: Sequence[Case]) -> list[BenchmarkPair]:
    """Each two cases of a patient once: the one listed first is the fixed image.

    DIR-Lab's and RegNet's way: one direction, fixed at inhale (or at the first visit).
    """
    names = case_names(cases)
    return [
        BenchmarkPair(f"{names[i]} < {names[j].removeprefix(f'{moving.patient} ')}", fixed, moving)
        for i, fixed in enumerate(cases)
        for j, moving in enumerate(cases)
        if i < j and fixed.patient == moving.patient
    ]


def across_patients(cases: Sequence[Case]) -> list[BenchmarkPair]:
    """All ordered pairs of different patients, by the case of each that is listed first.

    Rohe et al. 2017 count 37 x 37 = 1369 pairs of 37 patients; an image with itself, which shows
    nothing, is left out here: 37 x 36 = 1332.
    """
    first: dict[str, Case] = {}
    for case in cases:
        first.setdefault(case.patient, case)
    chosen = list(first.values())
    names = case_names(chosen)
    return [
        BenchmarkPair(f"{names[i]} < {names[j]}", fixed, moving)
        for i, fixed in enumerate(chosen)
        for j, moving in enumerate(chosen)
        if i != j
    ]


def deformed_copies(cases: Sequence[Case]) -> list[BenchmarkPair]:
    """Each case with its deformation by RegNet's three families (Sokooti et al. 2017)."""
    names = case_names(cases)
    return [
        BenchmarkPair(f"{name} {family}", case, case, family)
        for name, case in zip(names, cases, strict=True)
        for family in FAMILIES
    ]


PROTOCOLS = {
    p.name: p
    for p in (
        Protocol(
            "lung",
            "pairs of one patient, landmarks (RegNet, Eppenhof, mlVIRNET)",
            same_patient,
            "none",
            "no patient has two cases in the list; list both images of a patient",
        ),
        Protocol(
            "synthetic",
            "each case and its known deformation (RegNet's MAE)",
            deformed_copies,
            "none",
            "the list has no cases",
        ),
        Protocol(
            "heart",
            "all ordered pairs of different patients, labels (SVF-Net)",
            across_patients,
            "hearts",
            "the list has fewer than two patients",
            LABEL_NAMES,
        ),
        Protocol(
            "motion",
            "pairs of one patient, labels (end-diastole to end-systole)",
            same_patient,
            "none",
            "no patient has two cases in the list; list both frames of a patient",
            LABEL_NAMES,
        ),
    )
}


def case_names(cases: Sequence[Case]) -> list[str]:
    """A short name for each case: patient, and image where the patient has several."""
    several = Counter(case.patient for case in cases)
    names = [
        f"{case.patient} {_stem(case.image)}" if several[case.patient] > 1 else case.patient
        for case in cases
    ]
    twice = Counter(names)
    count: Counter[str] = Counter()
    for k, name in enumerate(names):
        if twice[name] > 1:
            count[name] += 1
            names[k] = f"{name} ({count[name]})"
    return names


def _stem(path: Path) -> str:
    return path.name.removesuffix(".gz").rsplit(".", 1)[0] if "." in path.name else path.name


def pairs_for(
    protocol: Protocol, cases: Sequence[Case], limit: int | None = None
) -> list[BenchmarkPair]:
    """The pairs of a list, at most ``limit``, drawn by the hash of their names.

    So the same pairs are drawn each time, a larger limit keeps those of a smaller one, and (unlike
    every k-th of all ordered pairs) they do not share one moving image.

    Raises:
        RegistrationError: None; or a list whose landmarks or masks cannot be used.
    """
    if limit is not None and limit < 1:
        raise RegistrationError(f"--limit {limit} leaves no pair; give 1 or more.")
    pairs = protocol.pairs(cases)
    if not pairs:
        raise RegistrationError(
            f"The protocol {protocol.name} finds no pairs: {protocol.least}, or choose another "
            "--protocol."
        )
    if limit is not None and limit < len(pairs):
        drawn = {p.name for p in sorted(pairs, key=_draw)[:limit]}
        pairs = [pair for pair in pairs if pair.name in drawn]
    for case in {id(c): c for pair in pairs for c in (pair.fixed, pair.moving)}.values():
        check_mask(case)
    for pair in pairs:
        _check_landmarks(pair)
    return pairs


def _draw(pair: BenchmarkPair) -> bytes:
    return hashlib.sha256(pair.name.encode()).digest()


def check_mask(case: Case) -> None:
    """A mask goes to the methods, labels never do.

    Raises:
        RegistrationError: One file is given as both.
    """
    if case.mask is not None and case.labels is not None:
        if os.path.realpath(case.mask) == os.path.realpath(case.labels):
            raise RegistrationError(
                f"{case.mask.name} is listed as both mask and labels of {case.patient}; labels are "
                "only for measuring and must not reach a method: remove the mask."
            )


def _check_landmarks(pair: BenchmarkPair) -> None:
    files = [case.landmarks for case in (pair.fixed, pair.moving)]
    if pair.family or files == [None, None]:
        return
    if files[0] is None or files[1] is None:
        raise RegistrationError(
            f"The pair {pair.name} has landmarks for one image only; add those of the other image "
            "to the list, or remove these."
        )
    read_landmark_pairs(files[0], files[1])  # refuse what are no pairs before any work
