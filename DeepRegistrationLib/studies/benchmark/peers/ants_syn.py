"""ANTs' SyN (Avants et al. 2008) as a method, so that benchmarks run it beside ours.

In a process of its own: package antspyx, whose ITK need not get along with SimpleITK's.
"""

from __future__ import annotations

import tempfile
from pathlib import Path

from DeepRegistrationLib.images.image import Image, write_image
from DeepRegistrationLib.methods import register_method
from DeepRegistrationLib.methods.context import Context
from DeepRegistrationLib.studies.benchmark.peers.peer import (
    Peer,
    affine_start,
    peer_card,
    run_program,
    write_pair,
)
from DeepRegistrationLib.transforms import (
    Affine,
    Composite,
    Transform,
    read_transform,
    write_transform,
)

_PROGRAM = """
import sys
import ants
mask, start, seed = sys.argv[1:]
ants.registration(
    ants.image_read("fixed.nii"),
    ants.image_read("moving.nii"),
    "SyNOnly" if start else "SyN",
    initial_transform=[start] if start else None,
    outprefix="found",
    mask=ants.image_read(mask) if mask else None,
    syn_metric="CC",
    syn_sampling=2,
    reg_iterations=(100, 100, 50),
    random_seed=int(seed) + 1,
)
"""


@register_method
class AntsSyn(Peer):
    """Affine by mutual information, then SyN with CC of radius 2; the fixed mask counts in SyN.

    100, 100 and 50 iterations at a quarter, half and full resolution, as greedy has them. With an
    initial transform, that is the start and there is no affine.
    """

    name = "ants-syn"
    title = "ANTs SyN"
    card = peer_card("Symmetric diffeomorphic, CC.", "Avants et al. 2008", "Apache-2.0", masks=True)
    package, distribution = "ants", "antspyx"

    def register(self, fixed: Image, moving: Image, context: Context) -> Transform:
        start = affine_start(self.title, context)
        with tempfile.TemporaryDirectory() as name:
            folder = Path(name)
            write_pair(fixed, moving, folder)
            mask = given = ""
            if context.fixed_mask is not None:
                mask = "mask.nii"
                write_image(context.fixed_mask, folder / mask)
            if start is not None:
                given = "start.tfm"
                write_transform(start, folder / given)
            context.progress(0.0, "Running ANTs")
            run_program(self.title, _PROGRAM, [mask, given, str(context.seed)], folder)
            (warp,) = folder.glob("found*[0-9]Warp.nii.gz")
            affine = next(iter(folder.glob("found*GenericAffine.mat")), None)
            # The warp acts first: T(x) = A(x + w(x)); a given start may be kept as the affine.
            last = start or Affine() if affine is None else read_transform(affine)
            return Composite([read_transform(warp), last])
