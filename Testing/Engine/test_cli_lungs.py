"""``deepreg lungs``."""

import numpy as np
import pytest
import SimpleITK as sitk
import trivial

from DeepRegistrationLib.cli import main
from DeepRegistrationLib.data.phantoms import thorax
from DeepRegistrationLib.images.image import write_image


def test_the_lungs_of_a_chest_ct_are_written_on_its_grid(tmp_path, capsys):
    pair = thorax((64, 50, 58), (5.0, 5.0, 5.0))
    chest, mask = tmp_path / "chest.nii.gz", tmp_path / "lungs.nii.gz"
    write_image(pair.fixed, chest)
    assert main(["lungs", str(chest), "--output", str(mask)]) == 0
    truth = sitk.ReadImage(str(chest))
    written = sitk.ReadImage(str(mask))
    assert written.GetSize() == truth.GetSize()
    assert np.allclose(written.GetOrigin(), truth.GetOrigin(), atol=1e-3)
    inside, lungs = sitk.GetArrayFromImage(written) != 0, pair.fixed_lungs.data.numpy() != 0
    assert 2 * np.sum(inside & lungs) / (inside.sum() + lungs.sum()) > 0.9
    assert f"{inside.sum() * 125e-6:.2f} l of lung" in capsys.readouterr().out


def test_a_lung_that_is_missing_is_said(tmp_path, capsys):
    pair = thorax((64, 50, 58), (5.0, 5.0, 5.0), landmarks=0)
    left = (pair.fixed_lungs.data != 0) & (pair.fixed.grid.points()[..., 0] > 0)
    pair.fixed.data[left] = 40.0
    chest = tmp_path / "chest.nii.gz"
    write_image(pair.fixed, chest)
    assert main(["lungs", str(chest), "--output", str(tmp_path / "lungs.nii.gz")]) == 0
    assert "one lung was found where the body has room for two" in capsys.readouterr().err


def test_an_image_without_lungs_is_refused_and_nothing_is_written(tmp_path, refuse):
    image = trivial.volume(tmp_path / "image.nii.gz")
    sentence = refuse("lungs", image, "--output", tmp_path / "lungs.nii.gz")
    assert "chest CT" in sentence


@pytest.mark.parametrize("name", ["lungs.txt", "lungs"])
def test_a_mask_needs_a_format_that_holds_images(tmp_path, refuse, name):
    image = trivial.volume(tmp_path / "image.nii.gz")
    assert ".nii.gz" in refuse("lungs", image, "--output", tmp_path / name)
