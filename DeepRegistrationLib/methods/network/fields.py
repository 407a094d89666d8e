"""A network's voxels to physical displacements."""

from __future__ import annotations

import torch

from DeepRegistrationLib.images.geometry import Grid
from DeepRegistrationLib.transforms import DisplacementField


def in_millimetres(field: torch.Tensor, grid: Grid) -> DisplacementField:
    """u_mm = D S u_voxel of a field [3, z, y, x] in voxels of ``grid``, components (x, y, z).

    Component by component: a matrix product could be rounded to TF32 on a GPU.
    """
    x, y, z = field.float()
    rows = [x * a + y * b + z * c for a, b, c in grid.matrix.tolist()]
    return DisplacementField(torch.stack(rows), grid)
