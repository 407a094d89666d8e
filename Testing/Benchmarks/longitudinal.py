"""Can a stack of thick slices show how much a heart shortens from base to apex?

    python -m Testing.Benchmarks.longitudinal

Of drawn hearts in slices of 8 mm, of two contractions: the true shortening, that by the number of
slices which show the cavity, and that by the longitudinal strain of a registration.
"""

from __future__ import annotations

import numpy as np

from DeepRegistrationLib.data.phantoms import cine
from DeepRegistrationLib.function.heart_segments import heart_points
from DeepRegistrationLib.function.strain import strain, strain_by
from DeepRegistrationLib.images.image import Image
from DeepRegistrationLib.options import RegistrationOptions

_CONTRACTIONS = (0.55, 0.3)
_SEEDS = range(1, 6)
_CAVITY = 3


def shortening(green_lagrange: float) -> float:
    """The share by which a length with this strain is shorter."""
    return 1 - float(np.sqrt(1 + 2 * green_lagrange))


def slices(labels: Image) -> int:
    """How many slices show the cavity."""
    return int((labels.data == _CAVITY).flatten(1).any(dim=1).sum())


def main() -> None:
    """Command line."""
    for contraction in _CONTRACTIONS:
        for seed in _SEEDS:
            beat = cine(2, (80, 76, 11), (2.5, 2.5, 8.0), seed=seed, contraction=contraction)
            first, last = beat.labels
            true = strain_by(heart_points(first), beat.transforms[1]).mean(axis=0)[2]
            fast = RegistrationOptions(quality="fast")
            found = strain(beat.frames, fast, reference=0, labels=first)
            print(
                f"shortening {shortening(true):.1%}, by slices "
                f"{1 - slices(last) / slices(first):.1%}, by registration "
                f"{shortening(found.whole['longitudinal'][1]):.1%}",
                flush=True,
            )


if __name__ == "__main__":
    main()
