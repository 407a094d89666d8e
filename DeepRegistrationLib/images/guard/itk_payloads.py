"""What ITK reads, as payloads: called by :mod:`itk`, here or in the other process."""

from __future__ import annotations

from typing import Any

import numpy as np
import SimpleITK as sitk

from DeepRegistrationLib.errors import RegistrationError
from DeepRegistrationLib.images.geometry import Grid
from DeepRegistrationLib.images.guard.memory import require_memory
from DeepRegistrationLib.images.plain_data import AffineMap, FieldMap, Map

_NESTING = 10  # composites in composites
_PROBES = np.array([[97.0, -53.0, 71.0], [-211.0, 13.0, 5.0], [3.0, 307.0, -151.0]])


def read_image(names: list[str]) -> dict[str, Any]:
    """An image file, or the files of a series in their order."""
    image = sitk.ReadImage(names if len(names) > 1 else names[0])
    return {
        "voxels": sitk.GetArrayFromImage(image),  # a view would outlive the image
        "vector": image.GetNumberOfComponentsPerPixel() > 1,
        "spacing": image.GetSpacing(),
        "origin": image.GetOrigin(),
        "direction": image.GetDirection(),
        "about": {key: image.GetMetaData(key) for key in image.GetMetaDataKeys()},
    }


def read_header(name: str) -> dict[str, Any]:
    """What an image file says about itself, without its voxels."""
    reader = sitk.ImageFileReader()
    reader.SetFileName(name)
    reader.ReadImageInformation()
    return {
        "size": reader.GetSize(),
        "components": reader.GetNumberOfComponents(),
        "type": sitk.GetPixelIDValueAsString(reader.GetPixelIDValue()),
        "spacing": reader.GetSpacing(),
        "origin": reader.GetOrigin(),
        "direction": reader.GetDirection(),
        "about": {key: reader.GetMetaData(key) for key in reader.GetMetaDataKeys()},
    }


def read_transform(name: str, grid: Grid | None) -> list[Map]:
    """The maps of a transform file, in the order in which they are applied."""
    warnings = _Warnings()
    warnings.SetAsGlobalITKLogger()
    try:
        transform = sitk.ReadTransform(name)
    except RuntimeError as error:
        if "is not of type" not in str(error):
            raise
        raise RegistrationError(
            "The file holds a kind of transform (a velocity field, or a custom affine class) that "
            "SimpleITK cannot use; write it as a displacement field or plain affine transform in "
            "the program that made it."
        ) from error
    if any("more than one transform" in text for text in warnings.texts):
        raise RegistrationError(
            "The file holds several transforms that do not form a composite, so their order is "
            "unknown; save the intended one, or a composite transform."
        )
    return maps_of(transform, grid)


class _Warnings(sitk.LoggerBase):
    """Keeps what ITK would print."""

    def __init__(self) -> None:
        super().__init__()
        self.texts: list[str] = []

    def DisplayWarningText(self, text: str) -> None:  # noqa: N802 - ITK's name
        self.texts.append(text)

    def DisplayText(self, text: str) -> None:  # noqa: N802
        self.texts.append(text)


def maps_of(transform: sitk.Transform, grid: Grid | None = None) -> list[Map]:
    """A SimpleITK transform as affine maps and displacement fields, in the order of application.

    Args:
        transform: Of 3D.
        grid: Where splines and other free-form transforms are sampled.

    Raises:
        RegistrationError: 2D, not finite, or a kind that needs a grid and none was given.
    """
    if transform.GetDimension() != 3:
        raise RegistrationError(
            f"The transform is {transform.GetDimension()}D; give one that was made for 3D images."
        )
    maps = _maps(transform, _NESTING)
    return [_sampled(transform, grid)] if maps is None else maps


def _maps(transform: sitk.Transform, nesting: int) -> list[Map] | None:
    """The maps, or None where a member is neither affine nor a displacement field.

    ITK's kinds that SimpleITK has no class for (``MatrixOffsetTransformBase``) call themselves
    composite transforms of themselves: only what they do to points tells what they are.
    """
    kind = transform.GetTransformEnum()
    if kind == sitk.sitkDisplacementField:
        return [field_map(sitk.DisplacementFieldTransform(transform).GetDisplacementField())]
    if transform.IsLinear() and (affine := _affine(transform)) is not None:
        return [affine]
    if kind != sitk.sitkComposite or nesting == 0:
        return None
    members = sitk.CompositeTransform(transform)
    found: list[Map] = []
    for k in reversed(range(members.GetNumberOfTransforms())):  # ITK applies the last one first
        maps = _maps(members.GetNthTransform(k), nesting - 1)
        if maps is None:
            return None
        found += maps
    return found


def _affine(transform: sitk.Transform) -> AffineMap | None:
    """The affine map, checked at further points: some of ITK's kinds only say that they are one."""
    origin = np.array(transform.TransformPoint((0.0, 0.0, 0.0)))
    columns = [np.array(transform.TransformPoint(tuple(e))) - origin for e in np.eye(3)]
    matrix = np.stack(columns, 1)
    if not np.all(np.isfinite(np.append(matrix.ravel(), origin))):
        raise RegistrationError("The transform holds numbers that are not finite.")
    there = np.array([transform.TransformPoint(tuple(p)) for p in _PROBES])
    scale = 1.0 + np.abs(there).max() + np.abs(origin).max()
    if np.abs(_PROBES @ matrix.T + origin - there).max() > 1e-9 * scale:
        return None
    return AffineMap(matrix, origin)


def field_map(image: sitk.Image) -> FieldMap:
    """A displacement field from a vector image of u in LPS mm.

    Raises:
        RegistrationError: A vector is not finite.
    """
    array = sitk.GetArrayViewFromImage(image)
    vectors = np.empty((3, *array.shape[:3]), np.float32)
    for z in range(array.shape[0]):  # by planes: a whole float64 copy would double the memory
        vectors[:, z] = np.moveaxis(array[z], -1, 0)
        if not np.isfinite(vectors[:, z]).all():
            raise RegistrationError(
                f"The displacement field holds vectors that are not finite numbers (the first in "
                f"plane {z}); set them to zero or crop them off in the program that made it."
            )
    place = Grid(image.GetSize(), image.GetSpacing(), image.GetOrigin(), image.GetDirection())
    return FieldMap(vectors, place)


def _sampled(transform: sitk.Transform, grid: Grid | None) -> FieldMap:
    """Any ITK transform as the displacement field that it gives at the voxels of ``grid``."""
    if grid is None:
        raise RegistrationError(
            "A spline or other free-form transform needs an image to be sampled on; give the "
            "fixed image."
        )
    advice = "use an image of coarser spacing"
    require_memory(24 * grid.voxels, "Sampling the transform on the image", advice)
    sampler = sitk.TransformToDisplacementFieldFilter()
    sampler.SetSize(grid.size)
    sampler.SetOutputOrigin(grid.origin)
    sampler.SetOutputSpacing(grid.spacing)
    sampler.SetOutputDirection(grid.direction)
    sampler.SetOutputPixelType(sitk.sitkVectorFloat32)
    return field_map(sampler.Execute(transform))
