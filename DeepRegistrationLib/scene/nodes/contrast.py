"""Colors of text that can be read on a background."""

from __future__ import annotations

import numpy as np

_READABLE = 4.5  # contrast of text


def readable_on(color: str, background: str) -> str:
    """A color made darker or lighter until text in it can be read.

    Args:
        color, background: As ``#rrggbb``.

    Returns:
        The nearest mixture with black or white, whichever the background is further from, that
        has a contrast of 4.5 (Web Content Accessibility Guidelines 2.2, level AA).
    """
    start, behind = _from_hex(color), _from_hex(background)
    end = max(np.zeros(3), np.ones(3), key=lambda candidate: contrast(candidate, behind))
    mixtures = (start + share * (end - start) for share in np.linspace(0, 1, 101))
    readable = (m for m in mixtures if contrast(_rounded(m), behind) >= _READABLE)
    return "#" + bytes(np.uint8(np.round(255 * next(readable, end)))).hex()


def contrast(one: np.ndarray, other: np.ndarray) -> float:
    """Of two colors, [3] in [0, 1]: from 1, the same lightness, to 21 (WCAG 2.2)."""
    low, high = sorted(_luminance(color) for color in (one, other))
    return (high + 0.05) / (low + 0.05)


def _luminance(color: np.ndarray) -> float:
    linear = np.where(color <= 0.04045, color / 12.92, ((color + 0.055) / 1.055) ** 2.4)
    return float(linear @ (0.2126, 0.7152, 0.0722))


def _from_hex(color: str) -> np.ndarray:
    return np.array(list(bytes.fromhex(color.removeprefix("#")))) / 255


def _rounded(color: np.ndarray) -> np.ndarray:
    return np.round(255 * color) / 255
