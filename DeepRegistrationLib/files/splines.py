"""B-splines of other programs, as ITK's class evaluates them."""

from __future__ import annotations

import numpy as np
import SimpleITK as sitk

from DeepRegistrationLib.images.geometry import Grid
from DeepRegistrationLib.images.image import set_geometry


def spline_transform(coefficients: np.ndarray, grid: Grid, order: int = 3) -> sitk.BSplineTransform:
    """T(x) = x + sum over control points of coefficient x basis; no displacement outside.

    Args:
        coefficients: LPS mm, [3 (x, y, z), z, y, x] on the control points.
        grid: Of the control points.
        order: Of the spline: 1, 2 or 3.
    """
    images = [
        set_geometry(sitk.GetImageFromArray(np.ascontiguousarray(c, dtype=np.float64)), grid)
        for c in coefficients
    ]
    return sitk.BSplineTransform(images, order)
