"""Text in a signal color can be read on any panel: contrast as WCAG 2.2 defines it."""

from __future__ import annotations

import colorsys

import numpy as np
import pytest

from DeepRegistrationLib.scene.nodes.contrast import contrast, readable_on

RED = "#c62828"


def rgb(color: str) -> tuple[float, ...]:
    return tuple(int(color[k : k + 2], 16) / 255 for k in (1, 3, 5))


@pytest.mark.parametrize(
    ("one", "other", "expected"),
    # From the tables of WebAIM's contrast checker.
    [("#ffffff", "#000000", 21.0), ("#777777", "#ffffff", 4.48), ("#0000ff", "#ffffff", 8.59)],
)
def test_contrast_is_that_of_the_guidelines(one, other, expected):
    assert contrast(np.array(rgb(one)), np.array(rgb(other))) == pytest.approx(expected, abs=0.01)


@pytest.mark.parametrize("color", [RED, "#2e7d32", "#607d8b", "#e08600"])
@pytest.mark.parametrize("background", ["#ffffff", "#efefef", "#353535", "#000000", "#777777"])
def test_a_signal_color_is_readable_and_keeps_its_hue(color, background):
    made = readable_on(color, background)
    assert contrast(np.array(rgb(made)), np.array(rgb(background))) >= 4.5
    hue, lightness, _ = colorsys.rgb_to_hls(*rgb(made))
    if 0.1 < lightness < 0.9:  # else it is black or white, but for rounding
        assert hue == pytest.approx(colorsys.rgb_to_hls(*rgb(color))[0], abs=0.02)


def test_a_color_that_can_be_read_stays():
    assert readable_on(RED, "#ffffff") == RED
