"""ITK's own files, which Slicer, elastix and many others write too: fixed to moving, LPS mm.

A displacement image in NRRD may say that it maps moving to fixed points; then it is inverted.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from DeepRegistrationLib.errors import RegistrationError
from DeepRegistrationLib.files.format import Evidence, Format, Imported
from DeepRegistrationLib.images.endings import FIELD_FILES, READABLE_FIELDS, TRANSFORM_FILES

if TYPE_CHECKING:
    from DeepRegistrationLib.files.dicom_series import Series
    from DeepRegistrationLib.images.geometry import Grid
    from DeepRegistrationLib.transforms import DisplacementField, Transform

_FIRST_LINE = b"Insight Transform File"
_TEXTS = (".txt", ".toml")  # which other programs write too


class ItkFormat(Format):
    """Transforms and displacement images; what nothing else claims is taken for one."""

    title = "ITK"
    endings = (*TRANSFORM_FILES, *READABLE_FIELDS)
    written = (*TRANSFORM_FILES, *FIELD_FILES)
    suggested = (".h5", ".tfm", ".nii.gz")

    def evidence(self, files: Sequence[Path]) -> Evidence:
        file = files[0]
        if not file.name.lower().endswith(_TEXTS):
            return Evidence.REMAINING
        with open(file, "rb") as opened:
            known = _FIRST_LINE in opened.read(100)
        return Evidence.CONTENT if known else Evidence.NONE

    def read(self, files: Sequence[Path], grid: Grid | None, source: str | None) -> Imported:
        from DeepRegistrationLib.transforms.io import is_modeling, read_transform

        transform = read_transform(files[0], grid)
        if is_modeling(files[0]):
            return Imported(transform, "This file stores moving to fixed points: inverted")
        return Imported(transform, self.unchanged())

    def write(
        self,
        transform: Transform,
        path: Path,
        grid: Grid | None = None,
        pair: tuple[Series, Series] | None = None,
        carried: str = "",
    ) -> None:
        from DeepRegistrationLib.transforms import write_transform

        if path.name.lower().endswith(FIELD_FILES):
            transform = _one_field(transform, grid, path.name)
        write_transform(transform, path, carried)


def _one_field(transform: Transform, grid: Grid | None, name: str) -> DisplacementField:
    from DeepRegistrationLib.transforms import DisplacementField

    if grid is not None:
        return DisplacementField.of(transform, grid)
    if isinstance(transform, DisplacementField):
        return transform
    raise RegistrationError(
        f"{name} holds displacements on a grid; give the fixed image with --reference, or write "
        ".h5."
    )
