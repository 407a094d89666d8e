"""Folding, extreme volume change and inverse consistency in words, with their limits."""

from __future__ import annotations

from typing import Any

from DeepRegistrationLib.evaluation.finding import (
    OWN,
    TG132,
    Finding,
    called,
    figure,
    percent,
    place,
    position,
    region_in_words,
)
from DeepRegistrationLib.evaluation.tolerance import Tolerance

FOLDING_PROBLEM = 1.0  # percent; own choice: TG-132 accepts none
VOLUME_RANGE = (0.5, 2.0)  # mean J of a segment; own choice
EXTREME_J = (0.2, 5.0)  # beyond, tissue is a fifth or five times as large; own choice
EXTREME_J_ELSEWHERE = 0.1  # not in lungs: cavities of a heart nearly close; on ACDC 001-060


def folding_findings(quality: dict[str, Any]) -> list[Finding]:
    """What the Jacobian determinant says in the region, and outside of it."""
    statistics = quality.get("jacobian")
    if not statistics:
        return [Finding("unknown", "The Jacobian determinant was not measured.")]
    inside = statistics.get("in_mask") or statistics
    region = region_in_words(quality)
    share = inside["percent_nonpositive"]
    basis = f"no negative Jacobian determinant: {TG132}; "
    basis += f"a problem from {FOLDING_PROBLEM:g} %: {OWN}"
    findings = _extremes(quality, inside, region)
    if share > 0:
        text = f"Folding {percent(share)} of {region}{_largest_fold(quality, region)}."
        level = "problem" if share >= FOLDING_PROBLEM else "caution"
        findings.append(Finding(level, text, basis))
    elif not findings:
        text = f"No folding in {region} (smallest Jacobian determinant {inside['min']:.2f})."
        findings.append(Finding("ok", text, basis))
    outside = statistics["percent_nonpositive"]
    if inside is not statistics and share == 0 and outside > 0:
        text = f"Folding {percent(outside)} of the image, none of it in {region}."
        findings.append(Finding("unknown", text, basis))
    return findings


def _extremes(quality: dict[str, Any], statistics: dict[str, Any], region: str) -> list[Finding]:
    """Cautions where tissue shrinks or grows by more than tissue does, with the place."""
    low, high = EXTREME_J
    if (quality.get("alignment") or {}).get("kind") == "structures":
        low = EXTREME_J_ELSEWHERE
    places, found = quality.get("extremes") or {}, []
    folds = statistics["percent_nonpositive"] > 0  # which is said, with its place, by itself
    if statistics["min"] < low and not folds:
        text = f"No folding, but extreme compression in {region}: "
        text += f"smallest Jacobian determinant {statistics['min']:.2f}"
        found.append(("smallest", text))
    if statistics.get("max", 1.0) > high:
        text = f"Extreme expansion in {region}: "
        text += f"largest Jacobian determinant {statistics['max']:.2f}"
        found.append(("largest", text))
    basis = f"Jacobian determinant from {low:g} to {high:g}: {OWN}"
    return [Finding("caution", f"{text}{place(places.get(name))}.", basis) for name, text in found]


def _largest_fold(quality: dict[str, Any], region: str) -> str:
    """Where the largest folded place lies."""
    places = quality.get("folding") or []
    if not places:
        return ""
    others = f" of {len(places)} places" if len(places) > 1 else ""
    return (
        f"; the largest{others}: {places[0]['where']} in {region} ({position(places[0]['point'])})"
    )


def segment_findings(segments: dict[str, Any] | None) -> list[Finding]:
    """Folding and change of volume of each segment."""
    findings = []
    for key, values in (segments or {}).items():
        name = called(key)
        statistics = values["jacobian"]
        if statistics["percent_nonpositive"] > 0:
            text = f"Folding {percent(statistics['percent_nonpositive'])} of {name}."
            problem = statistics["percent_nonpositive"] >= FOLDING_PROBLEM
            level = "problem" if problem else "caution"
            findings.append(Finding(level, text, f"no negative determinant: {TG132}"))
        low, high = VOLUME_RANGE
        if not low <= statistics["mean"] <= high:
            text = f"{name} changes its volume from {figure(values['volume_ml'], 3)} ml to "
            text += f"{figure(values['moving_volume_ml'], 3)} ml."
            findings.append(Finding("caution", text, f"outside {low:g} to {high:g} fold: {OWN}"))
    return findings


def consistency_findings(values: dict[str, Any] | None, allowed: Tolerance) -> list[Finding]:
    """What the inverse consistency says."""
    if not values:
        return []
    kept = values["p95"] <= allowed.limit
    text = f"Inverse consistency: 95 % of {values['n']} points return within "
    text += f"{figure(values['p95'])} mm (largest {figure(values['max'])} mm)."
    basis = f"{allowed.basis}; for 95 %: {OWN}; of a transform and its numerical inverse this "
    basis += "shows folding and rounding, not accuracy"
    return [Finding("ok" if kept else "caution", text, basis)]
