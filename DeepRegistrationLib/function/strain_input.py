"""A cine series as it is given: whether it fits, its segmentations, and end-diastole."""

from __future__ import annotations

import numpy as np
import torch

from DeepRegistrationLib.errors import RegistrationError
from DeepRegistrationLib.function.heart_segments import cavity_ml
from DeepRegistrationLib.images.image import Image
from DeepRegistrationLib.methods.heart.segmentation import segment_ventricles

TRACKING = {
    "frames": "from frame to frame, summed up",
    "reference": "from end-diastole to every frame",
}
"""How points are followed."""

_TOLERANCE = 0.5  # mm between the voxels of two frames


def check_frames(
    frames: list[Image], reference: int | None, labels: Image | None, tracking: str
) -> None:
    """Raise ``RegistrationError`` unless the frames are of one series, and the rest fits them."""
    if len(frames) < 2:
        raise RegistrationError(
            f"Strain needs a cine series of at least two frames; this one has {len(frames)}. Give "
            "all frames of a beat, or end-diastole and end-systole."
        )
    if tracking not in TRACKING:
        raise RegistrationError(f"There is no tracking {tracking!r}; choose {', '.join(TRACKING)}.")
    if reference is not None and not 0 <= reference < len(frames):
        raise RegistrationError(
            f"There is no frame {reference}; counted from 0, they are 0 to {len(frames) - 1}."
        )
    if labels is not None and reference is None:
        raise RegistrationError("Labels were given; say which frame they belong to (reference).")
    first = frames[0].grid
    for number, frame in enumerate(frames):
        if not frame.grid.same_as(first, tolerance=_TOLERANCE):
            raise RegistrationError(
                f"Frame {number + 1} ({frame.name}) lies on another grid than the first; give the "
                "frames of one cine series."
            )
    given = None if labels is None else labels.grid
    if given is not None and not given.same_as(first, tolerance=_TOLERANCE):
        raise RegistrationError(
            f"{labels.name} lies on another grid than the frames; give a segmentation of the "  # type: ignore[union-attr]
            "reference frame."
        )


def check_pair(frames: list[Image], reference: int | None) -> int:
    """The end-diastolic frame where a transform leads from it to the only other one: the first."""
    if len(frames) != 2 or reference not in (None, 0):
        raise RegistrationError(
            "A transform leads from end-diastole to one other frame; give these two frames, "
            "end-diastole first, or leave the transform out."
        )
    return 0


def segmented_frame(frame: Image) -> tuple[Image | None, str]:
    """A frame's labels, by the segmentation network; or why there are none."""
    try:
        found = segment_ventricles(frame)
    except RegistrationError as error:
        return None, str(error)
    if found.reason:
        return None, f"the image {found.reason}"
    shares = torch.stack([share.data for share in found.shares])
    most, label = shares.max(dim=0)
    rest = 1 - shares.sum(dim=0)
    values = torch.where(most > rest, label + 1, 0).to(torch.uint8)
    return Image(values.cpu(), frame.grid, f"{frame.name} labels"), ""


def end_diastole(
    frames: list[Image],
    found: list[tuple[Image | None, str]],
    reference: int | None,
    labels: Image | None,
    notes: list[str],
) -> tuple[int, Image]:
    """The end-diastolic frame and its segmentation."""
    if labels is not None:
        assert reference is not None
        return reference, labels
    if reference is None:
        sizes = [-1.0 if own is None else cavity_ml(own) for own, _ in found]
        reference = int(np.argmax(sizes))
        notes.append(
            f"Frame {reference + 1} of {len(frames)} has the largest cavity: end-diastole."
        )
    own, why = found[reference]
    if own is None:
        raise RegistrationError(
            f"The heart could not be segmented in frame {reference + 1}: {why}. Give a "
            "segmentation (right ventricle 1, myocardium 2, left ventricle 3) of the end-diastolic "
            "frame."
        )
    notes.append(
        "The myocardium was segmented at end-diastole by HeartSegNet, which was trained with "
        "labels; look at it before you read the strain."
    )
    return reference, own
