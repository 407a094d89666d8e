"""Overlap of labels and distances of their surfaces in words, with their limits."""

from __future__ import annotations

from typing import Any

from DeepRegistrationLib.evaluation.finding import OWN, TG132, Finding, called, place
from DeepRegistrationLib.evaluation.tolerance import Tolerance

DICE = 0.8  # TG-132
HAUSDORFF_FACTOR = 2.0  # 95 % Hausdorff distance, in limits of the mean distance; own choice


def overlap_findings(overlap: dict[str, Any] | None, allowed: Tolerance) -> list[Finding]:
    """What overlap and surface distances say, of ``quality.measure_quality``'s ``overlap``."""
    findings = []
    for key, values in (overlap or {}).items():
        name = called(key)
        before, after = values.get("before"), values.get("after")
        if not after or after.get("hausdorff95") is None:
            findings.append(Finding("unknown", f"{name} is missing from one of the two images."))
            continue
        if values.get("drove"):
            findings.append(_driven(name, after))
            continue
        findings.append(_overlap_of(name, before, after, allowed))
        far = _farther(name, before, after, allowed)
        findings += [] if far is None else [far]
    return findings


def proves(overlap: dict[str, Any] | None) -> bool:
    """Whether there is a structure that did not drive the registration."""
    return any(not values.get("drove") for values in (overlap or {}).values())


def _driven(name: str, after: dict[str, Any]) -> Finding:
    """Of a structure that the transform was made to fit."""
    text = f"{name[0].upper()}{name[1:]} drove the registration and does not count as proof"
    return Finding("unknown", f"{text} (Dice {after['dice']:.2f}).")


def _overlap_of(
    name: str, before: dict[str, Any] | None, after: dict[str, Any], allowed: Tolerance
) -> Finding:
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
    return Finding(level, text, basis)


def _farther(
    name: str, before: dict[str, Any] | None, after: dict[str, Any], allowed: Tolerance
) -> Finding | None:
    """A caution where surfaces are far apart somewhere, or farther than before, with the place."""
    limit, distance = HAUSDORFF_FACTOR * allowed.limit, after["hausdorff95"]
    first = None if before is None else before.get("hausdorff95")
    worse = first is not None and round(distance, 1) > round(first, 1)
    if not worse and distance <= limit:
        return None
    text = f"Surfaces of {name}: 95 % Hausdorff distance {distance:.1f} mm"
    text += f", farther apart than before ({first:.1f} mm)" if worse else ""
    if distance > limit:
        text += f", above {limit:g} mm"
    if after.get("farthest") is not None:
        worst = {"where": after.get("where", ""), "point": after["farthest"]}
        text += f"; largest distance {after['hausdorff']:.1f} mm{place(worst)}"
    basis = f"95 % Hausdorff distance up to {HAUSDORFF_FACTOR:g} times the limit of the mean "
    basis += f"distance, and no larger than before: {OWN}"
    return Finding("caution", f"{text}.", basis)
