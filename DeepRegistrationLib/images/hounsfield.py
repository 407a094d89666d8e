"""Whether an image is CT, by what it shows, and what was added to its Hounsfield units.

Nothing here loads PyTorch. In CT, air lies near -1000 HU and nearly all that is denser than lung
within 250 HU of water, whatever the scanner; no other modality has two such bands at this distance.
Archives that lose the rescale intercept store the same scan with 1024 (or 1000) added, from 0 up.
"""

from __future__ import annotations

import numpy as np

CT_MINIMUM = -900.0
"""HU: no tissue and no other modality of interest goes as low."""

_COLDEST = -3300.0  # HU: what scanners fill with, and noise; but for one value such as -32768
_COLD_SHARE = 0.01  # of the voxels at most: more of them, and of several values, are scaled
_INTERCEPT = -1024.0  # HU: what scanners store with the series
_STORED = (-100.0, 0.01)  # where it was lost: air is 0, with noise this share at most is less
_DENSE = -500.0  # HU: denser than lung
_WATER = 250.0  # HU around water: fat, muscle, blood, contrast
_AIR_SHARE = (1e-4, 0.01)  # of the voxels at least: with the intercept, and without it
_WATER_SHARE = (0.2, 0.65)  # of what is dense, likewise: 0.69 or more in nine CTs at hand,
# with contrast too; with 1024 taken off, at most 0.55 in 160 cine MRIs
_DENSE_SHARE = (0.0, 0.1)  # of the voxels at least, likewise
_SAMPLES = 500_000


def hounsfield_offset(values: np.ndarray) -> float | None:
    """What to add to the values to get Hounsfield units.

    Args:
        values: Of an image, any shape and real dtype.

    Returns:
        0 or -1024; None where the image is not CT, shows no air, or was multiplied by a factor.
    """
    flat = values.reshape(-1)
    some = flat[:: max(1, flat.size // _SAMPLES)].astype(np.float32, copy=False)
    if not some.size or _only_padded(some):
        return None
    for k, offset in enumerate((0.0, _INTERCEPT)):
        if k and _share(some < _STORED[0], some.size) > _STORED[1]:
            break
        units = some + offset if offset else some
        air = _share(units <= CT_MINIMUM, some.size)
        dense = int(np.count_nonzero(units > _DENSE))
        water = _share(np.abs(units) <= _WATER, dense) if dense else 1.0 - k
        enough = dense >= _DENSE_SHARE[k] * some.size
        cold = _share((units < _COLDEST) & (some > some.min()), some.size)
        if cold <= _COLD_SHARE and air >= _AIR_SHARE[k] and water >= _WATER_SHARE[k] and enough:
            return offset
    return None


def _only_padded(some: np.ndarray) -> bool:
    """Whether all that is as cold as air is one value, put around an image of another modality.

    Between air and tissue CT has values of its lungs or of its skin, and its fat is below 0.
    """
    lowest = some.min()
    if lowest > CT_MINIMUM:
        return False
    rest = some[some != lowest]
    return bool(rest.size and 0.0 <= rest.min() < rest.max())


def _share(which: np.ndarray, of: int) -> float:
    return np.count_nonzero(which) / of
