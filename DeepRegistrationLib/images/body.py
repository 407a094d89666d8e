"""The box of a volume in which the body lies, for pictures; nothing here loads PyTorch."""

from __future__ import annotations

import numpy as np

from DeepRegistrationLib.images.hounsfield import hounsfield_offset

_SKIN = -300.0  # HU
_SHARE = 0.08  # of the 99th percentile: tissue in images that are not CT
_COARSE = 4.0  # mm
_MARGIN = 12.0  # mm: the other image's body may be larger
_LEAST = 0.002  # of a plane's voxels: fewer are wires and noise
_SMALL = 0.01  # of the whole: a body that is less was not found


def body_box(data: np.ndarray, spacing: tuple[float, float, float]) -> tuple[slice, ...]:
    """The planes with the body and a margin, of each array axis; all where none is found.

    The largest connected part of what is denser than air counts, so that a table that does not
    touch the patient is left out.

    Args:
        data: [z, y, x].
        spacing: x, y, z, mm.
    """
    from scipy import ndimage  # an open panel does not need it

    steps = [max(1, round(_COARSE / s)) for s in spacing[::-1]]
    coarse = np.asarray(data[tuple(slice(None, None, step) for step in steps)], np.float32)
    offset = hounsfield_offset(np.asarray(data))
    limit = _SHARE * float(np.percentile(coarse, 99)) if offset is None else _SKIN - offset
    parts, count = ndimage.label(coarse > limit)
    everything = tuple(slice(0, n) for n in data.shape)
    if count == 0:
        return everything
    sizes = np.bincount(parts.ravel())
    body = parts == 1 + int(np.argmax(sizes[1:]))
    if body.sum() < _SMALL * body.size:
        return everything
    box = []
    for axis, (step, n) in enumerate(zip(steps, data.shape, strict=True)):
        share = body.mean(axis=tuple({0, 1, 2} - {axis}))
        used = np.flatnonzero(share > _LEAST)
        if len(used) == 0:
            return everything
        margin = round(_MARGIN / spacing[2 - axis])
        low, high = int(used[0]) * step - margin, (int(used[-1]) + 1) * step + margin
        box.append(slice(max(low, 0), min(high, n)))
    return tuple(box)
