"""Transforms of other programs as T, fixed points to moving points in LPS mm, in all formats.

Most formats store the map that resamples the moving image, so few are inverted; they differ in
space (LPS or RAS), in what is stored (positions, displacements, coefficients) and in order. Listing
them loads neither PyTorch nor SimpleITK.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from importlib import import_module
from pathlib import Path
from pkgutil import iter_modules
from typing import TYPE_CHECKING

from DeepRegistrationLib.errors import RegistrationError
from DeepRegistrationLib.files import formats
from DeepRegistrationLib.files.format import Evidence, Format, Imported
from DeepRegistrationLib.images.guard.damage import damage_explained
from DeepRegistrationLib.images.guard.paths import require_readable

if TYPE_CHECKING:
    from DeepRegistrationLib.images.geometry import Grid


@cache
def format_names() -> tuple[str, ...]:
    """Names of all formats: those of the modules in the folder ``formats``, from a to z."""
    return tuple(sorted(found.name for found in iter_modules(formats.__path__)))


@cache
def format_called(name: str) -> Format:
    """The format of this name; only its own module is imported.

    Raises:
        RegistrationError: There is none.
    """
    if name not in format_names():
        raise RegistrationError(f"{name} is not known; choose one of {', '.join(format_names())}.")
    module = import_module(f"{formats.__name__}.{name}")
    (found,) = (
        value
        for value in vars(module).values()
        if isinstance(value, type)
        and issubclass(value, Format)
        and value.__module__ == module.__name__
    )
    return found()


def one_of(words: Sequence[str]) -> str:
    """Two words or more in a sentence: a, b or c."""
    return f"{', '.join(words[:-1])} or {words[-1]}"


def titles_of_formats() -> str:
    """All formats, as users call them: a, b or c."""
    return one_of([format_called(name).title for name in format_names()])


def readable_endings() -> tuple[str, ...]:
    """Endings of all files that can be read, for a dialog."""
    each = (ending for name in format_names() for ending in format_called(name).endings)
    return tuple(dict.fromkeys(each))


def suggested_endings() -> tuple[str, ...]:
    """Endings that are proposed for a file to write."""
    names = sorted(format_names(), key=lambda name: format_called(name).needs_series)
    return tuple(ending for name in names for ending in format_called(name).suggested)


def written_format(path: Path) -> Format:
    """The format of a file to write, by its ending.

    Raises:
        RegistrationError: No format writes such files.
    """
    for name in format_names():
        if path.name.lower().endswith(format_called(name).written):
            return format_called(name)
    raise RegistrationError(
        f"{path.name}: transforms are written as {one_of(suggested_endings())}; choose one of "
        "these."
    )


def recognized(files: Sequence[Path]) -> str:
    """The name of the format that the strongest evidence speaks for.

    Raises:
        RegistrationError: None, as of a bare 4 x 4 matrix, which several programs write in several
            meanings; or as much for one format as for another.
    """
    evidence = {name: format_called(name).evidence(files) for name in format_names()}
    strongest = max(evidence.values())
    found = [name for name, each in evidence.items() if each == strongest]
    if strongest == Evidence.NONE:
        raise RegistrationError(
            f"{files[0].name} does not say what wrote it; name the program (deepreg convert "
            "--from)."
        )
    if len(found) > 1:
        titles = one_of([format_called(name).title for name in found])
        raise RegistrationError(
            f"{files[0].name} may be of {titles}; name the program (deepreg convert --from)."
        )
    return found[0]


def read_foreign(
    paths: Sequence[str | Path],
    tool: str | None = None,
    grid: Grid | None = None,
    source: str | None = None,
) -> Imported:
    """Read a transform of another program.

    Args:
        paths: One file; of ANTs one or two (affine and warp, in any order).
        tool: One of :func:`format_names`; recognized from the files when omitted.
        grid: Of the fixed image; splines are sampled there.
        source: Frame of reference of the moving image, for DICOM objects with several.

    Raises:
        RegistrationError: Unreadable, unclear, or not known here.
    """
    files = [Path(path) for path in paths]
    for file in files:
        require_readable(file)
    with damage_explained(files[0], "a transform"):
        found = format_called(tool or recognized(files))
        if len(files) > found.most_files:
            raise RegistrationError(_too_many(len(files), found))
        return found.read(files, grid, source)


def _too_many(count: int, found: Format) -> str:
    several = [f for f in map(format_called, format_names()) if f.most_files > 1]
    which = " and ".join(f"{f.title} needs {f.parts}" for f in several)
    return f"{count} files were given; only {which}. {found.on_several}".strip()
