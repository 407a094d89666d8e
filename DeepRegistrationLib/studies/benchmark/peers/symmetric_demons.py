"""SimpleITK's symmetric demons as a method, so that benchmarks run them beside ours."""

from __future__ import annotations

import SimpleITK as sitk
import torch

from DeepRegistrationLib.images.image import Image, to_sitk
from DeepRegistrationLib.images.intensity import background
from DeepRegistrationLib.methods import register_method
from DeepRegistrationLib.methods.context import Context
from DeepRegistrationLib.studies.benchmark.peers.peer import Peer, peer_card
from DeepRegistrationLib.transforms import Affine, Composite, Transform, warp
from DeepRegistrationLib.transforms.io import field_of

_ITERATIONS = (50, 50, 50)  # of the demons' levels, coarse to fine
_SMOOTHING = 3.0  # mm, of the demons' field after each iteration


@register_method
class SymmetricDemons(Peer):
    """SimpleITK's fast symmetric forces demons, coarse to fine, without masks.

    Histograms are matched first. Every level has twice the in-plane resolution of the one before
    and starts from its field; slices are thick and stay.
    """

    name = "symmetric-demons"
    title = "Symmetric demons (SimpleITK)"
    card = peer_card(
        "Demons with symmetric forces.", "Vercauteren et al. 2009", "Apache-2.0", masks=False
    )

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
