"""Compressed NIfTI files, against those that ITK writes."""

import gzip

import numpy as np
import pytest
import SimpleITK as sitk

from DeepRegistrationLib.errors import RegistrationError
from DeepRegistrationLib.images.image import write_sitk

TYPES = ("uint8", "int8", "int16", "uint16", "int32", "uint32", "float32", "float64")
OBLIQUE = (0.8, -0.6, 0.0, 0.6, 0.8, 0.0, 0.0, 0.0, 1.0)


def image_of(kind, size=(7, 6, 5), direction=OBLIQUE):
    values = np.random.default_rng(1).uniform(0, 120, size[::-1]).astype(kind)
    image = sitk.GetImageFromArray(values)
    image.SetSpacing((0.98, 1.3, 2.5))
    image.SetOrigin((-120.5, 33.25, 1e3))
    image.SetDirection(direction)
    return image


@pytest.mark.parametrize("kind", TYPES)
@pytest.mark.parametrize("size", [(7, 6, 5), (9, 1, 4), (6, 5, 1), (1, 1, 1)])
def test_every_byte_is_what_itk_writes(kind, size, tmp_path):
    image = image_of(kind, size)
    write_sitk(image, tmp_path / "ours.nii.gz")
    sitk.WriteImage(image, str(tmp_path / "itk.nii.gz"), True)
    ours, theirs = (gzip.open(tmp_path / f"{n}.nii.gz").read() for n in ("ours", "itk"))
    assert ours == theirs


def test_left_handed_axes_come_back(tmp_path):
    image = image_of("int16", direction=(-1, 0, 0, 0, 0, 1, 0, 1, 0))
    write_sitk(image, tmp_path / "a.nii.gz")
    read = sitk.ReadImage(str(tmp_path / "a.nii.gz"))
    assert np.allclose(read.GetDirection(), image.GetDirection(), atol=1e-6)
    assert np.allclose(read.GetOrigin(), image.GetOrigin(), atol=1e-3)
    assert (sitk.GetArrayFromImage(read) == sitk.GetArrayFromImage(image)).all()


def test_itk_multiplies_with_the_scale(tmp_path):
    image = image_of("int16")
    write_sitk(image, tmp_path / "a.nii.gz", scale=2.0**-13)
    read = sitk.ReadImage(str(tmp_path / "a.nii.gz"))
    assert read.GetPixelIDValue() == sitk.sitkFloat32
    assert (sitk.GetArrayFromImage(read) == sitk.GetArrayFromImage(image) * 2.0**-13).all()


def test_a_place_that_cannot_be_written_to_is_one_sentence(tmp_path):
    (tmp_path / "a.nii.gz").mkdir()
    with pytest.raises(RegistrationError, match="cannot be written.*Is a directory"):
        write_sitk(image_of("int16"), tmp_path / "a.nii.gz")
