"""Files and frames that pairs share are read and looked for once."""

import os

import benchmarks
import hearts
import numpy as np
import trivial

from DeepRegistrationLib.data.cases import read_cases
from DeepRegistrationLib.studies.benchmark import input_cache
from DeepRegistrationLib.studies.benchmark.input_cache import Reader
from DeepRegistrationLib.studies.benchmark.loading import load_pair
from DeepRegistrationLib.studies.benchmark.protocol import PROTOCOLS, pairs_for


def counted(monkeypatch, name):
    """Calls of a function of the module that reads."""
    calls, original = [], getattr(input_cache, name)

    def counting(*given):
        calls.append(given)
        return original(*given)

    monkeypatch.setattr(input_cache, name, counting)
    return calls


def test_each_image_of_all_ordered_pairs_is_read_and_framed_once(tmp_path, monkeypatch):
    labels = [hearts.heart_labels(hearts.stack_grid(), turn=turn) for turn in (0, 20, -15)]
    path = benchmarks.heart_list(tmp_path, [hearts.heart_picture(x) for x in labels], labels)
    pairs = pairs_for(PROTOCOLS["heart"], read_cases(path))
    read, framed = counted(monkeypatch, "read_image"), counted(monkeypatch, "frame_of_labels")
    reader = Reader()
    together = [load_pair(pair, "segmentations", reader).initial for pair in pairs]
    assert (len(pairs), len(read), len(framed)) == (6, 6, 3)  # images and labels of three
    alone = [load_pair(pair, "segmentations").initial for pair in pairs]
    for first, second in zip(together, alone, strict=True):
        np.testing.assert_array_equal(first.matrix, second.matrix)


def test_a_file_that_has_changed_is_read_again(tmp_path):
    path = trivial.volume(tmp_path / "a.nii.gz", values=np.zeros((10, 12, 14), np.float32))
    reader = Reader()
    assert float(reader.image(path).data.sum()) == 0
    trivial.volume(path, values=np.ones((10, 12, 14), np.float32))
    os.utime(path, ns=(1, 1))
    assert float(reader.image(path).data.sum()) == 10 * 12 * 14


def test_what_was_used_longest_ago_goes_first(tmp_path, monkeypatch):
    paths = [trivial.volume(tmp_path / f"{name}.nii.gz") for name in "abc"]
    calls = counted(monkeypatch, "read_image")
    reader = Reader(kept=2 * 10 * 12 * 14 * 4)  # two of them
    for k in (0, 1, 0, 2, 0, 1):
        reader.image(paths[k])
    assert [path.name[0] for (path,) in calls] == ["a", "b", "c", "b"]
