"""Good DICOM objects, and what reads them; none where pydicom is missing."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np

from DeepRegistrationLib.files.dicom_registration import write_registration
from DeepRegistrationLib.files.dicom_registration_reader import read_registration
from DeepRegistrationLib.files.dicom_series import read_series
from DeepRegistrationLib.files.dose import read_dose
from DeepRegistrationLib.files.structures import propagate_structures
from DeepRegistrationLib.images.geometry import Grid
from DeepRegistrationLib.images.image import read_image
from DeepRegistrationLib.transforms import Affine, DisplacementField

sys.path.append(str(Path(__file__).resolve().parents[2] / "Engine"))  # its writers of DICOM

_GRID = Grid((8, 7, 4), (4.0, 4.0, 5.0))


def write_good(folder: Path) -> dict[str, Path]:
    """A slice of a series, structures, dose, and two kinds of registration."""
    if find_spec("pydicom") is None:
        return {}
    import dicom_pair

    folder.mkdir(parents=True, exist_ok=True)
    made = dicom_pair.series(folder / "series", _GRID)
    angles = np.linspace(0, 2 * np.pi, 12, endpoint=False)
    rois = {
        "ball": [
            np.stack([14 + 6 * np.cos(angles), 12 + 6 * np.sin(angles), 0 * angles + z], 1)
            for z in (5.0, 10.0)
        ]
    }
    files = {
        "struct.dcm": dicom_pair.structures(folder / "struct.dcm", made, rois),
        "dose.dcm": dicom_pair.dose(folder / "dose.dcm", made, _GRID, np.ones(_GRID.shape)),
        "slice.dcm": sorted((folder / "series").iterdir())[0],
    }
    series = read_series(folder / "series")
    field = DisplacementField.identity(_GRID)
    for name, transform in (("spatial.dcm", Affine(translation=(1, 2, 3))), ("field.dcm", field)):
        files[name] = folder / name
        write_registration(transform, files[name], series, series)
    return files


def readers() -> dict[str, tuple[str, Callable[[Path], Any]]]:
    """Name of the reader to its good file and the function."""
    if find_spec("pydicom") is None:
        return {}
    return {
        "dicom image": ("slice.dcm", read_image),
        "dicom folder": ("slice.dcm", lambda path: read_image(path.parent)),
        "dicom series": ("slice.dcm", lambda path: read_series(path.parent)),
        "dicom dose": ("dose.dcm", read_dose),
        "dicom structures": ("struct.dcm", _structures),
        "dicom spatial": ("spatial.dcm", read_registration),
        "dicom field": ("field.dcm", read_registration),
    }


def _structures(path: Path) -> Any:
    series = path.parents[1] / f"good{os.getpid()}" / "dicom" / "series"
    return propagate_structures(Affine(), path, read_series(series), path.parent / "out.dcm")
