"""Pictures beside weights are small, and still show the same."""

import io

import numpy as np
import pytest

from DeepRegistrationLib.training.small_png import MOST_BYTES, write_small

Image = pytest.importorskip("PIL.Image")


def _png(pixels):
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, format="png")
    return file.getvalue()


def test_a_small_picture_stays_as_it_is(tmp_path):
    picture = _png(np.zeros((20, 30, 3), np.uint8))
    write_small(picture, tmp_path / "a.png")
    assert (tmp_path / "a.png").read_bytes() == picture


def test_a_large_picture_becomes_small_and_looks_alike(tmp_path):
    x, y = np.mgrid[:600, :800]
    smooth = 100 + 60 * np.sin(x / 50) + 40 * np.cos(y / 70)
    noise = np.random.default_rng(0).normal(0, 4, (600, 800))
    gray = np.clip(smooth + noise, 0, 255).astype(np.uint8)
    picture = _png(np.repeat(gray[..., None], 3, axis=-1))
    assert len(picture) > MOST_BYTES
    write_small(picture, tmp_path / "a.png")
    assert (tmp_path / "a.png").stat().st_size <= MOST_BYTES
    found = Image.open(tmp_path / "a.png").convert("L").resize((800, 600))
    assert np.abs(np.asarray(found).astype(float) - smooth).mean() < 8
