"""Tiny images, and the sentences of refusal, for the layouts of public data sets."""

from __future__ import annotations

import numpy as np
import pytest
import SimpleITK as sitk

from DeepRegistrationLib.data.layouts import open_dataset
from DeepRegistrationLib.errors import RegistrationError

SIZE, SPACING = (12, 10, 8), (0.97, 0.97, 2.5)


def volume(path, values=None, spacing=(1.0, 1.0, 1.0), origin=(0.0, 0.0, 0.0)):
    """Write an image of SIZE; [z, y, x]."""
    path.parent.mkdir(parents=True, exist_ok=True)
    if values is None:
        values = np.random.default_rng(0).integers(-900, 100, SIZE[::-1]).astype(np.int16)
    image = sitk.GetImageFromArray(values)
    image.SetSpacing(spacing)
    image.SetOrigin(origin)
    sitk.WriteImage(image, str(path))
    return path


def refusal(layout, folder, tmp_path):
    """The sentence with which a data set is refused; nothing was written."""
    with pytest.raises(RegistrationError) as caught:
        open_dataset(layout, folder, tmp_path / "refused")
    assert not (tmp_path / "refused").exists()
    return str(caught.value)
