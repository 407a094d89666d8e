"""Whether two images show one heart at one place: frames of one series, as of a cine MRI.

Headers cannot tell: exports without positions put every origin at 0, and 23 of the 3,160 pairs of
ACDC patients 001-080 share their grid. At equal places the two frames of a patient correlate by
0.85 to 0.98. Those of two patients do by at most 0.45 where the grids are one, and by at most 0.52
over all pairs, cut to their common size; the one exception, 074 and 076, has the same images twice.

Between end-diastole and end-systole the segmented heart's frame moves little (median 3 mm in the
slice and along it, 2 degrees), less than a search errs (4 mm and 5 degrees), mostly at end-systole.
So the surer of the two finds serves both images.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from DeepRegistrationLib.images.plain_data import Volume

if TYPE_CHECKING:  # a panel asks before PyTorch is loaded
    from DeepRegistrationLib.images.image import Image

_SAME = 0.7  # correlation: between the figures above
_TOLERANCE = 0.5  # mm between the voxels of one grid, as where the anatomy is recognized
_SAMPLES = 1_000_000  # voxels by which the range of the values is found


def correlation_in_place(fixed: Image | Volume, moving: Image | Volume) -> float | None:
    """Correlation of the two images, voxel by voxel (-1 to 1); None where their grids differ.

    Values are held between the 2nd and the 98th percentile of each image, as the brightest blood
    and fat would else outweigh everything. An image of one value is like nothing: 0.
    """
    if not fixed.grid.same_as(moving.grid, tolerance=_TOLERANCE):
        return None
    first, second = (_centered(image) for image in (fixed, moving))
    energy = float(first @ first) * float(second @ second)
    return float(first @ second) / energy**0.5 if energy > 0 else 0.0


def show_one_heart(correlation: float | None) -> bool:
    """Whether a :func:`correlation_in_place` is that of two frames of one patient."""
    return correlation is not None and correlation >= _SAME


def _centered(image: Image | Volume) -> np.ndarray:
    """The clamped values less their mean: float64 [n]."""
    data = image.data if isinstance(image.data, np.ndarray) else image.data.cpu().numpy()
    values = data.astype(np.float64).ravel()
    low, high = np.quantile(values[:: -(-len(values) // _SAMPLES)], [0.02, 0.98])
    values = values.clip(low, high)
    return values - values.mean()
