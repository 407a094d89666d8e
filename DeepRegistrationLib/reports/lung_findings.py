"""Lungs that are no masks, or of which much is missing, in words; nothing here loads PyTorch."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from DeepRegistrationLib.evaluation.finding import OWN, Finding


def lung_findings(lungs: Mapping[str, Any] | None) -> list[Finding]:
    """What is to be said of the lungs in two chest CTs.

    A whole lung that is missing is a caution: it was removed, or nothing of it is judged. That one
    lung is much smaller is said, but is no fault: after the removal of a lobe the mask is right.

    Args:
        lungs: See :class:`images.masks.FoundMasks`.
    """
    lungs, findings = lungs or {}, []
    if why := lungs.get("unused"):
        text = f"{why}, so the lungs are not used as masks, and errors in them are easily missed: "
        findings.append(Finding("caution", f"{text}look at the images, or give masks.", OWN))
    if missing := lungs.get("missing"):
        text = f"{_sides(missing)}: what is filled, collapsed or cut off was hardly fitted, and is "
        text += "not judged here; if it matters, give masks that include it."
        findings.append(Finding("caution" if lungs["alone"] else "unknown", text, OWN))
    return findings


def _sides(missing: Mapping[str, str]) -> str:
    clauses = set(missing.values())
    if len(missing) == 2 and len(clauses) == 1:
        return f"In both images {clauses.pop()}"
    text = " and ".join(f"in the {side} image {clause}" for side, clause in missing.items())
    return f"I{text[1:]}"
