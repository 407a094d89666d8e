"""What a row holds: everything that is measured of one transform on one pair."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch

from DeepRegistrationLib.evaluation.alignment import alignment
from DeepRegistrationLib.evaluation.correlation import similarity
from DeepRegistrationLib.evaluation.jacobian import jacobian_statistics, value_statistics
from DeepRegistrationLib.evaluation.landmark_pairs import read_landmark_pairs
from DeepRegistrationLib.evaluation.landmarks import mapped_points, paired_errors
from DeepRegistrationLib.evaluation.overlap import registered_overlap
from DeepRegistrationLib.evaluation.region import Region, labeled_region
from DeepRegistrationLib.images.image import Image
from DeepRegistrationLib.reports.verdict import verdict
from DeepRegistrationLib.studies.benchmark.input_cache import Reader
from DeepRegistrationLib.studies.benchmark.loading import PairImages
from DeepRegistrationLib.studies.benchmark.protocol import BenchmarkPair
from DeepRegistrationLib.transforms import Transform

HISTOGRAM = np.linspace(-0.5, 3.0, 71)
"""Edges of the bins of J; what lies outside counts in the first or last one."""


def region_for(pair: BenchmarkPair, images: PairImages, kept: Region, reader: Reader) -> Region:
    """Where Jacobian, similarity and MAE are taken, the same for all methods.

    As :func:`region_of`; it may read labels: not to be called before the method has ended.

    Args:
        kept: Of the images and their masks alone.
    """
    if kept.mask is not None or pair.fixed.labels is None or pair.family:
        return kept
    return labeled_region(reader.image(pair.fixed.labels), images.fixed.grid)


def measure_row(
    pair: BenchmarkPair,
    images: PairImages,
    region: Region,
    transform: Transform,
    warped: Image,
    determinant: Image,
    reader: Reader,
) -> dict[str, Any]:
    """Measure a transform; reads landmarks and labels only now, after the method has ended.

    Args:
        transform: Fixed to moving.
        warped, determinant: Moving image and J on the fixed grid.
        region: From :func:`region_for`.

    Returns:
        ``region`` (its source), ``lcc`` and ``ncc`` in it; ``jacobian`` (``region`` and ``image``,
        each as :func:`jacobian_statistics` with ``var_log``, ``histogram`` of J in the region);
        ``alignment`` (see :func:`alignment`) and ``verdict``, the level of one that knows neither
        landmarks nor labels; and of what is known: ``tre``, ``snapped``, ``errors``
        (T(x_F) - x_M, mm, LPS, a vector a landmark), ``mae``, and by label ``overlap`` and, in
        ``jacobian``, ``labels``.

    Raises:
        RegistrationError: Landmarks lie outside their image, labels are no whole numbers.
    """
    mask = region.mask
    alike = similarity(images.fixed, warped, mask)
    inside = determinant.data if mask is None else determinant.data[mask.data != 0]
    clipped = np.clip(inside.numpy().ravel(), HISTOGRAM[0], HISTOGRAM[-1])
    row: dict[str, Any] = {
        "region": region.source,
        "lcc": alike["local_ncc"],
        "ncc": alike["ncc"],
        "jacobian": {
            "region": _with_variance(jacobian_statistics(determinant, mask)),
            "image": _with_variance(jacobian_statistics(determinant)),
            "histogram": np.histogram(clipped, HISTOGRAM)[0].tolist(),
        },
    }
    row.update(_judged(transform, images, warped, region, row["jacobian"]))
    if images.truth is not None:
        row["mae"] = absolute_error(transform, images.truth, images.fixed, mask)
        return row
    if pair.fixed.landmarks is not None and pair.moving.landmarks is not None:
        row.update(_landmarks(pair, images, transform))
    if pair.fixed.labels is not None and pair.moving.labels is not None:
        labels = reader.image(pair.fixed.labels), reader.image(pair.moving.labels)
        found = registered_overlap(*labels, transform, images.fixed.grid)
        row["overlap"] = {str(label): values for label, values in found.items()}
        row["jacobian"]["labels"] = _by_label(determinant, labels[0])
    return row


def _by_label(determinant: Image, labels: Image) -> dict[str, dict[str, float]]:
    """Statistics of J in each label of the fixed image, where it has voxels of its grid."""
    found = labels.resampled(determinant.grid, interpolation="nearest").data
    return {
        str(int(label)): _with_variance(value_statistics(determinant.data[found == label].numpy()))
        for label in torch.unique(found)
        if label != 0
    }


def _judged(
    transform: Transform,
    images: PairImages,
    warped: Image,
    region: Region,
    jacobian: dict[str, Any],
) -> dict[str, Any]:
    """The verdict without landmarks and labels, and how structures lie on another."""
    aligned = alignment(transform, images.fixed, images.moving, warped, region)
    inside = None if region.mask is None else jacobian["region"]
    quality = {
        "region": region.described(),
        "jacobian": {**jacobian["image"], "in_mask": inside},
        "alignment": aligned,
    }
    return {"alignment": aligned, "verdict": verdict(quality).level}


def _with_variance(statistics: dict[str, float]) -> dict[str, float]:
    return {**statistics, "var_log": statistics["std_log"] ** 2}


def _landmarks(pair: BenchmarkPair, images: PairImages, transform: Transform) -> dict[str, Any]:
    assert pair.fixed.landmarks is not None and pair.moving.landmarks is not None
    grid = images.moving.grid
    files = pair.fixed.landmarks, pair.moving.landmarks
    pairs = read_landmark_pairs(*files, images.fixed.grid, grid)
    fixed, moving = pairs.fixed, pairs.moving
    mapped = mapped_points(transform, fixed)
    matrix = np.eye(4)
    matrix[:3, :3], matrix[:3, 3] = grid.matrix, grid.origin
    found = paired_errors(fixed, mapped, moving, matrix)
    return {
        "tre": found["after"],
        "snapped": found["snapped"],
        "errors": (mapped - moving).round(4).tolist(),
        "motion": (moving - fixed).round(4).tolist(),
    }


def absolute_error(
    transform: Transform, truth: Transform, fixed: Image, region: Image | None
) -> dict[str, float]:
    """Mean |T - T_true| in the region in mm: ``x``, ``y``, ``z`` (LPS) and their ``sum``.

    The sum over the components is what RegNet minimizes (Sokooti et al. 2017, section 2.2).
    """
    total, count = np.zeros(3), 0
    for slab in fixed.grid.slabs():
        points = fixed.grid.points(slab)
        chosen = slice(None) if region is None else region.data[slab] != 0
        points = points[chosen].reshape(-1, 3)
        with torch.no_grad():
            error = (transform(points) - truth(points)).abs().double()
        total += error.sum(dim=0).numpy()
        count += len(points)
    mean = total / max(count, 1)
    return {"sum": float(mean.sum()), "x": float(mean[0]), "y": float(mean[1]), "z": float(mean[2])}
