"""``deepreg convert``, and ``deepreg apply`` to DICOM structures and dose."""

import dicom_pair
import numpy as np
import pydicom
import pytest
import SimpleITK as sitk
from references import inner_points, itk_points, rotation, sitk_field, straight_grid, wave_field

from DeepRegistrationLib.cli import main
from DeepRegistrationLib.transforms import Affine, write_transform

SHIFT = (6.0, -4.0, 5.0)
GRID = straight_grid((24, 22, 12), (2.0, 2.0, 2.5))


@pytest.fixture
def folders(tmp_path):
    """Fixed and moving DICOM series, and a shift written as .h5."""
    made = [dicom_pair.series(tmp_path / side, GRID) for side in ("fixed", "moving")]
    write_transform(Affine(translation=SHIFT), tmp_path / "t.h5")
    return made


def run(*arguments):
    assert main([str(a) for a in arguments]) == 0


def test_a_field_goes_to_dicom_and_back(tmp_path, folders, capsys):
    fixed, moving = folders
    write_transform(wave_field(GRID), tmp_path / "u.nii.gz")
    sides = ("--reference", fixed.folder, "--moving", moving.folder)
    run("convert", tmp_path / "u.nii.gz", tmp_path / "reg.dcm", *sides)
    run("convert", tmp_path / "reg.dcm", tmp_path / "back.nii.gz")
    assert "registered to source points" in capsys.readouterr().out
    first, second = (sitk.ReadImage(str(tmp_path / n)) for n in ("u.nii.gz", "back.nii.gz"))
    found, given = sitk.GetArrayFromImage(second), sitk.GetArrayFromImage(first)
    np.testing.assert_array_equal(found, given)


def test_ants_files_become_one_transform_that_itk_maps_alike(tmp_path, capsys):
    affine = sitk.AffineTransform(3)
    affine.SetMatrix(rotation(3, 4, 5).ravel().tolist())
    affine.SetTranslation(SHIFT)
    sitk.WriteTransform(affine, str(tmp_path / "0GenericAffine.mat"))
    write_transform(wave_field(GRID), tmp_path / "1Warp.nii.gz")
    files = (tmp_path / "0GenericAffine.mat", tmp_path / "1Warp.nii.gz")
    run("convert", *files, tmp_path / "t.h5", "--from", "ants")
    assert "warp before the affine" in capsys.readouterr().out
    points = inner_points(GRID)
    expected = itk_points(affine, itk_points(sitk_field(wave_field(GRID)), points))
    written = sitk.ReadTransform(str(tmp_path / "t.h5"))
    np.testing.assert_allclose(itk_points(written, points), expected, atol=1e-4)


def test_a_dose_moves_against_the_transform(tmp_path, folders):
    fixed, moving = folders
    gray = np.zeros(GRID.shape)
    gray[6, 8, 13] = 20.0
    dose = dicom_pair.dose(tmp_path / "rd.dcm", moving, GRID, gray)
    run("apply", tmp_path / "t.h5", dose, "-o", tmp_path / "o.dcm", "--reference", fixed.folder)
    found = pydicom.dcmread(tmp_path / "o.dcm")
    values = found.pixel_array * float(found.DoseGridScaling)
    assert values[4, 10, 10] == pytest.approx(20.0, abs=1e-3)  # shift of 3, -2, 2 voxels
    assert np.count_nonzero(values > 0.01) == 1
    sitk.WriteImage(sitk.ReadImage(str(dose)), str(tmp_path / "grid.nii.gz"))
    to_image = ("-o", tmp_path / "o.nii.gz", "--reference", tmp_path / "grid.nii.gz")
    run("apply", tmp_path / "t.h5", dose, *to_image)
    again = sitk.GetArrayFromImage(sitk.ReadImage(str(tmp_path / "o.nii.gz")))
    np.testing.assert_allclose(again, values, atol=1e-3)


@pytest.mark.parametrize("inverse", [False, True])
def test_structures_move_against_the_transform_or_with_it(tmp_path, folders, inverse):
    fixed, moving = folders
    drawn_on, target = (fixed, moving) if inverse else (moving, fixed)
    center = GRID.center()
    box = np.array([[-6.0, -6], [6, -6], [6, 6], [-6, 6]])
    contours = [
        np.column_stack([box + center[:2], np.full(4, GRID.origin[2] + 2.5 * k)]) for k in (4, 5, 6)
    ]
    drawn = dicom_pair.structures(tmp_path / "rs.dcm", drawn_on, {"box": contours})
    turned = ["--inverse"] if inverse else []
    places = ("-o", tmp_path / "o.dcm", "--reference", target.folder)
    run("apply", tmp_path / "t.h5", drawn, *places, *turned)
    item = pydicom.dcmread(tmp_path / "o.dcm").ROIContourSequence[0]
    found = np.concatenate(
        [np.array(c.ContourData, float).reshape(-1, 3) for c in item.ContourSequence]
    )
    shift = np.array(SHIFT) if inverse else -np.array(SHIFT)
    middle = np.array([*center[:2], GRID.origin[2] + 12.5]) + shift
    np.testing.assert_allclose((found.min(0) + found.max(0)) / 2, middle, atol=0.3)


def test_what_is_unclear_is_refused_in_one_sentence(tmp_path, folders, refuse):
    fixed, moving = folders
    t = tmp_path / "t.h5"
    drawn = dicom_pair.structures(tmp_path / "rs.dcm", moving, {})
    dose = dicom_pair.dose(tmp_path / "rd.dcm", moving, GRID, np.ones(GRID.shape))
    assert "--moving" in refuse("convert", t, tmp_path / "o.dcm", "--reference", fixed.folder)
    assert "choose one" in refuse("convert", t, tmp_path / "o.png")
    assert "--reference" in refuse("convert", t, tmp_path / "o.nii.gz")
    assert "two" in refuse("convert", t, t, t, tmp_path / "o.h5")
    assert "does not exist" in refuse("convert", tmp_path / "none.h5", tmp_path / "o.h5")
    assert "--reference" in refuse("apply", t, dose, "-o", tmp_path / "o.dcm")
    assert "structures are written" in refuse("apply", t, drawn, "-o", tmp_path / "o.csv")
    missing = ("-o", tmp_path / "o.dcm", "--reference", tmp_path / "t.h5")
    assert "not a folder of a DICOM series" in refuse("apply", t, dose, *missing)
