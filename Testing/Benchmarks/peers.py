"""Registration tools of others as methods, so that benchmarks run them beside ours.

Importing this module offers ``convexadam`` (package convexAdam) and ``symmetric-demons``
(SimpleITK) to :mod:`DeepRegistrationLib.methods`; users of the software never see them. elastix is
one of its own methods.
"""

from __future__ import annotations

import contextlib
import io
import tempfile
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import SimpleITK as sitk
import torch

from DeepRegistrationLib.images.image import Image, to_sitk
from DeepRegistrationLib.images.intensity import background, is_ct
from DeepRegistrationLib.methods import Card, Method, register_method
from DeepRegistrationLib.methods.context import Context
from DeepRegistrationLib.methods.elastix.parameter_sets import RECIPES
from DeepRegistrationLib.methods.elastix.process import run_elastix
from DeepRegistrationLib.progress import part
from DeepRegistrationLib.transforms import Affine, Composite, DisplacementField, Transform, warp
from DeepRegistrationLib.transforms.io import field_of

HOUNSFIELD = (-1000.0, 400.0)  # padding outside the scanner's circle would steer the metric
_ITERATIONS = (50, 50, 50)  # of the demons' levels, coarse to fine
_SMOOTHING = 3.0  # mm, of the demons' field after each iteration
_STRIDE = 6  # voxels of convexAdam's coarse grid


@dataclass(frozen=True)
class NoParameters:
    """The tools run with their defaults."""


def peer_card(description: str, citation: str, licence: str, masks: bool) -> Card:
    return Card(
        description,
        "any",
        "both images of one modality",
        citation,
        licence,
        "see the benchmark",
        "see the benchmark",
        masks,
    )


@register_method
class ConvexAdam(Method):
    """convexAdam with MIND features, its default parameters, float32 on the CPU.

    It needs one grid for both images and small motion. In CT an affine of elastix comes first,
    inside the fixed mask; elsewhere scanner coordinates (or the initial transform) are trusted.
    """

    name = "convexadam"
    title = "convexAdam"
    card = peer_card("Coupled convex, then Adam.", "Siebert et al. 2022", "Apache-2.0", True)
    Parameters = NoParameters

    def register(self, fixed: Image, moving: Image, context: Context) -> Transform:
        from convexAdam.convex_adam_MIND import convex_adam_pt

        start: Transform = context.initial or Affine()
        if is_ct(fixed) and is_ct(moving):
            fixed, moving = (replace(i, data=i.data.clamp(*HOUNSFIELD)) for i in (fixed, moving))
            if context.initial is None:
                start = _affine(fixed, moving, context)
        near = warp(moving, start, fixed.grid, fill=background(moving))
        options: dict[str, Any] = {"dtype": torch.float32, "device": torch.device("cpu")}
        with tempfile.TemporaryDirectory() as folder:
            if context.fixed_mask is not None and context.moving_mask is not None:
                mask = warp(context.moving_mask, start, fixed.grid, interpolation="nearest")
                options["use_mask"] = True
                options["path_fixed_mask"] = _saved(context.fixed_mask, Path(folder) / "fixed.nii")
                options["path_moving_mask"] = _saved(mask, Path(folder) / "moving.nii")
            context.progress(0.5, "Running convexAdam")
            with contextlib.redirect_stdout(io.StringIO()), torch.enable_grad():
                voxels = convex_adam_pt(_padded(fixed), _padded(near), **options)
        depth, height, width = fixed.grid.shape
        # Components come in array order (z, y, x) and in voxels: u_mm = D S u_voxel.
        vectors = voxels[:depth, :height, :width, ::-1] @ fixed.grid.matrix.T
        field = torch.from_numpy(np.ascontiguousarray(np.moveaxis(vectors, -1, 0))).float()
        return Composite([DisplacementField(field, fixed.grid), start])


def _affine(fixed: Image, moving: Image, context: Context) -> Transform:
    """elastix's affine inside the fixed mask, which helps here; Par0011 has no mask there."""
    return run_elastix(
        fixed,
        moving,
        (context.fixed_mask, None),
        RECIPES["affine"],
        fixed.grid,
        threads=torch.get_num_threads(),
        seed=context.seed,
        progress=part(context.progress, 0.0, 0.5),
    ).transform


def _padded(image: Image) -> np.ndarray:
    """[z, y, x], each axis padded at its end to a multiple of 6 and to three strides.

    convexAdam fails below that and on odd sizes with masks, and stretches its coarse field over a
    remainder.
    """
    padding = [(0, max(3 * _STRIDE - n, -n % _STRIDE)) for n in image.grid.shape]
    return np.pad(image.data.numpy().astype(np.float32), padding, mode="edge")


def _saved(mask: Image, path: Path) -> Path:
    """Write a mask so that nibabel, which convexAdam uses, reads the same array [z, y, x]."""
    import nibabel

    array = (_padded(mask) != 0).astype(np.uint8)
    nibabel.save(nibabel.Nifti1Image(array, np.eye(4)), path)
    return path


@register_method
class SymmetricDemons(Method):
    """SimpleITK's fast symmetric forces demons, coarse to fine, without masks.

    Histograms are matched first. Every level has twice the in-plane resolution of the one before
    and starts from its field; slices are thick and stay.
    """

    name = "symmetric-demons"
    title = "Symmetric demons (SimpleITK)"
    card = peer_card(
        "Demons with symmetric forces.", "Vercauteren et al. 2009", "Apache-2.0", False
    )
    Parameters = NoParameters

    def register(self, fixed: Image, moving: Image, context: Context) -> Transform:
        start: Transform = context.initial or Affine()
        near = warp(moving, start, fixed.grid, fill=background(moving))
        target, source = (sitk.Cast(to_sitk(image), sitk.sitkFloat32) for image in (fixed, near))
        source = sitk.HistogramMatching(source, target, 256, 15, True)
        demons = sitk.FastSymmetricForcesDemonsRegistrationFilter()
        demons.SetNumberOfThreads(torch.get_num_threads())
        demons.SetSmoothDisplacementField(True)
        field = sitk.Image(target.GetSize(), sitk.sitkVectorFloat64)
        field.CopyInformation(target)
        for level, count in enumerate(_ITERATIONS):
            context.progress(level / len(_ITERATIONS), "Running demons")
            factor = 2 ** (len(_ITERATIONS) - 1 - level)
            grids = [_shrunk_in_plane(image, factor) for image in (target, source)]
            field = sitk.Resample(
                field,
                grids[0],
                sitk.Transform(),
                sitk.sitkLinear,
                useNearestNeighborExtrapolator=True,
            )
            demons.SetNumberOfIterations(count)
            demons.SetStandardDeviations([_SMOOTHING / s for s in grids[0].GetSpacing()])
            field = demons.Execute(*grids, field)
        found = field_of(sitk.Cast(field, sitk.sitkVectorFloat32))
        return Composite([found, start]) if context.initial is not None else found


def _shrunk_in_plane(image: sitk.Image, factor: int) -> sitk.Image:
    if factor == 1:
        return image
    x_mm, y_mm, z_mm = image.GetSpacing()
    sigmas = [factor * x_mm / 2, factor * y_mm / 2, z_mm / 1000]
    return sitk.Shrink(sitk.SmoothingRecursiveGaussian(image, sigmas), [factor, factor, 1])
