"""Two deformations of a chest, of the lungs and of the body around them, that slide on each other.

The local correlation of the lungs knows nothing of the ribs, and the smoothness of one field takes
them along: by millimetres, as the lungs slide on the chest wall. So the body gets a deformation of
its own, and the two meet at the border of what moves with the lungs.
"""

from __future__ import annotations

from dataclasses import replace
from typing import NamedTuple

import numpy as np
import torch

from DeepRegistrationLib.images.image import Image
from DeepRegistrationLib.images.pyramid import level_factor, level_spacing, smoothed
from DeepRegistrationLib.methods.affine.alignment import align, grown
from DeepRegistrationLib.methods.context import Context
from DeepRegistrationLib.methods.guide import Guide
from DeepRegistrationLib.methods.optimize.instance import deform
from DeepRegistrationLib.methods.optimize.joining import border_distance, covering, slid
from DeepRegistrationLib.methods.optimize.motion_mask import filled_slices, motion_mask
from DeepRegistrationLib.methods.optimize.presets import LUNG_CT, Level, OptimizationPreset
from DeepRegistrationLib.methods.optimize.structures import outside, with_structures
from DeepRegistrationLib.methods.optimize.unfolding import unfolded
from DeepRegistrationLib.progress import Progress, part
from DeepRegistrationLib.transforms import (
    Affine,
    Composite,
    DisplacementField,
    Transform,
    warp,
)
from DeepRegistrationLib.transforms.composite import split_affine

_SPACING = 4.0  # mm, of all images here
_TISSUE, _BONE = -300.0, 150.0  # HU from which a voxel is the body's, and a bone's
_RANGE = (-200.0, 300.0)  # HU: the lungs, filled with 0, do not count
_BONES = (100.0, 500.0)  # HU in which bones stand out
_AROUND = 6.0  # mm around bones
_ALIGNED = 0.85  # correlation around bones from which the images lie right as they are
_GAIN = 0.1  # of what lacks to a correlation of 1 around bones: less may be gained on noise
_FEWEST_BONES = 40.0  # ml, below which an image is cut around the lungs
_LUNG_SHARE = 0.6  # of a mask below -300 HU, at least
_BODY = replace(LUNG_CT, range=_RANGE, outside=0.0)
_LEVELS = (Level(8, 16, 12, 10), Level(4, 10, 10, 6, True))


def slides(preset: OptimizationPreset, context: Context) -> bool:
    """Whether a body's own deformation is looked for: lungs, not in the least time."""
    lungs = context.fixed_mask is not None and context.moving_mask is not None
    return preset.title == LUNG_CT.title and lungs and context.quality != "fast"


def with_sliding(
    transform: Transform, fixed: Image, moving: Image, context: Context, progress: Progress
) -> Transform:
    """A registration of lungs with a deformation of its own for the body around them.

    Inside the mask of the lungs it stays as it is, and so does its Jacobian determinant. Across the
    border of the motion mask (compare Vandemeulebroucke et al., Med Phys 2012) the two go over into
    each other slowly, so that no gap opens; along it at once, as in direction-dependent
    regularization (Schmidt-Richberg et al., Med Image Anal 2012; Papiez et al., Med Image Anal
    2014). The result is one displacement field with J > 0.05. Where anything is doubtful the
    transform stays, and a note says why.

    Args:
        transform: Of the lungs: a displacement field, followed by affine transforms or alone.
        context: Both masks are given; its landmark pairs and structures outside the lungs drive
            the body.
    """
    parts = _Parts.of(fixed, moving, context)
    lungs = transform.to("cpu")
    rest, affine = split_affine(lungs)
    objection = _objection(parts, fixed, moving)
    if not isinstance(rest, DisplacementField):
        objection = "the start is not affine"
    result = None
    if not objection:
        driven = replace(
            context,
            guide=_outside(context.guide, parts.mask),
            structures=outside(context.structures, parts.mask),
            progress=part(progress, 0.0, 0.7),
        )
        body = _body_deformation(parts, affine, driven)
        fits = [parts.bones_agree(t) for t in (Affine(), lungs, body)]
        better = fits[2] >= fits[0] and fits[2] > fits[1]
        objection = "" if better else "the bones did not fit better by it"
    if not objection:
        progress(0.7, "Joining the lungs and the body")
        result = _joined(rest, affine, body, parts, lungs)  # type: ignore[arg-type]
        objection = "" if result is not None else "the field would fold"
    if result is None:
        context.notes.append(
            "A deformation of its own for the body around the lungs was left out: "
            f"{objection}. Bones and skin follow the lungs."
        )
        return transform
    context.notes.append(
        "The body around the lungs has a deformation of its own; the two slide along the chest "
        "wall. Outside the lungs and next to them the Jacobian determinant shows the sliding, not "
        "a change of volume."
    )
    if driven.guide is not None:
        context.notes.append(
            f"{len(driven.guide.fixed)} of the driving landmark pairs lie outside the lungs. They "
            "pull the lungs too, the more the nearer they lie: where only the lungs matter, "
            "register without them."
        )
    result, tail = result.to(transform.device), transform.members[1:]
    return Composite([result, *tail]) if tail else result


class _Parts(NamedTuple):
    """A pair at 4 mm, on the CPU: there the distances are found, and all else is small.

    Attributes:
        fixed, moving: HU.
        body, moving_body: The same with the lungs filled with 0 HU.
        lungs: Mask of the fixed lungs, uint8, at 4 mm.
        mask: The same as it was given.
        near_bones: Around the bones of the fixed image, without lungs: uint8.
    """

    fixed: Image
    moving: Image
    body: Image
    moving_body: Image
    lungs: Image
    mask: Image
    near_bones: Image

    @classmethod
    def of(cls, fixed: Image, moving: Image, context: Context) -> _Parts:
        """From full images and the masks of the context."""
        assert context.fixed_mask is not None
        assert context.moving_mask is not None
        pairs = [
            torch.stack([smoothed(i, _SPACING).data, smoothed(_filled(i, mask), _SPACING).data])
            for i, mask in ((fixed, context.fixed_mask), (moving, context.moving_mask))
        ]
        images, bodies = [], []
        for pair, image in zip(pairs, (fixed, moving), strict=True):
            grid = image.grid.with_spacing(level_spacing(image.grid, _SPACING))
            whole, body = pair.cpu()
            images.append(Image(whole, grid, image.name))
            bodies.append(Image(body, grid, image.name))
        mask = context.fixed_mask.to("cpu")
        lungs = mask.resampled(images[0].grid, interpolation="nearest")
        lungs = replace(lungs, data=(lungs.data != 0).to(torch.uint8))
        near = grown(_bones(bodies[0]), _AROUND)
        near = replace(near, data=near.data * (1 - lungs.data))
        return cls(images[0], images[1], bodies[0], bodies[1], lungs, mask, near)

    def bones_agree(self, transform: Transform) -> float:
        """Correlation of the images around the fixed bones."""
        low, high = _BONES
        there = warp(_clamped(self.moving_body, _BONES), transform, self.body.grid, fill=low)
        counted = self.near_bones.data.double()
        pair = torch.stack([self.body.data.clamp(low, high), there.data]).double()
        pair = (pair - (pair * counted).sum((1, 2, 3), keepdim=True) / counted.sum()) * counted
        product, first, second = torch.stack(
            [(pair[0] * pair[1]).sum(), *pair.square().sum((1, 2, 3))]
        ).tolist()
        return float(product / max(np.sqrt(first * second), 1e-9))


def _filled(image: Image, mask: Image) -> Image:
    return replace(image, data=image.data.float().masked_fill(mask.data != 0, 0.0))


def _clamped(image: Image, limits: tuple[float, float]) -> Image:
    return replace(image, data=image.data.clamp(*limits))


def _bones(image: Image) -> Image:
    return replace(image, data=(image.data > _BONE).to(torch.uint8))


def _objection(parts: _Parts, fixed: Image, moving: Image) -> str:
    """A clause that says why no body's deformation is looked for; empty where it is."""
    lungs = parts.lungs.data != 0
    bones = (_bones(b).data.sum() for b in (parts.body, parts.moving_body))
    numbers = [lungs.sum(), (lungs & (parts.fixed.data < _TISSUE)).sum(), *bones]
    inside, air, *bony = torch.stack(numbers).tolist()
    grids = parts.body.grid, parts.moving_body.grid
    liters = [n * float(np.prod(g.spacing)) / 1e3 for n, g in zip(bony, grids, strict=True)]
    if level_factor(fixed.grid, moving.grid) < 1:
        return "the images are smaller than a chest"
    if air < _LUNG_SHARE * max(inside, 1):
        return "the mask does not show lungs"
    if min(liters) < _FEWEST_BONES:
        return "the images show too little of the bones"
    return ""


def _outside(guide: Guide | None, lungs: Image) -> Guide | None:
    """The landmark pairs outside the lungs: those inside have driven the deformation there."""
    if guide is None:
        return None
    index = np.rint(lungs.grid.to_index(guide.fixed)).astype(int)
    x, y, z = index.clip(0, np.array(lungs.grid.size) - 1).T
    outside = (lungs.data[z, y, x] == 0).numpy() | ~lungs.grid.contains(guide.fixed)
    return guide.of(outside) if outside.any() else None


def _body_deformation(parts: _Parts, affine: Affine, driven: Context) -> Transform:
    """Fit of the body alone, from the best of three starts, driven by what lies outside the lungs.

    The lungs' affine may put ribs on their neighbours, and so may one of the body; the identity is
    right for two phases of one scan, but not for two scans.

    Where the fit brings the bones hardly nearer, the start is returned: what is flat would move by
    the noise alone, by half a millimetre on average in two reconstructions of one scan.
    """
    starts: list[Affine] = [Affine()]
    agreement = [parts.bones_agree(starts[0])]
    if agreement[0] < _ALIGNED:
        rigid = align(
            _clamped(parts.body, _BONES),
            _clamped(parts.moving_body, _BONES),
            parts.near_bones,
            _bones(parts.moving_body),
            degrees_of_freedom="rigid",
            iterations=12,
            progress=part(driven.progress, 0.0, 0.3),
        )
        starts += [rigid, affine]
        agreement += [parts.bones_agree(start) for start in starts[1:]]
    best = starts[int(np.argmax(agreement))]
    weight = ((parts.body.data > _TISSUE) & (parts.lungs.data == 0)).float()
    where = replace(parts.body, data=weight)
    preset, classes = _BODY, None
    if driven.structures is not None:
        images = parts.body, parts.moving_body
        preset, classes = with_structures(_BODY, driven.structures, *images)
    fitted = deform(
        parts.body,
        parts.moving_body,
        where,
        best,
        preset,
        _LEVELS,
        part(driven.progress, 0.3, 1.0),
        classes=classes,
        guide=driven.guide,
    )
    if driven.guide is not None or driven.structures is not None:
        return fitted
    lacked, lacks = (1.0 - agrees for agrees in (max(agreement), parts.bones_agree(fitted)))
    return fitted if lacks < (1.0 - _GAIN) * lacked else best


def _joined(
    inner: DisplacementField,
    affine: Affine,
    body: Transform,
    parts: _Parts,
    transform: Transform,
) -> DisplacementField | None:
    """The field of the lungs and that of the body as one; None where it folds."""
    grid = inner.grid
    low = _RANGE[0]
    small = parts.fixed.grid
    still, moved = (_clamped(image, _RANGE) for image in (parts.fixed, parts.moving))
    by_lungs, by_body = (
        (still.data - warp(moved, t, small, fill=low).data).square() for t in (transform, body)
    )
    lungs = parts.lungs.data != 0
    tissue = filled_slices((parts.fixed.data > _TISSUE) | lungs, small)
    region = motion_mask(by_lungs, by_body, lungs, tissue, small)
    keep = covering(parts.mask, grid)
    distance = border_distance(region, small, keep, grid)
    outer = DisplacementField.of(Composite([body, affine.inverse()]), grid).vectors
    base = inner.vectors
    vectors = unfolded(slid(base, outer, distance, keep, grid), base, keep, grid)
    return None if vectors is None else DisplacementField(vectors, grid)
