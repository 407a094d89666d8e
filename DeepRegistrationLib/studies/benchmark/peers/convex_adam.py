"""convexAdam (Siebert et al. 2022) as a method, so that benchmarks run it beside ours."""

from __future__ import annotations

import contextlib
import io
import tempfile
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch

from DeepRegistrationLib.images.image import Image
from DeepRegistrationLib.images.intensity import background, is_ct
from DeepRegistrationLib.methods import register_method
from DeepRegistrationLib.methods.context import Context
from DeepRegistrationLib.methods.elastix.parameter_sets import RECIPES
from DeepRegistrationLib.methods.elastix.process import require_elastix, run_elastix
from DeepRegistrationLib.progress import part
from DeepRegistrationLib.studies.benchmark.peers.peer import HOUNSFIELD, Peer, peer_card
from DeepRegistrationLib.transforms import Affine, Composite, DisplacementField, Transform, warp

_STRIDE = 6  # voxels of convexAdam's coarse grid


@register_method
class ConvexAdam(Peer):
    """convexAdam with MIND features, its default parameters, float32 on the CPU.

    It needs one grid for both images and small motion. In CT an affine of elastix comes first,
    inside the fixed mask; elsewhere scanner coordinates (or the initial transform) are trusted.
    """

    name = "convexadam"
    title = "convexAdam"
    card = peer_card("Coupled convex, then Adam.", "Siebert et al. 2022", "Apache-2.0", masks=True)
    package = "convexAdam"

    @classmethod
    def require(cls) -> None:
        super().require()
        require_elastix()  # for the affine in CT

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
    return np.pad(image.data.cpu().numpy().astype(np.float32), padding, mode="edge")


def _saved(mask: Image, path: Path) -> Path:
    """Write a mask so that nibabel, which convexAdam uses, reads the same array [z, y, x]."""
    import nibabel

    array = (_padded(mask) != 0).astype(np.uint8)
    nibabel.save(nibabel.Nifti1Image(array, np.eye(4)), path)
    return path
