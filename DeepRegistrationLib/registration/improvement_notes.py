"""What a user has to know of an improvement around some places."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from DeepRegistrationLib.evaluation.landmark_pairs import LandmarkPairs

REDUCED = "The correction was made smaller, as the deformation would have folded."
LARGEST_RADIUS = 200.0  # mm: as memory for the grid that holds the balls grows with its cube
_MISSED = 2.0  # times what a landmark is trusted to: further away it was not reached
_STEEPEST = 2.5  # radius over pull, below which a deformation would have to fold
_FARTHER = 0.3  # mm by which a landmark beside may fit worse without a word
_WORSE = 0.1  # local correlation that a landmark may cost without a word


def unreached(
    pairs: LandmarkPairs,
    centers: np.ndarray,
    before: np.ndarray,
    after: np.ndarray,
    weight: float,
    radius: float,
) -> list[str]:
    """Sentences about driving pairs that were not reached.

    Args:
        centers: The places, [k, 3].
        before, after: |T(x_F) - x_M| of the pairs, mm.
    """
    notes = []
    distance = np.linalg.norm(pairs.fixed[:, None] - centers[None], axis=-1).min(1)
    for row, label in enumerate(pairs.labels):
        if distance[row] >= radius:
            notes.append(
                f"Landmark pair {label} is {distance[row]:.0f} mm away from the nearest place and "
                "had no influence."
            )
        elif after[row] > _MISSED / weight**0.5:
            why, needed = "images and landmark disagree there", _STEEPEST * before[row]
            if needed > LARGEST_RADIUS:
                why = "that is too far for an improvement; let the pairs drive a whole registration"
            elif needed > radius:
                why = (
                    f"to move it by {before[row]:.0f} mm without folding takes a radius of about "
                    f"{needed:.0f} mm"
                )
            notes.append(
                f"Landmark pair {label} was not reached: {after[row]:.1f} mm are left of "
                f"{before[row]:.1f} mm; {why}."
            )
    return notes


def contradictions(labels: list[str], before: np.ndarray, after: np.ndarray) -> list[str]:
    """Sentences about landmarks where the local correlation is clearly less than before."""
    return [
        f"Landmark pair {label} contradicts the images: they match less there than before (local "
        f"correlation {now:.2f}, before {then:.2f}); check that both points show one structure."
        for label, then, now in zip(labels, before, after, strict=True)
        if now < then - _WORSE
    ]


def worsened(labels: Sequence[str], before: np.ndarray, after: np.ndarray) -> list[str]:
    """A sentence about landmarks that did not drive and fit clearly worse than before.

    Args:
        labels: Of these.
        before, after: |T(x_F) - x_M|, mm, NaN where it is not known: [n].
    """
    rows = [row for row in range(len(labels)) if after[row] - before[row] > _FARTHER]
    if not rows:
        return []
    names = ", ".join(labels[row] for row in rows)
    text = f"Landmark {names} nearby fits" if len(rows) == 1 else f"Landmarks {names} nearby fit"
    return [
        f"{text} worse than before ({np.mean(before[rows]):.2f} mm before, "
        f"{np.mean(after[rows]):.2f} mm after): check the landmark that drove this, and these."
    ]
