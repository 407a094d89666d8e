"""DICOM registration objects: equations of the standard, round trips, required attributes."""

import dicom_pair
import numpy as np
import pydicom
import pytest
import torch
from references import (
    as_field,
    inner_points,
    left_handed_grid,
    oblique_grid,
    rotation,
    straight_grid,
    trilinear,
    wave_field,
)

from DeepRegistrationLib.errors import RegistrationError
from DeepRegistrationLib.files.dicom_registration import write_registration
from DeepRegistrationLib.files.dicom_registration_reader import read_registration
from DeepRegistrationLib.files.dicom_series import read_series
from DeepRegistrationLib.images.geometry import Grid
from DeepRegistrationLib.transforms import Affine, Composite, DisplacementField

SMALL = (11, 9, 8)
TURN = Affine(rotation(4, -6, 8), (3.0, -2.0, 5.0))
SHEAR = Affine(np.array([[1.1, 0.05, 0], [0, 0.9, 0.02], [0.03, 0, 1.05]]), (4.0, 1.0, -6.0))


@pytest.fixture
def sides(tmp_path):
    """Fixed (oblique) and moving (straight) series."""
    fixed = dicom_pair.series(tmp_path / "fixed", oblique_grid(SMALL))
    moving = dicom_pair.series(tmp_path / "moving", straight_grid((8, 10, 6)))
    return read_series(fixed.folder), read_series(moving.folder)


def standard_points(path, points):
    """Source points of registered points, straight from C.20.3.1.1 (trilinear between centers)."""
    item = pydicom.dcmread(path).DeformableRegistrationSequence[0]
    grid = item.DeformableRegistrationGridSequence[0]

    def matrix(name):
        values = item[name][0].FrameOfReferenceTransformationMatrix
        return np.array([float(v) for v in values]).reshape(4, 4)

    before = matrix("PreDeformationMatrixRegistrationSequence")
    after = matrix("PostDeformationMatrixRegistrationSequence")
    row, column = np.array(grid.ImageOrientationPatient, dtype=float).reshape(2, 3)
    axes = np.stack([row, column, np.cross(row, column)], 1)
    place = Grid(
        tuple(grid.GridDimensions),
        tuple(grid.GridResolution),
        tuple(float(v) for v in grid.ImagePositionPatient),
        tuple(axes.ravel()),
    )
    vectors = np.frombuffer(grid.VectorGridData, "<f4").reshape(*place.shape, 3)
    delta = trilinear(np.moveaxis(vectors, -1, 0), place, points)
    moved = points @ before[:3, :3].T + before[:3, 3] + delta
    return moved @ after[:3, :3].T + after[:3, 3]


@pytest.mark.parametrize("make", [straight_grid, oblique_grid, left_handed_grid])
@pytest.mark.parametrize("around", ["none", "before", "after", "both"])
def test_the_standards_equations_give_the_transform(tmp_path, sides, make, around):
    grid = make(SMALL)
    members = [wave_field(grid)]
    if around in ("before", "both"):
        members.insert(0, TURN)
    if around in ("after", "both"):
        members.append(SHEAR)
    transform = Composite(members)
    write_registration(transform, tmp_path / "t.dcm", *sides)
    points = TURN.inverse()(torch.from_numpy(inner_points(grid))).numpy()
    if around in ("none", "after"):
        points = inner_points(grid)
    expected = transform(torch.from_numpy(points)).numpy()
    assert np.abs(expected - points).max() > 1
    np.testing.assert_allclose(standard_points(tmp_path / "t.dcm", points), expected, atol=2e-6)


@pytest.mark.parametrize("make", [straight_grid, oblique_grid])
def test_a_field_survives_to_the_last_bit(tmp_path, sides, make):
    field = wave_field(make(SMALL))
    write_registration(field, tmp_path / "t.dcm", *sides)
    back = read_registration(tmp_path / "t.dcm").transform
    assert isinstance(back, DisplacementField)
    assert torch.equal(back.vectors, field.vectors)
    assert back.grid.same_as(field.grid, tolerance=1e-9)


def test_a_left_handed_field_and_its_matrices_survive_as_a_map(tmp_path, sides):
    transform = Composite([TURN, wave_field(left_handed_grid(SMALL)), SHEAR])
    write_registration(transform, tmp_path / "t.dcm", *sides)
    back = read_registration(tmp_path / "t.dcm").transform
    points = TURN.inverse()(torch.from_numpy(inner_points(left_handed_grid(SMALL))))
    np.testing.assert_allclose(back(points).numpy(), transform(points).numpy(), atol=1e-6)


def test_vectors_point_from_the_fixed_to_the_moving_frame(tmp_path, sides):
    field = as_field(
        np.full((*straight_grid(SMALL).shape, 3), [1.0, -2.0, 3.0]), straight_grid(SMALL)
    )
    write_registration(field, tmp_path / "t.dcm", *sides)
    dataset = pydicom.dcmread(tmp_path / "t.dcm")
    item = dataset.DeformableRegistrationSequence[0]
    first = item.DeformableRegistrationGridSequence[0].VectorGridData[:12]
    assert np.frombuffer(first, "<f4").tolist() == [1.0, -2.0, 3.0]
    assert dataset.FrameOfReferenceUID == sides[0].frame
    assert item.SourceFrameOfReferenceUID == sides[1].frame


def test_two_fields_in_a_row_are_sampled_on_the_fixed_grid(tmp_path, sides):
    grid = sides[0].grid
    transform = Composite([wave_field(grid), wave_field(grid, length=55.0)])
    write_registration(transform, tmp_path / "t.dcm", *sides)
    points = grid.points(dtype=torch.float64).reshape(-1, 3)
    np.testing.assert_allclose(
        standard_points(tmp_path / "t.dcm", points.numpy()), transform(points).numpy(), atol=1e-4
    )


def test_an_affine_is_stored_as_source_to_registered(tmp_path, sides):
    write_registration(SHEAR, tmp_path / "t.dcm", *sides)
    dataset = pydicom.dcmread(tmp_path / "t.dcm")
    assert dataset.SOPClassUID.name == "Spatial Registration Storage"
    items = {i.FrameOfReferenceUID: i for i in dataset.RegistrationSequence}
    matrix = items[sides[1].frame].MatrixRegistrationSequence[0].MatrixSequence[0]
    stored = np.array([float(v) for v in matrix.FrameOfReferenceTransformationMatrix])
    stored = stored.reshape(4, 4)
    fixed_point = np.array([10.0, -20.0, 30.0])
    moving_point = SHEAR.matrix @ fixed_point + SHEAR.translation
    np.testing.assert_allclose(stored[:3, :3] @ moving_point + stored[:3, 3], fixed_point)
    assert matrix.FrameOfReferenceTransformationMatrixType == "AFFINE"
    back = read_registration(tmp_path / "t.dcm").transform
    np.testing.assert_allclose(back.matrix, SHEAR.matrix, atol=1e-12)
    np.testing.assert_allclose(back.translation, SHEAR.translation, atol=1e-10)


def test_a_rotation_is_called_rigid(tmp_path, sides):
    write_registration(TURN, tmp_path / "t.dcm", *sides)
    item = pydicom.dcmread(tmp_path / "t.dcm").RegistrationSequence[1]
    matrix = item.MatrixRegistrationSequence[0].MatrixSequence[0]
    assert matrix.FrameOfReferenceTransformationMatrixType == "RIGID"


@pytest.mark.parametrize(
    ("transform", "iod"),
    [
        (wave_field(oblique_grid(SMALL)), "deformable-spatial-registration"),
        (TURN, "spatial-registration"),
    ],
    ids=["deformable", "affine"],
)
def test_the_objects_have_what_the_standard_requires(tmp_path, sides, transform, iod):
    write_registration(transform, tmp_path / "t.dcm", *sides)
    dataset = pydicom.dcmread(tmp_path / "t.dcm")
    assert dicom_pair.missing_attributes(dataset, iod) == []
    assert dicom_pair.strange_attributes(dataset) == []
    del dataset.Manufacturer
    assert "general-equipment.Manufacturer" in dicom_pair.missing_attributes(dataset, iod)
    pydicom.config.settings.reading_validation_mode = pydicom.config.RAISE
    try:
        str(pydicom.dcmread(tmp_path / "t.dcm"))  # decodes, and so checks, every value
    finally:
        pydicom.config.settings.reading_validation_mode = pydicom.config.WARN


def test_the_object_belongs_to_the_fixed_images_patient_and_study(tmp_path, sides):
    write_registration(TURN, tmp_path / "t.dcm", *sides)
    dataset = pydicom.dcmread(tmp_path / "t.dcm")
    assert dataset.PatientID == "P1"
    assert dataset.StudyInstanceUID == sides[0].example.StudyInstanceUID
    assert [s.SeriesInstanceUID for s in dataset.ReferencedSeriesSequence] == [sides[0].uid]
    other = dataset.StudiesContainingOtherReferencedInstancesSequence[0]
    assert other.StudyInstanceUID == sides[1].example.StudyInstanceUID
    instances = other.ReferencedSeriesSequence[0].ReferencedInstanceSequence
    assert len(instances) == sides[1].grid.size[2]


def test_a_series_has_the_grid_that_its_slices_were_written_on(sides):
    assert sides[0].grid.same_as(oblique_grid(SMALL), tolerance=1e-5)
    assert sides[1].grid.same_as(straight_grid((8, 10, 6)), tolerance=1e-5)


def test_undefined_vectors_get_the_nearest_and_are_told(tmp_path, sides):
    grid = straight_grid(SMALL)
    write_registration(wave_field(grid), tmp_path / "t.dcm", *sides)
    dataset = pydicom.dcmread(tmp_path / "t.dcm")
    item = dataset.DeformableRegistrationSequence[0].DeformableRegistrationGridSequence[0]
    vectors = np.frombuffer(item.VectorGridData, "<f4").reshape(*grid.shape, 3).copy()
    vectors[0, 0, 0] = np.nan
    item.VectorGridData = vectors.tobytes()
    dicom_pair.save(dataset, tmp_path / "holes.dcm")
    back = read_registration(tmp_path / "holes.dcm")
    assert "1 of" in back.notes[0]
    assert back.transform.vectors[:, 0, 0, 0].tolist() == vectors[0, 0, 1].tolist()


def slicer_rt_points(path, points):
    """RAS points through the grid transform that SlicerRT makes of the object.

    Its reader turns origin, axes and vectors to RAS each for itself, and puts the axes in the rows
    of the direction matrix; for axes along the patient's that is the same as the columns.
    """
    item = pydicom.dcmread(path).DeformableRegistrationSequence[0]
    stored = item.DeformableRegistrationGridSequence[0]
    flip = np.diag([-1.0, -1.0, 1.0])
    row, column = np.array(stored.ImageOrientationPatient, dtype=float).reshape(2, 3)
    rows = flip @ np.stack([row, column, np.cross(row, column)])
    origin = flip @ np.array([float(v) for v in stored.ImagePositionPatient])
    size, spacing = tuple(stored.GridDimensions), tuple(stored.GridResolution)
    grid = Grid(size, spacing, tuple(origin), tuple(rows.ravel()))
    vectors = np.frombuffer(stored.VectorGridData, "<f4").reshape(*grid.shape, 3) * [-1, -1, 1]
    return points + trilinear(np.moveaxis(vectors, -1, 0), grid, points)


def test_slicer_rt_reads_the_field_of_a_straight_grid_as_fixed_to_moving(tmp_path, sides):
    grid = straight_grid(SMALL)
    field = wave_field(grid)
    write_registration(field, tmp_path / "t.dcm", *sides)
    points = inner_points(grid)
    ras = np.array([-1.0, -1.0, 1.0])
    expected = field(torch.from_numpy(points)).numpy()
    np.testing.assert_allclose(
        slicer_rt_points(tmp_path / "t.dcm", points * ras) * ras, expected, atol=2e-6
    )


def test_what_slicer_rt_sends_back_is_the_same_map(tmp_path, sides):
    """Plastimatch, SlicerRT's writer, stores a field without pre- and post-matrix items."""
    field = wave_field(straight_grid(SMALL))
    write_registration(field, tmp_path / "t.dcm", *sides)
    dataset = pydicom.dcmread(tmp_path / "t.dcm")
    item = dataset.DeformableRegistrationSequence[0]
    del item.PreDeformationMatrixRegistrationSequence
    del item.PostDeformationMatrixRegistrationSequence
    identity = pydicom.Dataset()
    identity.SourceFrameOfReferenceUID = sides[0].frame
    dataset.DeformableRegistrationSequence.insert(0, identity)
    dicom_pair.save(dataset, tmp_path / "back.dcm")
    back = read_registration(tmp_path / "back.dcm").transform
    assert torch.equal(back.vectors, field.vectors)


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (lambda d: setattr(d, "SOPClassUID", dicom_pair.CT), "not a DICOM registration"),
        (lambda d: setattr(d, "DeformableRegistrationSequence", []), "holds 0 registrations"),
        (
            lambda d: setattr(
                d.DeformableRegistrationSequence[0].DeformableRegistrationGridSequence[0],
                "GridDimensions",
                [3, 3, 3],
            ),
            "numbers where its grid",
        ),
    ],
)
def test_unclear_objects_are_refused(tmp_path, sides, spoil, message):
    write_registration(wave_field(straight_grid(SMALL)), tmp_path / "t.dcm", *sides)
    dataset = pydicom.dcmread(tmp_path / "t.dcm")
    spoil(dataset)
    dicom_pair.save(dataset, tmp_path / "bad.dcm")
    with pytest.raises(RegistrationError, match=message):
        read_registration(tmp_path / "bad.dcm")


def test_several_source_images_need_a_name(tmp_path, sides):
    field = wave_field(straight_grid(SMALL))
    write_registration(field, tmp_path / "t.dcm", *sides)
    dataset = pydicom.dcmread(tmp_path / "t.dcm")
    second = pydicom.Dataset.from_json(dataset.DeformableRegistrationSequence[0].to_json())
    second.SourceFrameOfReferenceUID = "1.2.3"
    dataset.DeformableRegistrationSequence.append(second)
    dicom_pair.save(dataset, tmp_path / "two.dcm")
    with pytest.raises(RegistrationError, match="holds 2 registrations"):
        read_registration(tmp_path / "two.dcm")
    chosen = read_registration(tmp_path / "two.dcm", sides[1].frame).transform
    assert torch.equal(chosen.vectors, field.vectors)


def test_without_pydicom_the_pip_command_is_named(monkeypatch, tmp_path):
    monkeypatch.setitem(__import__("sys").modules, "pydicom", None)
    with pytest.raises(RegistrationError, match="pip install"):
        read_registration(tmp_path / "t.dcm")
