"""Transforms of elastix and ANTs, against those programs' own rules."""

from pathlib import Path

import numpy as np
import pytest
import SimpleITK as sitk
from references import (
    SHEAR,
    at,
    inner_points,
    itk_points,
    oblique_grid,
    rotation,
    sitk_field,
    straight_grid,
    wave_field,
)

from DeepRegistrationLib.errors import RegistrationError
from DeepRegistrationLib.files.foreign_transforms import read_foreign
from DeepRegistrationLib.images.image import set_geometry

# elastix


RECORDED = Path(__file__).parent / "elastix"  # by record_elastix.py


def test_an_elastix_chain_maps_as_its_own_transformix():
    table = np.loadtxt(RECORDED / "points.csv", delimiter=",", skiprows=1)
    points, moved = table[:, :3], table[:, 3:]
    assert np.abs(moved - points).max() > 1
    imported = read_foreign([RECORDED / "TransformParameters.1.txt"])
    assert "fixed to moving" in imported.direction
    np.testing.assert_allclose(at(imported.transform, points), moved, atol=2e-4)
    affine = read_foreign([RECORDED / "TransformParameters.0.txt"]).transform
    assert np.abs(at(affine, points) - moved).max() > 0.5


def elastix_file(path, kind, values, **more):
    grid = straight_grid()
    lines = {
        "Transform": f'"{kind}"',
        "FixedImageDimension": "3",
        "NumberOfParameters": str(len(values)),
        "TransformParameters": " ".join(f"{v:.12g}" for v in values),
        "Size": " ".join(map(str, grid.size)),
        "Spacing": " ".join(map(str, grid.spacing)),
        "Origin": " ".join(map(str, grid.origin)),
        "Direction": "1 0 0 0 1 0 0 0 1",
        "CenterOfRotationPoint": "5 -3 20",
        **more,
    }
    path.write_text("".join(f"({name} {value})\n" for name, value in lines.items()))
    return path


def test_elastix_rotations_translations_and_scales(tmp_path):
    points = inner_points(straight_grid())
    center = np.array([5.0, -3.0, 20.0])
    path = elastix_file(tmp_path / "t.txt", "EulerTransform", [0.1, 0.2, -0.3, 1, 2, 3])
    x, y, z = (rotation(*np.rad2deg(a)) for a in ((0.1, 0, 0), (0, 0.2, 0), (0, 0, -0.3)))
    expected = (points - center) @ (z @ x @ y).T + center + [1, 2, 3]
    np.testing.assert_allclose(at(read_foreign([path]).transform, points), expected, atol=1e-9)
    path = elastix_file(tmp_path / "t.txt", "SimilarityTransform", [0, 0, 0, 1, 2, 3, 1.2])
    expected = (points - center) * 1.2 + center + [1, 2, 3]
    np.testing.assert_allclose(at(read_foreign([path]).transform, points), expected, atol=1e-9)
    path = elastix_file(tmp_path / "t.txt", "TranslationTransform", [1, 2, 3])
    np.testing.assert_allclose(at(read_foreign([path]).transform, points), points + [1, 2, 3])


@pytest.mark.parametrize("how", ["Compose", "Add"])
def test_elastix_combines_as_its_manual_says(tmp_path, how):
    elastix_file(tmp_path / "0.txt", "TranslationTransform", [10, 0, 0])
    values = np.append(SHEAR.matrix.ravel(), SHEAR.translation)
    more = {
        "InitialTransformParameterFileName": '"0.txt"',
        "HowToCombineTransforms": f'"{how}"',
        "CenterOfRotationPoint": "0 0 0",
    }
    path = elastix_file(tmp_path / "1.txt", "AffineTransform", values, **more)
    points = inner_points(straight_grid())
    shift = np.array([10.0, 0, 0])
    expected = {
        "Compose": (points + shift) @ SHEAR.matrix.T + SHEAR.translation,
        "Add": points @ SHEAR.matrix.T + SHEAR.translation + shift,
    }[how]
    np.testing.assert_allclose(at(read_foreign([path]).transform, points), expected, atol=1e-4)


# ANTs


@pytest.fixture
def ants(tmp_path):
    """Files as antsRegistration names and writes them: affine .mat, 1Warp, 1InverseWarp."""
    grid = oblique_grid()
    affine = sitk.AffineTransform(3)
    affine.SetMatrix(SHEAR.matrix.ravel().tolist())
    affine.SetTranslation(SHEAR.translation.tolist())
    sitk.WriteTransform(affine, str(tmp_path / "out0GenericAffine.mat"))
    for name, length in (("Warp", 40.0), ("InverseWarp", 60.0)):
        image = sitk_field(wave_field(grid, length=length)).GetDisplacementField()
        image = sitk.Cast(image, sitk.sitkVectorFloat32)
        sitk.WriteImage(image, str(tmp_path / f"out1{name}.nii.gz"))
    return tmp_path, affine, grid


@pytest.mark.parametrize("turned", [False, True], ids=["as given to ANTs", "turned round"])
def test_ants_warp_acts_before_its_affine(ants, turned):
    folder, affine, grid = ants
    files = [folder / "out1Warp.nii.gz", folder / "out0GenericAffine.mat"]
    imported = read_foreign(files[::-1] if turned else files)
    points = inner_points(grid)
    warped = itk_points(sitk_field(wave_field(grid)), points)
    expected = itk_points(affine, warped)
    np.testing.assert_allclose(at(imported.transform, points), expected, atol=1e-4)
    assert imported.notes == ()


def test_ants_inverse_warp_acts_after_the_inverse_affine(ants):
    folder, affine, grid = ants
    files = [folder / "out1InverseWarp.nii.gz", folder / "out0GenericAffine.mat"]
    imported = read_foreign(files)
    points = itk_points(affine, inner_points(grid))
    back = itk_points(affine.GetInverse(), points)
    expected = itk_points(sitk_field(wave_field(grid, length=60.0)), back)
    np.testing.assert_allclose(at(imported.transform, points), expected, atol=1e-4)
    assert "moving to fixed" in imported.direction


def test_an_ants_warp_without_its_affine_is_taken_and_told(ants):
    folder, _, grid = ants
    imported = read_foreign([folder / "out1Warp.nii.gz"])
    assert imported.notes == ("no affine was given: this is the warp alone",)
    points = inner_points(grid)
    expected = itk_points(sitk_field(wave_field(grid)), points)
    np.testing.assert_allclose(at(imported.transform, points), expected, atol=1e-5)


# What is not clear is refused


def test_unclear_files_are_refused(tmp_path):
    odd = elastix_file(tmp_path / "odd.txt", "SplineKernelTransform", [1])
    chain = elastix_file(
        tmp_path / "chain.txt",
        "TranslationTransform",
        [1, 2, 3],
        InitialTransformParameterFileName='"gone.txt"',
    )
    circle = elastix_file(
        tmp_path / "circle.txt",
        "TranslationTransform",
        [1, 2, 3],
        InitialTransformParameterFileName='"circle.txt"',
    )
    flat = elastix_file(tmp_path / "flat.txt", "TranslationTransform", [1, 2])
    image = set_geometry(sitk.Image(4, 4, 4, sitk.sitkFloat32), straight_grid((4, 4, 4)))
    sitk.WriteImage(image, str(tmp_path / "scalar.nii.gz"))
    cases = [
        ([odd], None, "transformix -def all"),
        ([chain], None, "gone.txt, which is missing"),
        ([circle], None, "circle"),
        ([flat], None, "2 numbers in TransformParameters instead of 3"),
        ([odd, chain, flat], None, "only ANTs needs two"),
        ([chain, flat], None, "Of an elastix chain give the last file"),
        ([tmp_path / "none.h5"], None, "does not exist"),
        ([tmp_path / "scalar.nii.gz"], None, "not a displacement field"),
        ([tmp_path / "scalar.nii.gz"], "niftyreg", "not a 3D NiftyReg transform"),
        ([tmp_path / "scalar.nii.gz"] * 2, "ants", "not two of the same kind"),
    ]
    for files, tool, message in cases:
        with pytest.raises(RegistrationError, match=message):
            read_foreign(files, tool)
