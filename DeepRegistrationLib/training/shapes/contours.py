"""Segmentations that users bring: label maps, and what Slicer's Segment Editor saves.

A ``.seg.nrrd`` file holds segments by name, perhaps in several layers, on the part of the image
that they fill. Segments are recognized by their names, in any case: RV or right ventricle,
myocardium, LV or left ventricle (the cavity).
"""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import SimpleITK as sitk
import torch

from DeepRegistrationLib.errors import RegistrationError
from DeepRegistrationLib.images.guard.itk import Unreadable, read_itk_image
from DeepRegistrationLib.images.image import Image, grid_of, read_image
from DeepRegistrationLib.methods.heart.preparation import LEFT, MYOCARDIUM, RIGHT

SEGMENTATION = ".seg.nrrd"

_NAMES = (  # in this order: "LV myocardium" is the myocardium
    (MYOCARDIUM, re.compile(r"\bmyo|muscle|\bwall\b")),
    (RIGHT, re.compile(r"\brv|\bright")),
    (LEFT, re.compile(r"\blv|\bleft")),
)


def read_labels(path: str | Path, image: Image) -> Image:
    """A heart's segmentation on its image's grid: RV 1, myocardium 2, LV 3.

    Args:
        path: A label map with these numbers, or Slicer's .seg.nrrd.
        image: The image that was segmented.

    Raises:
        RegistrationError: Unreadable, on a different grid (label map), or no segment of a known
            name.
    """
    path = Path(path)
    labels = _read_segments(path) if path.name.endswith(SEGMENTATION) else read_image(path)
    if labels.grid.same_as(image.grid, tolerance=0.1 * min(image.grid.spacing)):
        return Image(labels.data, image.grid, labels.name)
    if not path.name.endswith(SEGMENTATION):
        raise RegistrationError(
            f"The labels {path.name} lie on another grid than {image.name}; resample them to the "
            "image's grid (in Slicer: export the segmentation with the image as reference)."
        )
    placed = labels.resampled(image.grid, interpolation="nearest", fill=0.0)
    return Image(placed.data.to(torch.uint8), image.grid, labels.name)


def _read_segments(path: Path) -> Image:
    """The segments of known names as one label map on the file's own grid."""
    try:
        stored = read_itk_image(path)
    except Unreadable as error:
        raise RegistrationError(f"{path} cannot be read; save the segmentation again.") from error
    array = sitk.GetArrayFromImage(stored)
    layers = array[..., None] if array.ndim == 3 else array
    result = np.zeros(layers.shape[:3], dtype=np.uint8)
    found = []
    number = 0
    while stored.HasMetaDataKey(f"Segment{number}_Name"):
        name = stored.GetMetaData(f"Segment{number}_Name")
        value = _entry(stored, number, "LabelValue", number + 1)
        layer = _entry(stored, number, "Layer", 0)
        label = _label_of(name)
        found.append(name)
        if label is not None:
            result[layers[..., layer] == value] = label
        number += 1
    if not result.any():
        raise RegistrationError(
            f"{path.name} has no segment called RV, myocardium or LV (it has "
            f"{', '.join(found) or 'none'}); rename the segments."
        )
    return Image(torch.from_numpy(result), grid_of(stored), path.name)


def _entry(image: sitk.Image, number: int, name: str, default: int) -> int:
    key = f"Segment{number}_{name}"
    return int(image.GetMetaData(key)) if image.HasMetaDataKey(key) else default


def _label_of(name: str) -> int | None:
    """Which structure a segment's name means."""
    plain = name.lower().replace("_", " ").replace("-", " ")
    return next((label for label, pattern in _NAMES if pattern.search(plain)), None)
