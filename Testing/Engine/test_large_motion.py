"""Breathing as deep as 40 mm, of lungs that slide and get denser: the start finds it.

Lungs that do not slide fail in a part: see Testing/Benchmarks/LARGE_MOTION.md.
"""

import pytest

from Testing.Benchmarks.large_motion import chest, errors

SMALL = {"size": (75, 60, 72), "spacing": (4.0, 4.0, 4.0)}


@pytest.mark.parametrize("motion", [25.0, 40.0])
@pytest.mark.parametrize("quality", ["fast", "default"])
def test_large_motion_is_found_within_a_voxel(motion, quality):
    found = errors(chest(motion, True, **SMALL), quality)
    assert found["lungs before"] > 8.0
    assert found["lungs"] < 2.0  # half a voxel
    assert found["lungs 95 %"] < 4.0
