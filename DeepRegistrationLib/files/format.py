"""What a format of transforms is, and what reading one gives."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from enum import IntEnum
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar

if TYPE_CHECKING:
    from DeepRegistrationLib.files.dicom_series import Series
    from DeepRegistrationLib.images.geometry import Grid
    from DeepRegistrationLib.transforms import Transform


@dataclass(frozen=True)
class Imported:
    """What the files of another program gave.

    Attributes:
        transform: Fixed points to moving points, LPS mm.
        direction: What the file stores and what was done about it, to be shown.
        notes: What a user should know about this file.
        exchanged: Whether ``transform`` is that of the pair with fixed and moving exchanged.
    """

    transform: Transform
    direction: str
    notes: tuple[str, ...] = ()
    exchanged: bool = False


def sentence(text: str) -> str:
    """A direction or a note as a sentence."""
    return f"{text[0].upper()}{text[1:]}."


class Evidence(IntEnum):
    """What speaks for a format; the strongest decides."""

    NONE = 0
    REMAINING = 1
    """No more than that nothing speaks for another format."""
    NAME = 2
    CONTENT = 3


class Format(ABC):
    """A format of transforms: recognizes its files, reads them and, where it can, writes one.

    The one subclass in a module of the folder ``formats`` is offered under the module's name. That
    module is imported without PyTorch and SimpleITK, as command line and panel list the formats
    before anything is read: ``read`` and ``write`` import what computes.

    Class attributes:
        title: The program or standard, as users call it.
        endings: Of its files, to be offered where files are chosen.
        most_files, parts: How many files one transform can consist of; if more than one, their
            number and what they are, in words.
        on_several: A sentence for users who give more; may be empty.
        written, suggested: Endings of the files that are written, and those of them that messages
            name; empty where none is.
        needs_series: Whether writing takes the DICOM series of both images.
    """

    title: ClassVar[str]
    endings: ClassVar[tuple[str, ...]]
    most_files: ClassVar[int] = 1
    parts: ClassVar[str] = ""
    on_several: ClassVar[str] = ""
    written: ClassVar[tuple[str, ...]] = ()
    suggested: ClassVar[tuple[str, ...]] = ()
    needs_series: ClassVar[bool] = False

    @abstractmethod
    def evidence(self, files: Sequence[Path]) -> Evidence:
        """How much speaks for this format; the files exist and can be read."""

    @abstractmethod
    def read(self, files: Sequence[Path], grid: Grid | None, source: str | None) -> Imported:
        """Read T of ``most_files`` files or fewer.

        Args:
            files: In any order.
            grid: Of the fixed image, where it is known; splines are sampled there.
            source: DICOM frame of reference of the moving image, where it is known.

        Raises:
            RegistrationError: Damaged, or a kind that is not known; the sentence says what to do.
        """

    def write(
        self,
        transform: Transform,
        path: Path,
        grid: Grid | None = None,
        pair: tuple[Series, Series] | None = None,
        carried: str = "",
    ) -> None:
        """Write T to a file with one of the endings ``written``.

        Args:
            transform: Fixed points to moving points.
            path: Of the file.
            grid: Of the fixed image, where it is known.
            pair: The fixed and the moving series, where ``needs_series`` says so.
            carried: A text that stays with it where the format can hold one.

        Raises:
            RegistrationError: This file cannot hold the transform, or cannot be written.
        """
        raise NotImplementedError

    def unchanged(self, detail: str = "") -> str:
        """The direction of files that store T itself."""
        return f"{self.title} stores fixed to moving points, LPS mm{detail}: unchanged"
