"""elastix's TransformParameters files. They map fixed to moving points in LPS mm, as T does.

A file may name an initial transform T0 (another such file). With "Compose",
``T(x) = T1(T0(x))``; with "Add", ``T(x) = T0(x) + T1(x) - x`` (elastix manual, 2.6).
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import numpy as np
import SimpleITK as sitk
import torch

from DeepRegistrationLib.errors import RegistrationError
from DeepRegistrationLib.geometry import Grid
from DeepRegistrationLib.interchange.splines import spline_transform
from DeepRegistrationLib.transforms import DisplacementField, Transform
from DeepRegistrationLib.transforms.io import from_itk, to_itk

Parameters = dict[str, list[str]]

_LINE = re.compile(r"^\s*\((\w+)\s+(.*)\)\s*(//.*)?$")
_VALUE = re.compile(r'"([^"]*)"|(\S+)')
_NO_FILE = ("", "NoInitialTransform")
_DEPTH = 20  # files in a chain; more means that they name each other in a circle


def is_elastix(path: Path) -> bool:
    """Whether a text file is a transform of elastix."""
    with open(path, "rb") as file:
        return re.search(rb"^\s*\(Transform\s", file.read(4096), re.MULTILINE) is not None


def read_elastix(path: Path, grid: Grid | None = None) -> Transform:
    """T of a TransformParameters file and of the initial transforms that it names.

    Args:
        path: The last file of the chain (the highest number).
        grid: Where to sample splines; the fixed image's grid in the file when omitted.

    Raises:
        RegistrationError: Not 3D, a kind of transform that is not known, or a missing file.
    """
    path = Path(path)
    grid = grid or _fixed_grid(parse(path), path)
    return from_itk(_chain(path, grid, 0), grid)


def _chain(path: Path, grid: Grid, depth: int) -> sitk.Transform:
    """The transform of a file after the initial transforms that it names."""
    parameters = parse(path)
    own = _itk_transform(parameters, path)
    initial = _initial_file(parameters, path)
    if initial is None:
        return own
    if depth == _DEPTH:
        raise RegistrationError(
            f"The initial transforms of {path.name} name each other in a circle."
        )
    first = _chain(initial, grid, depth + 1)
    how = _text(parameters, "HowToCombineTransforms", "Compose")
    if how == "Compose":
        return sitk.CompositeTransform([own, first])  # ITK applies the last one first
    if how == "Add":
        vectors = sum(from_itk(t, grid).on_grid(grid).vectors for t in (first, own))
        assert isinstance(vectors, torch.Tensor)
        return to_itk(DisplacementField(vectors, grid))
    raise RegistrationError(
        f'{path.name} combines transforms by "{how}"; elastix knows Compose and Add.'
    )


def parse(path: Path) -> Parameters:
    """The parameters by name.

    Raises:
        RegistrationError: Unreadable, or no transform of elastix.
    """
    try:
        lines = Path(path).read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError as error:
        raise RegistrationError(f"{path} cannot be read ({error.strerror}).") from error
    parameters = {}
    for line in lines:
        if match := _LINE.match(line):
            values = [quoted or plain for quoted, plain in _VALUE.findall(match[2])]
            parameters[match[1]] = values
    if "Transform" not in parameters:
        raise RegistrationError(f"{path.name} is no TransformParameters file of elastix.")
    if _text(parameters, "FixedImageDimension", "3") != "3":
        raise RegistrationError(f"{path.name} is not 3D; give a transform of 3D images.")
    if _text(parameters, "UseDirectionCosines", "true") != "true":
        raise RegistrationError(
            f"{path.name} was made with UseDirectionCosines false, so it does not live in physical "
            "space; register again with true."
        )
    return parameters


def _text(parameters: Parameters, name: str, default: str) -> str:
    values = parameters.get(name) or [default]
    return values[0]


def _numbers(parameters: Parameters, name: str, count: int | None, path: Path) -> np.ndarray:
    try:
        values = np.array([float(v) for v in parameters.get(name, [])])
    except ValueError as error:
        raise RegistrationError(f"{path.name}: {name} is not made of numbers.") from error
    if count is not None and len(values) != count:
        raise RegistrationError(
            f"{path.name} has {len(values)} numbers in {name} where {count} belong; the file is "
            "damaged."
        )
    return values


def _fixed_grid(parameters: Parameters, path: Path) -> Grid:
    return _grid(parameters, ("Size", "Spacing", "Origin", "Direction"), path)


def _grid(parameters: Parameters, names: tuple[str, str, str, str], path: Path) -> Grid:
    size, spacing, origin = (_numbers(parameters, name, 3, path) for name in names[:3])
    # elastix writes directions column by column
    direction = _numbers(parameters, names[3], 9, path).reshape(3, 3).T
    return Grid(tuple(size), tuple(spacing), tuple(origin), tuple(direction.ravel()))  # type: ignore[arg-type]


def _initial_file(parameters: Parameters, path: Path) -> Path | None:
    names = ("InitialTransformParameterFileName", "InitialTransformParametersFileName")
    found = next((_text(parameters, n, "") for n in names if n in parameters), "")
    if found in _NO_FILE:
        return None
    named = Path(found)
    for candidate in (path.parent / named, path.parent / named.name):
        if candidate.is_file():
            return candidate
    raise RegistrationError(
        f"{path.name} starts from {named.name}, which is missing; put that file beside it."
    )


def _itk_transform(parameters: Parameters, path: Path) -> sitk.Transform:
    kind = parameters["Transform"][0]
    if kind in ("BSplineTransform", "RecursiveBSplineTransform"):
        return _spline(parameters, path)
    makers: dict[str, tuple[Any, int]] = {
        "TranslationTransform": (sitk.TranslationTransform, 3),
        "EulerTransform": (sitk.Euler3DTransform, 6),
        "SimilarityTransform": (sitk.Similarity3DTransform, 7),
        "AffineTransform": (sitk.AffineTransform, 12),
    }
    if kind not in makers:
        raise RegistrationError(
            f"{path.name} is a {kind}, which is not known here; make a deformation field of it "
            "(transformix -def all) and convert that."
        )
    maker, count = makers[kind]
    values = _numbers(parameters, "TransformParameters", count, path)
    if kind == "TranslationTransform":
        return sitk.TranslationTransform(3, values.tolist())
    transform = maker(3) if kind == "AffineTransform" else maker()
    transform.SetCenter(_numbers(parameters, "CenterOfRotationPoint", 3, path).tolist())
    if kind == "EulerTransform":
        transform.SetComputeZYX(_text(parameters, "ComputeZYX", "false") == "true")
    transform.SetParameters(values.tolist())
    return transform


def _spline(parameters: Parameters, path: Path) -> sitk.Transform:
    if _text(parameters, "UseCyclicTransform", "false") == "true":
        raise RegistrationError(
            f"{path.name} is a cyclic spline, which is not known here; make a deformation field of "
            "it (transformix -def all) and convert that."
        )
    grid = _grid(parameters, ("GridSize", "GridSpacing", "GridOrigin", "GridDirection"), path)
    values = _numbers(parameters, "TransformParameters", 3 * grid.voxels, path)
    order = int(_text(parameters, "BSplineTransformSplineOrder", "3"))
    return spline_transform(values.reshape(3, *grid.shape), grid, order)
