"""Every kind of transform that ITK and elastix write: read as ITK maps points, or refused."""

from __future__ import annotations

import sys

import numpy as np
import pytest
import SimpleITK as sitk
import torch

from DeepRegistrationLib.errors import RegistrationError
from DeepRegistrationLib.files.foreign_transforms import read_foreign
from DeepRegistrationLib.files.formats.elastix import read_elastix
from DeepRegistrationLib.files.points import inverse_on, pull_back
from DeepRegistrationLib.images.geometry import Grid
from DeepRegistrationLib.transforms import Affine, Composite, DisplacementField, read_transform

POINTS = np.random.default_rng(0).uniform(5, 25, (20, 3))
GRID = Grid((16, 16, 16), (2.0, 2.0, 2.0))
FIELD = [4, 4, 4, 0, 0, 0, 8, 8, 8, 1, 0, 0, 0, 1, 0, 0, 0, 1]  # size, origin, spacing, direction
AFFINE = [1.1, 0.05, 0, -0.04, 0.95, 0.02, 0, 0.01, 1.02]


def itk_text(*transforms):
    lines = ["#Insight Transform File V1.0"]
    for number, (kind, fixed, values) in enumerate(transforms):
        name = kind if "_" in kind else f"{kind}_double_3_3"
        lines += [f"#Transform {number}", f"Transform: {name}"]
        lines += [f"Parameters: {' '.join(map(str, values))}"] * (kind != "CompositeTransform")
        lines += [f"FixedParameters: {' '.join(map(str, fixed))}"] * (kind != "CompositeTransform")
    return "\n".join(lines) + "\n"


def mapped(transform):
    return transform(torch.from_numpy(POINTS)).numpy()


def about(matrix, center, shift):
    return (POINTS - center) @ np.array(matrix).reshape(3, 3).T + center + shift


C, S = np.cos(0.1), np.sin(0.1)
KINDS = {  # with the maps that ITK's Software Guide gives them
    "MatrixOffsetTransformBase": (
        ("MatrixOffsetTransformBase", [5, 6, 7], [*AFFINE, 30, -20, 12]),
        about(AFFINE, [5, 6, 7], [30, -20, 12]),
    ),
    "AffineTransform in float": (
        ("AffineTransform_float_3_3", [5, 6, 7], [*AFFINE, 30, -20, 12]),
        about(AFFINE, [5, 6, 7], [30, -20, 12]),
    ),
    "IdentityTransform": (("IdentityTransform", [], []), POINTS),
    "TranslationTransform": (("TranslationTransform", [], [1, 2, 3]), POINTS + [1, 2, 3]),
    "ScaleTransform": (
        ("ScaleTransform", [1, 2, 3], [2, 3, 4]),
        (POINTS - [1, 2, 3]) * [2, 3, 4] + [1, 2, 3],
    ),
    "QuaternionRigidTransform": (
        ("QuaternionRigidTransform", [1, 2, 3], [0, 0, np.sin(0.05), np.cos(0.05), 4, 5, 6]),
        about([C, -S, 0, S, C, 0, 0, 0, 1], [1, 2, 3], [4, 5, 6]),
    ),
    "VersorRigid3DTransform": (
        ("VersorRigid3DTransform", [1, 2, 3], [0, 0, np.sin(0.05), 4, 5, 6]),
        about([C, -S, 0, S, C, 0, 0, 0, 1], [1, 2, 3], [4, 5, 6]),
    ),
    "Similarity3DTransform": (
        ("Similarity3DTransform", [1, 2, 3], [0, 0, np.sin(0.05), 4, 5, 6, 1.5]),
        about(1.5 * np.array([C, -S, 0, S, C, 0, 0, 0, 1]) * 1.0, [1, 2, 3], [4, 5, 6]),
    ),
}


@pytest.mark.parametrize("kind", KINDS)
def test_an_affine_kind_of_itk_is_read_as_its_map(kind, tmp_path):
    written, true = KINDS[kind]
    (tmp_path / "a.tfm").write_text(itk_text(written))
    found = read_transform(tmp_path / "a.tfm")
    assert isinstance(found, Affine)
    np.testing.assert_allclose(mapped(found), true, atol=1e-4)


def test_a_composite_is_read_in_itks_order(tmp_path):
    shift = ("TranslationTransform", [], [1, 2, 3])
    scale = ("MatrixOffsetTransformBase", [0, 0, 0], [2, 0, 0, 0, 3, 0, 0, 0, 4, 0, 0, 0])
    (tmp_path / "c.tfm").write_text(itk_text(("CompositeTransform", [], []), shift, scale))
    np.testing.assert_allclose(
        mapped(read_transform(tmp_path / "c.tfm")), POINTS * [2, 3, 4] + [1, 2, 3]
    )


def test_a_composite_with_a_field_keeps_its_members(tmp_path):
    vectors = np.random.default_rng(1).normal(0, 1, (16, 16, 16, 3))
    field = sitk.GetImageFromArray(vectors, isVector=True)
    field.SetSpacing(GRID.spacing)
    parts = [sitk.TranslationTransform(3, (1, 2, 3)), sitk.DisplacementFieldTransform(field)]
    outer = sitk.CompositeTransform(parts)
    sitk.WriteTransform(outer, str(tmp_path / "c.h5"))
    found = read_transform(tmp_path / "c.h5")
    assert isinstance(found, Composite)
    true = np.array([outer.TransformPoint(tuple(p)) for p in POINTS])
    np.testing.assert_allclose(mapped(found), true, atol=1e-3)


@pytest.mark.parametrize("kind", ["GaussianSmoothingOnUpdate", "BSplineSmoothingOnUpdate"])
def test_a_field_that_was_smoothed_in_updates_is_a_field(kind, tmp_path):
    name = f"{kind}DisplacementFieldTransform"
    (tmp_path / "f.tfm").write_text(itk_text((name, FIELD, [0.5, 0, 0] * 64)))
    found = read_transform(tmp_path / "f.tfm")
    assert isinstance(found, DisplacementField)
    np.testing.assert_allclose(mapped(found), POINTS + [0.5, 0, 0], atol=1e-5)


@pytest.mark.parametrize(
    ("transform", "says"),
    [
        (("ConstantVelocityFieldTransform", FIELD, [0.5, 0, 0] * 64), "velocity field"),
        (("ThinPlateSplineKernelTransform", [], []), "a.tfm"),
        (("AffineTransform_double_2_2", [0, 0], [1, 0, 0, 1, 0, 0]), "2D"),
        (("AffineTransform", [0, 0, 0], [0] * 12), "singular"),
        (("AffineTransform", [0, 0, 0], ["nan"] * 12), "a.tfm"),
        (("AffineTransform", [0, 0, 0], [1, 0]), "a.tfm"),
    ],
)  # fmt: skip
def test_what_cannot_be_used_is_refused_by_name(transform, says, tmp_path):
    (tmp_path / "a.tfm").write_text(itk_text(transform))
    with pytest.raises(RegistrationError, match=says):
        read_transform(tmp_path / "a.tfm", GRID)


# elastix --------------------------------------------------------------------------------------

COMMON = {
    "FixedImageDimension": 3,
    "MovingImageDimension": 3,
    "Size": [20, 20, 20],
    "Index": [0, 0, 0],
    "Spacing": [4, 4, 4],
    "Origin": [0, 0, 0],
    "Direction": [1, 0, 0, 0, 1, 0, 0, 0, 1],
    "UseDirectionCosines": "true",
    "HowToCombineTransforms": "Compose",
}


def elastix_text(**entries):
    lines = []
    for name, value in {**COMMON, **entries}.items():
        values = value if isinstance(value, list) else [value]
        lines.append(f"({name} {' '.join(repr(v).replace(chr(39), chr(34)) for v in values)})")
    return "\n".join(lines) + "\n"


def toml_text(**entries):
    values = {**COMMON, **entries}.items()
    return "".join(f"{k} = {repr(v).replace(chr(39), chr(34))}\n" for k, v in values)


def translation(values, initial="NoInitialTransform"):
    return {
        "Transform": "TranslationTransform",
        "NumberOfParameters": 3,
        "TransformParameters": values,
        "InitialTransformParameterFileName": initial,
    }


@pytest.mark.parametrize(
    "named", ["C:/out/T.0.txt", "\\\\server\\share\\T.0.txt", "/home/me/T.0.txt", "T.0.txt"]
)
def test_an_initial_transform_beside_the_file_is_found_whatever_its_path_was(named, tmp_path):
    (tmp_path / "T.0.txt").write_text(elastix_text(**translation([5, 0, 0])))
    text = elastix_text(**translation([2, 0, 0], "@")).replace("@", named)
    (tmp_path / "T.1.txt").write_text(text)
    np.testing.assert_allclose(mapped(read_elastix(tmp_path / "T.1.txt")), POINTS + [7, 0, 0])


def test_a_missing_initial_transform_is_named_without_its_path(tmp_path):
    (tmp_path / "T.txt").write_text(elastix_text(**translation([2, 0, 0], "C:/x/gone.txt")))
    with pytest.raises(RegistrationError, match=r"starts from gone\.txt, which is missing"):
        read_elastix(tmp_path / "T.txt")


@pytest.mark.skipif(sys.version_info < (3, 11), reason="tomllib")
def test_a_toml_file_of_elastix_is_read_and_recognized(tmp_path):
    (tmp_path / "t.toml").write_text(toml_text(**translation([5, 6, 7])))
    found = read_foreign([tmp_path / "t.toml"]).transform
    np.testing.assert_allclose(mapped(found), POINTS + [5, 6, 7])


def test_a_file_that_points_to_an_itk_transform_is_followed(tmp_path):
    sitk.WriteTransform(sitk.TranslationTransform(3, (1, 2, 3)), str(tmp_path / "t.tfm"))
    text = '(Transform "File")\n(TransformFileName "t.tfm")\n'
    (tmp_path / "f.txt").write_text(text)
    found = read_foreign([tmp_path / "f.txt"]).transform
    np.testing.assert_allclose(mapped(found), POINTS + [1, 2, 3])
    (tmp_path / "T.1.txt").write_text(elastix_text(**translation([2, 0, 0], "f.txt")))
    np.testing.assert_allclose(mapped(read_elastix(tmp_path / "T.1.txt")), POINTS + [3, 2, 3])
    (tmp_path / "t.tfm").unlink()
    with pytest.raises(
        RegistrationError, match=r"points to the transform t\.tfm, which is missing"
    ):
        read_elastix(tmp_path / "f.txt")


def test_parameters_in_a_binary_file_are_read_and_counted(tmp_path):
    values = translation("T.0.dat") | {"UseBinaryFormatForTransformationParameters": "true"}
    (tmp_path / "T.0.txt").write_text(elastix_text(**values))
    np.array([5.0, 6.0, 7.0]).tofile(tmp_path / "T.0.dat")
    np.testing.assert_allclose(mapped(read_elastix(tmp_path / "T.0.txt")), POINTS + [5, 6, 7])
    np.array([5.0, 6.0]).tofile(tmp_path / "T.0.dat")
    with pytest.raises(RegistrationError, match="2 numbers instead of 3"):
        read_elastix(tmp_path / "T.0.txt")


@pytest.mark.parametrize("value", ["nan", "inf"])
def test_a_spline_of_elastix_that_is_not_finite_is_refused(value, tmp_path):
    spline = {
        "Transform": "BSplineTransform",
        "TransformParameters": [0.0] * 374 + [1.5],
        "GridSize": [5, 5, 5],
        "GridSpacing": [20, 20, 20],
        "GridOrigin": [-20, -20, -20],
        "GridDirection": [1, 0, 0, 0, 1, 0, 0, 0, 1],
    }
    text = elastix_text(**spline)
    (tmp_path / "T.txt").write_text(text)
    read_foreign([tmp_path / "T.txt"])
    (tmp_path / "T.txt").write_text(text.replace("1.5", value))
    with pytest.raises(RegistrationError, match="not finite"):
        read_foreign([tmp_path / "T.txt"])


@pytest.mark.parametrize(
    "text",
    [
        elastix_text(**translation([1, 2, 3])).replace("Size 20 20 20", "Size 20 20 x"),
        elastix_text(**translation([1, 2, 3])).replace("Size 20 20 20", "Size 20 20 -3"),
        elastix_text(**translation([1, 2, 3])).replace("Spacing 4 4 4", "Spacing 4 4 0"),
        '(Transform "")\n',
        '(Transform "EulerTransform")\n(TransformParameters 1)\n',
        elastix_text(**translation([1, 2])),
    ],
)
def test_a_damaged_file_of_elastix_is_refused(text, tmp_path):
    (tmp_path / "T.txt").write_text(text)
    with pytest.raises(RegistrationError):
        read_foreign([tmp_path / "T.txt"], "elastix")


# Inverses -------------------------------------------------------------------------------------


def wave(amplitude):
    """u = amplitude sin(x / 8) along x: folds where the amplitude is above 8 mm."""
    x = torch.arange(20.0) * 4
    vectors = torch.zeros(3, 20, 20, 20)
    vectors[0] = amplitude * torch.sin(x / 8)
    return DisplacementField(vectors, Grid((20, 20, 20), (4.0, 4.0, 4.0)))


def test_the_inverse_of_a_folding_field_is_said_to_be_none():
    _, warnings = inverse_on(wave(30.0), wave(0.0).grid)
    assert len(warnings) == 1 and "folds in" in warnings[0] and "residual" in warnings[0]
    with pytest.raises(RegistrationError, match="no inverse everywhere"):
        pull_back(wave(30.0), wave(0.0).grid, inverse=True)


def test_of_an_inverse_that_exists_nothing_is_said():
    field, warnings = inverse_on(wave(4.0), wave(0.0).grid)
    assert warnings == []
    inner = torch.tensor([[20.0, 30.0, 40.0], [44.0, 12.0, 8.0]])
    assert float((field(wave(4.0)(inner)) - inner).norm(dim=-1).max()) < 0.5
    assert inverse_on(Affine(translation=(1, 2, 3)), wave(0.0).grid)[1] == []
