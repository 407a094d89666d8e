"""The registration tools that the benchmark compares with, behind one protocol.

Each peer takes a fixed and a moving image and returns a `PeerResult`: how long it took, a callable
that maps physical points, and the displacement field on the fixed grid. All points and vectors
are LPS millimeters; every transform runs from fixed to moving, as resampling needs it.

Intensities go in as they are: clamp CT to about [-1000, 400] HU first, or the -2048 padding
outside the scanner's circle steers the metric.

`itk-elastix` and `convexAdam` are optional and imported where they are used.

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
from scipy.ndimage import map_coordinates

PointMap = Callable[[np.ndarray], np.ndarray]

# elastix model zoo, Par0011 (Staring et al., "Pulmonary image registration with elastix using a
# standard intensity-based algorithm", EMPIRE10, 2010). File output is left out.
_PAR0011_COMMON: dict[str, list[str]] = {
    "FixedInternalImagePixelType": ["float"],
    "MovingInternalImagePixelType": ["float"],
    "FixedImagePyramid": ["FixedRecursiveImagePyramid"],
    "MovingImagePyramid": ["MovingRecursiveImagePyramid"],
    "Interpolator": ["BSplineInterpolator"],
    "BSplineInterpolationOrder": ["1"],
    "ResampleInterpolator": ["FinalBSplineInterpolator"],
    "FinalBSplineInterpolationOrder": ["3"],
    "Resampler": ["DefaultResampler"],
    "Optimizer": ["AdaptiveStochasticGradientDescent"],
    "AutomaticParameterEstimation": ["true"],
    "UseAdaptiveStepSizes": ["true"],
    "ImageSampler": ["RandomCoordinate"],
    "NumberOfSpatialSamples": ["2000"],
    "NewSamplesEveryIteration": ["true"],
    "UseRandomSampleRegion": ["false"],
    "HowToCombineTransforms": ["Compose"],
    "UseDirectionCosines": ["true"],
    "NumberOfResolutions": ["5"],
    "WriteResultImage": ["false"],
    "WriteTransformParametersEachResolution": ["false"],
}
_PAR0011_AFFINE = _PAR0011_COMMON | {
    "Registration": ["MultiResolutionRegistration"],
    "Transform": ["AffineTransform"],
    "Metric": ["AdvancedNormalizedCorrelation"],
    "AutomaticScalesEstimation": ["true"],
    "AutomaticTransformInitialization": ["true"],
    "MaximumNumberOfSamplingAttempts": ["5"],
    "ImagePyramidSchedule": [
        "16",
        "16",
        "16",
        "8",
        "8",
        "8",
        "4",
        "4",
        "4",
        "2",
        "2",
        "2",
        "1",
        "1",
        "1",
    ],
    "MaximumNumberOfIterations": ["1000"],
    "ErodeMask": ["false"],
}
_PAR0011_BSPLINE = _PAR0011_COMMON | {
    "Registration": ["MultiMetricMultiResolutionRegistration"],
    "Transform": ["BSplineTransform"],
    "Metric": ["AdvancedNormalizedCorrelation", "TransformBendingEnergyPenalty"],
    "UseRelativeWeights": ["true"],
    "Metric0RelativeWeight": ["1.0"],
    "Metric1RelativeWeight": ["0.05"],
    "MaximumNumberOfSamplingAttempts": ["50"],
}
_PAR0011_BSPLINE_WHOLE = _PAR0011_BSPLINE | {
    "ImagePyramidSchedule": _PAR0011_AFFINE["ImagePyramidSchedule"],
    "FinalGridSpacingInPhysicalUnits": ["10.0"] * 3,
    "GridSpacingSchedule": ["8.0", "8.0", "4.0", "2.0", "1.0"],
    "MaximumNumberOfIterations": ["1000"],
    "ErodeMask": ["false"],
}
_PAR0011_BSPLINE_LUNG = _PAR0011_BSPLINE | {
    "ImagePyramidSchedule": [
        "4",
        "4",
        "4",
        "3",
        "3",
        "3",
        "2",
        "2",
        "2",
        "1",
        "1",
        "1",
        "1",
        "1",
        "1",
    ],
    "FinalGridSpacingInPhysicalUnits": ["5.0"] * 3,
    "GridSpacingSchedule": ["16.0", "8.0", "4.0", "2.0", "1.0"],
    "MaximumNumberOfIterations": ["2000"],
    "ErodeMask": ["false", "false", "true", "true", "true"],
}


@dataclass(frozen=True)
class PeerResult:
    """What a peer found for one pair.

    Attributes:
        name: Method name as the benchmark's tables print it.
        version: Version of the package that ran.
        seconds: Wall time of the registration (affine and deformable), without imports, file
            reading and the sampling of `displacement`.
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
    mask = _checked_mask(fixed_mask, fixed, "fixed_mask")
    fixed_itk, moving_itk = _to_itk(fixed), _to_itk(moving)
    mask_itk = None if mask is None else _to_itk(mask)
    start = time.perf_counter()
    whole = _run_elastix(
        fixed_itk, moving_itk, [_PAR0011_AFFINE, _PAR0011_BSPLINE_WHOLE], threads=threads
    )
    lung = _run_elastix(
        fixed_itk, moving_itk, [_PAR0011_BSPLINE_LUNG], threads=threads, mask=mask_itk, after=whole
    )
    seconds = time.perf_counter() - start
    final = lung.GetCombinationTransform()

    # `whole` and `lung` own parts of the transform: bind them, so that they live as long as it.
    def transform(points: np.ndarray, owners: Any = (whole, lung)) -> np.ndarray:
        return np.array([final.TransformPoint(point.tolist()) for point in np.asarray(points)])

    displacement = _elastix_displacement(lung, moving_itk, fixed)
    return PeerResult("elastix Par0011", version("itk-elastix"), seconds, transform, displacement)


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

    convexAdam needs one grid for both images. With `affine`, Par0011's affine stage comes first.

    Args:
        fixed: Fixed scalar image.
        moving: Moving scalar image, on any grid.
        fixed_mask: Nonzero where the fixed image counts; both masks or none.
        moving_mask: Nonzero where the moving image counts.
        affine: Whether to register affinely first; otherwise scanner coordinates are trusted.
        spacing_mm: Isotropic spacing of the common grid; None keeps the fixed grid.
        threads: Number of threads elastix and torch may use.
        **parameters: Overrides of `convex_adam_pt`'s parameters, for instance `grid_sp=4`.

    Raises:
        ValueError: Only one mask is given, or a mask is empty or not on its image's grid.
    """
    import torch
    from convexAdam.convex_adam_MIND import convex_adam_pt

    if (fixed_mask is None) != (moving_mask is None):
        raise ValueError("convexAdam needs both masks or none; got one")
    masks = [
        _checked_mask(fixed_mask, fixed, "fixed_mask"),
        _checked_mask(moving_mask, moving, "moving_mask"),
    ]
    inputs = (_to_itk(fixed), _to_itk(moving)) if affine else None
    threads_before = torch.get_num_threads()
    torch.set_num_threads(threads)
    start = time.perf_counter()
    linear = sitk.AffineTransform(3)
    if inputs:
        stage = _run_elastix(*inputs, [_PAR0011_AFFINE], threads=threads)
        linear = _affine_of(stage)
    grid = fixed if spacing_mm is None else _isotropic_grid(fixed, spacing_mm)
    arrays = [_on_grid(fixed, grid), _on_grid(moving, grid, linear)]
    with tempfile.TemporaryDirectory() as folder:
        options: dict[str, Any] = dict(parameters)
        if masks[0] is not None and masks[1] is not None:
            transforms = (sitk.Transform(), linear)
            options["use_mask"] = True
            for mask, transform, role in zip(masks, transforms, ("fixed", "moving"), strict=True):
                path = Path(folder) / f"{role}.nii"
                _write_in_array_order(_on_grid(mask, grid, transform, nearest=True), path)
                options[f"path_{role}_mask"] = path
        voxels = convex_adam_pt(*arrays, dtype=torch.float32, device=torch.device("cpu"), **options)
    seconds = time.perf_counter() - start
    torch.set_num_threads(threads_before)

    depth, height, width = grid.GetSize()[::-1]
    # Components come in array order (z, y, x) and in voxels: u_mm = D S u_voxel.
    axes = _direction(grid) * np.array(grid.GetSpacing())
    field = voxels[:depth, :height, :width, ::-1] @ axes.T
    matrix = np.array(linear.GetMatrix()).reshape(3, 3)
    offset = np.array(linear.TransformPoint((0.0, 0.0, 0.0)))

    def transform_points(points: np.ndarray) -> np.ndarray:
        return (points + _sample_field(field, grid, points)) @ matrix.T + offset

    return PeerResult(
        "convexAdam",
        version("convexAdam"),
        seconds,
        transform_points,
        _displacement_of(transform_points, fixed),
    )


def symmetric_demons(
    fixed: sitk.Image,
    moving: sitk.Image,
    *,
    iterations: tuple[int, ...] = (50, 50, 50),
    smoothing_mm: float = 2.0,
    threads: int = 2,
) -> PeerResult:
    """Register with SimpleITK's fast symmetric forces demons, coarse to fine, without masks.

    Histograms are matched first. Each level halves the in-plane resolution (slices are thick and
    stay), starting from the field of the coarser one.

    Args:
        fixed: Fixed scalar image.
        moving: Moving scalar image, on any grid; scanner coordinates are trusted.
        iterations: Iterations of each level, coarsest first.
        smoothing_mm: In-plane standard deviation of the field's smoothing after each iteration.
        threads: Number of threads the filter may use.
    """
    fixed_float, moving_float = (sitk.Cast(image, sitk.sitkFloat32) for image in (fixed, moving))
    start = time.perf_counter()
    moving_float = sitk.Resample(moving_float, fixed_float, sitk.Transform(), sitk.sitkLinear)
    moving_float = sitk.HistogramMatching(moving_float, fixed_float, 256, 15, True)
    demons = sitk.FastSymmetricForcesDemonsRegistrationFilter()
    demons.SetNumberOfThreads(threads)
    demons.SetSmoothDisplacementField(True)
    field = None
    for level, count in enumerate(iterations):
        factor = 2 ** (len(iterations) - 1 - level)
        pyramid = [_shrink_in_plane(image, factor) for image in (fixed_float, moving_float)]
        grid = pyramid[0]
        demons.SetNumberOfIterations(count)
        demons.SetStandardDeviations([smoothing_mm / s for s in grid.GetSpacing()])
        if field is None:
            field = demons.Execute(*pyramid)
        else:
            start_field = sitk.Resample(
                field, grid, sitk.Transform(), sitk.sitkLinear, useNearestNeighborExtrapolator=True
            )
            field = demons.Execute(*pyramid, start_field)
    seconds = time.perf_counter() - start
    if field is None:
        raise ValueError("iterations is empty")
    vectors = sitk.GetArrayFromImage(field)

    def transform(points: np.ndarray) -> np.ndarray:
        return points + _sample_field(vectors, fixed, points)

    return PeerResult(
        "symmetric demons",
        version("SimpleITK"),
        seconds,
        transform,
        sitk.Cast(field, sitk.sitkVectorFloat32),
    )


def _checked_mask(mask: sitk.Image | None, image: sitk.Image, name: str) -> sitk.Image | None:
    """The mask as 0 and 1 in unsigned char; refuses an empty or a displaced one."""
    if mask is None:
        return None
    if not mask.IsSameImageGeometryAs(image):
        raise ValueError(f"{name} is not on its image's grid: size {mask.GetSize()}")
    binary = mask != 0
    if not sitk.GetArrayViewFromImage(binary).any():
        raise ValueError(f"{name} is empty")
    return binary


def _direction(image: sitk.Image) -> np.ndarray:
    return np.array(image.GetDirection()).reshape(3, 3)


def _to_itk(image: sitk.Image) -> Any:
    """The image as itk.Image, float for intensities and unsigned char for masks."""
    import itk

    is_mask = image.GetPixelID() == sitk.sitkUInt8
    array = sitk.GetArrayFromImage(image)
    copy = itk.image_from_array(array if is_mask else array.astype(np.float32))
    copy.SetOrigin(image.GetOrigin())
    copy.SetSpacing(image.GetSpacing())
    copy.SetDirection(_direction(image))
    return copy


def _run_elastix(
    fixed: Any,
    moving: Any,
    stages: list[dict[str, list[str]]],
    *,
    threads: int,
    mask: Any = None,
    after: Any = None,
) -> Any:
    """Run the stages on itk images, quietly, on top of the result of `after`."""
    import itk

    parameters = itk.ParameterObject.New()
    for stage in stages:
        parameters.AddParameterMap(stage)
    method = itk.ElastixRegistrationMethod.New(fixed, moving)
    method.SetParameterObject(parameters)
    method.SetNumberOfThreads(threads)
    method.SetLogToConsole(False)
    if mask is not None:
        method.SetFixedMask(mask)
    if after is not None:
        method.SetExternalInitialTransform(after.GetCombinationTransform())
    method.Update()
    return method


def _affine_of(stage: Any) -> sitk.AffineTransform:
    """The affine transform that an elastix run of one stage found."""
    parameters = stage.GetTransformParameterObject().GetParameterMap(0)
    affine = sitk.AffineTransform(3)
    affine.SetFixedParameters([float(v) for v in parameters["CenterOfRotationPoint"]])
    affine.SetParameters([float(v) for v in parameters["TransformParameters"]])
    return affine


def _elastix_displacement(method: Any, fixed: Any, grid: sitk.Image) -> sitk.Image:
    """The combined transform of an elastix run as displacement field on the fixed grid."""
    import itk

    field_type = itk.Image[itk.Vector[itk.F, 3], 3]
    sampler = itk.TransformToDisplacementFieldFilter[field_type, itk.D].New()
    sampler.SetReferenceImage(fixed)
    sampler.UseReferenceImageOn()
    sampler.SetTransform(method.GetCombinationTransform())
    sampler.Update()
    field = sitk.GetImageFromArray(itk.array_from_image(sampler.GetOutput()), isVector=True)
    field.CopyInformation(grid)
    return field


def _isotropic_grid(image: sitk.Image, spacing_mm: float) -> sitk.Image:
    """An empty image that covers the same box with cubic voxels."""
    extent = np.array(image.GetSize()) * image.GetSpacing()
    size = np.maximum(np.round(extent / spacing_mm), 1).astype(int)
    # Voxel centers, not corners, define the origin: keep the boxes' corners together.
    shift = (spacing_mm - np.array(image.GetSpacing())) / 2
    grid = sitk.Image(size.tolist(), sitk.sitkUInt8)
    grid.SetSpacing([spacing_mm] * 3)
    grid.SetDirection(image.GetDirection())
    grid.SetOrigin((np.array(image.GetOrigin()) + _direction(image) @ shift).tolist())
    return grid


def _on_grid(
    image: sitk.Image,
    grid: sitk.Image,
    transform: sitk.Transform | None = None,
    *,
    nearest: bool = False,
) -> np.ndarray:
    """Resample to a float array [z, y, x] that convexAdam takes.

    The outside gets the image's minimum (air in CT). Every axis is padded at its end to a
    multiple of 6, the coarse stride: convexAdam fails on odd sizes with masks and stretches
    its coarse field over a remainder.
    """
    minimum = float(sitk.GetArrayViewFromImage(image).min())
    kind = sitk.sitkNearestNeighbor if nearest else sitk.sitkLinear
    resampled = sitk.Resample(
        sitk.Cast(image, sitk.sitkFloat32), grid, transform or sitk.Transform(), kind, minimum
    )
    array = sitk.GetArrayFromImage(resampled)
    return np.pad(array, [(0, -n % 6) for n in array.shape], mode="edge")


def _write_in_array_order(array: np.ndarray, path: Path) -> None:
    """Write a mask so that nibabel reads it back as the same array [z, y, x]."""
    import nibabel

    nibabel.save(nibabel.Nifti1Image(array.astype(np.uint8), np.eye(4)), path)


def _shrink_in_plane(image: sitk.Image, factor: int) -> sitk.Image:
    if factor == 1:
        return image
    sigmas = [factor / 2 * s for s in image.GetSpacing()[:2]] + [1e-3]
    return sitk.Shrink(sitk.SmoothingRecursiveGaussian(image, sigmas), [factor, factor, 1])


def _sample_field(field: np.ndarray, grid: sitk.Image, points: np.ndarray) -> np.ndarray:
    """Interpolate a field [z, y, x, 3] linearly at (n, 3) points; its border value outside."""
    to_index = np.linalg.inv(_direction(grid) * np.array(grid.GetSpacing()))
    indices = (np.asarray(points, float) - grid.GetOrigin()) @ to_index.T
    return np.stack(
        [
            map_coordinates(field[..., c], indices[:, ::-1].T, order=1, mode="nearest")
            for c in range(3)
        ],
        axis=1,
    )


def _displacement_of(transform: PointMap, grid: sitk.Image) -> sitk.Image:
    """Sample T(x) - x at the voxels of a grid."""
    shape = grid.GetSize()[::-1]
    axes = _direction(grid) * np.array(grid.GetSpacing())
    indices = np.indices(shape).reshape(3, -1).T[:, ::-1]
    points = indices @ axes.T + grid.GetOrigin()
    vectors = (transform(points) - points).astype(np.float32)
    field = sitk.GetImageFromArray(vectors.reshape(*shape, 3), isVector=True)
    field.CopyInformation(grid)
    return field
