"""Where to place landmarks in a pair of images."""

from __future__ import annotations

import numpy as np

from DeepRegistrationLib.evaluation.distinctive_points import distinctive_points
from DeepRegistrationLib.evaluation.region import region_of, region_used
from DeepRegistrationLib.images.plain_data import Volume
from DeepRegistrationLib.progress import Progress, silent
from DeepRegistrationLib.transforms.tensors import image_of, mask_of


def landmark_places(
    fixed: Volume,
    moving: Volume,
    count: int,
    *,
    fixed_mask: Volume | None = None,
    moving_mask: Volume | None = None,
    kept_mask: Volume | None = None,
    progress: Progress = silent,
) -> np.ndarray:
    """Distinctive places of the fixed image, spread over the region that a result is judged in.

    Args:
        fixed, moving: The pair.
        count: How many at most.
        fixed_mask, moving_mask: Of the pair, as the user chose them.
        kept_mask: That a registration of the pair used.

    Returns:
        LPS mm, [n, 3].

    Raises:
        RegistrationError: A mask does not fit, or there is no distinctive place.
    """
    progress(0.1, "Looking for the region")
    images = image_of(fixed), image_of(moving)
    masks = [mask_of(m, i.grid) for m, i in zip((fixed_mask, moving_mask), images, strict=True)]
    kept = region_used(mask_of(kept_mask, images[0].grid), {})
    region = region_of(*images, fixed_mask=masks[0], moving_mask=masks[1], kept=kept)
    progress(0.5, "Looking for distinctive places")
    return distinctive_points(images[0], region.mask, count)
