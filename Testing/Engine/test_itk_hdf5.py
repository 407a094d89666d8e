"""Transform files of half the bytes: ITK and Slicer read what SimpleITK wrote in float64."""

import numpy as np
import pytest
import SimpleITK as sitk
import torch
from references import GRIDS, itk_points, wave_field

from DeepRegistrationLib.errors import RegistrationError
from DeepRegistrationLib.transforms import Affine, Composite, DisplacementField, write_transform
from DeepRegistrationLib.transforms.io import to_itk
from DeepRegistrationLib.transforms.itk_hdf5 import Numbers, StoredTransform, write_itk_transforms

AFFINE = Affine(np.diag([1.1, 0.9, 1.05]), (12.0, -7.0, 3.0))


@pytest.fixture(params=GRIDS)
def transform(request):
    return Composite([AFFINE, wave_field(GRIDS[request.param](), 3.0, 45.0), AFFINE.inverse()])


def flat(transform):
    """ITK's parameters of every member, in its order."""
    members = sitk.CompositeTransform(transform)
    each = [members.GetNthTransform(k) for k in range(members.GetNumberOfTransforms())]
    return [(t.GetName(), t.GetFixedParameters(), t.GetParameters()) for t in each]


def test_simpleitk_reads_the_very_numbers_of_its_own_form(transform, tmp_path):
    write_transform(transform, tmp_path / "ours.h5")
    assert flat(sitk.ReadTransform(str(tmp_path / "ours.h5"))) == flat(to_itk(transform))


def test_a_field_takes_twelve_bytes_a_voxel(tmp_path):
    field = wave_field(GRIDS["straight"]((40, 40, 40)))
    write_transform(field, tmp_path / "ours.h5")
    sitk.WriteTransform(to_itk(field), str(tmp_path / "itk.h5"))
    whole = 12 * field.grid.voxels
    assert whole < (tmp_path / "ours.h5").stat().st_size < whole + 16_384
    assert (tmp_path / "itk.h5").stat().st_size > 2 * whole


def test_slicers_own_reader_takes_it_as_simpleitks_file(transform, tmp_path):
    slicer = pytest.importorskip("slicer", reason="slicer-core is not installed")
    write_transform(transform, tmp_path / "ours.h5")
    sitk.WriteTransform(to_itk(transform), str(tmp_path / "itk.h5"))
    points = np.random.default_rng(0).uniform(-30, 30, (50, 3))
    found = []
    for name in ("ours.h5", "itk.h5"):
        scene = slicer.vtkMRMLScene()
        node, storage = slicer.vtkMRMLTransformNode(), slicer.vtkMRMLTransformStorageNode()
        scene.AddNode(node)
        scene.AddNode(storage)
        storage.SetFileName(str(tmp_path / name))
        assert storage.ReadData(node) == 1
        parent = node.GetTransformFromParent()
        found.append([parent.TransformPoint(point) for point in points.tolist()])
    np.testing.assert_array_equal(*found)
    assert np.abs(found[0] - points).max() > 1.0


def test_a_file_that_was_cut_short_is_not_read_as_a_transform(tmp_path):
    path = tmp_path / "field.h5"
    write_transform(wave_field(GRIDS["straight"]()), path)
    path.write_bytes(path.read_bytes()[:-100])
    with pytest.raises(RuntimeError):
        sitk.ReadTransform(str(path))


def test_a_field_of_a_view_is_written_in_its_own_order(tmp_path):
    """On any strides of memory, and of a single plane."""
    field = wave_field(GRIDS["straight"]())
    turned = DisplacementField(
        field.vectors.permute(3, 1, 2, 0).contiguous().permute(3, 1, 2, 0), field.grid
    )
    write_transform(turned, tmp_path / "field.h5")
    points = field.grid.to_physical(np.array([[3.3, 4.4, 5.5]]))
    moved = itk_points(sitk.ReadTransform(str(tmp_path / "field.h5")), points)
    np.testing.assert_allclose(moved, field(torch.from_numpy(points)).numpy(), atol=1e-6)


def test_a_folder_that_is_missing_is_said_in_a_sentence(tmp_path):
    with pytest.raises(RegistrationError, match="cannot be written"):
        write_transform(AFFINE, tmp_path / "missing" / "transform.h5")


def test_other_numbers_than_were_announced_are_an_error(tmp_path):
    kind = StoredTransform("AffineTransform_double_3_3", Numbers(3, "<f8", [np.zeros(2)]))
    with pytest.raises(ValueError, match="3 numbers"):
        write_itk_transforms([kind], tmp_path / "short.h5")
