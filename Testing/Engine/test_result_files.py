"""The files of a registration: maps without the digits that are noise."""

import threading

import numpy as np
import pytest
import SimpleITK as sitk
import torch
from references import straight_grid, wave_field

from DeepRegistrationLib.errors import RegistrationError
from DeepRegistrationLib.images.image import Image, write_image
from DeepRegistrationLib.registration.engine import Registration
from DeepRegistrationLib.reports import result_files
from DeepRegistrationLib.reports.result_files import write_results, writing_results
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


def test_files_are_written_beside_the_block_and_complete_at_its_end(result, tmp_path, monkeypatch):
    begun, wait = threading.Event(), threading.Event()
    write = result_files.write_image

    def slow(image, path, **more):
        begun.set()
        assert wait.wait(60)
        write(image, path, **more)

    monkeypatch.setattr(result_files, "write_image", slow)
    with writing_results(result, result.warped, tmp_path):
        assert begun.wait(60)
        assert not (tmp_path / "jacobian.nii.gz").exists()
        wait.set()
    names = {"transform.h5", "warped.nii.gz", "jacobian.nii.gz", "displacement.nii.gz"}
    assert {path.name for path in tmp_path.iterdir()} == names
    assert values(tmp_path / "jacobian.nii.gz").shape == result.grid.shape


@pytest.mark.parametrize("writer", ["write_image", "write_transform"])
def test_what_goes_wrong_beside_the_block_is_raised_at_its_end(
    result, tmp_path, monkeypatch, writer
):
    def fails(*_, **__):
        raise RegistrationError("It cannot be written; free some disk space.")

    monkeypatch.setattr(result_files, writer, fails)
    ended = False
    with pytest.raises(RegistrationError, match="^It cannot be written; free some disk space.$"):
        with writing_results(result, result.warped, tmp_path):
            ended = True
    assert ended


def test_an_error_of_the_block_goes_first_and_leaves_no_thread(result, tmp_path, monkeypatch):
    def fails(*_, **__):
        raise RegistrationError("It cannot be written; free some disk space.")

    monkeypatch.setattr(result_files, "write_image", fails)
    before = threading.active_count()
    with pytest.raises(KeyboardInterrupt), writing_results(result, result.warped, tmp_path):
        raise KeyboardInterrupt
    assert threading.active_count() == before
