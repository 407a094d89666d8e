"""RT Dose brought from one image to the other: D_fixed(x) = D_moving(T(x)), in Gy.

Dose is energy per mass, so it moves with the tissue point; it is not scaled by the Jacobian
determinant (mass and energy are assumed to move together). No dose outside the dose grid.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import torch

from DeepRegistrationLib.errors import RegistrationError
from DeepRegistrationLib.files.dicom_objects import decimal, describe, right_handed, save_object
from DeepRegistrationLib.files.dicom_series import Series
from DeepRegistrationLib.files.points import as_affine, pull_back
from DeepRegistrationLib.images.dicom.files import DOSE, load_pydicom, read_object
from DeepRegistrationLib.images.dicom.reader import read_dicom
from DeepRegistrationLib.images.geometry import Grid
from DeepRegistrationLib.images.guard.damage import damage_explained
from DeepRegistrationLib.images.image import Image
from DeepRegistrationLib.transforms import Transform, warp

_FULL = 2**32 - 1  # stored values have 32 bits: steps of a 4-billionth of the maximum


def read_dose(path: str | Path) -> tuple[Image, Any]:
    """An RT Dose as an image in Gy, and its data set.

    Raises:
        RegistrationError: No dose, relative dose, or not one volume of even planes.
    """
    with damage_explained(path, "an RT Dose"):
        return _read(path)


def _read(path: str | Path) -> tuple[Image, Any]:
    dataset = read_object(path, pixels=False)
    name = Path(path).name
    if str(dataset.get("SOPClassUID", "")) != DOSE:
        raise RegistrationError(f"{name} is not an RT Dose; give one (Modality RTDOSE).")
    if str(dataset.get("DoseUnits", "")) != "GY":
        raise RegistrationError(
            f"{name} is in {dataset.get('DoseUnits', 'no')} units, not Gy; export absolute dose."
        )
    if str(dataset.get("DoseType", "PHYSICAL")) == "ERROR":
        raise RegistrationError(f"{name} holds dose errors, not dose; export the dose itself.")
    read = read_dicom(Path(path))
    gray = torch.from_numpy(read.layers[0].astype(np.float32))
    return Image(gray, read.grid, name), dataset


def warped_dose(dose: Image, transform: Transform, grid: Grid, inverse: bool = False) -> Image:
    """The dose in Gy on a grid of the other image.

    Args:
        dose: Of the moving image (with ``inverse``: of the fixed image).
        transform: Fixed to moving points.
        grid: Where to compute it.
        inverse: From the fixed to the moving image instead.
    """
    with torch.no_grad():
        back = pull_back(transform, grid, inverse)
        return warp(dose, back, grid, fill=0.0)


def write_dose(
    dose: Image, source: Any, transform: Transform, target: Series, path: str | Path
) -> None:
    """Write a propagated dose as an RT Dose of the target's patient, study and frame.

    Args:
        dose: Gy, on any grid.
        source: Data set that the dose came from; its type, summation and plan are kept.
        transform: What moved it: said in Spatial Transform of Dose.
        target: Side that it now belongs to.
        path: The file.
    """
    result = describe(load_pydicom().Dataset(), target, DOSE, "RTDOSE", "Propagated dose")
    grid, gray = right_handed(dose.grid, dose.data.double().numpy())
    scaling = decimal([max(float(gray.max()), 1e-6) / _FULL * (1 + 1e-9)])[0]
    stored = np.clip(np.rint(gray / float(scaling)), 0, _FULL).astype("<u4")
    result.ImagePositionPatient = decimal(grid.origin)
    result.ImageOrientationPatient = decimal(np.reshape(grid.direction, (3, 3))[:, :2].T)
    result.PixelSpacing = decimal([grid.spacing[1], grid.spacing[0]])
    result.SliceThickness = decimal([grid.spacing[2]])
    result.GridFrameOffsetVector = decimal(np.arange(grid.size[2]) * grid.spacing[2])
    result.FrameIncrementPointer = 0x3004000C  # Grid Frame Offset Vector
    result.Columns, result.Rows, result.NumberOfFrames = grid.size
    result.SamplesPerPixel, result.PhotometricInterpretation = 1, "MONOCHROME2"
    result.BitsAllocated, result.BitsStored, result.HighBit = 32, 32, 31
    result.PixelRepresentation = 0
    result.DoseGridScaling = scaling
    result.DoseUnits = "GY"
    result.DoseType = source.get("DoseType", "PHYSICAL")
    result.DoseSummationType = source.get("DoseSummationType", "PLAN")
    result.SpatialTransformOfDose = "RIGID" if _is_rigid(transform) else "NON_RIGID"
    result.ReferencedSpatialRegistrationSequence = []
    if "ReferencedRTPlanSequence" in source:
        result.ReferencedRTPlanSequence = source.ReferencedRTPlanSequence
    result.PixelData = np.ascontiguousarray(stored).tobytes()
    save_object(result, path)


def _is_rigid(transform: Transform) -> bool:
    affine = as_affine(transform)
    if affine is None:
        return False
    return bool(np.allclose(affine.matrix.T @ affine.matrix, np.eye(3), atol=1e-6))
