"""Image files as ITK reads them, also ahead of the time when they are needed."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import SimpleITK as sitk

from DeepRegistrationLib.errors import RegistrationError
from DeepRegistrationLib.images.guard.contents import check_contents
from DeepRegistrationLib.images.guard.itk import Unreadable, read_itk_image, reason
from DeepRegistrationLib.images.guard.itk_warnings import itk_messages, native_silence
from DeepRegistrationLib.images.guard.paths import shown
from DeepRegistrationLib.images.headers import check_header, why_unreadable

_READ: dict[Path, tuple[sitk.Image, list[str]]] = {}  # ahead, until they are asked for


@contextlib.contextmanager
def reading_ahead(paths: Iterable[str]) -> Iterator[Callable[[], None]]:
    """Read files in another thread while the block does something else, such as loading PyTorch.

    Yields what waits until they are read; then :func:`read_file` has them, until the block ends.
    What is no image file of a known kind, or damaged, is left to :func:`read_file` and its errors.
    """

    def read() -> None:
        for path in map(Path, paths):
            with contextlib.suppress(Exception):
                contents = check_contents(path) if path.is_file() else None
                if contents is not None and contents.known:
                    _READ[path.resolve()] = read_file(path)

    with contextlib.ExitStack() as reading:
        reading.enter_context(native_silence())
        reading.enter_context(ThreadPoolExecutor(1)).submit(read)
        try:
            yield reading.close
        finally:
            reading.close()
            _READ.clear()  # a file may be another one when it is next asked for


def read_file(path: Path) -> tuple[sitk.Image, list[str]]:
    """A file as ITK reads it after its header was checked, and ITK's warnings.

    Raises:
        RegistrationError: Unreadable, cut short, or with a geometry that cannot be.
    """
    if found := _READ.pop(path.resolve(), None):
        return found
    check_header(path)
    try:
        with itk_messages() as warnings:
            image = read_itk_image(path)
    except Unreadable as error:
        raise RegistrationError(
            f"{shown(path)} cannot be read as an image ({why_unreadable(path) or reason(error)}); "
            "give a NIfTI, NRRD or MetaImage file, or a folder with one DICOM series."
        ) from error
    return image, [f"{path.name}: ITK warns: {text}" for text in warnings]
