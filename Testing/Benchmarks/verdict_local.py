"""Do the shifts that block matching finds rank the true errors within one result?

    python -m Testing.Benchmarks.verdict_local [--data FOLDER]

For the lungs of the verdict's bench, whose transforms it takes from build/benchmarks/verdict: rank
correlation of the true error at the pair's landmarks with the mean shift of the 16 nearest places.
"""

from __future__ import annotations

import argparse
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch
from scipy import ndimage
from scipy.spatial import cKDTree
from scipy.stats import spearmanr

from DeepRegistrationLib.evaluation.block_matching import match_blocks
from DeepRegistrationLib.images.image import Image
from DeepRegistrationLib.images.pyramid import smoothed
from DeepRegistrationLib.transforms import Transform, warp
from Testing.Benchmarks.verdict import STORE, transforms_of
from Testing.Benchmarks.verdict_pairs import LUNG, Pair, sources

RESULTS = ("default", "too smooth", "affine")
_NEAR = 16  # places
_FADES = 12.0  # mm, standard deviation of their weights


def predicted(pair: Pair, transform: Transform) -> np.ndarray:
    """The error in mm at the pair's points that the places nearby let expect: [n]."""

    def compared(image: Image) -> Image:
        return smoothed(replace(image, data=image.data.clamp(-1000, 300)), 2.0)

    warped = warp(pair.moving, transform, pair.fixed.grid, fill=-1000.0)
    first, second = compared(pair.fixed), compared(warped)
    assert pair.region.mask is not None
    inside = pair.region.mask.resampled(first.grid, interpolation="nearest").data != 0
    depth = ndimage.distance_transform_edt(inside.numpy(), sampling=first.grid.spacing[::-1])
    found = (
        match_blocks(first, second, inside, 400.0),
        match_blocks(first, second, torch.from_numpy(depth >= 8), 3600.0),
    )
    places = np.concatenate([matches.points for matches in found])
    length = np.linalg.norm(np.concatenate([matches.shift for matches in found]), axis=1)
    distance, near = cKDTree(places).query(pair.points.numpy(), k=_NEAR)
    weight = np.exp(-0.5 * (distance / _FADES) ** 2) + 1e-9
    return (weight * length[near]).sum(1) / weight.sum(1)


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--data", type=Path, help="folder with the real pairs")
    for source in sources(parser.parse_args().data):
        kept = transforms_of(source, STORE)
        if source.kind != LUNG or not kept:
            continue
        pair = source.make()
        for title in RESULTS:
            error = (kept[title](pair.points) - pair.matching).norm(dim=1).numpy()
            expected = predicted(pair, kept[title])
            rank = spearmanr(error, expected)[0]
            print(
                f"{pair.name}, {title}: error {error.mean():.2f} mm, expected "
                f"{expected.mean():.2f} mm, rank correlation {rank:.2f}",
                flush=True,
            )


if __name__ == "__main__":
    main()
