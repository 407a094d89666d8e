"""Where the images count: masks that were given, and the lungs that are found without them.

What is uncertain is not used: the registration goes on without it, and a sentence says so.
"""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from typing import Any, NamedTuple

import numpy as np
import torch

from DeepRegistrationLib.images.extents import mask_slices
from DeepRegistrationLib.images.image import Image
from DeepRegistrationLib.images.intensity import is_ct
from DeepRegistrationLib.images.lungs import FoundLungs, LungFindings, look_for_lungs

# Two scans of one patient or of two, at any phase of breathing and cut anywhere, stay within these.
_VOLUMES = 3.5  # ratio of the volumes
_SHARES = 0.3  # difference of the right lung's share
_EXTENTS = (2.0, 2.0, 3.0)  # ratio of the extents along x, y, z


class FoundMasks(NamedTuple):
    """What :func:`find_masks` gives.

    Attributes:
        fixed, moving: The masks, or None.
        lungs: What a verdict has to say of the lungs in chest CTs without masks, as plain data, and
            only what there is: ``unused``, a clause that says why those that were found are no
            masks; ``missing``, a clause by side on what the masks lack, and ``alone``, whether that
            is a whole lung.
    """

    fixed: Image | None
    moving: Image | None
    lungs: dict[str, Any]


def find_masks(
    fixed: Image,
    moving: Image,
    fixed_mask: Image | None,
    moving_mask: Image | None,
    notes: list[str],
) -> FoundMasks:
    """The given masks on the images' device; in a chest CT, the lungs where none was given.

    What was found is said in ``notes``. Lungs count only when both images show them, plausibly and
    in agreement: a mask on one side alone would not be comparable.
    """
    device = fixed.data.device
    given = [None if m is None else m.to(device) for m in (fixed_mask, moving_mask)]
    if all(m is not None for m in given) or not (is_ct(fixed) and is_ct(moving)):
        return FoundMasks(given[0], given[1], {})
    with ThreadPoolExecutor(2) as pool:  # SciPy looks for regions on one processor
        looking = [
            pool.submit(look_for_lungs, image) if m is None else None
            for m, image in zip(given, (fixed, moving), strict=True)
        ]
    found = [
        FoundLungs(m, LungFindings()) if job is None else job.result()
        for m, job in zip(given, looking, strict=True)
    ]
    looked = [m is None for m in given]
    if all(f.mask is None for f in found):
        return FoundMasks(given[0], given[1], {})
    unused = _objection(found, looked)
    if unused:
        notes.append(
            f"{unused}, so the lungs are not used as masks. Look at the images, or give masks."
        )
        doubtful = all(looked) and any(f.evidence.chest for f in found)
        return FoundMasks(given[0], given[1], {"unused": unused} if doubtful else {})
    sides = [side for side, look in zip(("fixed", "moving"), looked, strict=True) if look]
    sizes = ", ".join(
        f"{f.evidence.text} in the {side} image"
        for side, f, look in zip(("fixed", "moving"), found, looked, strict=True)
        if look
    )
    notes.append(
        f"No {f'{sides[0]} mask was' if len(sides) == 1 else 'masks were'} given: the lungs were "
        f"found ({sizes}) and used."
    )
    missing = {
        side: f.evidence
        for side, f, look in zip(("fixed", "moving"), found, looked, strict=True)
        if look and f.evidence.missing
    }
    notes += [
        f"In the {side} image {evidence.missing}: what is filled, collapsed or cut off is not in "
        "the mask, and counts little. If it matters, give masks that include it."
        for side, evidence in missing.items()
    ]
    masks = [None if f.mask is None else f.mask.to(device) for f in found]
    return FoundMasks(masks[0], masks[1], _lacking(missing))


def _lacking(missing: dict[str, LungFindings]) -> dict[str, Any]:
    """``missing`` and ``alone`` of scans of a chest; at the lungs' ends sizes say nothing."""
    chests = {side: evidence for side, evidence in missing.items() if evidence.chest}
    if not chests:
        return {}
    return {
        "missing": {side: evidence.missing for side, evidence in chests.items()},
        "alone": any(evidence.alone for evidence in chests.values()),
    }


def _objection(found: list[FoundLungs], looked: list[bool]) -> str:
    """A clause that says why the lungs are no masks; empty where they are."""
    for side, one in zip(("fixed", "moving"), found, strict=True):
        if one.mask is None:
            return f"No lungs were found in the {side} image"
    why = _reason(found, looked)
    return f"The lungs that were found may be wrong ({why})" if why else ""


def _reason(found: list[FoundLungs], looked: list[bool]) -> str:
    """What speaks against the masks, or for their being of different things; empty for nothing."""
    for side, one, look in zip(("fixed", "moving"), found, looked, strict=True):
        if look and not one.evidence.sure:
            return f"{side} image: {'; '.join(one.evidence.failed_checks)}"
    first, second = found
    assert first.mask is not None
    assert second.mask is not None
    liters, extents = zip(*(_size(f.mask) for f in found if f.mask is not None), strict=True)
    sizes = f"{liters[0]:.1f} l in the fixed image, {liters[1]:.1f} l in the moving one"
    different = _difference(first.evidence, second.evidence, sizes) if all(looked) else ""
    if different or _ratio(*liters) > _VOLUMES:
        return different or sizes
    if any(_ratio(*pair) > most for *pair, most in zip(*extents, _EXTENTS, strict=True)):
        return "they differ in extent: " + " and ".join(
            " x ".join(f"{length:.0f}" for length in extent) + " mm" for extent in extents
        )
    return ""


def _difference(first: LungFindings, second: LungFindings, sizes: str) -> str:
    if len(first.lungs) != len(second.lungs) or first.alone != second.alone:
        return f"{first.text} in the fixed image, {second.text} in the moving one"
    shares = [evidence.lungs[0].liters / evidence.liters for evidence in (first, second)]
    if abs(shares[0] - shares[1]) > _SHARES:
        return f"the right lung is {shares[0]:.0%} and {shares[1]:.0%} of both; {sizes}"
    return ""


def _ratio(first: float, second: float) -> float:
    low, high = sorted((first, second))
    return high / max(low, 1e-6)


def _size(mask: Image) -> tuple[float, np.ndarray]:
    """Liters, and extent along x, y, z (LPS) in mm."""
    low, high = extent_of(mask)
    voxels = float(mask.data.count_nonzero())
    return voxels * float(np.prod(mask.grid.spacing)) / 1e6, high - low


def extent_of(mask: Image) -> tuple[np.ndarray, np.ndarray]:
    """Lowest and highest physical position of the mask, without its outermost percent: [3]."""
    box = mask_slices(mask.data)
    inside = mask.data[box] != 0
    flat = torch.nonzero(inside.flatten())[:, 0]
    some = flat[:: max(1, len(flat) // 100_000)].cpu().numpy()
    first = [side.start for side in box[::-1]]
    index = np.stack(np.unravel_index(some, inside.shape)[::-1], axis=-1) + first
    low, high = np.percentile(mask.grid.to_physical(index), [1, 99], axis=0)
    return low, high
