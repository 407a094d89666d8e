"""Overlap of ventricles that a network has segmented, in words; nothing here loads PyTorch."""

from __future__ import annotations

from typing import Any

from DeepRegistrationLib.evaluation.finding import OWN, Finding

BY_NETWORK = "segmented by HeartSegNet (a network), not by a person"
_NO_PROOF = "the registration aligned the same segmentations, so they are no independent proof"


def heart_findings(hearts: dict[str, Any] | None) -> list[Finding]:
    """What they say, of ``heart_overlap``; never a proof, as the network errs, too."""
    if not hearts:
        return []
    if not hearts["overlap"]:
        return [Finding("unknown", hearts["reason"])]
    dice = {
        name: [(values[when] or {}).get("dice", 0.0) for when in ("before", "after")]
        for name, values in hearts["overlap"].items()
    }
    each = ", ".join(
        f"of {name} {first:.2f} before and {last:.2f} after" for name, (first, last) in dice.items()
    )
    before, after = (round(sum(pair[k] for pair in dice.values()) / len(dice), 2) for k in (0, 1))
    less = ": the ventricles agree less than before" if after < before else ""
    text = f"Dice {each}, {BY_NETWORK}{less}{'; ' + _NO_PROOF if hearts['aligned'] else ''}."
    basis = f"the mean of the structures no lower than before: {OWN}"
    return [Finding("caution" if after < before else "ok", text, basis)]
