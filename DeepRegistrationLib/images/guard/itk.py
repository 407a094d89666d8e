"""The one place where ITK reads files.

A NIfTI, NRRD or MetaImage file whose header was understood and agrees with the file is read in
this process; everything else in one of its own (:mod:`process`), as a damaged file can crash ITK,
GDCM and HDF5.
"""

from __future__ import annotations

import os
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import SimpleITK as sitk

from DeepRegistrationLib.images.geometry import Grid
from DeepRegistrationLib.images.guard import itk_payloads
from DeepRegistrationLib.images.guard.contents import check_contents, check_voxels
from DeepRegistrationLib.images.guard.itk_warnings import quiet_itk
from DeepRegistrationLib.images.guard.paths import require_readable
from DeepRegistrationLib.images.guard.process import Unreadable, guarded
from DeepRegistrationLib.images.plain_data import Map

__all__ = [
    "Unreadable",
    "read_itk_header",
    "read_itk_image",
    "read_itk_transform",
    "reason",
]


def read_itk_image(path: str | Path | Sequence[str | Path]) -> sitk.Image:
    """``sitk.ReadImage`` of a file, or of the files of one series in their order.

    Raises:
        RegistrationError: No readable file; cut short, damaged, or too large for the memory; it
            crashed the reader or did not come to an end.
        Unreadable: ITK's reason for not reading it, in a few words.
    """
    given = [path] if isinstance(path, str | Path) else path
    files = [require_readable(file) for file in given]
    contents = check_contents(files[0]) if len(files) == 1 else None
    image = (_read_here if contents and contents.known else _read_elsewhere)(files)
    if contents and contents.packed:
        voxels = sitk.GetArrayViewFromImage(image).reshape(-1).view(np.uint8)
        check_voxels(files[0], contents, voxels.data)
    return image


def _read_here(files: list[Path]) -> sitk.Image:
    try:
        with quiet_itk():
            return sitk.ReadImage(str(files[0]))
    except RuntimeError as error:
        raise Unreadable(reason(error)) from error


def _read_elsewhere(files: list[Path]) -> sitk.Image:
    return _image(
        _answer(itk_payloads.read_image, [os.path.abspath(file) for file in files], files=files)
    )


def read_itk_header(path: str | Path) -> dict[str, Any]:
    """An image file's ``size``, ``spacing``, ``origin``, ``direction``, ``components``, ``type``
    and ``about`` (its entries by name), without its voxels.

    Raises:
        RegistrationError, Unreadable: As :func:`read_itk_image`.
    """
    path = require_readable(path)
    contents = check_contents(path)
    if contents is None or not contents.known:
        return _answer(itk_payloads.read_header, os.path.abspath(path), files=[path])
    try:
        with quiet_itk():
            return itk_payloads.read_header(str(path))
    except RuntimeError as error:
        raise Unreadable(reason(error)) from error


def read_itk_transform(path: str | Path, grid: Grid | None = None) -> list[Map]:
    """The maps of an ITK transform file, in the order of application (``itk_payloads.maps_of``).

    Raises:
        RegistrationError, Unreadable: As :func:`read_itk_image`.
    """
    path = require_readable(path)
    return _answer(itk_payloads.read_transform, os.path.abspath(path), grid, files=[path])


def reason(error: Exception) -> str:
    """The last line of an ITK exception: what it says, without where it stood in ITK's sources."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    if not lines:
        return "unknown error"
    if "Unable to determine ImageIO" in lines[-1]:
        return "its format is unknown"
    return re.sub(r"^((sitk::|ITK )?ERROR|Reason): *", "", lines[-1]).rstrip(".")


def _answer(function: Any, *arguments: Any, files: Sequence[Path]) -> Any:
    """What the reading process answers; it stays in the folder that it was started in, so that
    paths among the arguments have to be absolute."""
    try:
        return guarded(function, *arguments, files=files)
    except Unreadable as error:
        raise Unreadable(reason(error)) from error


def _image(found: dict[str, Any]) -> sitk.Image:
    image = sitk.GetImageFromArray(found["voxels"], isVector=found["vector"])
    image.SetSpacing(found["spacing"])
    image.SetOrigin(found["origin"])
    image.SetDirection(found["direction"])
    for key, value in found["about"].items():
        image.SetMetaData(key, value.encode(errors="replace").decode())
    return image
