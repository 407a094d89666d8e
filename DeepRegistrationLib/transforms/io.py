"""Transforms as files that ITK, elastix and Slicer read with the same meaning.

All map fixed points to moving points in LPS mm, the direction in which ITK stores resampling
transforms and which Slicer loads as transform-from-parent.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import SimpleITK as sitk
import torch

from DeepRegistrationLib.errors import RegistrationError
from DeepRegistrationLib.geometry import Grid
from DeepRegistrationLib.image import _reason, grid_of, set_geometry
from DeepRegistrationLib.itk_warnings import quiet_itk
from DeepRegistrationLib.transforms.affine import Affine
from DeepRegistrationLib.transforms.base import Transform
from DeepRegistrationLib.transforms.composite import Composite
from DeepRegistrationLib.transforms.displacement import DisplacementField
from DeepRegistrationLib.transforms.velocity import VelocityField

TRANSFORM_FILES = (".h5", ".hdf5", ".tfm", ".txt", ".mat")
FIELD_FILES = (".nii.gz", ".nii", ".nrrd", ".mha", ".mhd")


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
    """A DisplacementField from a SimpleITK vector image of u in LPS mm."""
    array = sitk.GetArrayViewFromImage(image)
    vectors = torch.empty(3, *array.shape[:3])
    for z in range(array.shape[0]):  # by planes: a whole float64 copy would double the memory
        vectors[:, z] = torch.from_numpy(np.array(array[z], dtype=np.float32)).movedim(-1, 0)
    return DisplacementField(vectors, grid_of(image))


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
        return sitk.CompositeTransform([to_itk(t) for t in reversed(transform.transforms)])
    raise TypeError(f"no ITK form of {type(transform).__name__}")


def from_itk(transform: sitk.Transform, grid: Grid | None = None) -> Transform:
    """Our transform from a SimpleITK one; free-form ones are sampled on ``grid``.

    Raises:
        RegistrationError: 2D, or a kind that needs a grid and none was given.
    """
    if transform.GetDimension() != 3:
        raise RegistrationError(
            f"The transform is {transform.GetDimension()}D; give one that was made for 3D images."
        )
    transform = transform.Downcast()
    if isinstance(transform, sitk.CompositeTransform):
        count = transform.GetNumberOfTransforms()
        members = [transform.GetNthTransform(k) for k in range(count)]
        if all(_has_our_form(t) for t in members):
            return Composite([from_itk(t, grid) for t in reversed(members)] or [Affine()])
        return _sampled(transform, grid)  # a free-form member does not see the grid itself
    if isinstance(transform, sitk.DisplacementFieldTransform):
        return field_of(transform.GetDisplacementField())
    if transform.IsLinear():
        origin = np.array(transform.TransformPoint((0.0, 0.0, 0.0)))
        columns = [np.array(transform.TransformPoint(tuple(e))) - origin for e in np.eye(3)]
        return Affine(np.stack(columns, 1), origin)
    return _sampled(transform, grid)


def _has_our_form(transform: sitk.Transform) -> bool:
    transform = transform.Downcast()
    if isinstance(transform, sitk.CompositeTransform):
        count = transform.GetNumberOfTransforms()
        return all(_has_our_form(transform.GetNthTransform(k)) for k in range(count))
    return isinstance(transform, sitk.DisplacementFieldTransform) or transform.IsLinear()


def _sampled(transform: sitk.Transform, grid: Grid | None) -> DisplacementField:
    """Any ITK transform as the displacement field that it gives at the voxels of ``grid``."""
    if grid is None:
        raise RegistrationError(
            f"A {transform.GetName()} needs an image to be sampled on; give the fixed image."
        )
    sampler = sitk.TransformToDisplacementFieldFilter()
    sampler.SetSize(grid.size)
    sampler.SetOutputOrigin(grid.origin)
    sampler.SetOutputSpacing(grid.spacing)
    sampler.SetOutputDirection(grid.direction)
    sampler.SetOutputPixelType(sitk.sitkVectorFloat32)
    return field_of(sampler.Execute(transform))


def write_transform(transform: Transform, path: str | Path) -> None:
    """Write ``.h5`` or ``.tfm`` (any transform), or a displacement image (``.nii.gz`` ...).

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
                    "transform on a grid first (on_grid)."
                )
            sitk.WriteImage(displacement_image(transform), str(path), useCompression=True)
        elif name.endswith(TRANSFORM_FILES):
            sitk.WriteTransform(to_itk(transform), str(path))
        else:
            raise RegistrationError(
                f"{path.name}: transforms are written as .h5, .tfm or .nii.gz; choose one of these."
            )
    except RuntimeError as error:
        raise RegistrationError(
            f"{path} cannot be written ({_reason(error)}); check the folder's rights and the "
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
    path = Path(path)
    if not path.exists():
        raise RegistrationError(f"{path} does not exist; check the file's name.")
    try:
        if path.name.lower().endswith(FIELD_FILES):
            with quiet_itk():
                image = sitk.ReadImage(str(path))
            if image.GetDimension() != 3 or image.GetNumberOfComponentsPerPixel() != 3:
                raise RegistrationError(
                    f"{path} is not a displacement field: it needs three dimensions and three "
                    "components a voxel."
                )
            return field_of(image)
        return from_itk(sitk.ReadTransform(str(path)), grid)
    except RuntimeError as error:
        if not path.name.lower().endswith((*TRANSFORM_FILES, *FIELD_FILES)):
            raise RegistrationError(
                f"{path} cannot be read as a transform; give an ITK .h5 or .tfm file or a "
                "displacement image, which `deepreg convert` makes of other programs' transforms "
                "and of DICOM registrations."
            ) from error
        raise RegistrationError(
            f"{path} cannot be read as a transform ({_reason(error)}); give an ITK .h5 or .tfm "
            "file or a displacement image."
        ) from error
