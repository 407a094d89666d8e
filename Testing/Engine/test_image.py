"""Images: files in and out, against SimpleITK; what is no scalar volume is refused."""

import numpy as np
import pytest
import SimpleITK as sitk
import torch
from hypothesis import given
from references import GRIDS, PROPERTY, blobs, grids, inner_points, oblique_grid, sitk_image

from DeepRegistrationLib.errors import RegistrationError
from DeepRegistrationLib.images.geometry import Grid
from DeepRegistrationLib.images.image import (
    Image,
    from_sitk,
    grid_of,
    read_image,
    to_sitk,
    write_image,
)

SUFFIXES = [".nii.gz", ".nii", ".nrrd", ".mha", ".mhd"]
STRAIGHT = np.eye(3)


def dicom_series(folder, positions, uid="1.2.826.0.1.3680043.2.1125.1", direction=STRAIGHT):
    """CT slices at positions (mm) along the normal of ``direction``; returns their voxels."""
    folder.mkdir(exist_ok=True)
    voxels = np.random.default_rng(0).integers(-1000, 1000, (len(positions), 12, 10))
    writer = sitk.ImageFileWriter()
    writer.KeepOriginalImageUIDOn()
    for number, (position, plane) in enumerate(zip(positions, voxels, strict=True)):
        image = sitk.GetImageFromArray(plane[None].astype(np.int16))
        origin = np.array([-30.0, 20.0, 5.0]) + direction[:, 2] * position
        image.SetSpacing((0.8, 0.9, 2.5))
        image.SetOrigin(origin)
        image.SetDirection(direction.ravel())
        axes = np.concatenate([direction[:, 0], direction[:, 1]])
        tags = {
            "0008|0060": "CT",
            "0020|000d": uid + ".1",
            "0020|000e": uid,
            "0020|0013": str(number),
            "0020|0032": "\\".join(f"{v:.10g}" for v in origin),
            "0020|0037": "\\".join(f"{v:.10g}" for v in axes),
            "0028|1052": "0",
            "0028|1053": "1",
        }
        for tag, value in tags.items():
            image.SetMetaData(tag, value)
        # names in another order than the slices: position counts, not the name
        writer.SetFileName(str(folder / f"{uid}_{(number * 7) % 23:02d}.dcm"))
        writer.Execute(image)
    return voxels


@pytest.mark.parametrize("suffix", SUFFIXES)
@pytest.mark.parametrize("name", GRIDS)
def test_a_written_image_is_the_same_to_simpleitk(tmp_path, suffix, name):
    image = blobs(GRIDS[name]())
    path = tmp_path / f"image{suffix}"
    write_image(image, path)
    read = sitk.ReadImage(str(path))
    np.testing.assert_array_equal(sitk.GetArrayFromImage(read), image.data)
    for index in ((0, 0, 0), (22, 5, 3), (1, 18, 16)):
        np.testing.assert_allclose(
            read.TransformIndexToPhysicalPoint(index), image.grid.to_physical(index), atol=1e-4
        )  # NIfTI keeps its geometry in float32


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_an_image_written_by_simpleitk_is_read_with_its_geometry(tmp_path, suffix):
    image = blobs(oblique_grid())
    path = tmp_path / f"image{suffix}"
    sitk.WriteImage(sitk_image(image), str(path))
    read = read_image(path)
    assert read.grid.same_as(image.grid, 1e-4)
    assert torch.equal(read.data, image.data)
    assert read.name == path.name


@PROPERTY
@given(grids())
def test_to_simpleitk_and_back_is_the_identity(grid):
    image = Image(torch.arange(grid.voxels, dtype=torch.float32).reshape(grid.shape), grid)
    there = to_sitk(image)
    assert there.GetSize() == grid.size
    last = [n - 1 for n in grid.size]
    np.testing.assert_allclose(
        there.TransformIndexToPhysicalPoint(last), grid.to_physical(last), atol=1e-9
    )
    assert there[last] == float(image.data[-1, -1, -1])
    back = from_sitk(there)
    assert back.grid == grid
    assert torch.equal(back.data, image.data)


@pytest.mark.parametrize(
    "kind",
    [np.int8, np.uint8, np.int16, np.uint16, np.int32, np.uint32, np.int64, np.float32, np.float64],
)
def test_voxel_values_of_every_type_are_read_exactly(tmp_path, kind):
    limits = np.iinfo(kind) if np.issubdtype(kind, np.integer) else np.finfo(np.float32)
    array = np.zeros((3, 4, 5), kind)
    array[0, 0, :3] = [limits.min, limits.max, 1]
    sitk.WriteImage(sitk.GetImageFromArray(array), str(tmp_path / "x.nrrd"))
    read = read_image(tmp_path / "x.nrrd")
    assert read.data[0, 0, 0].item() == array[0, 0, 0].item()
    assert read.data[0, 0, 1].item() == array[0, 0, 1].item()
    sitk.WriteImage(to_sitk(read), str(tmp_path / "y.nrrd"))


def test_a_voxel_set_at_xyz_lies_at_zyx_in_the_array(tmp_path):
    image = sitk.Image((7, 6, 5), sitk.sitkInt16)
    image[1, 2, 3] = 42
    image.SetSpacing((0.5, 1.5, 4.0))
    sitk.WriteImage(image, str(tmp_path / "x.nii.gz"))
    read = read_image(tmp_path / "x.nii.gz")
    assert read.data[3, 2, 1] == 42
    assert read.grid.spacing == (0.5, 1.5, 4.0)
    here = torch.tensor([[1 * 0.5, 2 * 1.5, 3 * 4.0]])
    assert read.sample(here).item() == pytest.approx(42, abs=1e-4)


def test_values_at_points_are_those_of_simpleitk():
    image = blobs(oblique_grid())
    points = inner_points(image.grid)
    itk = sitk_image(image)
    expected = [itk.EvaluateAtPhysicalPoint(p, sitk.sitkLinear) for p in points.tolist()]
    found = image.sample(torch.from_numpy(points).float())
    np.testing.assert_allclose(found, expected, atol=3e-5 * float(image.data.abs().max()))
    cubic = [itk.EvaluateAtPhysicalPoint(p, sitk.sitkBSpline3) for p in points.tolist()]
    found = image.sample(torch.from_numpy(points).float(), interpolation="cubic")
    np.testing.assert_allclose(found, cubic, atol=1e-4 * float(image.data.abs().max()))


def test_a_dicom_folder_is_one_volume_in_hounsfield_units(tmp_path):
    turn = np.array(oblique_grid().direction).reshape(3, 3)
    voxels = dicom_series(tmp_path / "ct", np.arange(8) * 2.5, direction=turn)
    image = read_image(tmp_path / "ct")
    np.testing.assert_array_equal(image.data, voxels)
    expected = Grid((10, 12, 8), (0.8, 0.9, 2.5), (-30, 20, 5), tuple(turn.ravel()))
    assert image.grid.same_as(expected, 1e-4)
    assert image.name == "ct"


def test_a_dicom_series_with_a_missing_slice_is_refused(tmp_path):
    dicom_series(tmp_path / "ct", [0, 2.5, 5, 10, 12.5])
    with pytest.raises(RegistrationError, match=r"2.50 to 5.00 mm apart"):
        read_image(tmp_path / "ct")


def test_slices_that_jitter_by_a_hundredth_are_read(tmp_path):
    dicom_series(tmp_path / "ct", [0, 2.5, 5.01, 7.5, 10])
    assert read_image(tmp_path / "ct").grid.spacing[2] == pytest.approx(2.5)


def test_a_folder_with_two_series_or_none_is_refused(tmp_path):
    (tmp_path / "empty").mkdir()
    with pytest.raises(RegistrationError, match="no DICOM series"):
        read_image(tmp_path / "empty")
    dicom_series(tmp_path / "two", [0, 2.5, 5])
    dicom_series(tmp_path / "two", [0, 2.5, 5], uid="1.2.826.0.1.3680043.2.1125.2")
    with pytest.raises(RegistrationError, match="2 DICOM series"):
        read_image(tmp_path / "two")


def test_a_series_of_one_time_point_is_a_volume(tmp_path):
    single = sitk.Image((5, 6, 7, 1), sitk.sitkInt16)
    single.SetSpacing((1.0, 2.0, 3.0, 1.0))
    sitk.WriteImage(single, str(tmp_path / "x.nrrd"))
    assert read_image(tmp_path / "x.nrrd").grid == Grid((5, 6, 7), (1, 2, 3))


def flat():
    return sitk.Image((8, 9), sitk.sitkInt16)


def series():
    return sitk.Image((5, 6, 7, 3), sitk.sitkInt16)


def color():
    return sitk.Image((5, 6, 7), sitk.sitkVectorUInt8, 3)


@pytest.mark.parametrize(("make", "word"), [(flat, "2D"), (series, "4D"), (color, "color")])
def test_what_is_no_scalar_volume_is_refused(tmp_path, make, word):
    sitk.WriteImage(make(), str(tmp_path / "x.nrrd"))
    with pytest.raises(RegistrationError, match=word):
        read_image(tmp_path / "x.nrrd")


@pytest.mark.parametrize("content", [b"", b"no image at all", b"\x00" * 400])
@pytest.mark.parametrize("suffix", [".nii.gz", ".nrrd", ".mha", ".xyz"])
def test_an_unreadable_file_is_refused_with_its_name(tmp_path, content, suffix):
    path = tmp_path / f"broken{suffix}"
    path.write_bytes(content)
    with pytest.raises(RegistrationError, match="broken"):
        read_image(path)


def test_a_missing_file_is_refused(tmp_path):
    with pytest.raises(RegistrationError, match="does not exist"):
        read_image(tmp_path / "nowhere.nii.gz")


def test_an_image_goes_only_where_it_can_be_written(tmp_path):
    image = blobs(oblique_grid())
    with pytest.raises(RegistrationError, match=r"\.nii\.gz"):
        write_image(image, tmp_path / "x.jpg")
    with pytest.raises(RegistrationError, match="cannot be written"):
        write_image(image, tmp_path / "no" / "folder" / "x.nii.gz")


def test_an_array_that_does_not_fit_its_grid_is_refused():
    with pytest.raises(RegistrationError, match="does not fit"):
        Image(torch.zeros(23, 19, 17), oblique_grid())


def test_the_grid_of_a_simpleitk_image_is_its_geometry():
    grid = oblique_grid()
    assert grid_of(sitk_image(blobs(grid))) == grid
