"""Ventilation from plain data to plain data, for the engine's process."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch

from DeepRegistrationLib.function.ventilation import ventilation
from DeepRegistrationLib.images.plain_data import GivenMap, Volume
from DeepRegistrationLib.progress import Progress
from DeepRegistrationLib.transforms.tensors import image_of, mask_of, transform_of, volume_of


def ventilation_of(
    fixed: Volume,
    moving: Volume,
    transform: GivenMap,
    lungs: Volume | None,
    progress: Progress,
) -> dict[str, Any]:
    """Ventilation between two chest CTs.

    Args:
        fixed, moving: The images.
        transform: Fixed to moving.
        lungs: Mask on any grid; found in the fixed image when None.

    Returns:
        ``map``: specific volume change where it is reliable, 0 elsewhere; ``rows``: for both lungs
        and each region its name, ``exhale_ml``, ``volume``, ``gas`` and ``density`` as shares,
        ``relative`` and ``reliable_percent``; ``notes``: sentences.
    """
    image = image_of(fixed)
    with torch.no_grad():
        found = ventilation(
            image,
            image_of(moving),
            transform_of(transform),
            lungs=mask_of(lungs, image.grid),
            progress=progress,
        )
    shown = volume_of(found.maps["volume"])
    values = np.where(found.reliable.data.numpy() != 0, shown.data, 0).astype(np.float32)
    rows = [
        {
            "name": name,
            "exhale_ml": region.exhale_ml,
            **{key: region.values[key] for key in ("volume", "gas", "density")},
            "relative": region.relative["volume"],
            "reliable_percent": region.reliable_percent,
        }
        for name, region in {"both lungs": found.whole, **found.regions}.items()
    ]
    return {"map": Volume(values, shown.grid, "ventilation"), "rows": rows, "notes": found.notes}
