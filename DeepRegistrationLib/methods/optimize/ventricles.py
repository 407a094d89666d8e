"""The ventricles of two stacks, which the optimization aligns besides the images' values."""

from __future__ import annotations

from DeepRegistrationLib.errors import RegistrationError
from DeepRegistrationLib.images.image import Image
from DeepRegistrationLib.methods.context import Context
from DeepRegistrationLib.methods.heart.segmentation import segment_ventricles
from DeepRegistrationLib.methods.optimize.instance import ClassPair
from DeepRegistrationLib.methods.optimize.presets import OptimizationPreset

_USED = (
    "The ventricles were segmented in both images by HeartSegNet, which was trained with labels, "
    "and aligned besides the images' values."
)
_LEFT_OUT = "No segmentation of the ventricles was used"


def ventricles(
    preset: OptimizationPreset, fixed: Image, moving: Image, context: Context
) -> ClassPair | None:
    """Segmentations of both images, each on its grid.

    None where the settings have no weight for them, or where one is not to be relied on; then a
    note says which, and why.
    """
    if preset.segmentation == 0:
        return None
    found = _found(fixed, moving)
    note = found if isinstance(found, str) else _USED
    if note not in context.notes:  # a refinement may follow
        context.notes.append(note)
    return None if isinstance(found, str) else found


def _found(fixed: Image, moving: Image) -> ClassPair | str:
    """The probabilities in both images, or a sentence that says why there are none."""
    try:
        ours, theirs = (segment_ventricles(image) for image in (fixed, moving))
    except RegistrationError as error:
        return f"{_LEFT_OUT}: {error}"
    for side, segmented in (("fixed", ours), ("moving", theirs)):
        if segmented.reason:
            return f"{_LEFT_OUT}: the {side} image {segmented.reason}."
    return ClassPair(ours.shares, theirs.shares)
