"""What the images of a pair show, by all that can be seen in them."""

from __future__ import annotations

from DeepRegistrationLib.images.extents import values_inside
from DeepRegistrationLib.images.image import Image
from DeepRegistrationLib.images.intensity import is_ct
from DeepRegistrationLib.methods.anatomy import GENERAL, HEARTS, Anatomy, anatomy_of, selects
from DeepRegistrationLib.methods.heart.heartnet import show_hearts


def recognize(fixed: Image, moving: Image, fixed_mask: Image | None) -> Anatomy:
    """What a pair shows; see :func:`DeepRegistrationLib.methods.anatomy.anatomy_of`.

    Stacks that may show hearts count as hearts only where HeartNet finds one, or a mask is given.
    """
    ct = is_ct(fixed) and is_ct(moving)
    density = None
    if ct and fixed_mask is not None:
        inside = values_inside(fixed.data, fixed_mask.data)
        if selects(inside.numel(), fixed.data.numel()):
            density = float(inside.float().median())
    found = anatomy_of(fixed, moving, ct=ct, density=density)
    if found.name in HEARTS and fixed_mask is None and not show_hearts(fixed, moving):
        return Anatomy(GENERAL, f"{found.why}, but no heart was found in them")
    return found
