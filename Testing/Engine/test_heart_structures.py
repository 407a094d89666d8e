"""Which segments of a heart strain is measured with, by their names."""

from __future__ import annotations

import numpy as np
import pytest

from DeepRegistrationLib import RegistrationError
from DeepRegistrationLib.function.heart_structures import heart_structures


def merged(*names: str) -> list[int]:
    """What becomes of voxels of segments that are called so, in their order."""
    numbers = range(1, len(names) + 1)
    layer = np.array([[list(numbers)]])
    named = dict(zip(numbers, names, strict=True))
    return heart_structures([layer], named, "heart.seg.nrrd").ravel().tolist()


@pytest.mark.parametrize(
    "names",
    [
        ("RV", "LV myocardium", "LV"),
        ("Right ventricle", "Myocardium", "Left ventricular cavity"),
        ("rv_cavity", "myo", "lv_cavity"),
    ],
)
def test_the_three_structures_are_known_in_usual_words(names):
    assert merged(*names) == [1, 2, 3]


def test_other_structures_of_the_ventricles_are_not_taken_for_them():
    names = ("RV", "LV myocardium", "LV", "RV myocardium", "LVOT", "Left atrium", "RVOT")
    assert merged(*names) == [1, 2, 3, 0, 0, 0, 0]
    with pytest.raises(RegistrationError, match="called RV, RV myocardium, LV; strain needs three"):
        merged("RV", "RV myocardium", "LV")


def test_two_segments_of_one_ventricle_are_refused_by_name():
    with pytest.raises(RegistrationError, match="LV and LV papillary of heart.seg.nrrd are called"):
        merged("RV", "LV myocardium", "LV", "LV papillary")
