"""Transforms as files: SimpleITK reads ours, and we read SimpleITK's, with the same meaning."""

import numpy as np
import pytest
import SimpleITK as sitk
import torch
from references import (
    GRIDS,
    as_field,
    blobs,
    inner_points,
    itk_points,
    oblique_grid,
    ras_grid,
    rotation,
    sitk_field,
    sitk_image,
    straight_grid,
    wave_field,
)

from DeepRegistrationLib.errors import RegistrationError
from DeepRegistrationLib.images.geometry import Grid
from DeepRegistrationLib.images.image import write_image
from DeepRegistrationLib.transforms import (
    Affine,
    Composite,
    DisplacementField,
    VelocityField,
    read_transform,
    warp,
    write_transform,
)
from DeepRegistrationLib.transforms.io import displacement_image, from_itk

AFFINE = Affine(rotation(5, -10, 15) @ np.diag([1.1, 0.9, 1.05]), (12.0, -7.0, 3.0))


def cases(grid):
    field = wave_field(grid, 3.0, 45.0)
    return {
        "affine": AFFINE,
        "field": field,
        "velocity": VelocityField(wave_field(grid, 2.0, 50.0).vectors, grid),
        "field then affine": Composite([field, AFFINE]),
        "affine then field": Composite([Affine(translation=(2.0, 1.0, -2.0)), field]),
        "three": Composite([Affine(translation=(1.0, 0.0, 0.0)), field, AFFINE]),
    }


@pytest.mark.parametrize("suffix", [".h5", ".tfm"])
@pytest.mark.parametrize("kind", list(cases(straight_grid())))
@pytest.mark.parametrize("name", GRIDS)
def test_a_written_transform_moves_points_alike_in_simpleitk_and_read_back(
    tmp_path, name, kind, suffix
):
    grid = GRIDS[name]()
    transform = cases(grid)[kind]
    path = tmp_path / f"transform{suffix}"
    write_transform(transform, path)
    points = inner_points(grid, margin=0.2)  # ITK knows no displacement outside the field
    expected = transform(torch.from_numpy(points)).numpy()
    found = itk_points(sitk.ReadTransform(str(path)), points)
    np.testing.assert_allclose(found, expected, atol=1e-6)
    back = read_transform(path)
    np.testing.assert_allclose(back(torch.from_numpy(points)), expected, atol=1e-6)


@pytest.mark.parametrize("suffix", [".nii.gz", ".nrrd", ".mha"])
@pytest.mark.parametrize("name", GRIDS)
def test_a_displacement_image_moves_points_alike_in_simpleitk_and_read_back(tmp_path, name, suffix):
    field = wave_field(GRIDS[name](), 3.0, 45.0)
    path = tmp_path / f"field{suffix}"
    write_transform(field, path)
    points = inner_points(field.grid)
    expected = field(torch.from_numpy(points)).numpy()
    image = sitk.ReadImage(str(path), sitk.sitkVectorFloat64)
    found = itk_points(sitk.DisplacementFieldTransform(image), points)
    # NIfTI keeps its geometry in float32: 1e-5 mm
    np.testing.assert_allclose(found, expected, atol=1e-4)
    np.testing.assert_allclose(read_transform(path)(torch.from_numpy(points)), expected, atol=1e-4)


def test_a_nifti_displacement_field_of_slicer_is_turned_from_ras_to_lps(tmp_path):
    """NIfTI's intent 1006 says that the vectors are displacements in RAS."""
    nibabel = pytest.importorskip("nibabel")
    vectors = np.zeros((6, 5, 4, 1, 3), np.float32)
    vectors[...] = [1.0, 2.0, 3.0]
    image = nibabel.Nifti1Image(vectors, np.diag([2.0, 2.0, 2.0, 1.0]))
    image.header.set_intent(1006)
    nibabel.save(image, tmp_path / "field.nii.gz")
    field = read_transform(tmp_path / "field.nii.gz")
    moved = field(torch.tensor([[-4.0, -4.0, 4.0]])) - torch.tensor([[-4.0, -4.0, 4.0]])
    torch.testing.assert_close(moved, torch.tensor([[-1.0, -2.0, 3.0]]))


def test_lps_and_ras_differ_for_points_and_for_vectors():
    """The same anatomy, described in LPS and in RAS, moves alike: both point and vector flip."""
    flip = np.diag([-1.0, -1.0, 1.0])
    field = wave_field(ras_grid())
    points = inner_points(field.grid)
    grid = field.grid
    mirrored = Grid(
        grid.size, grid.spacing, tuple(flip @ grid.origin),
        tuple((flip @ np.reshape(grid.direction, (3, 3))).ravel()),
    )  # fmt: skip
    vectors = field.vectors.movedim(0, -1).numpy() @ flip
    in_ras = as_field(vectors, mirrored)(torch.from_numpy(points @ flip)).numpy()
    np.testing.assert_allclose(in_ras @ flip, field(torch.from_numpy(points)).numpy(), atol=1e-6)


@pytest.mark.parametrize("interpolation", ["linear", "cubic"])
@pytest.mark.parametrize("suffix", [".h5", ".tfm"])
def test_the_written_warped_image_is_the_written_transform_applied_by_simpleitk(
    tmp_path, suffix, interpolation
):
    fixed = oblique_grid((30, 27, 24), (1.3, 1.2, 1.9))
    moving = ras_grid((34, 30, 22), (1.1, 1.4, 2.0))
    origin = AFFINE(torch.from_numpy(fixed.center())).numpy() - moving.center() + moving.origin
    moving = blobs(Grid(moving.size, moving.spacing, tuple(origin), moving.direction))
    transform = Composite([wave_field(fixed.with_spacing(2.0), 3.0, 45.0), AFFINE])
    write_transform(transform, tmp_path / f"t{suffix}")
    write_image(
        warp(moving, transform, fixed, interpolation=interpolation, fill=-1000.0),
        tmp_path / "warped.nii.gz",
    )
    kind = {"linear": sitk.sitkLinear, "cubic": sitk.sitkBSpline}[interpolation]
    written = sitk.ReadImage(str(tmp_path / "warped.nii.gz"))
    expected = sitk.Resample(
        sitk_image(moving), fixed.size, sitk.ReadTransform(str(tmp_path / f"t{suffix}")), kind,
        fixed.origin, fixed.spacing, fixed.direction, -1000.0,
    )  # fmt: skip
    ours, theirs = sitk.GetArrayFromImage(written), sitk.GetArrayFromImage(expected)
    border = (ours == -1000) != (theirs == -1000)
    assert border.mean() < 2e-3
    assert (theirs != -1000).mean() > 0.3
    assert np.abs(ours - theirs)[~border].max() < 2e-4 * np.abs(moving.data.numpy()).max()


def bspline(grid):
    """A SimpleITK B-spline transform over the grid with random coefficients of some mm."""
    image = sitk.Image(grid.size, sitk.sitkUInt8)
    image.SetOrigin(grid.origin)
    image.SetSpacing(grid.spacing)
    image.SetDirection(grid.direction)
    transform = sitk.BSplineTransformInitializer(image, (4, 4, 4), order=3)
    count = len(transform.GetParameters())
    transform.SetParameters(np.random.default_rng(4).normal(0, 3, count).tolist())
    return transform


@pytest.mark.parametrize("name", GRIDS)
def test_a_bspline_of_simpleitk_is_read_on_the_fixed_grid(tmp_path, name):
    grid = GRIDS[name]()
    spline = bspline(grid)
    sitk.WriteTransform(spline, str(tmp_path / "spline.tfm"))
    found = read_transform(tmp_path / "spline.tfm", grid)
    index = np.random.default_rng(0).integers(0, np.array(grid.size), (60, 3))
    points = grid.to_physical(index)
    expected = itk_points(spline, points)
    assert np.abs(expected - points).max() > 3
    np.testing.assert_allclose(found(torch.from_numpy(points)), expected, atol=1e-5)


def test_a_bspline_after_an_affine_is_read_where_the_affine_puts_it(tmp_path):
    grid = straight_grid()
    moved = Grid(grid.size, grid.spacing, tuple(np.add(grid.origin, (60, 0, 0))), grid.direction)
    shift = sitk.TranslationTransform(3, (60.0, 0.0, 0.0))
    chain = sitk.CompositeTransform([bspline(moved), shift])  # the shift is applied first
    sitk.WriteTransform(chain, str(tmp_path / "chain.h5"))
    found = read_transform(tmp_path / "chain.h5", grid)
    points = grid.points(dtype=torch.float64)[2:-2:4, 2:-2:4, 2:-2:4].reshape(-1, 3)
    expected = itk_points(chain, points.numpy())
    np.testing.assert_allclose(found(points), expected, atol=1e-4)


def test_a_bspline_without_a_grid_is_refused_with_what_to_give(tmp_path):
    sitk.WriteTransform(bspline(straight_grid()), str(tmp_path / "spline.tfm"))
    with pytest.raises(RegistrationError, match="fixed image"):
        read_transform(tmp_path / "spline.tfm")


@pytest.mark.parametrize(
    "make",
    [
        lambda: sitk.Euler3DTransform((10.0, 20.0, 30.0), 0.1, -0.2, 0.3, (4.0, 5.0, 6.0)),
        lambda: sitk.TranslationTransform(3, (1.0, 2.0, 3.0)),
        lambda: sitk.VersorRigid3DTransform((0.0, 0.0, 1.0), 0.4, (1.0, 2.0, 3.0)),
        lambda: sitk.Similarity3DTransform(1.2, (0.0, 1.0, 0.0), 0.3, (1.0, 2.0, 3.0)),
        lambda: sitk.ScaleTransform(3, (1.1, 0.9, 1.2)),
        lambda: sitk.Transform(3, sitk.sitkIdentity),
    ],
)
def test_every_linear_transform_of_simpleitk_is_read_as_an_affine(tmp_path, make):
    itk = make()
    sitk.WriteTransform(itk, str(tmp_path / "t.tfm"))
    found = read_transform(tmp_path / "t.tfm")
    points = inner_points(straight_grid(), 20)
    members = found.members
    assert all(isinstance(member, Affine) for member in members)
    np.testing.assert_allclose(found(torch.from_numpy(points)), itk_points(itk, points), atol=1e-9)


def test_a_composite_of_composites_keeps_its_order():
    field = wave_field(straight_grid())
    shift = sitk.TranslationTransform(3, (5.0, 0.0, 0.0))
    turn = sitk.Euler3DTransform((0.0, 0.0, 0.0), 0.1, 0.2, 0.3)
    inner = sitk.CompositeTransform([shift, turn])
    outer = sitk.CompositeTransform([inner, sitk_field(field)])
    points = inner_points(field.grid)
    found = from_itk(outer)(torch.from_numpy(points))
    np.testing.assert_allclose(found, itk_points(outer, points), atol=1e-6)


def test_a_displacement_image_for_itk_is_float64_only_when_asked():
    field = wave_field(oblique_grid())
    for double, kind in ((False, sitk.sitkVectorFloat32), (True, sitk.sitkVectorFloat64)):
        image = displacement_image(field, double=double)
        assert image.GetPixelID() == kind
        array = np.moveaxis(sitk.GetArrayFromImage(image), -1, 0)
        np.testing.assert_array_equal(array, field.vectors)


def test_a_chain_cannot_be_one_displacement_image_until_it_is_sampled(tmp_path):
    grid = straight_grid()
    chain = Composite([wave_field(grid), AFFINE])
    with pytest.raises(RegistrationError, match="DisplacementField.of"):
        write_transform(chain, tmp_path / "field.nii.gz")
    write_transform(DisplacementField.of(chain, grid), tmp_path / "field.nii.gz")
    points = grid.points(dtype=torch.float64)
    back = read_transform(tmp_path / "field.nii.gz")
    assert isinstance(back, DisplacementField)
    np.testing.assert_allclose(back(points), chain(points), atol=2e-4)


def test_files_that_hold_no_3d_transform_are_refused(tmp_path):
    with pytest.raises(RegistrationError, match="does not exist"):
        read_transform(tmp_path / "nowhere.h5")
    for name in ("broken.h5", "broken.tfm", "broken.nii.gz"):
        (tmp_path / name).write_bytes(b"this is no transform")
        with pytest.raises(RegistrationError, match="cannot be read"):
            read_transform(tmp_path / name)
    sitk.WriteTransform(sitk.Euler2DTransform(), str(tmp_path / "flat.tfm"))
    with pytest.raises(RegistrationError, match="2D"):
        read_transform(tmp_path / "flat.tfm")
    write_image(blobs(straight_grid()), tmp_path / "scalar.nii.gz")
    with pytest.raises(RegistrationError, match="not a displacement field"):
        read_transform(tmp_path / "scalar.nii.gz")


def test_transforms_go_only_where_they_can_be_written(tmp_path):
    with pytest.raises(RegistrationError, match="written as"):
        write_transform(AFFINE, tmp_path / "t.json")
    for name in ("t.h5", "t.tfm"):
        with pytest.raises(RegistrationError, match="cannot be written"):
            write_transform(AFFINE, tmp_path / "no" / "folder" / name)
