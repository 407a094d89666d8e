"""What can be trusted of the phases of a breath, in sentences."""

from __future__ import annotations

from collections.abc import Sequence

from DeepRegistrationLib.registration.series_notes import series_notes

LEAST_BREATH = 0.02
"""Change of the lungs' volume: less is no breath."""

_LEAST = 50.0  # percent of the lungs that have to be reliable


def by_only(verb: str, change: float, form: str = ".1%") -> str:
    """How little a volume changes, to follow its name: no figure where that would read as 0."""
    return f"{verb}s by only {change:{form}}" if round(change, 3) else f"does not {verb}"


def no_breath(lungs: Sequence[float]) -> list[str]:
    """A sentence where the phases show no breath.

    Args:
        lungs: Their volume, phase by phase.
    """
    change = max(lungs) / min(lungs) - 1
    if change >= LEAST_BREATH:
        return []
    return [
        f"Warning: the lungs' volume {by_only('differ', change)} between the phases, so there is "
        "no breath to measure."
    ]


def phase_trust(reliable: Sequence[float]) -> str:
    """One sentence: the phases whose curves are not to be read, or that there is none.

    Args:
        reliable: Percent of the lungs with a trustworthy correspondence, phase by phase.
    """
    text = "% of the lungs have a trustworthy correspondence"
    doubtful = {
        k + 1: [
            f"only {percent:.0f} {text}: do not read the curves there, and look at the "
            "registration first."
        ]
        for k, percent in enumerate(reliable)
        if percent < _LEAST
    }
    if doubtful:
        (sentence,) = series_notes("phase", doubtful)
        return sentence
    return f"In every phase at least {min(reliable):.0f} {text}."
