"""DICOM's Spatial Registration and Deformable Spatial Registration objects.

Their directions are described in :mod:`DeepRegistrationLib.files.dicom_registration`.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from DeepRegistrationLib.files.format import Evidence, Format, Imported
from DeepRegistrationLib.images.dicom.files import DICOM_SUFFIX, sop_class

if TYPE_CHECKING:
    from DeepRegistrationLib.files.dicom_series import Series
    from DeepRegistrationLib.images.geometry import Grid
    from DeepRegistrationLib.transforms import Transform


class DicomFormat(Format):
    """Registration objects, read with any matrices around the grid; written for two series."""

    title = "DICOM"
    endings = written = suggested = (DICOM_SUFFIX,)
    needs_series = True

    def evidence(self, files: Sequence[Path]) -> Evidence:
        known = len(files) == 1 and sop_class(files[0])
        return Evidence.CONTENT if known else Evidence.NONE

    def read(self, files: Sequence[Path], grid: Grid | None, source: str | None) -> Imported:
        from DeepRegistrationLib.files.dicom_registration_reader import read_registration

        return read_registration(files[0], source)

    def write(
        self,
        transform: Transform,
        path: Path,
        grid: Grid | None = None,
        pair: tuple[Series, Series] | None = None,
        carried: str = "",
    ) -> None:
        from DeepRegistrationLib.files.dicom_registration import write_registration

        assert pair is not None
        write_registration(transform, path, *pair)
