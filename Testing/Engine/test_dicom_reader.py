"""DICOM images: each slice where and what it says, whatever the order, rounding or layout."""

import shutil

import dicom_made
import numpy as np
import pytest
from dicom_made import AXIAL, MR, ORIGIN, PET, SPACING, STORED, write_enhanced, write_series
from hypothesis import given
from hypothesis import strategies as st
from references import PROPERTY
from scipy.ndimage import map_coordinates
from scipy.spatial.transform import Rotation

from DeepRegistrationLib.errors import RegistrationError
from DeepRegistrationLib.files.dicom_series import read_series
from DeepRegistrationLib.images.dicom import files
from DeepRegistrationLib.images.geometry import Grid
from DeepRegistrationLib.images.image import read_image, read_sequence

EVEN = 3.0 * np.arange(12)
SIZE = (8, 10, 12)
PLACES = [ORIGIN + [0, 0, z] for z in EVEN]


def grid(step=3.0, axes=AXIAL, size=SIZE):
    return Grid(size, (*SPACING, step), tuple(ORIGIN), tuple(np.ravel(axes)))


# One slice a file -------------------------------------------------------------------------------


@PROPERTY
@given(
    turn=st.tuples(*[st.floats(-180, 180)] * 3),
    step=st.floats(0.4, 12),
    count=st.integers(2, 12),
    slope=st.sampled_from([1, 2, 0.5, 0.0003]),
    signed=st.booleans(),
)
def test_slices_of_any_orientation_lie_where_they_say(
    tmp_path_factory, turn, step, count, slope, signed
):
    axes = Rotation.from_euler("xyz", turn, degrees=True).as_matrix()
    stored = STORED - 1000 if signed else STORED
    folder = tmp_path_factory.mktemp("series")
    write_series(folder, step * np.arange(count), axes, stored, rescale=(slope, -7))
    image = read_image(folder)
    assert image.grid.same_as(grid(step, axes, (8, 10, count)), 1e-3)
    np.testing.assert_allclose(image.data, stored[:count] * slope - 7, rtol=1e-6, atol=1e-4)
    assert image.notes == ()


def test_each_slice_has_its_own_rescale(tmp_path):
    tmp_path.mkdir(exist_ok=True)
    slopes = np.array([1.0] + [0.0003] * 11)
    for k in range(12):
        dicom_made.write_slice(
            tmp_path / f"{k}", STORED[k], PLACES[k], sop=PET, rescale=(slopes[k], k)
        )
    expected = STORED * slopes[:, None, None] + np.arange(12)[:, None, None]
    np.testing.assert_allclose(read_image(tmp_path).data, expected, rtol=1e-6)


@pytest.mark.parametrize(("step", "digits"), [(0.625, 1), (1.25, 1), (0.7, 2), (2.6, 0)])
def test_rounded_positions_are_even(tmp_path, step, digits):
    write_series(tmp_path / "s", step * np.arange(40), digits=digits)
    assert read_image(tmp_path / "s").grid.spacing[2] == pytest.approx(step, rel=0.01)


@pytest.mark.parametrize("lost", [1, 6, 10])
@pytest.mark.parametrize("step", [0.625, 1.0, 3.0])
def test_a_missing_slice_is_no_rounding(tmp_path, lost, step):
    write_series(tmp_path / "s", np.delete(step * np.arange(12), lost))
    with pytest.raises(RegistrationError, match="mm apart: some are missing"):
        read_image(tmp_path / "s")


def test_a_cine_of_one_position_is_no_volume_but_a_sequence(tmp_path):
    phases = np.random.default_rng(2).permutation(12)
    for k in phases:
        dicom_made.write_slice(
            tmp_path / f"{k}", STORED[k], ORIGIN, sop=MR, TriggerTime=40 * int(k), rescale=None
        )
    with pytest.raises(RegistrationError, match="12 frames of one slice position by trigger time"):
        read_image(tmp_path)
    frames = read_sequence(tmp_path)
    assert [f.grid.size for f in frames] == [(8, 10, 1)] * 12
    for k, frame in enumerate(frames):
        np.testing.assert_array_equal(frame.data[0], STORED[k])
    np.testing.assert_array_equal(read_image(tmp_path, frame=5).data[0], STORED[4])


@pytest.mark.parametrize(
    "entry", ["TriggerTime", "TemporalPositionIdentifier", "AcquisitionNumber", "InstanceNumber"]
)
def test_volumes_over_time_are_a_sequence(tmp_path, entry):
    for time in range(3):
        for k in range(4):
            number = {"number": 4 * time + k + 1} if entry == "InstanceNumber" else {entry: time}
            stored = STORED[4 * time + k]
            dicom_made.write_slice(
                tmp_path / f"{(7 * (4 * time + k)) % 12}", stored, PLACES[k], **number
            )
    with pytest.raises(RegistrationError, match=r"3 volumes of 4 slices.*--frame \(1 to 3\)"):
        read_image(tmp_path)
    for time, image in enumerate(read_sequence(tmp_path)):
        np.testing.assert_array_equal(image.data, STORED[4 * time : 4 * time + 4] - 1024)
        assert image.grid.same_as(grid(size=(8, 10, 4)))
    with pytest.raises(RegistrationError, match="no frame 4"):
        read_image(tmp_path, frame=4)


def test_magnitude_and_phase_are_two_volumes(tmp_path):
    for k in range(12):
        kind = ["ORIGINAL", "PRIMARY", "M" if k % 2 else "P"]
        dicom_made.write_slice(tmp_path / f"{k}", STORED[k], PLACES[k // 2], ImageType=kind)
    with pytest.raises(RegistrationError, match="2 volumes in one DICOM series"):
        read_image(tmp_path)
    found = [read_image(tmp_path, series=[n]).data[0, 0, 0].item() for n in ("1", "2")]
    assert sorted(found) == sorted((STORED[:2, 0, 0] - 1024).tolist())


def test_repeated_positions_without_an_explanation_are_refused(tmp_path):
    for k in range(12):
        dicom_made.write_slice(tmp_path / f"{k}", STORED[k], PLACES[min(k, 10)])
    with pytest.raises(RegistrationError, match="occur more than once"):
        read_image(tmp_path)


def test_a_time_point_that_lacks_a_slice_is_refused(tmp_path):
    for n in set(range(12)) - {6}:
        time, k = divmod(n, 4)
        dicom_made.write_slice(tmp_path / f"{n}", STORED[n], PLACES[k], TriggerTime=time)
    with pytest.raises(RegistrationError, match=r"\(2 to 3 times\), so images are missing"):
        read_image(tmp_path)


def test_values_that_are_to_be_shown_inverted_are_not_inverted(tmp_path):
    write_series(tmp_path / "s", EVEN, PhotometricInterpretation="MONOCHROME1")
    np.testing.assert_array_equal(read_image(tmp_path / "s").data, STORED - 1024)
    for path in (tmp_path / "s").iterdir():
        dicom_made.compressed(path)
    np.testing.assert_array_equal(read_image(tmp_path / "s").data, STORED - 1024)


def test_copies_of_files_count_once(tmp_path):
    write_series(tmp_path / "a", EVEN)
    shutil.copytree(tmp_path / "a", tmp_path / "copy")
    np.testing.assert_array_equal(read_image(tmp_path).data, STORED - 1024)


@pytest.mark.parametrize(
    ("change", "word"),
    [
        ({"position": None}, "no Image Position"),
        ({"axes": None}, "no Image Orientation"),
        ({"PixelSpacing": None}, "no Pixel Spacing"),
        (
            {"ImageOrientationPatient": [1, 0, 0, 0.3, 1, 0]},
            "not a pair of perpendicular directions",
        ),
        ({"ImageOrientationPatient": [0] * 6}, "not a pair of perpendicular directions"),
        ({"rescale": (0, 0)}, "Rescale Slope of 0"),
    ],
)
def test_slices_that_do_not_say_where_or_what_they_are_are_refused(tmp_path, change, word):
    for k in range(3):
        arguments = {"position": PLACES[k], "axes": AXIAL, **change}
        dicom_made.write_slice(tmp_path / f"{k}", STORED[k], **arguments)
    with pytest.raises(RegistrationError, match=word):
        read_image(tmp_path)


def test_slices_that_are_not_parallel_are_refused(tmp_path):
    for k in range(6):  # planes around a line, as of a long-axis cine
        axes = Rotation.from_euler("x", 30 * k, degrees=True).as_matrix()
        dicom_made.write_slice(tmp_path / f"{k}", STORED[k], ORIGIN, axes)
    with pytest.raises(RegistrationError, match="not parallel"):
        read_image(tmp_path)


def test_slices_that_jump_sideways_are_refused(tmp_path):
    jumps = np.zeros((12, 3))
    jumps[5:, 0] = 4.0
    for k in range(12):
        dicom_made.write_slice(tmp_path / f"{k}", STORED[k], PLACES[k] + jumps[k])
    with pytest.raises(RegistrationError, match="shifted against each other"):
        read_image(tmp_path)


@pytest.mark.parametrize("lost", [20, 300])  # bytes: of the pixels, and of the header too
def test_a_slice_that_is_cut_short_is_refused(tmp_path, lost):
    write_series(tmp_path / "s", EVEN)
    one = sorted((tmp_path / "s").iterdir())[3]
    one.write_bytes(one.read_bytes()[:-lost])
    with pytest.raises(RegistrationError, match="cut short"):
        read_image(tmp_path / "s")


# Gantry tilt ------------------------------------------------------------------------------------


@pytest.mark.parametrize("degrees", [15, -15, 8, 30])
@pytest.mark.parametrize("axis", ["x", "y"])
def test_a_tilted_stack_is_resampled_where_its_voxels_lie(tmp_path, degrees, axis):
    axes = Rotation.from_euler(axis, degrees, degrees=True).as_matrix()
    size, table = (24, 26), np.array([0.0, 0.0, 3.0])
    y, x = np.mgrid[: size[1], : size[0]]
    points = ORIGIN + np.stack([x * SPACING[0], y * SPACING[1]], -1) @ axes[:, :2].T

    def truth(p):
        return 500 + 20 * p[..., 0] - 12 * p[..., 1] + 7 * p[..., 2]  # linear: no error to expect

    for k in range(12):
        stored = np.rint(truth(points + k * table) + 1024).astype(int)
        dicom_made.write_slice(tmp_path / f"{k:02d}", stored, ORIGIN + k * table, axes)
    image = read_image(tmp_path)
    assert np.allclose(np.reshape(image.grid.direction, (3, 3)), axes, atol=1e-6)
    assert f"tilted by {abs(degrees):.1f} degrees" in image.notes[0]
    inner = points[3:-3, 3:-3] + 5 * table
    index = image.grid.to_index(inner)
    found = map_coordinates(
        image.data.numpy().astype(float), np.moveaxis(index[..., ::-1], -1, 0), order=1
    )
    assert np.abs(found - truth(inner)).max() < 1.5  # stored values and results are whole numbers
    assert read_series(tmp_path).grid == image.grid


def test_a_tilt_within_the_rounding_of_positions_is_none(tmp_path):
    places = [p + [0, 0.01 * k, 0] for k, p in enumerate(PLACES)]
    for k, place in enumerate(places):
        dicom_made.write_slice(tmp_path / f"{k}", STORED[k], place)
    image = read_image(tmp_path)
    assert image.notes == () and image.grid.size == SIZE


# Several series, sub-folders --------------------------------------------------------------------


def test_several_series_in_sub_folders_are_listed_and_chosen(tmp_path):
    write_series(tmp_path / "st" / "a", EVEN, series="1.2.9.1", SeriesNumber=2)
    write_series(tmp_path / "st" / "b", EVEN, series="1.2.9.2", SeriesNumber=1)
    (tmp_path / "st" / "notes.txt").write_text("nothing")
    with pytest.raises(RegistrationError, match="2 DICOM series: 1: CT 8 x 10 x 12 .*1.2.9.2.*2: "):
        read_image(tmp_path)
    for wanted in ("1.2.9.1", "9.1", "2"):
        assert read_image(tmp_path, series=[wanted]).grid.same_as(grid())
    with pytest.raises(RegistrationError, match="names 0 of them"):
        read_image(tmp_path, series=["7"])
    assert read_series(tmp_path, ["1"]).uid == "1.2.9.2"


def test_a_localizer_in_the_series_is_left_out_and_told(tmp_path):
    write_series(tmp_path / "s", EVEN, ImageType=["ORIGINAL", "PRIMARY", "AXIAL"])
    sagittal = Rotation.from_euler("y", 90, degrees=True).as_matrix()
    kind = ["ORIGINAL", "PRIMARY", "LOCALIZER"]
    dicom_made.write_slice(tmp_path / "s" / "x", STORED[0], ORIGIN, sagittal, ImageType=kind)
    image = read_image(tmp_path / "s")
    assert image.grid.same_as(grid())
    assert "1 localizer images in the series were left out" in image.notes[0]


def test_objects_that_are_no_images_lie_beside_a_series(tmp_path):
    write_series(tmp_path / "s", EVEN)
    report = dicom_made._common("1.2.840.10008.5.1.4.1.1.88.22", "1.2.8")
    dicom_made.save(report, tmp_path / "s" / "report")
    assert read_image(tmp_path / "s").grid.same_as(grid())


# Compression, and without pydicom ---------------------------------------------------------------


def test_compressed_slices_and_frames_are_read(tmp_path):
    write_series(tmp_path / "s", EVEN)
    for path in (tmp_path / "s").iterdir():
        dicom_made.compressed(path)
    np.testing.assert_array_equal(read_image(tmp_path / "s").data, STORED - 1024)
    rescale = [(0.5, k) for k in range(12)]
    path = write_enhanced(tmp_path / "a", STORED, PLACES, rescale=rescale)
    expected = STORED * 0.5 + np.arange(12)[:, None, None]
    np.testing.assert_allclose(read_image(dicom_made.compressed(path)).data, expected)


def test_a_series_is_read_without_pydicom(tmp_path, monkeypatch):
    turn = Rotation.from_euler("xyz", (10, -20, 30), degrees=True).as_matrix()
    write_series(tmp_path / "s", EVEN, turn, rescale=(0.5, -3))
    path = write_enhanced(tmp_path / "a", STORED, PLACES)
    monkeypatch.setattr(files, "optional_pydicom", lambda: None)
    monkeypatch.setattr("DeepRegistrationLib.images.dicom.entries.optional_pydicom", lambda: None)
    image = read_image(tmp_path / "s")
    assert image.grid.same_as(grid(axes=turn), 1e-3)
    np.testing.assert_allclose(image.data, STORED * 0.5 - 3)
    with pytest.raises(RegistrationError, match="pydicom"):
        read_image(path)
