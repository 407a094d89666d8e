"""What landmarks that drove the deformation say of it: nothing, unless each was left out once."""

from __future__ import annotations

import numpy as np

from DeepRegistrationLib.evaluation.finding import OWN, Finding
from DeepRegistrationLib.evaluation.tolerance import Tolerance


def driving_findings(left_out: np.ndarray, allowed: Tolerance) -> list[Finding]:
    """Of landmarks that the transform was made to fit.

    Args:
        left_out: Leave-one-out error of each in mm, NaN where it was not measured: [n].
        allowed: What an error may be.
    """
    if len(left_out) == 0:
        return []
    text = f"{called(len(left_out))} drove the deformation and "
    text += "do not count as proof" if len(left_out) > 1 else "does not count as proof"
    known = left_out[np.isfinite(left_out)]
    if len(known) == 0:
        return [Finding("unknown", f"{text}.")]
    above = int((known > allowed.limit).sum())
    text += f"; each left out once, the mean error there is {known.mean():.2f} mm"
    text += f", the largest {known.max():.2f} mm."
    level = "caution" if above else "ok"
    return [Finding(level, text, f"{allowed.basis}; for each landmark: {OWN}")]


def called(count: int) -> str:
    """So many landmarks."""
    return f"{count} landmark{'s' if count > 1 else ''}"
