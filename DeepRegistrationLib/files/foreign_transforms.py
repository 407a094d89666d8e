"""Transforms of other programs as T: fixed points to moving points, LPS mm.

All of them store the map that resamples the moving image, so none is inverted; they differ in
space (NiftyReg: RAS), in what is stored (positions, displacements, coefficients) and in order:

- ANTs: the warp lies on the fixed image and acts first, ``T(x) = A(x + w(x))``. With the
  InverseWarp, ``y -> y' = A^-1(y)``, then ``y' + w'(y')``: moving points to fixed points.
- elastix, NiftyReg, Plastimatch: see their modules.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path

from DeepRegistrationLib.errors import RegistrationError
from DeepRegistrationLib.files import elastix, niftyreg, plastimatch
from DeepRegistrationLib.files.dicom_registration_reader import read_registration
from DeepRegistrationLib.files.imported import Imported
from DeepRegistrationLib.images.dicom.files import sop_class
from DeepRegistrationLib.images.geometry import Grid
from DeepRegistrationLib.images.guard.damage import damage_explained
from DeepRegistrationLib.images.guard.paths import require_readable
from DeepRegistrationLib.transforms import Affine, Composite, DisplacementField, read_transform
from DeepRegistrationLib.transforms.io import FIELD_FILES, is_modeling

TOOLS = ("ants", "dicom", "elastix", "itk", "niftyreg", "plastimatch")

_TEXTS = (".txt", ".toml")
_ANTS_NAME = re.compile(r"\d(GenericAffine\.mat|(Inverse)?Warp\.nii(\.gz)?)$")  # after the prefix

_AS_IT_IS = "{} stores fixed to moving points{}: unchanged"


def read_foreign(
    paths: Sequence[str | Path],
    tool: str | None = None,
    grid: Grid | None = None,
    source: str | None = None,
) -> Imported:
    """Read a transform of another program.

    Args:
        paths: One file; of ANTs one or two (affine and warp, in any order).
        tool: One of :data:`TOOLS`; told from the files when omitted.
        grid: Of the fixed image; splines are sampled there.
        source: Frame of reference of the moving image, for DICOM objects with several.

    Raises:
        RegistrationError: Unreadable, unclear, or not known here.
    """
    files = [Path(path) for path in paths]
    for file in files:
        require_readable(file)
    with damage_explained(files[0], "a transform"):
        return _read(files, tool or guess(files), grid, source)


def _read(files: Sequence[Path], tool: str, grid: Grid | None, source: str | None) -> Imported:
    if tool == "ants":
        return _ants(files)
    if len(files) != 1:
        raise RegistrationError(
            f"{len(files)} files were given; only ANTs needs two (its affine and its warp). Of an "
            "elastix chain give the last file, which names the others."
        )
    file = files[0]
    if tool == "dicom":
        return read_registration(file, source)
    if tool == "elastix":
        return Imported(elastix.read_elastix(file, grid), _AS_IT_IS.format("elastix", ", LPS mm"))
    if tool == "niftyreg":
        transform = niftyreg.read_niftyreg(file, grid)
        how = "NiftyReg stores fixed to moving points in RAS mm: x and y changed sign"
        return Imported(transform, how)
    if tool == "plastimatch":
        known = plastimatch.is_spline(file)
        transform = plastimatch.read_spline(file, grid) if known else read_transform(file, grid)
        return Imported(transform, _AS_IT_IS.format("Plastimatch", ", LPS mm"))
    if tool == "itk":
        transform = read_transform(file, grid)
        if is_modeling(Path(file)):
            return Imported(transform, "This file stores moving to fixed points: inverted")
        return Imported(transform, _AS_IT_IS.format("ITK", ", LPS mm"))
    raise RegistrationError(f"{tool} is not known; choose one of {', '.join(TOOLS)}.")


def guess(files: Sequence[Path]) -> str:
    """The program that wrote the files, by their content; ``itk`` where nothing else shows.

    Raises:
        RegistrationError: A bare 4 x 4 matrix, which several programs write in several meanings.
    """
    file = files[0]
    if len(files) == 2 and not any(map(_is_elastix, files)):
        return "ants"
    if sop_class(file):
        return "dicom"
    if plastimatch.is_spline(file):
        return "plastimatch"
    name = file.name.lower()
    if name.endswith((".nii", ".nii.gz")) and niftyreg.intent_name(file) == niftyreg.INTENT_NAME:
        return "niftyreg"
    if _ANTS_NAME.search(file.name):
        return "ants"
    if _is_elastix(file):
        return "elastix"
    if name.endswith(_TEXTS):
        with open(file, "rb") as opened:
            if b"Insight Transform File" not in opened.read(100):
                raise RegistrationError(
                    f"{file.name} does not say what wrote it; name the program (deepreg "
                    "convert --from)."
                )
    return "itk"


def _is_elastix(file: Path) -> bool:
    return file.name.lower().endswith(_TEXTS) and elastix.is_elastix(file)


def _ants(files: Sequence[Path]) -> Imported:
    """T of antsRegistration's 0GenericAffine.mat and 1Warp.nii.gz (or 1InverseWarp.nii.gz)."""
    warps = [f for f in files if f.name.lower().endswith(FIELD_FILES)]
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
        return Imported(affine, _AS_IT_IS.format("ANTs", ", LPS mm"))
    if not warps:
        assert affine is not None
        note = "no warp was given: this is the affine part alone"
        return Imported(affine, _AS_IT_IS.format("ANTs", ", LPS mm"), (note,))
    warp = read_transform(warps[0])
    assert isinstance(warp, DisplacementField)
    notes = () if affine else ("no affine was given: this is the warp alone",)
    exchanged = "inversewarp" in warps[0].name.lower()
    if exchanged:
        members = [warp] if affine is None else [affine.inverse(), warp]
        direction = (
            "ANTs' InverseWarp maps moving to fixed points: the transform is that of the pair with "
            "fixed and moving exchanged"
        )
    else:
        members = [warp] if affine is None else [warp, affine]
        direction = _AS_IT_IS.format("ANTs", ", LPS mm, the warp before the affine")
    transform = members[0] if len(members) == 1 else Composite(members)
    return Imported(transform, direction, notes, exchanged)
