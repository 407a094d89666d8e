"""One affine or one displacement field for any transform, as files and MRML nodes hold it."""

from __future__ import annotations

from functools import reduce

import numpy as np

from DeepRegistrationLib.errors import RegistrationError
from DeepRegistrationLib.images.geometry import Grid
from DeepRegistrationLib.transforms.affine import Affine
from DeepRegistrationLib.transforms.base import Transform
from DeepRegistrationLib.transforms.displacement import DisplacementField
from DeepRegistrationLib.transforms.velocity import VelocityField


def single_transform(transform: Transform, grid: Grid | None = None) -> Affine | DisplacementField:
    """One affine or one displacement field with the same meaning.

    A chain of affines is multiplied; anything else becomes a field on :func:`sampling_grid`.

    Args:
        grid: The fixed image's grid, which the field has to cover; needed for a chain with fields.

    Raises:
        RegistrationError: It is needed and was not given.
    """
    members = transform.members
    affines = [member for member in members if isinstance(member, Affine)]
    if len(affines) == len(members):
        return reduce(Affine.then, affines)
    if len(members) == 1 and isinstance(members[0], DisplacementField):
        return members[0]
    if len(members) == 1 and isinstance(members[0], VelocityField):
        return members[0].exp()
    if grid is None:
        raise RegistrationError(
            "A chain of transforms is made one displacement field on the grid of the fixed image; "
            "give the fixed image."
        )
    return DisplacementField.of(transform, sampling_grid(transform, grid))


def sampling_grid(transform: Transform, grid: Grid) -> Grid:
    """The grid on which a chain of transforms is sampled as one field.

    It covers ``grid`` corner to corner. Its spacing is that of the chain's finest field, and never
    finer than ``grid``: sampling more densely would only cost memory, since a field is smooth
    between its own samples.
    """
    members = transform.members
    fields = [m.grid for m in members if isinstance(m, DisplacementField | VelocityField)]
    finest = min((min(field.spacing) for field in fields), default=2.0)
    return grid.with_spacing(tuple(np.maximum(grid.spacing, finest)))  # type: ignore[arg-type]
