"""The pictures of README.md and docs/ have their colors, and stay small."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import PIL.Image
import pytest

FOLDER = Path(__file__).parents[2] / "Resources" / "Screenshots"


@pytest.mark.parametrize("path", sorted(FOLDER.glob("*.png")), ids=lambda path: path.name)
def test_a_picture_is_in_true_color_and_small(path):
    with PIL.Image.open(path) as picture:
        assert picture.mode in ("RGB", "RGBA")
    assert path.stat().st_size < 300_000


@pytest.mark.parametrize("name", ["before.png", "after.png"])
def test_overlays_show_the_colors_that_their_caption_names(name):
    with PIL.Image.open(FOLDER / name) as picture:
        red, green, blue = np.moveaxis(np.asarray(picture.convert("RGB")).astype(int), -1, 0)
    assert ((green - red > 100) & (green - blue > 100)).sum() > 100  # only in the fixed image
    assert ((red - green > 100) & (blue - green > 100)).sum() > 100  # only in the moving image


def test_the_jacobian_map_shows_blue_red_and_the_yellow_of_folding():
    with PIL.Image.open(FOLDER / "jacobian.png") as picture:
        red, green, blue = np.moveaxis(np.asarray(picture.convert("RGB")).astype(int), -1, 0)
    assert ((blue - red > 60) & (blue - green > 20)).sum() > 1000
    assert ((red - blue > 60) & (red - green > 60)).sum() > 500
    assert ((red > 200) & (green > 180) & (blue < 80)).sum() > 500
