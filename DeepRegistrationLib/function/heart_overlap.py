"""How well ventricles agree that a network segments: figures for hearts that nobody segmented."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from DeepRegistrationLib.arguments import takes
from DeepRegistrationLib.evaluation.overlap import registered_overlap
from DeepRegistrationLib.function.strain_input import segmented_frame
from DeepRegistrationLib.images.image import Image
from DeepRegistrationLib.images.intensity import finite, is_ct
from DeepRegistrationLib.methods.heart.preparation import LABEL_NAMES
from DeepRegistrationLib.methods.heart.segmentation import METHOD
from DeepRegistrationLib.methods.weights import find_weights
from DeepRegistrationLib.transforms import Affine, Transform


@takes(fixed=Image, moving=Image, transform=Transform)
def heart_overlap(
    fixed: Image,
    moving: Image,
    transform: Transform,
    *,
    made: Mapping[str, Any] | None = None,
) -> dict[str, Any]:
    """Compare the ventricles of two short-axis cine stacks, segmented by HeartSegNet.

    The segmentations are a network's, not a person's, and err where it does.

    Args:
        fixed, moving: The images.
        transform: Fixed to moving.
        made: How a registration made the transform, see :attr:`Registration.provenance`.

    Returns:
        ``overlap``: for ``RV``, ``myocardium`` and ``LV`` the values of :func:`label_overlap`
        ``before`` (the images as their headers place them) and ``after``; None where they could not
        be segmented, with the ``reason``, a sentence; ``aligned``: whether the registration aligned
        the same segmentations, which are no independent proof of it then.
    """
    labels = []
    for side, image in (("fixed", fixed), ("moving", moving)):
        if is_ct(image):
            found, why = None, "it is CT"
        else:
            found, why = segmented_frame(finite(image))
        if found is None:
            reason = f"The ventricles of the {side} image were not segmented: {why.rstrip('.')}."
            return {"overlap": None, "reason": reason, "aligned": False}
        labels.append(found)
    ours, theirs = labels
    before, after = (
        registered_overlap(ours, theirs, known, fixed.grid) for known in (Affine(), transform)
    )
    overlap = {
        name: {"before": before[label], "after": after.get(label)}
        for label, name in LABEL_NAMES.items()
        if label in before
    }
    # A registration names the weights if it asked the network, which answers as it did here.
    aligned = find_weights(METHOD).sha256 in ((made or {}).get("weights") or {}).values()
    return {"overlap": overlap, "reason": "", "aligned": aligned}
