"""The files of a registration: maps without the digits that are noise."""

import numpy as np
import pytest
import SimpleITK as sitk
import torch
from references import straight_grid, wave_field

from DeepRegistrationLib.images.image import Image, write_image
from DeepRegistrationLib.registration.engine import Registration
from DeepRegistrationLib.reports.result_files import write_results
from DeepRegistrationLib.transforms import displacement_magnitude, jacobian


@pytest.fixture
def result():
    field = wave_field(straight_grid((60, 50, 40)), 3.0, 45.0)
    grid = field.grid.with_spacing(1.0)
    return Registration(
        field,
        grid,
        warped=Image(torch.zeros(grid.shape), grid),
        jacobian=jacobian(field, grid),
        displacement=displacement_magnitude(field, grid),
    )


def values(path):
    return sitk.GetArrayFromImage(sitk.ReadImage(str(path)))


@pytest.mark.parametrize(("name", "least"), [("jacobian", 2.0**-14), ("displacement", 2.0**-11)])
def test_a_map_is_written_to_what_is_no_noise_in_fewer_bytes(result, tmp_path, name, least):
    whole = getattr(result, name)
    write_results(result, result.warped, {}, tmp_path)
    write_image(whole, tmp_path / "whole.nii.gz")
    path = tmp_path / f"{name}.nii.gz"
    assert 0 < np.abs(values(path) - whole.data.numpy()).max() <= least
    assert path.stat().st_size < 0.6 * (tmp_path / "whole.nii.gz").stat().st_size


def test_rounding_makes_no_fold_and_hides_none(result, tmp_path):
    result.jacobian.data[3, 4, :4] = torch.tensor([1e-6, -1e-6, 0.0, -0.2])
    write_results(result, result.warped, {}, tmp_path)
    found = values(tmp_path / "jacobian.nii.gz")
    assert np.array_equal(found <= 0, result.jacobian.data.numpy() <= 0)


@pytest.mark.parametrize("extreme", [-9.0, 40.0])
def test_values_beyond_16_bits_are_written_as_they_are(result, tmp_path, extreme):
    result.jacobian.data[3, 4, 5] = extreme
    write_results(result, result.warped, {}, tmp_path)
    expected = result.jacobian.data.numpy()
    found = values(tmp_path / "jacobian.nii.gz")
    assert np.allclose(found, expected, atol=2.0**-14)
