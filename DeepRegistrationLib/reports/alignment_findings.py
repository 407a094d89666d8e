"""How well structures lie on another, in words with their limits; nothing here loads PyTorch.

The limits were chosen on some of the results of known error in Testing/Benchmarks/VERDICT.md, where
it says how many others they find.
"""

from __future__ import annotations

from typing import Any

from DeepRegistrationLib.evaluation.finding import OWN, Finding, percent, place

SHIFT_MM = 1.6  # mean over the region
# Mean over neighboring places, wherever it is largest; where lungs slide along the ribs, good
# results leave some mm too: the least that faults no right result of the bench's tuning pairs.
AREA_MM = {"vessels": 5.4, "structures": 3.0}
GROSS = 2.0  # times these: a problem
# Median correlation; below, what lies on another is not the same. Of good results 0.48 to 0.98, the
# least in voxels of 5 mm, where vessels are hardly seen.
ALIKE = 0.3
OUTSIDE = 10.0  # percent of the places
COVERED = 90.0  # percent of the lungs

_BASIS = "block matching after the registration; Testing/Benchmarks/VERDICT.md says how many wrong "
_BASIS += "results it finds"


def alignment_findings(values: dict[str, Any] | None, region: str) -> list[Finding]:
    """What remaining shifts say, of ``alignment.alignment``.

    Args:
        values: Of the quality.
        region: What it is called, with its article.
    """
    if not values:
        return []
    found = [_shift(values, region)]
    for finding in (_alike(values), _outside(values, region), _covered(values)):
        found += [] if finding is None else [finding]
    return found


def _shift(values: dict[str, Any], region: str) -> Finding:
    mean, area = values["shift"]["mean"], values["area"]
    spot = place(area) if area.get("point") else f", {area['where']}"
    what = "Vessels and airways" if values["kind"] == "vessels" else "Structures"
    text = (
        f"{what} in {region} lie {mean:.1f} mm apart on average after the registration; where it "
    )
    text += f"is worst, what there is lies {area['shift']:.1f} mm apart{spot}."
    most = AREA_MM[values["kind"]]
    basis = f"up to {SHIFT_MM:g} mm on average and {most:g} mm in an area, a problem from twice "
    basis += f"that: {OWN}; {_BASIS}"
    excess = max(mean / SHIFT_MM, area["shift"] / most)
    level = "ok" if excess <= 1 else "caution" if excess < GROSS else "problem"
    return Finding(level, text, basis)


def _alike(values: dict[str, Any]) -> Finding | None:
    alike = values["alike"]
    if alike >= ALIKE:
        return None
    text = f"{values['kind'].capitalize()} that were laid on another are not alike (correlation "
    text += f"{alike:.2f}): do both images show the same patient, the same way round?"
    return Finding("problem", text, f"from {ALIKE:g}: {OWN}; {_BASIS}")


def _outside(values: dict[str, Any], region: str) -> Finding | None:
    share = values["percent_outside"]
    if share <= OUTSIDE:
        return None
    text = f"{percent(share)} of {region} lies outside the moving image after the registration."
    return Finding("caution", text, f"up to {OUTSIDE:g} %: {OWN}")


def _covered(values: dict[str, Any]) -> Finding | None:
    share = values["percent_covered"]
    if share is None or share >= COVERED:
        return None
    text = (
        f"The mask covers {percent(share)} of the lungs that the fixed image shows; the rest was "
    )
    text += "hardly fitted, and is not judged here."
    return Finding("caution", text, f"from {COVERED:g} %: {OWN}")
