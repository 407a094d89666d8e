"""A registration's quality in plain words, with what the words rest on.

The words never say that a registration is good: measures can show that something is wrong, or that
nothing wrong was found where it was looked for. Nothing here loads PyTorch.

Limits are those of AAPM Task Group 132 (Brock et al., Med Phys 44(7):e43-e76, 2017, doi
10.1002/mp.12256, table III) where it gives one:

- target registration error and consistency: the maximum voxel dimension, about 2-3 mm; see
  :mod:`tolerance` for how the limit follows the voxels;
- mean distance to agreement of surfaces: the contouring uncertainty of the structure, or the
  maximum voxel dimension, about 2-3 mm;
- Dice: the contouring uncertainty of the structure, about 0.80-0.90, lower for small structures;
- Jacobian determinant: no negative values, else as the clinical scenario leads one to expect.

Here 0.80 holds for every structure; stereotactic treatment asks for 1 mm. To which statistic a
limit is applied, and at which share a caution becomes a problem, is this program's own choice, and
is marked so.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from DeepRegistrationLib.evaluation.finding import (
    LEVELS,
    OWN,
    TG132,
    Finding,
    percent,
)
from DeepRegistrationLib.evaluation.tolerance import Tolerance, tolerance
from DeepRegistrationLib.evaluation.uncertainty_findings import uncertainty_findings

DICE = 0.8  # TG-132
FOLDING_PROBLEM = 1.0  # percent; own choice: TG-132 accepts none
LANDMARK_SHARE_PROBLEM = 0.1  # own choice: this part of the landmarks above the limit
FEW_LANDMARKS = 10  # own choice: fewer say little about the rest of the image
VOLUME_RANGE = (0.5, 2.0)  # mean J of a segment; own choice


@dataclass(frozen=True)
class Verdict:
    """What can be said of a registration.

    Attributes:
        level: Of ``LEVELS``: the worst of the findings; ``unknown`` without landmarks and without
            segmentations of both images, where nothing worse was found.
        headline: One sentence.
        findings: What it rests on, the worst first.
    """

    level: str
    headline: str
    findings: tuple[Finding, ...]

    def text(self) -> str:
        """Headline and findings, one a line."""
        return "\n".join([self.headline, *(finding.text for finding in self.findings)])


def verdict(
    quality: dict[str, Any] | None,
    *,
    labels: Sequence[str] = (),
    before: Sequence[float] = (),
    after: Sequence[float] = (),
    positions: Sequence[Sequence[float]] = (),
    voxel: float | None = None,
) -> Verdict:
    """Judge a registration by its measures.

    Args:
        quality: What ``quality.measure_quality`` gave; None where nothing was measured.
        labels: Of the landmarks.
        before, after: Their errors in mm without and with the registration.
        positions: Of the landmarks in the fixed image, LPS mm, to say where the largest error is.
        voxel: Largest voxel dimension of the two images, mm, which the limits follow; that in
            ``quality`` when omitted.
    """
    quality = quality or {}
    allowed = tolerance(quality.get("voxel_mm") if voxel is None else voxel)
    findings = [
        *_landmarks(
            _names(labels, positions, len(after)),
            np.asarray(before, float),
            np.asarray(after, float),
            allowed,
        ),
        *_folding(quality),
        *_segments(quality.get("segments")),
        *_overlap(quality.get("overlap"), allowed),
        *_consistency(quality.get("inverse_consistency"), allowed),
        *uncertainty_findings(quality.get("uncertainty")),
        *_similarity(quality.get("similarity")),
    ]
    ordered = tuple(sorted(findings, key=lambda finding: -LEVELS.index(finding.level)))
    proof = len(after) > 0 or bool(quality.get("overlap"))
    worst = ordered[0].level if ordered else "unknown"
    level = "unknown" if worst == "ok" and not proof else worst
    return Verdict(level, _headline(level, ordered, proof), ordered)


def _headline(level: str, findings: tuple[Finding, ...], proof: bool) -> str:
    shown = [finding.text.rstrip(".") for finding in findings if finding.level == level]
    if level == "problem":
        return f"Problem: {'; '.join(shown)}."
    if level == "caution":
        return f"Look closely: {'; '.join(shown)}."
    if not proof:
        return (
            "Accuracy is not known: there are no landmarks and no segmentations of both images; "
            "the other measures can only find faults."
        )
    if level == "unknown":
        return f"Not everything is known: {'; '.join(shown)}."
    kept = "; ".join(finding.text.rstrip(".") for finding in findings)
    return f"No fault found in what was measured: {kept}."


def _names(labels: Sequence[str], positions: Sequence[Sequence[float]], count: int) -> list[str]:
    """What to call landmarks: label, or number, and place."""
    names = [labels[k] if k < len(labels) else str(k + 1) for k in range(count)]
    if len(positions) != count:
        return names
    return [f"{name}, {_position(p)}" for name, p in zip(names, positions, strict=True)]


def _position(point: Sequence[float]) -> str:
    """A point in LPS mm as Slicer writes it: "L 34, P 12, I 150 mm"."""
    letters = (("L", "R"), ("P", "A"), ("S", "I"))
    parts = [
        f"{pair[0] if value >= 0 else pair[1]} {abs(value):.0f}"
        for value, pair in zip(point, letters, strict=True)
    ]
    return ", ".join(parts) + " mm"


def _landmarks(
    names: Sequence[str], before: np.ndarray, after: np.ndarray, allowed: Tolerance
) -> list[Finding]:
    count = len(after)
    if count == 0:
        return [Finding("unknown", "No landmarks were given.")]
    above = int((after > allowed.limit).sum())
    worst = int(np.argmax(after))
    basis = f"{allowed.basis}; for each landmark, and a problem from "
    basis += f"{100 * LANDMARK_SHARE_PROBLEM:g} % of the landmarks: {OWN}"
    text = f"{above} of {count} landmarks above {allowed.limit:g} mm, {allowed.short}"
    text += f" (mean {after.mean():.2f} mm, largest {after[worst]:.2f} mm at {names[worst]})."
    if len(before) == count:
        text = text[:-2] + f"; mean before {before.mean():.2f} mm)."
    level = "ok" if above == 0 else "caution"
    if above >= LANDMARK_SHARE_PROBLEM * count and above > 0:
        level = "problem"
    findings = [Finding(level, text, basis)]
    if len(before) == count and after.mean() > before.mean():
        findings.append(
            Finding("problem", "The landmarks are further apart than before the registration.")
        )
    if count < FEW_LANDMARKS:
        few = f"Only {count} landmark{'s' if count > 1 else ''}: "
        few += "the rest of the image is not checked by them."
        findings.append(Finding("unknown", few, f"fewer than {FEW_LANDMARKS}: {OWN}"))
    return findings


def _folding(quality: dict[str, Any]) -> list[Finding]:
    statistics = quality.get("jacobian")
    if not statistics:
        return [Finding("unknown", "The Jacobian determinant was not measured.")]
    inside = statistics.get("in_mask")
    region = "the mask" if inside else "the image"
    share = (inside or statistics)["percent_nonpositive"]
    basis = f"no negative Jacobian determinant: {TG132}; "
    basis += f"a problem from {FOLDING_PROBLEM:g} %: {OWN}"
    findings = []
    if share > 0:
        text = f"Folding {percent(share)} of {region}{_place(quality, region)}."
        level = "problem" if share >= FOLDING_PROBLEM else "caution"
        findings.append(Finding(level, text, basis))
    else:
        smallest = (inside or statistics)["min"]
        text = f"No folding in {region} (smallest Jacobian determinant {smallest:.2f})."
        findings.append(Finding("ok", text, basis))
    outside = statistics["percent_nonpositive"]
    if inside and share == 0 and outside > 0:
        text = f"Folding {percent(outside)} of the image, none of it in the mask."
        findings.append(Finding("unknown", text, basis))
    return findings


def _place(quality: dict[str, Any], region: str) -> str:
    """Where the largest folded place lies."""
    places = quality.get("folding") or []
    if not places:
        return ""
    others = f" of {len(places)} places" if len(places) > 1 else ""
    return (
        f"; the largest{others}: {places[0]['where']} in {region} ({_position(places[0]['point'])})"
    )


def _called(name: str) -> str:
    """A segment without a name is told from a number."""
    return f"label {name}" if name.isdigit() else name


def _segments(segments: dict[str, Any] | None) -> list[Finding]:
    findings = []
    for key, values in (segments or {}).items():
        name = _called(key)
        statistics = values["jacobian"]
        if statistics["percent_nonpositive"] > 0:
            text = f"Folding {percent(statistics['percent_nonpositive'])} of {name}."
            problem = statistics["percent_nonpositive"] >= FOLDING_PROBLEM
            level = "problem" if problem else "caution"
            findings.append(Finding(level, text, f"no negative determinant: {TG132}"))
        low, high = VOLUME_RANGE
        if not low <= statistics["mean"] <= high:
            text = f"{name} changes its volume from {values['volume_ml']:.3g} ml to "
            text += f"{values['moving_volume_ml']:.3g} ml."
            findings.append(Finding("caution", text, f"outside {low:g} to {high:g} fold: {OWN}"))
    return findings


def _overlap(overlap: dict[str, Any] | None, allowed: Tolerance) -> list[Finding]:
    findings = []
    for key, values in (overlap or {}).items():
        name = _called(key)
        before, after = values.get("before"), values.get("after")
        if not after or after.get("hausdorff95") is None:
            findings.append(Finding("unknown", f"{name} is missing in one of the two images."))
            continue
        text = f"Dice of {name} {after['dice']:.2f}"
        worse = before is not None and after["dice"] < before["dice"]
        if before is not None:
            text += f" ({before['dice']:.2f} before)"
        distance = after["mean_surface_distance"]
        text += f", surfaces {distance:.1f} mm apart on average, 95 % within "
        text += f"{after['hausdorff95']:.1f} mm."
        kept = after["dice"] >= DICE and distance <= allowed.limit
        level = "problem" if worse else "ok" if kept else "caution"
        basis = f"Dice from {DICE:g} (0.80-0.90, lower for small structures): {TG132}; surfaces, "
        basis += f"{allowed.basis}; lower than before: {OWN}"
        findings.append(Finding(level, text, basis))
    return findings


def _consistency(values: dict[str, Any] | None, allowed: Tolerance) -> list[Finding]:
    if not values:
        return []
    kept = values["p95"] <= allowed.limit
    what = "Forth and back" if values["source"] == "given" else "Forth and numerically back"
    text = f"{what}, 95 % of {values['n']} points return within {values['p95']:.2g} mm"
    text += f" (largest {values['max']:.2g} mm)."
    basis = f"{allowed.basis}; for 95 %: {OWN}; of one transform and its inverse this "
    basis += "shows folding and rounding, not accuracy"
    return [Finding("ok" if kept else "caution", text, basis)]


def _similarity(values: dict[str, Any] | None) -> list[Finding]:
    if not values:
        return []
    before, after = values["before"]["local_ncc"], values["after"]["local_ncc"]
    if before is None or after is None:
        return []
    text = f"Local correlation of the images {before:.2f} before, {after:.2f} after"
    text += ", which does not show accuracy." if after >= before else ": they are less alike now."
    return [Finding("ok" if after >= before else "problem", text, f"lower than before: {OWN}")]
