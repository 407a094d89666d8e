"""Image: a scalar volume on a Grid, read and written through SimpleITK."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import SimpleITK as sitk
import torch

from DeepRegistrationLib.errors import RegistrationError
from DeepRegistrationLib.geometry import Grid
from DeepRegistrationLib.guard.itk import Unreadable, read_itk_image, reason
from DeepRegistrationLib.guard.paths import require_readable, shown
from DeepRegistrationLib.headers import check_header, is_complete
from DeepRegistrationLib.itk_warnings import quiet_itk
from DeepRegistrationLib.progress import Progress, silent
from DeepRegistrationLib.sampling import (
    Interpolation,
    bspline_coefficients,
    sample,
)
from DeepRegistrationLib.separable import parallel_positions, sample_parallel

WRITABLE = (".nii.gz", ".nii", ".nrrd", ".mha", ".mhd")


@dataclass(frozen=True, eq=False)
class Image:
    """A scalar volume.

    Attributes:
        data: [z, y, x], any real dtype (methods convert to float32), on any device.
        grid: Where the voxels lie.
        name: What to call it in messages: the file's or node's name.
    """

    data: torch.Tensor
    grid: Grid
    name: str = "image"

    def __post_init__(self) -> None:
        if tuple(self.data.shape) != self.grid.shape:
            raise RegistrationError(
                f"{self.name}: the array's shape {tuple(self.data.shape)} does not fit its grid "
                f"{self.grid.shape} (z, y, x)."
            )

    def to(self, device: torch.device | str) -> Image:
        """The same image on another device."""
        return replace(self, data=self.data.to(device))

    def sample(
        self,
        points: torch.Tensor,
        *,
        interpolation: Interpolation = "linear",
        fill: float | None = 0.0,
    ) -> torch.Tensor:
        """Values at physical points (LPS mm, [..., 3]): float32 [...]."""
        values = self.data.float()[None]
        if interpolation == "cubic":
            values = bspline_coefficients(values)
        return sample(values, self.grid, points, interpolation=interpolation, fill=fill)[0]

    def resampled(
        self,
        grid: Grid,
        *,
        interpolation: Interpolation = "linear",
        fill: float | None = 0.0,
        progress: Progress = silent,
    ) -> Image:
        """The image on another grid (any spacing, origin, direction): float32."""
        parallel = parallel_positions(self.grid, grid) if interpolation != "cubic" else None
        values = self.data[None] if parallel else self.data.float()[None]
        if interpolation == "cubic":
            values = bspline_coefficients(values)
        result = torch.empty(grid.shape, device=self.data.device)
        slabs = grid.slabs()
        for number, slab in enumerate(slabs):
            if parallel:
                result[slab] = sample_parallel(
                    values, parallel, slab, fill, nearest=interpolation == "nearest"
                )[0]
            else:
                points = grid.points(slab, device=self.data.device)
                result[slab] = sample(
                    values, self.grid, points, interpolation=interpolation, fill=fill
                )[0]
            progress((number + 1) / len(slabs), "Resampling the image")
        return Image(result, grid, self.name)


def grid_of(image: sitk.Image) -> Grid:
    """The Grid of a SimpleITK image."""
    return Grid(image.GetSize(), image.GetSpacing(), image.GetOrigin(), image.GetDirection())


def from_sitk(image: sitk.Image, name: str = "image") -> Image:
    """An Image from a 3D scalar SimpleITK image; the voxel type is kept where torch has it.

    Raises:
        RegistrationError: The image is not a scalar 3D image.
    """
    if image.GetDimension() == 4 and image.GetSize()[3] == 1:
        image = image[:, :, :, 0]
    if image.GetDimension() != 3:
        raise RegistrationError(
            f"{name} is {image.GetDimension()}D (size {image.GetSize()}); give one 3D volume, "
            "for example one frame of the series."
        )
    if image.GetNumberOfComponentsPerPixel() != 1:
        raise RegistrationError(
            f"{name} has {image.GetNumberOfComponentsPerPixel()} values a voxel (color or vector "
            "image); give a scalar volume."
        )
    direction = np.asarray(image.GetDirection()).reshape(3, 3)
    if np.abs(direction.T @ direction - np.eye(3)).max() > 1e-3:
        raise RegistrationError(
            f"{name} has sheared axes (direction cosines {direction.ravel().round(4).tolist()} are "
            "not orthogonal); resample it on a straight grid first."
        )
    array = sitk.GetArrayFromImage(image)
    if array.dtype.kind == "c":
        raise RegistrationError(f"{name} holds complex numbers; give its magnitude image.")
    if array.dtype.kind == "u" and array.dtype.itemsize > 1:  # torch lacks most unsigned types
        array = array.astype({2: np.int32, 4: np.float64, 8: np.float64}[array.dtype.itemsize])
    return Image(torch.from_numpy(np.ascontiguousarray(array)), grid_of(image), name)


def to_sitk(image: Image) -> sitk.Image:
    """A SimpleITK image with the same voxels and geometry."""
    result = sitk.GetImageFromArray(image.data.detach().cpu().numpy())
    return set_geometry(result, image.grid)


def set_geometry(image: sitk.Image, grid: Grid) -> sitk.Image:
    """Give a SimpleITK image the origin, spacing and direction of ``grid``; return it."""
    image.SetOrigin(grid.origin)
    image.SetSpacing(grid.spacing)
    image.SetDirection(grid.direction)
    return image


def read_image(path: str | Path) -> Image:
    """Read a volume: .nii, .nii.gz, .nrrd, .mha and whatever else ITK reads, or a DICOM folder.

    Args:
        path: A file, or a folder that holds exactly one DICOM series.

    Raises:
        RegistrationError: Missing, unreadable, or not one scalar 3D volume.
    """
    path = require_readable(path, folder=True)
    if path.is_file():
        check_header(path)
    try:
        with quiet_itk():
            image = _read_series(path) if path.is_dir() else read_itk_image(path)
    except (RuntimeError, Unreadable) as error:
        raise RegistrationError(
            f"{shown(path)} cannot be read as an image ({reason(error)}); give a NIfTI, NRRD or "
            "MetaImage file, or a folder with one DICOM series."
        ) from error
    return from_sitk(image, path.name)


def _read_series(folder: Path) -> sitk.Image:
    series = sitk.ImageSeriesReader.GetGDCMSeriesIDs(str(folder))
    if not series:
        raise RegistrationError(f"{folder} holds no DICOM series; give the folder of the slices.")
    if len(series) > 1:
        raise RegistrationError(
            f"{folder} holds {len(series)} DICOM series; put the one to register in a folder of "
            "its own."
        )
    files = sitk.ImageSeriesReader.GetGDCMSeriesFileNames(str(folder), series[0])
    image = sitk.ReadImage(files)
    if image.HasMetaDataKey("ITK_non_uniform_sampling_deviation"):
        _check_slices(files, folder)
    return image


def _check_slices(files: tuple[str, ...], folder: Path) -> None:
    """Refuse uneven slice distances: ITK would spread the slices evenly and shift them."""
    positions = []
    for name in files:
        reader = sitk.ImageFileReader()
        reader.SetFileName(name)
        reader.ReadImageInformation()
        positions.append(reader.GetOrigin()[:3])
    gaps = np.linalg.norm(np.diff(positions, axis=0), axis=1)
    if np.ptp(gaps) > 0.1 * np.median(gaps):
        raise RegistrationError(
            f"The slices in {folder} lie {gaps.min():.2f} to {gaps.max():.2f} mm apart: some are "
            "missing or belong to another series; give the folder of one complete series."
        )


def write_image(image: Image, path: str | Path) -> None:
    """Write a volume; the suffix chooses the format (compressed).

    Raises:
        RegistrationError: Unknown suffix, or the file cannot be written (rights, full disk).
    """
    path = Path(path)
    if not path.name.lower().endswith(WRITABLE):
        raise RegistrationError(
            f"{path.name}: images are written as {', '.join(WRITABLE)}; choose one of these."
        )
    try:
        sitk.WriteImage(to_sitk(image), str(path), useCompression=True)
    except RuntimeError as error:
        raise RegistrationError(
            f"{path} cannot be written ({reason(error)}); check the folder's rights and the "
            "free disk space."
        ) from error
    if not is_complete(path):  # ITK's NIfTI writer says nothing when the disk is full
        raise RegistrationError(f"{path} could not be written whole; check the free disk space.")
