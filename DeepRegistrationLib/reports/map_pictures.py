"""Maps over a CT as one PNG: coronal slices, the patient's right at the left."""

from __future__ import annotations

import numpy as np

from DeepRegistrationLib.images.geometry import Grid
from DeepRegistrationLib.images.image import Image
from DeepRegistrationLib.reports.overlays import png

_PIXEL = 1.25  # mm
_MARGIN = 12.0  # mm around the mask
_SHARES = (0.3, 0.5, 0.7)  # of the depth at which slices lie
_WINDOW = (-1000.0, 200.0)  # HU
_HATCH = 6  # pixels between the lines over what is not reliable


def map_png(
    values: Image, background: Image, mask: Image, reliable: Image, limits: tuple[float, float]
) -> bytes:
    """Values in color inside a mask; lines lie over what is not reliable.

    Args:
        values, mask, reliable: On one grid; the mask is not empty.
        background: CT in HU, on any grid.
        limits: The values at the ends of :func:`shade`.
    """
    index = np.argwhere(mask.data.cpu().numpy() != 0)[:, ::-1]
    corners = mask.grid.to_physical(
        np.array(np.meshgrid(*zip(index.min(0), index.max(0), strict=True))).reshape(3, -1).T
    )
    low, high = corners.min(0) - _MARGIN, corners.max(0) + _MARGIN
    planes = []
    inside = mask.grid.to_physical(index)[:, 1]
    for depth in np.quantile(inside, _SHARES):
        size = tuple(np.maximum(np.ceil((high - low) / _PIXEL), 1).astype(int))
        grid = Grid((size[0], 1, size[2]), (_PIXEL,) * 3, (low[0], depth, low[2]))
        gray = background.resampled(grid, fill=-1000.0).data[:, 0].cpu().numpy()
        gray = np.clip((gray - _WINDOW[0]) / (_WINDOW[1] - _WINDOW[0]), 0, 1)
        picture = np.repeat((255 * gray[..., None]).astype(np.uint8), 3, axis=2)
        own = mask.resampled(grid, interpolation="nearest", fill=0).data[:, 0].cpu().numpy() != 0
        seen = values.resampled(grid, fill=0.0).data[:, 0].cpu().numpy()
        trusted = reliable.resampled(grid, interpolation="nearest", fill=0).data[:, 0].cpu().numpy()
        picture[own] = shade(seen, limits)[own]
        z, x = np.indices(own.shape)
        picture[own & (trusted == 0) & ((x + z) % _HATCH == 0)] = 40
        planes.append(picture[::-1])
    gap = np.zeros((planes[0].shape[0], 6, 3), np.uint8)
    return png(np.concatenate([planes[0], gap, planes[1], gap, planes[2]], axis=1))


_STOPS = np.array(  # from little to much: dark to bright, readable without color vision
    [[68, 1, 84], [59, 82, 139], [33, 145, 140], [94, 201, 98], [253, 231, 37]], float
)


def shade(values: np.ndarray, limits: tuple[float, float]) -> np.ndarray:
    """Colors uint8 [..., 3] from dark violet to yellow."""
    share = np.clip((values - limits[0]) / (limits[1] - limits[0]), 0, 1) * (len(_STOPS) - 1)
    places = np.arange(len(_STOPS))
    return np.stack([np.interp(share, places, _STOPS[:, k]) for k in range(3)], axis=-1).astype(
        np.uint8
    )


def gradient_css() -> str:
    """The same colors as a CSS gradient, from left to right."""
    colors = ", ".join("rgb({:.0f},{:.0f},{:.0f})".format(*stop) for stop in _STOPS)
    return f"linear-gradient(to right, {colors})"
