"""The mean of a forward registration and the inverse of a backward one."""

from __future__ import annotations

import torch

from DeepRegistrationLib.progress import Progress, silent
from DeepRegistrationLib.transforms import Composite, DisplacementField, Transform
from DeepRegistrationLib.transforms.composite import split_affine
from DeepRegistrationLib.transforms.inversion import solve

_SLAB = 500_000  # points that are inverted at once
_APART = (5.0, 15.0)  # mm between the two: beyond the first the mean fades to the forward result


def two_way_mean(
    forward: Transform, backward: Transform, progress: Progress = silent
) -> tuple[Transform, Transform]:
    """Mean of T and B^-1, two estimates of one transform whose chance errors differ.

    Both depend on which image is looked up at the other's voxels: the smoothness is of one
    deformation or of its inverse, and noise and interpolation fall on one image or the other. What
    only one of them shows is halved (compare the symmetric energies of Christensen & Johnson 2001).
    Where they lie so far apart that one of them is wrong, their mean would be, too, and T stands.

    Args:
        forward: T, fixed to moving: a displacement field, followed by a start or alone.
        backward: B, moving to fixed.

    Returns:
        The mean, on the grid of T's field, and B^-1 there.
    """
    field = forward.members[0]
    assert isinstance(field, DisplacementField)
    grid = field.grid
    rest, affine = split_affine(forward)
    assert rest is not None
    undone = Composite([affine, backward])  # its inverse is what comes before the affine
    own = DisplacementField.of(rest, grid).vectors
    inverse = torch.empty_like(own)
    slabs = grid.slabs(_SLAB)
    for number, slab in enumerate(slabs):
        points = grid.points(slab, device=forward.device)
        inverse[:, slab] = (solve(undone, points)[0] - points).movedim(-1, 0)
        progress((number + 1) / len(slabs), "Inverting the backward registration")
    near, far = _APART
    share = 0.5 * ((far - (inverse - own).norm(dim=0)) / (far - near)).clamp(0, 1)
    return tuple(  # type: ignore[return-value]
        Composite([DisplacementField(vectors, grid), affine])
        for vectors in (torch.lerp(own, inverse, share), inverse)
    )
