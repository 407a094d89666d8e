"""greedy (Yushkevich et al. 2016) as a method, so that benchmarks run it beside ours.

It is a program of its own, in a process of its own: package picsl_greedy, under the GPL, which
nothing here imports.
"""

from __future__ import annotations

import tempfile
from pathlib import Path

import numpy as np
import torch

from DeepRegistrationLib.images.image import Image, write_image
from DeepRegistrationLib.methods import register_method
from DeepRegistrationLib.methods.affine.alignment import grown
from DeepRegistrationLib.methods.context import Context
from DeepRegistrationLib.studies.benchmark.peers.peer import (
    Peer,
    affine_start,
    peer_card,
    run_program,
    write_pair,
)
from DeepRegistrationLib.transforms import Affine, Composite, Transform, read_transform

_PROGRAM = (
    "import sys; from picsl_greedy import Greedy3D; Greedy3D().execute(' '.join(sys.argv[1:]))"
)
_MARGIN = 8.0  # mm around the fixed mask
_FLIP = np.diag([-1.0, -1.0, 1.0])  # RAS to LPS


@register_method
class Greedy(Peer):
    """Affine with NCC of radius 4, then greedy diffeomorphic with NCC of radius 2.

    100, 100 and 50 iterations at a quarter, half and full resolution; the fixed mask, 8 mm wider,
    where there is one. With an initial transform, that is the start and there is no affine.
    """

    name = "greedy"
    title = "greedy"
    card = peer_card("Greedy diffeomorphic, NCC.", "Yushkevich et al. 2016", "GPL-3.0", masks=True)
    package = "picsl_greedy"

    def register(self, fixed: Image, moving: Image, context: Context) -> Transform:
        start = affine_start(self.title, context)
        with tempfile.TemporaryDirectory() as name:
            folder = Path(name)
            write_pair(fixed, moving, folder)
            common = ["-d", "3", "-threads", str(torch.get_num_threads())]
            common += ["-seed", str(context.seed + 1)]  # 0: another result each time
            common += ["-i", "fixed.nii", "moving.nii"]
            if context.fixed_mask is not None:
                write_image(grown(context.fixed_mask, _MARGIN), folder / "mask.nii")
                common += ["-gm", "mask.nii"]
            if start is not None:
                np.savetxt(folder / "affine.mat", _in_ras(start))
            else:
                context.progress(0.0, "Running greedy, affine")
                affine = ["-a", "-m", "NCC", "4x4x4", "-ia-identity", "-n", "100x50x10"]
                run_program(self.title, _PROGRAM, [*common, *affine, "-o", "affine.mat"], folder)
            context.progress(0.3, "Running greedy, deformable")
            deformable = ["-m", "NCC", "2x2x2", "-n", "100x100x50", "-it", "affine.mat"]
            run_program(self.title, _PROGRAM, [*common, *deformable, "-o", "warp.nii.gz"], folder)
            # As with ANTs, the warp acts first: T(x) = A(x + w(x)).
            warp = read_transform(folder / "warp.nii.gz")
            return Composite([warp, _from_ras(np.loadtxt(folder / "affine.mat"))])


def _in_ras(affine: Affine) -> np.ndarray:
    """The 4 x 4 matrix that greedy reads: fixed to moving points, RAS mm."""
    matrix = np.eye(4)
    matrix[:3, :3] = _FLIP @ affine.matrix @ _FLIP
    matrix[:3, 3] = _FLIP @ affine.translation
    return matrix


def _from_ras(matrix: np.ndarray) -> Affine:
    return Affine(_FLIP @ matrix[:3, :3] @ _FLIP, _FLIP @ matrix[:3, 3])
