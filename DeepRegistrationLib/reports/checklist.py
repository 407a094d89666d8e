"""What AAPM TG-132 asks of a registration, item by item: measured, or to be ticked by a person.

The report (Brock et al., Med Phys 44(7):e43-e76, 2017, doi 10.1002/mp.12256) recommends a request
(images, purpose, regions of importance, accuracy), a quantitative and a visual check of each
result, and a report of its accuracy to those who use it; its table III gives tolerances. Nothing
here loads PyTorch.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from DeepRegistrationLib.evaluation.finding import called, figure, region_in_words
from DeepRegistrationLib.evaluation.tolerance import Tolerance, tolerance
from DeepRegistrationLib.reports.overlap_findings import DICE

KEPT, EXCEEDED, MISSING, BY_HAND = "kept", "exceeded", "not measured", "by hand"
"""What can be said of an item."""


@dataclass(frozen=True)
class Item:
    """One line of the checklist.

    Attributes:
        title: What is asked.
        found: What was measured, or "".
        limit: The tolerance, or what is expected.
        state: Of the four above.
    """

    title: str
    found: str
    limit: str
    state: str


REQUEST = ("Purpose of the registration", "Regions of importance", "Accuracy that is needed")
"""What the request says, to be filled in."""


def checklist(
    quality: Mapping[str, Any],
    errors: Sequence[float] | np.ndarray = (),
    *,
    identified: bool = False,
) -> list[Item]:
    """The items of a registration.

    Args:
        quality: Its measures; see ``quality.measure_quality``.
        errors: At the landmarks that count, mm.
        identified: Whether the page says which images and which transform it is about.
    """
    allowed = tolerance(quality.get("voxel_mm"))
    state = KEPT if identified else MISSING
    return [
        Item("Images and transform are identified", "see above" if identified else "", "", state),
        _landmarks(np.asarray(errors, float), allowed),
        *_structures(quality.get("overlap"), allowed),
        _jacobian(quality),
        _consistency(quality.get("inverse_consistency"), allowed),
        Item("Volume changes are those expected of this patient", "", "", BY_HAND),
        Item("Overlays were looked at, slice by slice, in the whole image", "", "", BY_HAND),
        Item("Regions of importance were looked at", "", "", BY_HAND),
        Item("Who uses the result knows how uncertain it is, and where", "", "", BY_HAND),
    ]


def _landmarks(errors: np.ndarray, allowed: Tolerance) -> Item:
    title, limit = "Target registration error at landmarks", f"{allowed.limit:g} mm, each"
    if len(errors) == 0:
        return Item(title, "no landmarks that count", limit, MISSING)
    above = int((errors > allowed.limit).sum())
    found = f"{above} of {len(errors)} above; mean {errors.mean():.2f}, 95 % "
    found += f"{np.percentile(errors, 95):.2f}, largest {errors.max():.2f} mm"
    return Item(title, found, limit, EXCEEDED if above else KEPT)


def _structures(overlap: Mapping[str, Any] | None, allowed: Tolerance) -> Iterator[Item]:
    limit = f"Dice from {DICE:g}, distance up to {allowed.limit:g} mm"
    title = "Structures: Dice, mean distance to agreement"
    if not overlap:
        yield Item(title, "no structures of both images", limit, MISSING)
    for name, values in (overlap or {}).items():
        after, heading = values.get("after"), f"{title}, {called(name)}"
        if not after or after.get("mean_surface_distance") is None:
            yield Item(heading, "missing from one image", limit, MISSING)
            continue
        dice, distance = after["dice"], after["mean_surface_distance"]
        if values.get("drove"):
            found = f"it drove the registration: no proof ({dice:.2f}, {distance:.2f} mm)"
            yield Item(heading, found, limit, MISSING)
            continue
        kept = dice >= DICE and distance <= allowed.limit
        yield Item(heading, f"{dice:.2f}, {distance:.2f} mm", limit, KEPT if kept else EXCEEDED)


def _jacobian(quality: Mapping[str, Any]) -> Item:
    whole = quality.get("jacobian")
    title = "Jacobian determinant"
    if not whole:
        return Item(title, "", "none negative", MISSING)
    values = whole.get("in_mask") or whole
    found = f"{values['min']:.2f} to {values['max']:.2f}, {figure(values['percent_nonpositive'])} "
    found += f"% folds in {region_in_words(quality)}"
    state = EXCEEDED if values["percent_nonpositive"] > 0 else KEPT
    return Item(title, found, "none negative", state)


def _consistency(values: Mapping[str, Any] | None, allowed: Tolerance) -> Item:
    title, limit = "Inverse consistency", f"{allowed.limit:g} mm, 95 % of the points"
    if not values:
        return Item(title, "", limit, MISSING)
    found = f"95 % within {figure(values['p95'])}, largest {figure(values['max'])} mm"
    return Item(title, found, limit, KEPT if values["p95"] <= allowed.limit else EXCEEDED)
