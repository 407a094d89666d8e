"""Registrations read from DICOM objects; the directions are told in :mod:`dicom_registration`."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import torch

from DeepRegistrationLib.errors import RegistrationError
from DeepRegistrationLib.files.format import Imported
from DeepRegistrationLib.images.dicom.files import (
    DEFORMABLE_REGISTRATION,
    SPATIAL_REGISTRATION,
    read_object,
)
from DeepRegistrationLib.images.dicom.frames import plane_axes
from DeepRegistrationLib.images.geometry import Grid
from DeepRegistrationLib.images.guard.damage import damage_explained
from DeepRegistrationLib.transforms import Affine, Composite, DisplacementField, Transform

_IDENTITY = np.eye(4)


def read_registration(path: str | Path, source: str | None = None) -> Imported:
    """Read T (fixed to moving points) from a Spatial or Deformable Spatial Registration.

    Args:
        path: The file.
        source: Frame of Reference UID of the moving image, where the object registers several.

    Raises:
        RegistrationError: Another kind of object, or no single registration in it.
    """
    with damage_explained(path, "a DICOM registration"):
        return _read(path, source)


def _read(path: str | Path, source: str | None) -> Imported:
    dataset = read_object(path)
    name = Path(path).name
    kind = str(dataset.get("SOPClassUID", ""))
    if kind == DEFORMABLE_REGISTRATION:
        return _read_deformable(dataset, name, source)
    if kind == SPATIAL_REGISTRATION:
        return _read_spatial(dataset, name, source)
    raise RegistrationError(
        f"{name} is not a DICOM registration (its SOP class is {kind or 'missing'}); give a "
        "Spatial Registration or Deformable Spatial Registration object."
    )


def _read_spatial(dataset: Any, name: str, source: str | None) -> Imported:
    found, frames = [], set()
    for item in dataset.get("RegistrationSequence", None) or []:
        frame = str(item.get("FrameOfReferenceUID", ""))
        frames.add(frame)
        matrix = _only_matrix(item, name)
        if source in (None, frame) and not np.allclose(matrix, _IDENTITY):
            found.append(matrix)
    if not found and (source is None or source in frames):
        found = [_IDENTITY]  # the images lie in one space
    matrix = _single(found, name)
    transform = Affine(matrix[:3, :3], matrix[:3, 3]).inverse()
    return Imported(transform, "DICOM stores source to registered points: inverted")


def _only_matrix(item: Any, name: str) -> np.ndarray:
    """The matrix of an item; several would need an order on which programs disagree."""
    matrices = [
        _matrix(entry)
        for registration in item.get("MatrixRegistrationSequence", None) or []
        for entry in registration.get("MatrixSequence", None) or []
    ]
    matrices = [m for m in matrices if not np.allclose(m, _IDENTITY)] or [_IDENTITY]
    if len(matrices) > 1:
        raise RegistrationError(
            f"{name} chains {len(matrices)} matrices for one image; export it as one matrix."
        )
    return matrices[0]


def _read_deformable(dataset: Any, name: str, source: str | None) -> Imported:
    items = list(dataset.get("DeformableRegistrationSequence", None) or [])
    if source is not None:
        items = [i for i in items if str(i.get("SourceFrameOfReferenceUID", "")) == source]
    else:
        items = [i for i in items if i.get("DeformableRegistrationGridSequence", None)]
    item = _single(items, name)
    before = _sequence_matrix(item, "PreDeformationMatrixRegistrationSequence")
    after = _sequence_matrix(item, "PostDeformationMatrixRegistrationSequence")
    members: list[Transform] = []
    notes: list[str] = []
    if not np.array_equal(before, _IDENTITY):
        members.append(Affine(before[:3, :3], before[:3, 3]))
    if grids := item.get("DeformableRegistrationGridSequence", None):
        members.append(_field(grids[0], before, name, notes))
    if not np.array_equal(after, _IDENTITY):
        members.append(Affine(after[:3, :3], after[:3, 3]))
    transform = members[0] if len(members) == 1 else Composite(members or [Affine()])
    return Imported(transform, "DICOM stores registered to source points: unchanged", tuple(notes))


def _single(found: list[Any], name: str) -> Any:
    if len(found) != 1:
        raise RegistrationError(
            f"{name} holds {len(found)} registrations of that image; name the moving series "
            "(deepreg convert --moving) to choose one."
        )
    return found[0]


def _matrix(item: Any) -> np.ndarray:
    values = item.FrameOfReferenceTransformationMatrix
    return np.array([float(v) for v in values]).reshape(4, 4)


def _sequence_matrix(item: Any, keyword: str) -> np.ndarray:
    entries = item.get(keyword, None) or []
    return _matrix(entries[0]) if len(entries) else _IDENTITY


def _field(item: Any, before: np.ndarray, name: str, notes: list[str]) -> DisplacementField:
    """The grid as a field in the space that M_pre leads to (see the module's text)."""
    size = tuple(int(n) for n in item.GridDimensions)
    vectors = np.frombuffer(item.VectorGridData, dtype="<f4")
    if vectors.size != 3 * int(np.prod(size)):
        raise RegistrationError(
            f"{name} holds {vectors.size} numbers where its grid {size} needs "
            f"{3 * int(np.prod(size))}; export it again."
        )
    vectors = vectors.reshape(*size[::-1], 3)
    grid = Grid(
        size,  # type: ignore[arg-type]
        tuple(float(v) for v in item.GridResolution),  # type: ignore[arg-type]
        tuple(float(v) for v in item.ImagePositionPatient),  # type: ignore[arg-type]
        tuple(plane_axes(item.ImageOrientationPatient).ravel()),
    )
    undefined = ~np.isfinite(vectors).all(axis=-1)
    if undefined.any():
        vectors = _filled(vectors, undefined, grid, name)
        notes.append(
            f"{undefined.sum()} of {undefined.size} vectors are undefined; each was given the "
            "nearest defined vector"
        )
    back = Affine(before[:3, :3], before[:3, 3]).inverse()
    if not np.array_equal(before, _IDENTITY):
        grid = grid.pulled_back(back.matrix, back.translation)
    tensor = torch.from_numpy(np.moveaxis(vectors, -1, 0).astype(np.float32).copy())
    return DisplacementField(tensor, grid)


def _filled(vectors: np.ndarray, undefined: np.ndarray, grid: Grid, name: str) -> np.ndarray:
    from scipy.ndimage import distance_transform_edt

    if undefined.all():
        raise RegistrationError(f"{name} has no defined vector; export it again.")
    nearest = distance_transform_edt(
        undefined, sampling=grid.spacing[::-1], return_distances=False, return_indices=True
    )
    return vectors[tuple(nearest)]
