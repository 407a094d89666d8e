"""Image: a scalar volume on a Grid, read and written through SimpleITK."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import SimpleITK as sitk
import torch

from DeepRegistrationLib.arguments import PATH, require, takes
from DeepRegistrationLib.errors import RegistrationError
from DeepRegistrationLib.images.dicom.files import is_dicom
from DeepRegistrationLib.images.dicom.reader import Read, read_dicom, read_dicom_sequence
from DeepRegistrationLib.images.dicom.source import UNKNOWN, Source
from DeepRegistrationLib.images.geometry import Grid
from DeepRegistrationLib.images.guard.itk import reason
from DeepRegistrationLib.images.guard.paths import require_readable
from DeepRegistrationLib.images.headers import is_complete, meant_geometry, not_finite
from DeepRegistrationLib.images.image_files import read_file
from DeepRegistrationLib.images.nifti_writer import suits, write_nifti
from DeepRegistrationLib.images.sampling import (
    Interpolation,
    bspline_coefficients,
    check_interpolation,
    sample,
)
from DeepRegistrationLib.images.separable import parallel_positions, sample_parallel
from DeepRegistrationLib.progress import Progress, silent

_NO_ARITHMETIC = ("torch.uint16", "torch.uint32", "torch.uint64")  # PyTorch hardly computes in them
WRITABLE = (".nii.gz", ".nii", ".nrrd", ".mha", ".mhd")


@dataclass(frozen=True, eq=False)
class Image:
    """A scalar volume.

    Attributes:
        data: [z, y, x], any real dtype (methods convert to float32), on any device.
        grid: Where the voxels lie.
        name: What to call it in messages: the file's or node's name.
        notes: What a user should know about how it was read.
        source: Its series and frame of reference, where it comes from DICOM.
    """

    data: torch.Tensor
    grid: Grid
    name: str = "image"
    notes: tuple[str, ...] = ()
    source: Source = UNKNOWN

    def __post_init__(self) -> None:
        if not isinstance(self.data, torch.Tensor):
            raise RegistrationError(
                f"{self.name}: its data is of type {type(self.data).__name__}; give a "
                "torch.Tensor, as torch.from_numpy makes of an array."
            )
        if str(self.data.dtype) in _NO_ARITHMETIC or self.data.is_complex():
            raise RegistrationError(
                f"{self.name}: its data is of type {self.data.dtype}; give real numbers, as int32 "
                "or float32."
            )
        require(self.grid, f"The grid of {self.name}", Grid)
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
        """Values at physical points (LPS mm, [..., 3]): [...], float32 or as :meth:`resampled`."""
        check_interpolation(interpolation)
        values = self.data[None] if interpolation == "nearest" else self.data.float()[None]
        if interpolation == "cubic":
            values = bspline_coefficients(values)
        return sample(values, self.grid, points, interpolation=interpolation, fill=fill)[0]

    @takes(grid=Grid)
    def resampled(
        self,
        grid: Grid,
        *,
        interpolation: Interpolation = "linear",
        fill: float | None = 0.0,
        progress: Progress = silent,
    ) -> Image:
        """The image on another grid (any spacing, origin, direction).

        Float32; by ``nearest`` in the image's own type, so that labels stay what they are.
        """
        check_interpolation(interpolation)
        parallel = parallel_positions(self.grid, grid) if interpolation != "cubic" else None
        as_it_is = parallel or interpolation == "nearest"
        values = self.data[None] if as_it_is else self.data.float()[None]
        if interpolation == "cubic":
            values = bspline_coefficients(values)
        kind = self.data.dtype if interpolation == "nearest" else torch.float32
        result = torch.empty(grid.shape, device=self.data.device, dtype=kind)
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
        return replace(self, data=result, grid=grid)


def grid_of(image: sitk.Image) -> Grid:
    """The Grid of a SimpleITK image."""
    return Grid(image.GetSize(), image.GetSpacing(), image.GetOrigin(), image.GetDirection())


def from_sitk(image: sitk.Image, name: str = "image") -> Image:
    """An Image from a 3D scalar SimpleITK image; the voxel type is kept where torch has it.

    Raises:
        RegistrationError: The image is not a scalar 3D image, or a voxel is NaN or infinite.
    """
    if image.GetDimension() == 4 and image.GetSize()[3] == 1:
        image = image[:, :, :, 0]
    if image.GetDimension() != 3:
        frame = ", for example one frame of the series (--frame)"
        raise RegistrationError(
            f"{name} is {image.GetDimension()}D (size {image.GetSize()}); give one 3D volume"
            f"{frame if image.GetDimension() == 4 else ''}."
        )
    if image.GetNumberOfComponentsPerPixel() != 1:
        raise RegistrationError(
            f"{name} has {image.GetNumberOfComponentsPerPixel()} values per voxel (color or vector "
            "image); give a scalar volume."
        )
    direction = np.asarray(image.GetDirection()).reshape(3, 3)
    if np.abs(direction.T @ direction - np.eye(3)).max() > 1e-3:
        raise RegistrationError(
            f"{name} has sheared axes (direction cosines {direction.ravel().round(4).tolist()} are "
            "not orthogonal); resample it on an orthogonal grid first."
        )
    found = Image(as_tensor(sitk.GetArrayFromImage(image), name), grid_of(image), name)
    check_finite(found)
    return found


def check_finite(image: Image) -> None:
    """Raise ``RegistrationError`` where a voxel is NaN or infinite; the first one is named."""
    if all(torch.isfinite(value) for value in torch.aminmax(image.data)):  # both pass NaN on
        return
    wrong = ~torch.isfinite(image.data)
    z, y, x = (int(i) for i in np.unravel_index(int(wrong.int().argmax()), image.grid.shape))
    raise not_finite(image.name, int(wrong.sum()), float(image.data[z, y, x]), (x, y, z))


def as_tensor(array: np.ndarray, name: str) -> torch.Tensor:
    """An array as a tensor of a type that PyTorch computes with and that holds all its values.

    Raises:
        RegistrationError: Complex numbers, or whole numbers of 2^63 and more.
    """
    if array.dtype.kind == "c":
        raise RegistrationError(f"{name} holds complex numbers; give its magnitude image.")
    if array.dtype.kind == "u" and array.dtype.itemsize > 1:  # torch lacks most unsigned types
        if array.dtype.itemsize == 8 and array.size and array.max() >= 1 << 63:
            raise RegistrationError(f"{name} holds integers of 2^63 or more; renumber its labels.")
        array = array.astype({2: np.int32, 4: np.int64, 8: np.int64}[array.dtype.itemsize])
    if not array.dtype.isnative:
        array = array.astype(array.dtype.newbyteorder("="))
    return torch.from_numpy(np.ascontiguousarray(array))


def to_sitk(image: Image) -> sitk.Image:
    """A SimpleITK image with the same voxels and geometry."""
    data = image.data.detach().cpu()
    if data.dtype == torch.bool:
        data = data.to(torch.uint8)
    elif data.dtype in (torch.float16, torch.bfloat16):  # which ITK lacks
        data = data.float()
    result = sitk.GetImageFromArray(data.numpy())
    return set_geometry(result, image.grid)


def set_geometry(image: sitk.Image, grid: Grid) -> sitk.Image:
    """Give a SimpleITK image the origin, spacing and direction of ``grid``; return it."""
    image.SetOrigin(grid.origin)
    image.SetSpacing(grid.spacing)
    image.SetDirection(grid.direction)
    return image


def read_image(path: str | Path, *, series: Sequence[str] = (), frame: int | None = None) -> Image:
    """Read a volume: .nii, .nii.gz, .nrrd, .mha and whatever else ITK reads, or DICOM.

    Args:
        path: A file, or a folder that is searched for DICOM with its sub-folders.
        series: Which DICOM series of a folder that holds several: its number in the list that the
            refusal gives, or its Series Instance UID.
        frame: Which one of several time points, from 1.

    Raises:
        RegistrationError: Missing, unreadable, contradicting itself, or not one scalar 3D volume.
    """
    path = require_readable(path, folder=True)
    if is_dicom_image(path):
        read = read_dicom(path, series, frame)
        if len(read.layers) > 1:
            raise RegistrationError(
                f"{path} holds overlapping segments, which one label map cannot; give it where "
                "labels are expected (--labels, --fixed-labels, --moving-labels)."
            )
        return image_of_dicom(read, path)
    image, notes = read_file(path)
    if frame is not None:
        image = _time_point(image, frame, path.name)
    return noted(from_sitk(image, path.name), path, notes)


def read_sequence(path: str | Path, *, series: Sequence[str] = ()) -> list[Image]:
    """The time points of a 4D image or of a DICOM series, in order.

    Raises:
        RegistrationError: As :func:`read_image`.
    """
    path = require_readable(path, folder=True)
    if is_dicom_image(path):
        return [image_of_dicom(read, path) for read in read_dicom_sequence(path, series)]
    image, notes = read_file(path)
    count = image.GetSize()[3] if image.GetDimension() == 4 else 1
    points = [_time_point(image, k + 1, path.name) for k in range(count)]
    return [noted(from_sitk(point, path.name), path, notes) for point in points]


def is_dicom_image(path: Path) -> bool:
    """Whether DICOM is to be read: a folder, or a file of that kind whatever its name."""
    return path.is_dir() or is_dicom(path)


def image_of_dicom(read: Read, path: Path) -> Image:
    """An Image of what was read of a DICOM file or folder."""
    data = as_tensor(read.layers[0], path.name)
    return Image(data, read.grid, path.name, read.notes, read.source)


def _time_point(image: sitk.Image, frame: int, name: str) -> sitk.Image:
    count = image.GetSize()[3] if image.GetDimension() == 4 else 1
    require(frame, "frame", int)
    if not 1 <= frame <= count:
        frames = f"its frames are 1 to {count}" if count > 1 else "it holds one image alone"
        raise RegistrationError(f"{name} has no frame {frame}; {frames}.")
    return image[:, :, :, frame - 1] if image.GetDimension() == 4 else image


def noted(image: Image, path: Path, notes: Sequence[str]) -> Image:
    """An image of a file on the grid that its header means, with what has to be said about it."""
    grid, more = meant_geometry(path, image.grid)
    return replace(image, grid=grid, notes=(*notes, *more))


@takes(image=Image, path=PATH)
def write_image(image: Image, path: str | Path, *, scale: float = 1.0) -> None:
    """Write a volume; the suffix chooses the format (compressed).

    Args:
        scale: What the values are multiplied with when the file is read; for ``.nii.gz`` alone.

    Raises:
        RegistrationError: Unknown suffix, or the file cannot be written (rights, full disk).
    """
    write_sitk(to_sitk(image), Path(path), scale=scale)


def write_sitk(image: sitk.Image, path: Path, *, scale: float = 1.0) -> None:
    """As :func:`write_image`, of an image as SimpleITK has it, with its metadata."""
    if not path.name.lower().endswith(WRITABLE):
        raise RegistrationError(
            f"{path.name}: images are written as {', '.join(WRITABLE)}; choose one of these."
        )
    try:
        if suits(image, path):
            write_nifti(image, path, scale)
        else:  # level 1 takes half the time of ITK's default
            sitk.WriteImage(image, str(path), useCompression=True, compressionLevel=1)
    except (OSError, RuntimeError) as error:
        why = error.strerror if isinstance(error, OSError) else reason(error)
        raise RegistrationError(
            f"{path} cannot be written ({why}); check the folder's permissions and the "
            "free disk space."
        ) from error
    if not is_complete(path):  # ITK's NIfTI writer says nothing when the disk is full
        raise RegistrationError(
            f"{path} could not be written completely; check the free disk space."
        )
