"""elastix's TransformParameters files. They map fixed to moving points in LPS mm, as T does.

A file may name an initial transform T0 (another such file). With "Compose",
``T(x) = T1(T0(x))``; with "Add", ``T(x) = T0(x) + T1(x) - x`` (elastix manual, 2.6).
"""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Sequence
from pathlib import Path, PureWindowsPath
from typing import TYPE_CHECKING, Any

import numpy as np

from DeepRegistrationLib.errors import RegistrationError
from DeepRegistrationLib.files.format import Evidence, Format, Imported
from DeepRegistrationLib.images.geometry import Grid
from DeepRegistrationLib.images.guard.paths import require_readable
from DeepRegistrationLib.images.guard.text import read_text

if TYPE_CHECKING:
    import SimpleITK as sitk

    from DeepRegistrationLib.transforms import Transform

Parameters = dict[str, list[str]]

_LINE = re.compile(r"^\s*\((\w+)\s+(.*)\)\s*(//.*)?$")
_VALUE = re.compile(r'"([^"]*)"|(\S+)')
_BINARY = "UseBinaryFormatForTransformationParameters"
_TEXTS = (".txt", ".toml")
_NO_FILE = ("", "NoInitialTransform")
_DEPTH = 20  # files in a chain; more means that they name each other in a circle


class ElastixFormat(Format):
    """TransformParameters files; the last of a chain names the others."""

    title = "elastix"
    endings = _TEXTS
    on_several = "Of an elastix chain give the last file, which names the others."

    def evidence(self, files: Sequence[Path]) -> Evidence:
        return Evidence.CONTENT if any(map(_is_elastix, files)) else Evidence.NONE

    def read(self, files: Sequence[Path], grid: Grid | None, source: str | None) -> Imported:
        return Imported(read_elastix(files[0], grid), self.unchanged())


def _is_elastix(path: Path) -> bool:
    """Whether a file is a transform of elastix."""
    if not path.name.lower().endswith(_TEXTS):
        return False
    pattern = rb"^\s*Transform\s*=" if path.suffix.lower() == ".toml" else rb"^\s*\(Transform\s"
    with open(path, "rb") as file:
        return re.search(pattern, file.read(4096), re.MULTILINE) is not None


def read_elastix(path: Path, grid: Grid | None = None) -> Transform:
    """T of a TransformParameters file and of the initial transforms that it names.

    Args:
        path: The last file of the chain (the highest number).
        grid: Where to sample splines; the fixed image's grid in the file when omitted.

    Raises:
        RegistrationError: Not 3D, a kind of transform that is not known, or a missing file.
    """
    from DeepRegistrationLib.transforms.io import from_itk

    path = Path(path)
    parameters = parse(path)
    if parameters["Transform"][:1] == ["File"]:
        return _named_file(parameters, path, grid)
    grid = grid or _fixed_grid(parameters, path)
    return from_itk(_chain(path, grid, 0), grid)


def _named_file(parameters: Parameters, path: Path, grid: Grid | None) -> Transform:
    """The ITK transform that a file only points to."""
    from DeepRegistrationLib.transforms import read_transform

    named = _text(parameters, "TransformFileName", "")
    file = _beside(path, named)
    if file is None:
        raise RegistrationError(
            f"{path.name} points to the transform {PureWindowsPath(named).name or '(no name)'}, "
            "which is missing; put that file beside it."
        )
    if _initial_file(parameters, path) is not None:
        raise RegistrationError(
            f"{path.name} points to a transform file and also has an initial transform; convert "
            f"{file.name} and the initial transform separately."
        )
    return read_transform(file, grid)


def _chain(path: Path, grid: Grid, depth: int) -> sitk.Transform:
    """The transform of a file after the initial transforms that it names."""
    import SimpleITK as sitk

    from DeepRegistrationLib.transforms import DisplacementField
    from DeepRegistrationLib.transforms.io import from_itk, to_itk

    parameters = parse(path)
    if parameters["Transform"][:1] == ["File"]:
        return to_itk(_named_file(parameters, path, grid))
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
        before, after = (DisplacementField.of(from_itk(t, grid), grid) for t in (first, own))
        return to_itk(DisplacementField(before.vectors + after.vectors, grid))
    raise RegistrationError(
        f'{path.name} combines transforms by "{how[:60]}"; elastix knows Compose and Add.'
    )


def parse(path: Path) -> Parameters:
    """The parameters by name.

    Raises:
        RegistrationError: Unreadable, or no transform of elastix.
    """
    path = Path(path)
    text = read_text(path)
    parameters: Parameters = {}
    if path.name.lower().endswith(".toml"):
        parameters = _toml(text, path)
    for line in text.splitlines():
        if match := _LINE.match(line):
            values = [quoted or plain for quoted, plain in _VALUE.findall(match[2])]
            parameters[match[1]] = values
    if not parameters.get("Transform"):
        raise RegistrationError(f"{path.name} is not an elastix TransformParameters file.")
    if _text(parameters, "FixedImageDimension", "3") != "3":
        raise RegistrationError(f"{path.name} is not 3D; give a transform of 3D images.")
    if _text(parameters, "UseDirectionCosines", "true") != "true":
        raise RegistrationError(
            f"{path.name} was made with UseDirectionCosines false, so it is not defined in "
            "physical space; register again with true."
        )
    return parameters


def _toml(text: str, path: Path) -> Parameters:
    """The parameters of a .toml file, as elastix writes it since 5.3."""
    if sys.version_info < (3, 11):
        raise RegistrationError(
            f"{path.name}: reading .toml needs Python 3.11; let elastix write .txt instead."
        )
    import tomllib

    try:
        entries = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise RegistrationError(f"{path.name} is not a TOML file ({error}).") from error
    return {
        name: [
            str(v).lower() if isinstance(v, bool) else str(v)
            for v in (value if isinstance(value, list) else [value])
        ]
        for name, value in entries.items()
    }


def _text(parameters: Parameters, name: str, default: str) -> str:
    values = parameters.get(name) or [default]
    return values[0]


def _numbers(parameters: Parameters, name: str, count: int | None, path: Path) -> np.ndarray:
    words = parameters.get(name, [])
    if name == "TransformParameters" and _text(parameters, _BINARY, "false") == "true":
        return _binary(words, count, path)
    try:
        values = np.array([float(v) for v in words])
    except ValueError as error:
        raise RegistrationError(f"{path.name}: {name} does not consist of numbers.") from error
    if count is not None and len(values) != count:
        raise RegistrationError(
            f"{path.name} has {len(values)} numbers in {name} instead of {count}; the file is "
            "damaged."
        )
    return values


def _binary(words: list[str], count: int | None, path: Path) -> np.ndarray:
    """Parameters in a file of doubles of their own, as elastix writes splines on request."""
    file = _beside(path, words[0] if words else "")
    if file is None:
        raise RegistrationError(f"{path.name}: its parameters {words[:1]} are missing beside it.")
    values = np.fromfile(require_readable(file), "<f8")
    if count is not None and len(values) != count:
        raise RegistrationError(
            f"{file.name} holds {len(values)} numbers instead of {count}; it is damaged."
        )
    return values


def _beside(path: Path, named: str) -> Path | None:
    """A file that another names, at its place or beside that file; also by a path of Windows."""
    for candidate in (path.parent / named, path.parent / PureWindowsPath(named).name):
        if named and os.path.isfile(candidate):
            return candidate
    return None


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
    file = _beside(path, found)
    if file is None:
        raise RegistrationError(
            f"{path.name} starts from {PureWindowsPath(found).name}, which is missing; put that "
            "file beside it."
        )
    return file


def _itk_transform(parameters: Parameters, path: Path) -> sitk.Transform:
    import SimpleITK as sitk

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
            f"{path.name} is a {kind[:60]}, which is not supported; make a deformation field of it "
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
    from DeepRegistrationLib.files.splines import spline_transform

    if _text(parameters, "UseCyclicTransform", "false") == "true":
        raise RegistrationError(
            f"{path.name} is a cyclic spline, which is not supported; make a deformation field of "
            "it (transformix -def all) and convert that."
        )
    grid = _grid(parameters, ("GridSize", "GridSpacing", "GridOrigin", "GridDirection"), path)
    values = _numbers(parameters, "TransformParameters", 3 * grid.voxels, path)
    order = int(_text(parameters, "BSplineTransformSplineOrder", "3"))
    return spline_transform(values.reshape(3, *grid.shape), grid, order)
