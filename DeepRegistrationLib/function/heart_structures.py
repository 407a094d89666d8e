"""Segments of the heart by their names, as the numbers that strain is measured with."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence

import numpy as np

from DeepRegistrationLib.errors import RegistrationError

_STRUCTURES = (  # the first that fits: "left ventricular myocardium" is muscle, LVOT is none
    (0, re.compile(r"\b(right|rv).*myo|myo.*\b(right|rv)", re.IGNORECASE)),
    (2, re.compile(r"myo", re.IGNORECASE)),
    (1, re.compile(r"right ventric|\brv(?![a-z])", re.IGNORECASE)),
    (3, re.compile(r"left ventric|\blv(?![a-z])", re.IGNORECASE)),
)


def heart_structures(
    layers: Sequence[np.ndarray], names: Mapping[int, str], owner: str
) -> np.ndarray:
    """Right ventricle 1, myocardium 2, left ventricle 3: uint8 of the layers' shape.

    Args:
        layers: Label maps, in several where segments overlap; there muscle counts.
        names: Of the segments, by their numbers in the layers.
        owner: What messages call the segmentation.

    Raises:
        RegistrationError: Segments of other names, or two that are called one ventricle.
    """
    numbers = {own: _number_of(name) for own, name in names.items()}
    if set(numbers.values()) - {0} != {1, 2, 3}:
        given = ", ".join(names.values())
        raise RegistrationError(
            f"The segments of {owner} are called {given}; strain needs three that are called right "
            "ventricle, myocardium and left ventricle."
        )
    for wanted in (1, 3):
        same = [names[number] for number, found in numbers.items() if found == wanted]
        if len(same) > 1:
            raise RegistrationError(
                f"{' and '.join(same)} of {owner} are called one ventricle; keep one of them."
            )
    merged = np.zeros(layers[0].shape, np.uint8)
    for wanted in (1, 3, 2):
        for layer in layers:
            own = [number for number, found in numbers.items() if found == wanted]
            merged[np.isin(layer, own)] = wanted
    return merged


def _number_of(name: str) -> int:
    return next((number for number, known in _STRUCTURES if known.search(name)), 0)
