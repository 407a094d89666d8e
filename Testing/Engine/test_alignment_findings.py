"""Each finding on how structures lie on another follows from its numbers and names its limit."""

from __future__ import annotations

import copy

import pytest

from DeepRegistrationLib.reports.alignment_findings import (
    ALIKE,
    AREA_MM,
    COVERED,
    GROSS,
    OUTSIDE,
    SHIFT_MM,
    alignment_findings,
)
from DeepRegistrationLib.reports.verdict import faulty, verdict

GOOD = {
    "kind": "vessels",
    "places": 700,
    "shift": {"median": 0.3, "mean": 0.4, "p95": 1.2},
    "alike": 0.9,
    "area": {"shift": 1.3, "where": "lower, left", "point": [34.0, 12.0, -150.0]},
    "percent_outside": 0.0,
    "percent_covered": None,
}
QUALITY = {
    "region": {"source": "lungs", "name": "lungs"},
    "jacobian": {"min": 0.4, "max": 2, "mean": 1, "percent_nonpositive": 0.0, "in_mask": None},
}


def found(**changes):
    values = copy.deepcopy(GOOD)
    for name, value in changes.items():
        if isinstance(value, dict):
            values[name].update(value)
        else:
            values[name] = value
    return alignment_findings(values, "the lungs")


def test_a_good_result_gets_one_finding_with_its_numbers_and_place():
    (finding,) = found()
    assert finding.level == "ok"
    assert "Vessels and airways in the lungs lie 0.4 mm apart on average" in finding.text
    assert "1.3 mm apart, lower, left (L 34, P 12, I 150 mm)" in finding.text
    assert f"{SHIFT_MM:g} mm" in finding.basis
    assert "VERDICT.md" in finding.basis


@pytest.mark.parametrize(
    ("changes", "level"),
    [
        ({"shift": {"mean": SHIFT_MM}}, "ok"),
        ({"shift": {"mean": SHIFT_MM + 0.01}}, "caution"),
        ({"shift": {"mean": GROSS * SHIFT_MM}}, "problem"),
        ({"area": {"shift": AREA_MM["vessels"]}}, "ok"),
        ({"area": {"shift": AREA_MM["vessels"] + 0.01}}, "caution"),
        ({"area": {"shift": GROSS * AREA_MM["vessels"]}}, "problem"),
        ({"kind": "structures", "area": {"shift": AREA_MM["structures"] + 0.01}}, "caution"),
    ],
)
def test_shifts_beyond_a_limit_are_a_caution_and_from_twice_it_a_problem(changes, level):
    assert [finding.level for finding in found(**changes)] == [level]


@pytest.mark.parametrize(
    ("changes", "level", "words"),
    [
        ({"alike": ALIKE - 0.01}, "problem", "the same patient"),
        ({"percent_outside": OUTSIDE + 1}, "caution", "11.0 % of the lungs lies outside"),
        ({"percent_covered": COVERED - 38}, "caution", "The mask covers 52.0 % of the lungs"),
    ],
)
def test_what_is_not_alike_outside_or_not_covered_is_said(changes, level, words):
    first, second = found(**changes)
    assert (first.level, second.level) == ("ok", level)
    assert words in second.text


def test_a_place_without_coordinates_is_said_in_words_alone():
    values = copy.deepcopy(GOOD)
    del values["area"]["point"]
    (finding,) = alignment_findings(values, "the lungs")
    assert finding.text.endswith("apart, lower, left.")


def test_the_verdict_takes_it_and_its_level_and_nothing_where_it_was_not_measured():
    assert verdict({**QUALITY, "alignment": GOOD}).level == "unknown"  # no landmarks: no proof
    bad = {**GOOD, "shift": {**GOOD["shift"], "mean": 5.0}}
    judged = verdict({**QUALITY, "alignment": bad})
    assert judged.level == "problem"
    assert "5.0 mm apart" in judged.headline
    assert judged.plain()["findings"][0]["level"] == "problem"
    assert "apart" not in verdict({**QUALITY, "alignment": None}).text()


def test_caution_and_problem_are_faults_the_rest_are_not():
    assert [faulty(level) for level in ("ok", "unknown", "caution", "problem")] == [0, 0, 1, 1]
