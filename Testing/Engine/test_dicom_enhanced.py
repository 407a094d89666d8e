"""Enhanced multi-frame DICOM objects: frames by their own place, slope and time."""

import dicom_made
import numpy as np
import pytest
from dicom_made import AXIAL, ORIGIN, SPACING, STORED, write_enhanced

from DeepRegistrationLib.errors import RegistrationError
from DeepRegistrationLib.images.geometry import Grid
from DeepRegistrationLib.images.image import read_image, read_sequence

EVEN = 3.0 * np.arange(12)
SIZE = (8, 10, 12)
PLACES = [ORIGIN + [0, 0, z] for z in EVEN]


def grid(step=3.0, axes=AXIAL, size=SIZE):
    return Grid(size, (*SPACING, step), tuple(ORIGIN), tuple(np.ravel(axes)))


def test_frames_are_sorted_by_their_own_place_and_rescaled_by_their_own_slope(tmp_path):
    order = [0, 4, 8, 1, 5, 9, 2, 6, 10, 3, 7, 11]
    rescale = [(0.5, k) if k % 2 else (1, -1024) for k in range(12)]
    path = write_enhanced(
        tmp_path / "a",
        [STORED[k] for k in order],
        [PLACES[k] for k in order],
        rescale=[rescale[k] for k in order],
    )
    image = read_image(path)
    expected = np.array([STORED[k] * s + i for k, (s, i) in enumerate(rescale)])
    np.testing.assert_allclose(image.data, expected)
    assert image.grid.same_as(grid())


def test_frames_with_a_gap_are_refused(tmp_path):
    path = write_enhanced(tmp_path / "a", STORED[:11], PLACES[:5] + PLACES[6:])
    with pytest.raises(RegistrationError, match="not evenly spaced"):
        read_image(path)


def test_an_enhanced_object_over_time_is_a_sequence(tmp_path):
    groups = [{"FrameContentSequence": {"TemporalPositionIndex": 3 - k // 4}} for k in range(12)]
    path = write_enhanced(
        tmp_path / "a", STORED, PLACES[:4] * 3, groups=groups, sop=dicom_made.ENHANCED_MR
    )
    with pytest.raises(RegistrationError, match="3 volumes of 4 slices by temporal position"):
        read_image(path)
    for time, image in enumerate(read_sequence(path)):
        first = 4 * (2 - time)
        np.testing.assert_array_equal(image.data, STORED[first : first + 4] - 1024)


def test_stacks_of_an_enhanced_object_are_apart(tmp_path):
    groups = [{"FrameContentSequence": {"StackID": str(1 + k // 6)}} for k in range(12)]
    places = PLACES[:6] * 2
    path = write_enhanced(tmp_path / "a", STORED, places, groups=groups)
    with pytest.raises(RegistrationError, match="2 volumes in one DICOM series"):
        read_image(path)
    np.testing.assert_array_equal(read_image(path, series=["2"]).data, STORED[6:] - 1024)


def test_frames_without_a_place_are_refused(tmp_path):
    dataset = dicom_made._common("1.2.840.10008.5.1.4.1.1.7.3", "1.2.8")
    dataset.NumberOfFrames = 12
    dicom_made._pixels(dataset, STORED)
    path = dicom_made.save(dataset, tmp_path / "a")
    with pytest.raises(RegistrationError, match="does not say where each lies"):
        read_image(path)
