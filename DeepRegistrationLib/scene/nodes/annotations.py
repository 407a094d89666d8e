"""Text and legends on pixel arrays, so that a picture explains itself."""

from __future__ import annotations

import numpy as np
import vtk
from vtk.util import numpy_support

Color = tuple[float, float, float]

WHITE: Color = (1.0, 1.0, 1.0)
GRAY: Color = (0.7, 0.7, 0.7)


def blank(width: int, height: int) -> np.ndarray:
    """A black picture: uint8 [height, width, 3], the top row first."""
    return np.zeros((height, width, 3), dtype=np.uint8)


def text_mask(text: str, size: int, *, bold: bool = False) -> np.ndarray:
    """How much of each pixel a line of text covers, in [0, 1]: [height, width]."""
    style = vtk.vtkTextProperty()
    style.SetFontSize(size)
    style.SetBold(bold)
    style.SetColor(1, 1, 1)
    data = vtk.vtkImageData()
    extent = [0, 0]
    vtk.vtkTextRenderer.GetInstance().RenderString(style, text, data, extent, 96)
    width, height, _ = data.GetDimensions()
    values = numpy_support.vtk_to_numpy(data.GetPointData().GetScalars())
    alpha = values.reshape(height, width, -1)[: extent[1], : extent[0], 3]
    return alpha[::-1].astype(np.float32) / 255


def draw_text(
    pixels: np.ndarray,
    text: str,
    position: tuple[float, float],
    *,
    size: int = 14,
    color: Color = WHITE,
    align: tuple[float, float] = (0.0, 0.5),
    bold: bool = False,
) -> int:
    """Write one line on the picture, in place.

    Args:
        position: Of the anchor, in pixels from the upper left.
        align: Which share of the text's width and height the anchor is at: (0, 0.5) writes to the
            right of it, (0.5, 0.5) around it.

    Returns:
        The text's width in pixels.
    """
    mask = text_mask(text, size, bold=bold)
    height, width = mask.shape
    left = min(max(round(position[0] - align[0] * width), 0), max(pixels.shape[1] - width, 0))
    top = min(max(round(position[1] - align[1] * height), 0), max(pixels.shape[0] - height, 0))
    target = pixels[top : top + height, left : left + width]
    mask = mask[: target.shape[0], : target.shape[1], None]
    # A darkened surrounding keeps letters readable on bright tissue.
    around = _widened(mask)
    blended = target * (1 - around) * (1 - mask) + np.array(color, dtype=np.float32) * 255 * mask
    target[:] = blended.astype(np.uint8)
    return width


def _widened(mask: np.ndarray) -> np.ndarray:
    """The largest value of each pixel and the eight around it: [height, width, 1]."""
    edged = np.pad(mask, ((1, 1), (1, 1), (0, 0)))
    rows = np.maximum(np.maximum(edged[:-2], edged[1:-1]), edged[2:])
    return np.maximum(np.maximum(rows[:, :-2], rows[:, 1:-1]), rows[:, 2:])


def fill_box(
    pixels: np.ndarray, left: int, top: int, width: int, height: int, color: Color
) -> None:
    """Fill a rectangle, in place."""
    pixels[top : top + height, left : left + width] = np.round(np.array(color) * 255)


def draw_key(pixels: np.ndarray, entries: list[tuple[Color, str]], right: int, middle: int) -> None:
    """Colored squares with names, in one row that ends at ``right``."""
    left = right
    for color, name in reversed(entries):
        left -= text_mask(name, 13).shape[1]
        draw_text(pixels, name, (left, middle), size=13)
        left -= 24
        fill_box(pixels, left, middle - 8, 16, 16, color)
        left -= 26


def color_bar(
    height: int,
    colors: np.ndarray,
    limits: tuple[float, float],
    ticks: list[tuple[float, str]],
    title: str,
) -> np.ndarray:
    """A vertical color scale with labels.

    Args:
        height: In pixels.
        colors: From the lowest to the highest value, [n, 3] in [0, 1].
        limits: Values of the first and last color.
        ticks: Values to mark and what to write beside them.
        title: Written above.

    Returns:
        uint8 [height, width, 3].
    """
    width = 40 + max(text_mask(label, 13).shape[1] for _, label in [*ticks, (0, title)])
    result = blank(width + 16, height)
    top, bottom = 56, height - 28
    rows = np.linspace(len(colors) - 1, 0, bottom - top).round().astype(int)
    result[top:bottom, 12:32] = np.round(colors[rows] * 255)[:, None]
    draw_text(result, title, (12, 26), size=13, bold=True)
    for value, label in ticks:
        share = (value - limits[0]) / (limits[1] - limits[0])
        row = bottom - share * (bottom - top)
        fill_box(result, 32, int(np.clip(row, top, bottom - 1)), 5, 1, WHITE)
        draw_text(result, label, (42, row), size=13)
    return result
