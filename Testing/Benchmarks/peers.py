"""The registration tools that the benchmark compares with, behind one protocol.

Each peer takes a fixed and a moving image and returns a `PeerResult`: its time, a callable that
maps physical points, and the displacement field on the fixed grid. Points and vectors are LPS
millimeters; every transform runs from fixed to moving, as resampling needs it. Intensities go
in as they are: clamp CT to about [-1000, 400] HU first, or the -2048 padding outside the
scanner's circle steers the metric. `itk-elastix` and `convexAdam` are optional packages.

Example:
    >>> result = elastix_par0011(fixed, moving, fixed_mask)
    >>> error_mm = np.linalg.norm(result.transform(fixed_points) - moving_points, axis=1)
"""

from __future__ import annotations

import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
import SimpleITK as sitk
import torch
from scipy.ndimage import map_coordinates

from DeepRegistrationLib.elastix.recipes import RECIPES
from DeepRegistrationLib.elastix.run import run_elastix
from DeepRegistrationLib.image import from_sitk
from DeepRegistrationLib.progress import silent
from DeepRegistrationLib.transforms.io import to_itk

PointMap = Callable[[np.ndarray], np.ndarray]


@dataclass(frozen=True)
class PeerResult:
    """What a peer found for one pair.

    Attributes:
        name: Method name for the benchmark's tables.
        version: Version of the package that ran.
        seconds: Wall time of the registration, affine and deformable; imports, file reading
            and the sampling of `displacement` do not count.
        transform: Maps an (n, 3) float64 array of fixed points to moving points, LPS mm.
        displacement: Vector image u (float32, mm, LPS) on the fixed grid, T(x) = x + u(x).
    """

    name: str
    version: str
    seconds: float
    transform: PointMap
    displacement: sitk.Image


def elastix_par0011(
    fixed: sitk.Image,
    moving: sitk.Image,
    fixed_mask: sitk.Image | None = None,
    moving_mask: sitk.Image | None = None,
    *,
    threads: int = 2,
) -> PeerResult:
    """Register with elastix and the parameter set Par0011 of its model zoo.

    Affine and a 10 mm B-spline on the whole images, then a 5 mm B-spline inside `fixed_mask`.

    Args:
        fixed: Fixed scalar image.
        moving: Moving scalar image, on any grid.
        fixed_mask: Lungs of the fixed image, nonzero inside, on the fixed grid.
        moving_mask: Not used: Par0011 masks the fixed image only.
        threads: Number of threads elastix may use.

    Raises:
        ValueError: The mask is empty or not on its image's grid.
    """
    del moving_mask
    mask = None if fixed_mask is None else from_sitk(_checked_mask(fixed_mask, fixed))
    target, source = from_sitk(fixed), from_sitk(moving)
    recipe = RECIPES["par0011" if mask is None else "par0011-mask"]
    found = run_elastix(
        target,
        source,
        (mask, None),
        recipe,
        target.grid,
        threads=threads,
        seed=0,
        progress=silent,
    )

    def transform(points: np.ndarray) -> np.ndarray:
        return found.transform(torch.as_tensor(points)).numpy()

    vectors = found.transform.on_grid(target.grid).vectors.movedim(0, -1).numpy()
    field = sitk.GetImageFromArray(np.ascontiguousarray(vectors), isVector=True)
    field.CopyInformation(fixed)
    return PeerResult("elastix Par0011", version("itk-elastix"), found.seconds, transform, field)


def convex_adam(
    fixed: sitk.Image,
    moving: sitk.Image,
    fixed_mask: sitk.Image | None = None,
    moving_mask: sitk.Image | None = None,
    *,
    affine: bool = True,
    spacing_mm: float | None = None,
    threads: int = 2,
    **parameters: float,
) -> PeerResult:
    """Register with convexAdam (MIND features, default parameters, float32 on the CPU).

    convexAdam needs one grid for both images. With `affine`, Par0011's affine stage comes first,
    inside `fixed_mask`: that helps here, while Par0011 itself has no mask there.

    Args:
        fixed: Fixed scalar image.
        moving: Moving scalar image, on any grid.
        fixed_mask: Nonzero where the fixed image counts; used only with `moving_mask`.
        moving_mask: Nonzero where the moving image counts; used only with `fixed_mask`.
        affine: Whether to register affinely first; otherwise scanner coordinates are trusted.
        spacing_mm: Isotropic spacing of the common grid; None keeps the fixed grid.
        threads: Number of threads elastix and torch may use.
        **parameters: Overrides of `convex_adam_pt`'s parameters, for instance `grid_sp=4`.

    Raises:
        ValueError: A mask is empty or not on its image's grid.
    """
    from convexAdam.convex_adam_MIND import convex_adam_pt

    options: dict[str, Any] = {"dtype": torch.float32, "device": torch.device("cpu"), **parameters}
    fixed, moving = (sitk.Cast(image, sitk.sitkFloat32) for image in (fixed, moving))
    region = None if fixed_mask is None else from_sitk(_checked_mask(fixed_mask, fixed))
    threads_before = torch.get_num_threads()
    torch.set_num_threads(threads)
    linear, before = sitk.AffineTransform(3), 0.0
    if affine:
        inputs = from_sitk(fixed), from_sitk(moving)
        found = run_elastix(
            *inputs,
            (region, None),
            RECIPES["affine"],
            inputs[0].grid,
            threads=threads,
            seed=0,
            progress=silent,
        )
        linear, before = to_itk(found.transform), found.seconds
    start = time.perf_counter()
    grid = fixed if spacing_mm is None else _isotropic_grid(fixed, spacing_mm)
    with tempfile.TemporaryDirectory() as folder:
        if fixed_mask is not None and moving_mask is not None:
            masks = _checked_mask(fixed_mask, fixed), _checked_mask(moving_mask, moving)
            options["use_mask"] = True
            options["path_fixed_mask"] = _save_mask(_on_grid(masks[0], grid), folder, "fixed")
            options["path_moving_mask"] = _save_mask(
                _on_grid(masks[1], grid, linear), folder, "moving"
            )
        voxels = convex_adam_pt(_on_grid(fixed, grid), _on_grid(moving, grid, linear), **options)
    seconds = before + time.perf_counter() - start
    torch.set_num_threads(threads_before)

    depth, height, width = grid.GetSize()[::-1]
    # Components come in array order (z, y, x) and in voxels: u_mm = D S u_voxel.
    field = voxels[:depth, :height, :width, ::-1] @ _voxel_axes(grid).T
    matrix = np.array(linear.GetMatrix()).reshape(3, 3)
    offset = np.array(linear.TransformPoint((0.0, 0.0, 0.0)))

    def transform(points: np.ndarray) -> np.ndarray:
        return (points + _interpolate(field, grid, points)) @ matrix.T + offset

    points = np.indices(fixed.GetSize()[::-1]).reshape(3, -1).T[:, ::-1] @ _voxel_axes(fixed).T
    points += fixed.GetOrigin()
    vectors = (transform(points) - points).reshape(*fixed.GetSize()[::-1], 3)
    displacement = sitk.GetImageFromArray(vectors.astype(np.float32), isVector=True)
    displacement.CopyInformation(fixed)
    return PeerResult("convexAdam", version("convexAdam"), seconds, transform, displacement)


def symmetric_demons(
    fixed: sitk.Image,
    moving: sitk.Image,
    *,
    iterations: tuple[int, ...] = (50, 50, 50),
    smoothing_mm: float = 3.0,
    threads: int = 2,
) -> PeerResult:
    """Register with SimpleITK's fast symmetric forces demons, coarse to fine, without masks.

    Histograms are matched first. Every level has twice the in-plane resolution of the one
    before and starts from its field; slices are thick and stay.

    Args:
        fixed: Fixed scalar image.
        moving: Moving scalar image, on any grid; scanner coordinates are trusted.
        iterations: Iterations of each level, coarsest first; at least one level.
        smoothing_mm: Standard deviation of the field's smoothing after each iteration.
        threads: Number of threads the filter may use.
    """
    start = time.perf_counter()
    target = sitk.Cast(fixed, sitk.sitkFloat32)
    source = sitk.Resample(sitk.Cast(moving, sitk.sitkFloat32), target, sitk.Transform())
    source = sitk.HistogramMatching(source, target, 256, 15, True)
    demons = sitk.FastSymmetricForcesDemonsRegistrationFilter()
    demons.SetNumberOfThreads(threads)
    demons.SetSmoothDisplacementField(True)
    field = sitk.Image(fixed.GetSize(), sitk.sitkVectorFloat64)
    field.CopyInformation(fixed)
    for level, count in enumerate(iterations, start=1 - len(iterations)):
        grids = [_shrink_in_plane(image, 2**-level) for image in (target, source)]
        field = sitk.Resample(
            field, grids[0], sitk.Transform(), sitk.sitkLinear, useNearestNeighborExtrapolator=True
        )
        demons.SetNumberOfIterations(count)
        demons.SetStandardDeviations([smoothing_mm / s for s in grids[0].GetSpacing()])
        field = demons.Execute(*grids, field)
    seconds = time.perf_counter() - start
    vectors = sitk.GetArrayFromImage(field)

    def transform(points: np.ndarray) -> np.ndarray:
        return points + _interpolate(vectors, fixed, points)

    displacement = sitk.Cast(field, sitk.sitkVectorFloat32)
    return PeerResult("demons", version("SimpleITK"), seconds, transform, displacement)


def _checked_mask(mask: sitk.Image, image: sitk.Image) -> sitk.Image:
    """The mask as 0 and 1 in unsigned char; refuses an empty or a displaced one."""
    if not mask.IsSameImageGeometryAs(image):
        raise ValueError(
            f"mask is not on its image's grid: size {mask.GetSize()}, origin {mask.GetOrigin()}, "
            f"image's size {image.GetSize()}, origin {image.GetOrigin()}"
        )
    if not sitk.GetArrayViewFromImage(mask).any():
        raise ValueError(f"mask of size {mask.GetSize()} is empty")
    return mask != 0


def _voxel_axes(image: sitk.Image) -> np.ndarray:
    """Columns are the steps of one voxel along each index axis in LPS mm: D S."""
    return np.array(image.GetDirection()).reshape(3, 3) * image.GetSpacing()


def _isotropic_grid(image: sitk.Image, spacing_mm: float) -> sitk.Image:
    """An empty image with cubic voxels; the outer corner of its first voxel is the image's."""
    extent = np.array(image.GetSize()) * image.GetSpacing()
    grid = sitk.Image(np.ceil(extent / spacing_mm).astype(int).tolist(), sitk.sitkUInt8)
    grid.SetSpacing([spacing_mm] * 3)
    grid.SetDirection(image.GetDirection())
    corner = image.TransformContinuousIndexToPhysicalPoint([-0.5] * 3)
    grid.SetOrigin((np.array(corner) + _voxel_axes(grid).sum(axis=1) / 2).tolist())
    return grid


def _on_grid(
    image: sitk.Image, grid: sitk.Image, transform: sitk.Transform | None = None
) -> np.ndarray:
    """Resample to the float array [z, y, x] that convexAdam takes; masks stay 0 or 1.

    The outside gets the image's minimum (air in CT). Every axis is padded at its end to a
    multiple of 6, the stride of the coarse grid, and to three strides: convexAdam fails below
    that and on odd sizes with masks, and stretches its coarse field over a remainder.
    """
    minimum = float(sitk.GetArrayViewFromImage(image).min())
    kind = sitk.sitkNearestNeighbor if image.GetPixelID() == sitk.sitkUInt8 else sitk.sitkLinear
    resampled = sitk.Resample(image, grid, transform or sitk.Transform(), kind, minimum)
    array = sitk.GetArrayFromImage(resampled).astype(np.float32)
    return np.pad(array, [(0, max(18 - n, -n % 6)) for n in array.shape], mode="edge")


def _save_mask(array: np.ndarray, folder: str, role: str) -> Path:
    """Write a mask [z, y, x] so that nibabel, which convexAdam uses, reads the same array."""
    import nibabel

    path = Path(folder) / f"{role}.nii"
    nibabel.save(nibabel.Nifti1Image(array.astype(np.uint8), np.eye(4)), path)
    return path


def _shrink_in_plane(image: sitk.Image, factor: int) -> sitk.Image:
    if factor == 1:
        return image
    x_mm, y_mm, z_mm = image.GetSpacing()
    sigmas = [factor * x_mm / 2, factor * y_mm / 2, z_mm / 1000]
    return sitk.Shrink(sitk.SmoothingRecursiveGaussian(image, sigmas), [factor, factor, 1])


def _interpolate(field: np.ndarray, grid: sitk.Image, points: np.ndarray) -> np.ndarray:
    """Linear value of a field [z, y, x, 3] at (n, 3) points; its border value outside."""
    indices = (np.asarray(points, float) - grid.GetOrigin()) @ np.linalg.inv(_voxel_axes(grid)).T
    where = indices[:, ::-1].T
    components = [map_coordinates(field[..., i], where, order=1, mode="nearest") for i in range(3)]
    return np.stack(components, axis=1)
