"""NiftyReg's transforms. They map reference (fixed) to floating (moving) points in RAS mm.

``intent_p1`` of a file named NREG_TRANS says what it holds (NiftyReg's NREG_TRANS_TYPE): 0 a
deformation field (positions), 1 a displacement field, 2 the control points (positions) of a cubic
B-spline. Velocities (3, 4, 5) have to be integrated by NiftyReg itself. reg_aladin writes a 4 x 4
matrix as text. Only signs of x and y change from RAS to LPS.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from DeepRegistrationLib.errors import RegistrationError
from DeepRegistrationLib.files.format import Evidence, Format, Imported
from DeepRegistrationLib.images.guard.text import read_text

if TYPE_CHECKING:
    import SimpleITK as sitk

    from DeepRegistrationLib.images.geometry import Grid
    from DeepRegistrationLib.transforms import Affine, Transform

_INTENT_NAME = "NREG_TRANS"
_POSITIONS, _DISPLACEMENTS, _CUBIC_SPLINE = 0, 1, 2
_TEXT_LIMIT = 1 << 20  # bytes of a matrix
_TO_LPS = np.array([-1.0, -1.0, 1.0])


class NiftyregFormat(Format):
    """Matrices of reg_aladin; deformations, displacements and control points of the others."""

    title = "NiftyReg"
    endings = (".nii.gz", ".nii", ".txt")

    def evidence(self, files: Sequence[Path]) -> Evidence:
        nifti = len(files) == 1 and files[0].name.lower().endswith((".nii", ".nii.gz"))
        known = nifti and _intent_name(files[0]) == _INTENT_NAME
        return Evidence.CONTENT if known else Evidence.NONE

    def read(self, files: Sequence[Path], grid: Grid | None, source: str | None) -> Imported:
        how = "NiftyReg stores fixed to moving points in RAS mm: x and y changed sign"
        return Imported(read_niftyreg(files[0], grid), how)


def _intent_name(path: Path) -> str:
    """The intent name of a NIfTI file; empty of any other."""
    from DeepRegistrationLib.images.guard.itk import Unreadable, read_itk_header

    try:
        return read_itk_header(path)["about"].get("intent_name", "").strip("\0 ")
    except Unreadable:
        return ""


def read_niftyreg(path: Path, grid: Grid | None = None) -> Transform:
    """T of a file that reg_aladin, reg_f3d or reg_transform wrote.

    Args:
        path: Text (4 x 4 matrix) or NIfTI.
        grid: Where to sample control points: the reference image's grid.

    Raises:
        RegistrationError: Unreadable, a velocity, or control points without ``grid``.
    """
    from DeepRegistrationLib.images.guard.itk import Unreadable, read_itk_image

    if path.suffix.lower() in (".txt", ".mat"):
        return _affine(path)
    try:
        image = read_itk_image(path)
    except Unreadable as error:
        raise RegistrationError(
            f"{path.name} cannot be read as a NiftyReg transform ({error})."
        ) from error
    if image.GetDimension() != 3 or image.GetNumberOfComponentsPerPixel() != 3:
        raise RegistrationError(f"{path.name} is not a 3D NiftyReg transform.")
    if _intent_name(path) != _INTENT_NAME:
        raise RegistrationError(
            f"{path.name} does not say which kind of NiftyReg transform it is; write it again with "
            "reg_transform -def."
        )
    return _from_image(image, int(float(image.GetMetaData("intent_p1"))), path.name, grid)


def _from_image(image: sitk.Image, kind: int, name: str, grid: Grid | None) -> Transform:
    import SimpleITK as sitk

    from DeepRegistrationLib.files.splines import spline_transform
    from DeepRegistrationLib.images.image import grid_of
    from DeepRegistrationLib.transforms.io import field_of, from_itk

    place = grid_of(image)
    values = sitk.GetArrayFromImage(image) * _TO_LPS
    if kind in (_POSITIONS, _CUBIC_SPLINE):
        values = values - place.positions(slice(None))
    elif kind != _DISPLACEMENTS:
        raise RegistrationError(
            f"{name} holds no plain deformation (type {kind}: a velocity or a linear spline); "
            "make one of it with reg_transform -ref REFERENCE -def and convert that."
        )
    if kind == _CUBIC_SPLINE:
        if grid is None:
            raise RegistrationError(
                f"{name} holds control points; give the fixed image with --reference."
            )
        return from_itk(spline_transform(np.moveaxis(values, -1, 0), place), grid)
    field = sitk.GetImageFromArray(values, isVector=True)
    field.CopyInformation(image)
    return field_of(field)


def _affine(path: Path) -> Affine:
    from DeepRegistrationLib.transforms import Affine

    try:
        matrix = np.loadtxt(read_text(path, _TEXT_LIMIT).splitlines(), ndmin=2)
    except (OSError, ValueError) as error:
        raise RegistrationError(f"{path.name} is not a 4 x 4 matrix of reg_aladin.") from error
    if matrix.shape != (4, 4) or not np.allclose(matrix[3], [0, 0, 0, 1]):
        raise RegistrationError(f"{path.name} is not a 4 x 4 matrix of reg_aladin.")
    flip = np.diag(_TO_LPS)
    return Affine(flip @ matrix[:3, :3] @ flip, flip @ matrix[:3, 3])
