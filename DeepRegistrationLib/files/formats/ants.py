"""ANTs' affine and warp: fixed to moving points, LPS mm.

The warp lies on the fixed image and acts first, ``T(x) = A(x + w(x))``. With the InverseWarp,
``y -> y' = A^-1(y)``, then ``y' + w'(y')``: moving points to fixed points.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from DeepRegistrationLib.errors import RegistrationError
from DeepRegistrationLib.files.format import Evidence, Format, Imported
from DeepRegistrationLib.images.endings import READABLE_FIELDS

if TYPE_CHECKING:
    from DeepRegistrationLib.images.geometry import Grid
    from DeepRegistrationLib.transforms import Affine, DisplacementField

_NAME = re.compile(r"\d(GenericAffine\.mat|(Inverse)?Warp\.nii(\.gz)?)$")  # after the prefix


class AntsFormat(Format):
    """antsRegistration's 0GenericAffine.mat and 1Warp.nii.gz (or 1InverseWarp.nii.gz)."""

    title = "ANTs"
    endings = (".mat", ".nii.gz", ".nii")
    most_files = 2
    parts = "two (its affine and its warp)"

    def evidence(self, files: Sequence[Path]) -> Evidence:
        known = len(files) == 2 or _NAME.search(files[0].name)
        return Evidence.NAME if known else Evidence.NONE

    def read(self, files: Sequence[Path], grid: Grid | None, source: str | None) -> Imported:
        from DeepRegistrationLib.transforms import Affine, DisplacementField, read_transform

        warps = [f for f in files if f.name.lower().endswith(READABLE_FIELDS)]
        affines = [f for f in files if f not in warps]
        if len(warps) > 1 or len(affines) > 1:
            raise RegistrationError(
                "Give ANTs' affine (.mat) and one warp (.nii.gz), not two of the same kind."
            )
        affine = read_transform(affines[0]) if affines else None
        if affine is not None and not isinstance(affine, Affine):
            if warps:
                raise RegistrationError(
                    f"{affines[0].name} is not an affine transform; give ANTs' 0GenericAffine.mat."
                )
            return Imported(affine, self.unchanged())
        if not warps:
            assert affine is not None
            note = "no warp was given: this is the affine part alone"
            return Imported(affine, self.unchanged(), (note,))
        warp = read_transform(warps[0])
        assert isinstance(warp, DisplacementField)
        return self._chain(affine, warp, "inversewarp" in warps[0].name.lower())

    def _chain(self, affine: Affine | None, warp: DisplacementField, exchanged: bool) -> Imported:
        from DeepRegistrationLib.transforms import Composite

        notes = () if affine else ("no affine was given: this is the warp alone",)
        if exchanged:
            members = [warp] if affine is None else [affine.inverse(), warp]
            direction = (
                "ANTs' InverseWarp maps moving to fixed points: the transform is that of the pair "
                "with fixed and moving exchanged"
            )
        else:
            members = [warp] if affine is None else [warp, affine]
            direction = self.unchanged(", the warp before the affine")
        transform = members[0] if len(members) == 1 else Composite(members)
        return Imported(transform, direction, notes, exchanged)
