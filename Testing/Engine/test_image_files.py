"""Image files that are read while something else goes on."""

import gzip
import subprocess
import sys

import numpy as np
import pytest
import SimpleITK as sitk

from DeepRegistrationLib.errors import RegistrationError
from DeepRegistrationLib.images import image_files
from DeepRegistrationLib.images.image import read_image
from DeepRegistrationLib.images.image_files import reading_ahead


@pytest.fixture
def pair(tmp_path):
    paths = [tmp_path / "fixed.nii.gz", tmp_path / "moving.nrrd"]
    for k, path in enumerate(paths):
        values = np.random.default_rng(k).integers(-1000, 1000, (7, 6, 5), dtype=np.int16)
        sitk.WriteImage(sitk.GetImageFromArray(values), str(path), True)
    return paths


def test_a_file_read_ahead_is_read_once_and_is_the_same(pair, monkeypatch):
    expected = [read_image(path) for path in pair]
    with reading_ahead(map(str, pair)) as wait:
        wait()
        with monkeypatch.context() as patch:
            patch.setattr(image_files, "read_itk_image", lambda _: pytest.fail("it was read again"))
            found = [read_image(path) for path in pair]
    for one, other in zip(found, expected, strict=True):
        assert np.array_equal(one.data, other.data)
        assert (one.grid, one.notes) == (other.grid, other.notes)


def test_what_was_read_ahead_and_not_asked_for_is_forgotten(pair):
    with reading_ahead(map(str, pair)) as wait:
        wait()
    sitk.WriteImage(sitk.Image(4, 3, 2, sitk.sitkInt16), str(pair[0]))
    assert read_image(pair[0]).grid.size == (4, 3, 2)


def test_what_cannot_be_read_ahead_is_refused_when_it_is_asked_for(pair, tmp_path, capfd):
    damaged = tmp_path / "damaged.nii.gz"
    damaged.write_bytes(gzip.compress(gzip.decompress(pair[0].read_bytes())[:-50]))
    folder, missing, other = tmp_path / "series", tmp_path / "none.nii", tmp_path / "text.nii.gz"
    folder.mkdir()
    other.write_text("no image at all")
    paths = damaged, folder, missing, other
    with reading_ahead(map(str, paths)) as wait:
        wait()
        for path in paths:
            with pytest.raises(RegistrationError, match=path.name):
                read_image(path)
    assert capfd.readouterr() == ("", "")


_COMMAND = """
import sys, threading
from DeepRegistrationLib.images import image_files
read, found = image_files.read_file, []

def read_file(path):
    found.append((path.name, threading.current_thread() is threading.main_thread()))
    return read(path)

image_files.read_file = read_file
from DeepRegistrationLib.cli import main
main(["register", *sys.argv[1:], "--output", sys.argv[1]])  # refused: a file is no folder
print(found)
"""


def test_the_command_reads_its_pair_besides_loading_pytorch(pair):
    command = [sys.executable, "-c", _COMMAND, *map(str, pair)]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.stdout.strip() == "[('fixed.nii.gz', False), ('moving.nrrd', False)]"
