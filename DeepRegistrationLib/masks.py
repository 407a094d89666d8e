"""Where the images count: masks that were given, and the lungs that are found without them."""

from __future__ import annotations

import numpy as np

from DeepRegistrationLib.image import Image
from DeepRegistrationLib.lungs import find_lungs
from DeepRegistrationLib.validation import is_ct


def find_masks(
    fixed: Image,
    moving: Image,
    fixed_mask: Image | None,
    moving_mask: Image | None,
    notes: list[str],
) -> tuple[Image | None, Image | None]:
    """The given masks on the images' device; in a chest CT, the lungs where none was given.

    What was found is said in ``notes``. Lungs count only when both images show them: a mask on
    one side alone would not be comparable.
    """
    device = fixed.data.device
    given = [None if m is None else m.to(device) for m in (fixed_mask, moving_mask)]
    if all(m is not None for m in given) or not (is_ct(fixed) and is_ct(moving)):
        return given[0], given[1]
    found = [
        m if m is not None else find_lungs(image)
        for m, image in zip(given, (fixed, moving), strict=True)
    ]
    if any(m is None for m in found):
        return given[0], given[1]
    sides = [side for side, m in zip(("fixed", "moving"), given, strict=True) if m is None]
    litres = {
        side: float((mask.data != 0).sum()) * float(np.prod(mask.grid.spacing)) / 1e6
        for side, mask in zip(("fixed", "moving"), found, strict=True)
        if mask is not None
    }
    sizes = ", ".join(f"{litres[side]:.1f} l in the {side} image" for side in sides)
    notes.append(
        f"No {f'{sides[0]} mask was' if len(sides) == 1 else 'masks were'} given: the lungs were "
        f"found by threshold ({sizes}) and used."
    )
    return found[0], found[1]
