"""Volume change, folding and displacement of each structure, against counting by hand."""

from __future__ import annotations

import subprocess
import sys

import numpy as np
import pytest

from DeepRegistrationLib.errors import RegistrationError
from DeepRegistrationLib.evaluation.segment_statistics import (
    folded_places,
    place_in_words,
    segment_statistics,
)
from DeepRegistrationLib.images.geometry import Grid
from DeepRegistrationLib.images.plain_data import Volume

GRID = Grid((10, 8, 6), (2.0, 1.0, 5.0), (-10, 3, 100), (0, 1, 0, -1, 0, 0, 0, 0, 1))


def volume(data, name: str = "map") -> Volume:
    return Volume(np.asarray(data), GRID, name)


@pytest.fixture
def maps():
    random = np.random.default_rng(0)
    labels = np.zeros(GRID.shape, np.uint8)
    labels[1:3, 2:5, 3:9] = 2
    labels[4, 1:7, 1:3] = 7
    jacobian = random.normal(1.0, 0.5, GRID.shape).astype(np.float32)
    moved = random.uniform(0, 9, GRID.shape).astype(np.float32)
    return volume(labels, "labels"), volume(jacobian, "J"), volume(moved, "u")


def test_each_segment_is_measured_by_its_own_voxels(maps):
    labels, jacobian, moved = maps
    found = segment_statistics(labels, jacobian, moved, {2: "left lung"})
    assert list(found) == ["left lung", "7"]
    for name, number in (("left lung", 2), ("7", 7)):
        index = [tuple(i) for i in np.argwhere(labels.data == number)]
        values = [float(jacobian.data[i]) for i in index]
        lengths = sorted(float(moved.data[i]) for i in index)
        statistics = found[name]
        assert statistics["volume_ml"] == pytest.approx(len(index) * 0.010)
        assert statistics["moving_volume_ml"] == pytest.approx(0.010 * sum(values), rel=1e-5)
        folded = 100 * sum(value <= 0 for value in values) / len(values)
        assert statistics["jacobian"]["percent_nonpositive"] == pytest.approx(folded)
        assert statistics["jacobian"]["min"] == pytest.approx(min(values))
        assert statistics["displacement_mm"]["max"] == pytest.approx(lengths[-1])
        assert statistics["displacement_mm"]["mean"] == pytest.approx(np.mean(lengths), rel=1e-5)
    assert found["left lung"]["jacobian"]["percent_nonpositive"] > 0  # the case is no empty one


def test_labels_far_apart_or_stored_as_floats_give_the_same(maps):
    labels, jacobian, moved = maps
    expected = segment_statistics(labels, jacobian, moved)
    far = np.where(labels.data == 7, 1 << 20, labels.data.astype(np.int64))
    found = segment_statistics(volume(far), jacobian, moved, {1 << 20: "7"})
    assert found == expected
    assert segment_statistics(volume(labels.data.astype(np.float32)), jacobian, moved) == expected


def test_maps_of_another_size_are_refused(maps):
    labels, jacobian, _ = maps
    other = Volume(np.zeros((3, 3, 3)), Grid((3, 3, 3)), "u")
    with pytest.raises(RegistrationError, match="give both on the fixed image's grid"):
        segment_statistics(labels, jacobian, other)


def test_folded_places_are_found_with_size_and_position():
    values = np.ones(GRID.shape, np.float32)
    values[1, 1, 1] = -0.5
    values[4, 5, 6:9] = -0.1
    values[4, 5, 7] = -0.9
    values[5, 6, 8] = -0.2  # touches the row by a corner
    large, small = folded_places(volume(values))
    assert (large.voxels, small.voxels) == (4, 1)
    assert large.volume_ml == pytest.approx(0.040)
    assert large.minimum == pytest.approx(-0.9)
    # Index (7, 5, 4): the first axis runs along -y, the second along +x.
    assert large.point == pytest.approx((-10 + 5 * 1.0, 3 - 7 * 2.0, 100 + 4 * 5.0))
    assert folded_places(volume(np.ones(GRID.shape))) == []


def test_only_folding_inside_the_mask_counts():
    values = np.ones(GRID.shape, np.float32)
    values[1, 1, 1] = values[4, 5, 7] = 0.0
    mask = np.zeros(GRID.shape, bool)
    mask[3:, 4:, 5:] = True
    (place,) = folded_places(volume(values), mask)
    assert place.point == pytest.approx((-5.0, -11.0, 120.0))


@pytest.mark.parametrize(
    ("point", "words"),
    [
        ((90, 50, 10), "lower, left"),
        ((10, 90, 90), "upper, right, posterior"),
        ((50, 5, 50), "anterior"),
        ((50, 50, 50), "in the middle"),
    ],
)
def test_a_place_is_named_from_the_patients_point_of_view(point, words):
    assert place_in_words(np.array(point), np.zeros(3), np.full(3, 100.0)) == words


def test_the_statistics_and_the_verdict_need_no_torch():
    code = (
        "import sys; from DeepRegistrationLib.evaluation import jacobian, overlap;"
        "from DeepRegistrationLib.evaluation import segment_statistics;"
        "from DeepRegistrationLib.reports import verdict;"
        "print('torch' in sys.modules)"
    )
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert run.stdout.strip() == "False"
