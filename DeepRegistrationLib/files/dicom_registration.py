"""Registrations as DICOM objects: Deformable Spatial Registration and Spatial Registration.

Directions (PS3.3). The *registered* frame of reference is the fixed image's, the *source* frame
the moving image's.

- Deformable (A.39.2, C.20.3.1.1) maps registered to source points, as T does:
  ``T(x) = M_post (M_pre x + u(x))``, where u(x) is the vector of the grid at x itself (the grid
  lies in the registered frame, before M_pre). Nothing is inverted here.
- Spatial Registration (A.39.1, C.20.2.1.1) stores the matrix that maps *source to registered*
  points: the inverse of T. It is inverted on writing and on reading.

Vectors (C.20.3.1.3) are float32, little endian, in LPS mm, x fastest, at voxel centers; NaN means
undefined. The grid's third axis is the cross product of its first two, so a left-handed grid is
written with its planes in reverse order.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from DeepRegistrationLib.errors import RegistrationError
from DeepRegistrationLib.files.dicom_objects import (
    add_common_references,
    decimal,
    describe,
    references,
    right_handed,
    save_object,
)
from DeepRegistrationLib.files.dicom_series import Series
from DeepRegistrationLib.files.points import as_affine
from DeepRegistrationLib.images.dicom.files import (
    DEFORMABLE_REGISTRATION,
    SPATIAL_REGISTRATION,
    load_pydicom,
)
from DeepRegistrationLib.images.geometry import Grid
from DeepRegistrationLib.transforms import (
    Affine,
    Composite,
    DisplacementField,
    Transform,
    VelocityField,
)

_IDENTITY = np.eye(4)


def write_registration(
    transform: Transform, path: str | Path, fixed: Series, moving: Series
) -> None:
    """Write T as a DICOM object: Spatial Registration if affine, else Deformable.

    Affine members before and after one displacement field become the pre- and post-deformation
    matrix; anything else is sampled on the fixed grid.

    Args:
        transform: Fixed to moving points, LPS mm.
        path: The file.
        fixed: Registered side; patient and study of the object are its own.
        moving: Source side.

    Raises:
        RegistrationError: pydicom is missing, or the transform has values that are not finite.
    """
    pydicom = load_pydicom()
    affine = as_affine(transform)
    kind = DEFORMABLE_REGISTRATION if affine is None else SPATIAL_REGISTRATION
    target = describe(pydicom.Dataset(), fixed, kind, "REG", "DeepRegistration")
    target.ContentDate, target.ContentTime = target.SeriesDate, target.SeriesTime
    target.ContentLabel = "REGISTRATION"
    target.ContentDescription = "Research use only"
    target.ContentCreatorName = ""
    if affine is not None:
        source = _homogeneous(affine.inverse())
        target.RegistrationSequence = [
            _matrix_item(fixed, _IDENTITY),
            _matrix_item(moving, source),
        ]
    else:
        target.DeformableRegistrationSequence = [
            _deformable_item(moving, *_parts(transform, fixed.grid))
        ]
    sides = [fixed] if fixed.uid == moving.uid else [fixed, moving]
    add_common_references(target, sides)
    save_object(target, path)


def _parts(transform: Transform, grid: Grid) -> tuple[Affine, DisplacementField, Affine]:
    """Pre-matrix, field at the registered points, post-matrix."""
    members = transform.members
    members = [m.exp() if isinstance(m, VelocityField) else m for m in members]
    free = [k for k, member in enumerate(members) if not isinstance(member, Affine)]
    field = members[free[0]]
    if len(free) == 1 and isinstance(field, DisplacementField):
        before = as_affine(Composite([Affine(), *members[: free[0]]]))
        after = as_affine(Composite([Affine(), *members[free[0] + 1 :]]))
        assert before is not None and after is not None
        place = field.grid.pulled_back(before.matrix, before.translation)
        if _is_straight(place):
            return before, DisplacementField(field.vectors, place), after
    return Affine(), DisplacementField.of(Composite(members), grid), Affine()


def _is_straight(grid: Grid) -> bool:
    axes = np.reshape(grid.direction, (3, 3))
    return bool(np.abs(axes.T @ axes - np.eye(3)).max() < 1e-9)


def _homogeneous(affine: Affine) -> np.ndarray:
    matrix = np.eye(4)
    matrix[:3, :3], matrix[:3, 3] = affine.matrix, affine.translation
    return matrix


def _set_matrix(item: Any, matrix: np.ndarray) -> Any:
    """Frame of Reference Transformation Matrix and its type (C.20.2.1.2)."""
    linear = matrix[:3, :3]
    gram = linear.T @ linear
    kind = "AFFINE"
    if np.abs(gram - np.diag(np.diag(gram))).max() < 1e-9 and np.linalg.det(linear) > 0:
        kind = "RIGID" if np.abs(gram - np.eye(3)).max() < 1e-9 else "RIGID_SCALE"
    item.FrameOfReferenceTransformationMatrixType = kind
    item.FrameOfReferenceTransformationMatrix = decimal(matrix)
    return item


def _matrix_item(series: Series, matrix: np.ndarray) -> Any:
    """Item of the Registration Sequence (C.20.2): points of ``series`` to registered points."""
    dataset = load_pydicom().Dataset
    registration = dataset()
    registration.FrameOfReferenceTransformationComment = ""
    registration.RegistrationTypeCodeSequence = []
    registration.MatrixSequence = [_set_matrix(dataset(), matrix)]
    item = dataset()
    item.FrameOfReferenceUID = series.frame
    item.ReferencedImageSequence = references(series.instances)
    item.MatrixRegistrationSequence = [registration]
    return item


def _deformable_item(
    moving: Series, before: Affine, field: DisplacementField, after: Affine
) -> Any:
    """Item of the Deformable Registration Sequence (C.20.3)."""
    dataset = load_pydicom().Dataset
    item = dataset()
    item.SourceFrameOfReferenceUID = moving.frame
    item.ReferencedImageSequence = references(moving.instances)
    item.RegistrationTypeCodeSequence = []
    item.PreDeformationMatrixRegistrationSequence = [_set_matrix(dataset(), _homogeneous(before))]
    item.PostDeformationMatrixRegistrationSequence = [_set_matrix(dataset(), _homogeneous(after))]
    item.DeformableRegistrationGridSequence = [_grid_item(field)]
    return item


def _grid_item(field: DisplacementField) -> Any:
    grid = field.grid
    vectors = field.vectors.detach().cpu().numpy().astype("<f4", copy=False)
    if not np.isfinite(vectors).all():
        raise RegistrationError(
            "The displacement field has values that are not finite; register again or correct it."
        )
    grid, vectors = right_handed(grid, vectors)
    item = load_pydicom().Dataset()
    item.ImagePositionPatient = decimal(grid.origin)
    item.ImageOrientationPatient = decimal(np.reshape(grid.direction, (3, 3))[:, :2].T)
    item.GridDimensions = list(grid.size)
    item.GridResolution = list(grid.spacing)
    item.VectorGridData = np.ascontiguousarray(np.moveaxis(vectors, 0, -1)).tobytes()
    return item
