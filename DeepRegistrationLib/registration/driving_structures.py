"""Structures of two segmentations that drive a registration."""

from __future__ import annotations

from collections.abc import Sequence

import torch

from DeepRegistrationLib.errors import RegistrationError
from DeepRegistrationLib.images.geometry import Grid
from DeepRegistrationLib.images.image import Image
from DeepRegistrationLib.images.labels import Labels, drawn_on_others, paired
from DeepRegistrationLib.methods.guide import Structures

MOST = 24
"""Structures that may drive: each takes memory and time."""


def driving_structures(
    fixed: Labels | Image,
    moving: Labels | Image,
    images: tuple[Image, Image],
    weight: float,
    notes: list[str],
) -> Structures:
    """The structures that both segmentations have: of one name, or of one number without names.

    SVF-Net (Rohé et al., MICCAI 2017) learns from segmented shapes how to register; here those of
    the pair itself lead the way, without training.

    Args:
        fixed, moving: Segmentations or label maps, on any grid.
        images: The fixed and the moving image.
        weight: See :class:`Structures`.
        notes: Gets sentences about structures that are not used, and about those that seem to
            belong to other images.

    Raises:
        RegistrationError: They have none in common inside the images, or too many; they were drawn
            on the other image.
    """
    sides = [side if isinstance(side, Labels) else Labels((side,)) for side in (fixed, moving)]
    notes += [note for side in sides for note in side.notes]
    notes += drawn_on_others(sides, images)
    *layers, names = paired(*sides)
    found = [_present(side, image.grid) for side, image in zip(layers, images, strict=True)]
    common = sorted(found[0].keys() & found[1].keys())
    known = {*names, *found[0], *found[1]}
    called = {number: names.get(number, str(number)) for number in known}
    if not common:
        raise RegistrationError(
            "The two segmentations have no structure of the same name, or number, inside both "
            "images; give the structures that belong together the same name."
        )
    if len(common) > MOST:
        raise RegistrationError(
            f"{len(common)} structures are in both segmentations; at most {MOST} can drive a "
            "registration: leave the others out."
        )
    unused = [called[number] for number in sorted(known - set(common))]
    if unused:
        notes.append(
            "Not used, as not in both segmentations under a name of their own and inside both "
            f"images: {', '.join(unused)}."
        )
    return Structures(
        tuple(called[number] for number in common),
        tuple(found[0][number] for number in common),
        tuple(found[1][number] for number in common),
        weight,
    )


def _present(layers: Sequence[Image], grid: Grid) -> dict[int, Image]:
    """Where each label is on a grid, 0 or 1; those of which nothing is there are left out."""
    found: dict[int, Image] = {}
    for layer in layers:
        there = layer
        if layer.grid != grid:
            there = layer.resampled(grid, interpolation="nearest", fill=0)
        for number in there.data.unique().tolist():
            if number == 0:
                continue
            inside = (there.data == number).to(torch.uint8)
            if number in found:
                inside |= found[int(number)].data
            found[int(number)] = Image(inside, grid, layer.name)
    return found
