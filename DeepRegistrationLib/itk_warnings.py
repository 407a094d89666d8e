"""ITK's warnings, which name patients' files and say nothing that a user could mend."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

import SimpleITK as sitk


@contextlib.contextmanager
def quiet_itk() -> Iterator[None]:
    """Without ITK's warnings on the error stream; its errors are raised all the same."""
    shown = sitk.ProcessObject.GetGlobalWarningDisplay()
    sitk.ProcessObject.SetGlobalWarningDisplay(False)
    try:
        yield
    finally:
        sitk.ProcessObject.SetGlobalWarningDisplay(shown)
