"""Transforms as files that ITK, elastix and Slicer read with the same meaning.

All map fixed points to moving points in LPS mm, the direction in which ITK stores resampling
transforms and which Slicer loads as transform-from-parent.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
import SimpleITK as sitk
import torch

from DeepRegistrationLib.arguments import PATH, takes
from DeepRegistrationLib.errors import RegistrationError
from DeepRegistrationLib.images import nrrd
from DeepRegistrationLib.images.carried import ABLE, KEY, marked, with_comment
from DeepRegistrationLib.images.endings import (
    FIELD_FILES,
    HDF5_FILES,
    READABLE_FIELDS,
    TRANSFORM_FILES,
)
from DeepRegistrationLib.images.geometry import Grid
from DeepRegistrationLib.images.guard.itk import (
    Unreadable,
    read_itk_image,
    read_itk_transform,
    reason,
)
from DeepRegistrationLib.images.guard.itk_payloads import field_map, maps_of
from DeepRegistrationLib.images.guard.paths import require_readable, shown
from DeepRegistrationLib.images.image import set_geometry
from DeepRegistrationLib.images.plain_data import FieldMap, Map
from DeepRegistrationLib.transforms.affine import Affine
from DeepRegistrationLib.transforms.base import Transform
from DeepRegistrationLib.transforms.composite import Composite
from DeepRegistrationLib.transforms.displacement import DisplacementField, invert
from DeepRegistrationLib.transforms.itk_hdf5 import (
    Numbers,
    StoredTransform,
    numbers,
    write_itk_transforms,
)
from DeepRegistrationLib.transforms.velocity import VelocityField

_RESIDUAL = 0.5  # mm; what an inverse that is taken for the transform may be off

T = TypeVar("T")


def displacement_image(field: DisplacementField, double: bool = False) -> sitk.Image:
    """A SimpleITK vector image of u in LPS mm; float64 only where ITK's classes demand it.

    Filled slab by slab: 512 x 512 x 300 vectors are 0.9 GB, in float64 1.9 GB, and each whole
    copy on the way would take as much again.
    """
    kind, dtype = (
        (sitk.sitkVectorFloat64, np.float64) if double else (sitk.sitkVectorFloat32, np.float32)
    )
    image = sitk.Image(field.grid.size, kind, 3)
    for slab in field.grid.slabs():
        part = field.vectors[:, slab].detach().cpu().movedim(0, -1).numpy().astype(dtype, "C")
        image[:, :, slab] = sitk.GetImageFromArray(part, isVector=True)
    return set_geometry(image, field.grid)


def field_of(image: sitk.Image) -> DisplacementField:
    """A DisplacementField from a SimpleITK vector image of u in LPS mm.

    Raises:
        RegistrationError: A vector is not finite.
    """
    return _of_maps([field_map(image)])  # type: ignore[return-value]


def _of_maps(maps: Sequence[Map]) -> Transform:
    """Our transform from plain maps in the order of application; affine neighbors become one."""
    members: list[Transform] = []
    for entry in maps:
        if isinstance(entry, FieldMap):
            members.append(DisplacementField(torch.from_numpy(entry.vectors), entry.grid))
            continue
        affine = Affine(entry.matrix, entry.translation)
        if members and isinstance(members[-1], Affine):
            affine = members.pop().then(affine)  # type: ignore[attr-defined]
        members.append(affine)
    if len(members) == 1:
        return members[0]
    return Composite(members or [Affine()])


def to_itk(transform: Transform) -> sitk.Transform:
    """The same map as a SimpleITK transform."""
    if isinstance(transform, Affine):
        result = sitk.AffineTransform(3)
        result.SetMatrix(transform.matrix.ravel().tolist())
        result.SetTranslation(transform.translation.tolist())
        return result
    if isinstance(transform, DisplacementField):
        return sitk.DisplacementFieldTransform(displacement_image(transform, double=True))
    if isinstance(transform, VelocityField):
        return to_itk(transform.exp())
    if isinstance(transform, Composite):
        # ITK applies the last-added transform first.
        return sitk.CompositeTransform([to_itk(t) for t in reversed(transform.members)])
    raise TypeError(f"no ITK form of {type(transform).__name__}")


def _stored(transform: Transform) -> list[StoredTransform]:
    """The same map as ITK stores it; fields in float32, slab by slab."""
    if isinstance(transform, Affine):
        values = [*transform.matrix.ravel(), *transform.translation]
        return [StoredTransform("AffineTransform_double_3_3", numbers([0, 0, 0]), numbers(values))]
    if isinstance(transform, DisplacementField):
        vectors, grid = transform.vectors.detach(), transform.grid
        fixed = numbers([*grid.size, *grid.origin, *grid.spacing, *grid.direction])
        slabs = (vectors[:, slab].cpu().movedim(0, -1).numpy() for slab in grid.slabs())
        field = Numbers(3 * grid.voxels, "<f4", slabs)
        return [StoredTransform("DisplacementFieldTransform_float_3_3", fixed, field)]
    if isinstance(transform, VelocityField):
        return _stored(transform.exp())
    if isinstance(transform, Composite):  # ITK applies the last one first
        members = [stored for member in reversed(transform.members) for stored in _stored(member)]
        return [StoredTransform("CompositeTransform_double_3_3"), *members]
    raise TypeError(f"no ITK form of {type(transform).__name__}")


def from_itk(transform: sitk.Transform, grid: Grid | None = None) -> Transform:
    """Our transform from a SimpleITK one; free-form ones are sampled on ``grid``.

    Raises:
        RegistrationError: 2D, not finite, or a kind that needs a grid and none was given.
    """
    return _of_maps(maps_of(transform, grid))


def is_modeling(path: Path) -> bool:
    """Whether a field says that it maps moving to fixed points: Slicer's transforms *to parent*.

    Slicer writes ``displacement field type:=modeling`` into such a NRRD file.
    """
    if not path.name.lower().endswith(nrrd.SUFFIXES):
        return False
    kind = nrrd.read_nrrd_header(path).pairs.get("displacement field type", "")
    return kind.strip().lower() == "modeling"


def _inverted(field: DisplacementField, name: str) -> DisplacementField:
    found = invert(field, field.grid)
    if found.residual_max > _RESIDUAL:
        raise RegistrationError(
            f"{name} maps moving to fixed points (displacement field type: modeling) and has no "
            f"inverse to within {found.residual_max:.1f} mm, because it folds; save the transform "
            "from the fixed to the moving image."
        )
    return found.field


@takes(transform=Transform, path=PATH)
def write_transform(transform: Transform, path: str | Path, carried: str = "") -> None:
    """Write ``.h5`` or ``.tfm`` (any transform), or a displacement image (``.nii.gz`` ...).

    Args:
        transform: Fixed to moving points.
        path: Of the file; its ending chooses the format.
        carried: A text that stays with it where the format can hold one, see :mod:`images.carried`.

    Raises:
        RegistrationError: Unknown suffix, a displacement image asked of a transform without one
            field, or the file cannot be written.
    """
    path = Path(path)
    name = path.name.lower()
    try:
        if name.endswith(FIELD_FILES):
            if isinstance(transform, VelocityField):
                transform = transform.exp()
            if not isinstance(transform, DisplacementField):
                raise RegistrationError(
                    f"{path.name} can hold only one displacement field; write .h5, or sample the "
                    "transform on a grid first (DisplacementField.of)."
                )
            image = displacement_image(transform)
            if carried and name.endswith(ABLE):
                image.SetMetaData(KEY, marked(carried))
            sitk.WriteImage(image, str(path), useCompression=True)
        elif name.endswith(HDF5_FILES):
            more = {KEY: marked(carried)} if carried else {}
            write_itk_transforms(_stored(transform), path, more)
        elif name.endswith(TRANSFORM_FILES):
            sitk.WriteTransform(to_itk(transform), str(path))
            if carried and name.endswith(ABLE):
                with_comment(path, carried)
        else:
            raise RegistrationError(
                f"{path.name}: transforms are written as .h5, .tfm or .nii.gz; choose one of these."
            )
    except (RuntimeError, OSError) as error:
        why = (isinstance(error, OSError) and error.strerror) or reason(error)
        raise RegistrationError(
            f"{path} cannot be written ({why}); check the folder's permissions and the "
            "free disk space."
        ) from error


def read_transform(path: str | Path, grid: Grid | None = None) -> Transform:
    """Read what :func:`write_transform`, ITK, elastix (ITK output) or Slicer wrote.

    Args:
        path: .h5, .tfm, .txt, .mat, or a displacement image with three components in LPS mm.
        grid: Where to sample B-spline and other free-form transforms.

    Raises:
        RegistrationError: Missing or unreadable file, or not a 3D transform.
    """
    path = require_readable(path)
    name = path.name.lower()
    try:
        return _read_field(path) if name.endswith(READABLE_FIELDS) else _read_itk(path, grid)
    except (RuntimeError, Unreadable) as error:
        if not name.endswith((*TRANSFORM_FILES, *READABLE_FIELDS)):
            raise RegistrationError(
                f"{shown(path)} cannot be read as a transform; give an ITK .h5 or .tfm file or a "
                "displacement image, which `deepreg convert` makes from other programs' "
                "transforms and from DICOM registrations."
            ) from error
        raise RegistrationError(
            f"{shown(path)} cannot be read as a transform ({reason(error)}); give an ITK .h5 or "
            ".tfm file or a displacement image."
        ) from error


def _read_field(path: Path) -> DisplacementField:
    image = read_itk_image(path)
    if image.GetDimension() != 3 or image.GetNumberOfComponentsPerPixel() != 3:
        raise RegistrationError(
            f"{shown(path)} is not a displacement field: it needs three dimensions and three "
            "components per voxel."
        )
    field = _named(path, field_of, image)
    return _inverted(field, path.name) if is_modeling(path) else field


def _read_itk(path: Path, grid: Grid | None) -> Transform:
    return _named(path, lambda: _of_maps(read_itk_transform(path, grid)))


def _named(path: Path, make: Callable[..., T], *arguments: Any) -> T:
    """What ``make`` gives; its errors, which know no file, get the file's name."""
    try:
        return make(*arguments)
    except RegistrationError as error:
        name, text = shown(path.name), str(error)
        raise RegistrationError(text if name in text else f"{name}: {text}") from error
