"""Files that lie, crash their reader or never end are refused before they do harm."""

from __future__ import annotations

import gzip
import os
import re
import struct

import numpy as np
import pytest
import SimpleITK as sitk
from misbehaving import crash, fail, number, sleep, spin, take_memory

from DeepRegistrationLib.errors import RegistrationError
from DeepRegistrationLib.images.guard import process
from DeepRegistrationLib.images.guard.contents import check_contents
from DeepRegistrationLib.images.guard.itk import read_itk_image, read_itk_transform
from DeepRegistrationLib.images.guard.memory import available_memory, require_memory
from DeepRegistrationLib.images.guard.process import Unreadable, guarded
from DeepRegistrationLib.images.image import read_image
from DeepRegistrationLib.transforms import read_transform

ROUND = ("scan.nii", "scan.nii.gz", "scan.nrrd", "scan.mha", "scan.mhd", "scan.nhdr")


def scan(path, *, packed=False, dtype=np.int16, vector=False):
    """A file that ITK writes; returns its voxels."""
    shape = (9, 8, 7, 3) if vector else (9, 8, 7)
    values = np.random.default_rng(0).normal(0, 300, shape).astype(dtype)
    sitk.WriteImage(sitk.GetImageFromArray(values, isVector=vector), str(path), packed)
    return values


# What is right goes through -------------------------------------------------------------------


def test_a_relative_path_is_one_of_the_folder_that_the_program_is_in_now(tmp_path, monkeypatch):
    for number_of in (1, 2):
        folder = tmp_path / str(number_of)
        folder.mkdir()
        monkeypatch.chdir(folder)
        shift = sitk.TranslationTransform(3, (float(number_of), 0.0, 0.0))
        sitk.WriteTransform(shift, "t.tfm")
        assert read_transform("t.tfm").translation[0] == number_of
        image = sitk.Image(number_of, 4, 4, sitk.sitkFloat32)
        sitk.WriteImage(image, "scan.tif")  # of no format whose headers are known here
        assert read_itk_image("scan.tif").GetSize()[0] == number_of


@pytest.mark.parametrize("packed", [False, True])
@pytest.mark.parametrize("name", ROUND)
@pytest.mark.parametrize("dtype", [np.int16, np.float32, np.uint8])
def test_what_itk_writes_is_read_in_this_process(name, packed, dtype, tmp_path, monkeypatch):
    values = scan(tmp_path / name, packed=packed, dtype=dtype)
    monkeypatch.setattr(process, "_Reader", None)  # it would be needed for anything unknown
    found = read_itk_image(tmp_path / name)
    np.testing.assert_array_equal(sitk.GetArrayFromImage(found), values)


@pytest.mark.parametrize("name", ["field.nii.gz", "field.nrrd", "field.mha"])
def test_a_packed_field_goes_through_its_checksum(name, tmp_path):
    values = scan(tmp_path / name, packed=True, dtype=np.float32, vector=True)
    found = read_transform(tmp_path / name).vectors.movedim(0, -1).numpy()
    np.testing.assert_array_equal(found, values)


def test_other_formats_come_from_the_other_process_with_geometry_and_entries(tmp_path):
    image = sitk.GetImageFromArray(np.arange(60, dtype=np.int16).reshape(3, 4, 5))
    image.SetSpacing((0.5, 1.5, 2.5))
    image.SetOrigin((3.0, -4.0, 5.0))
    sitk.WriteImage(image, str(tmp_path / "a.gipl"))
    sitk.WriteImage(image, str(tmp_path / "a.vtk"))
    for name in ("a.gipl", "a.vtk"):
        found = read_itk_image(tmp_path / name)
        np.testing.assert_array_equal(sitk.GetArrayFromImage(found), sitk.GetArrayFromImage(image))
        assert found.GetSpacing() == pytest.approx(image.GetSpacing())


# Damage ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("packed", [False, True])
@pytest.mark.parametrize("part", [0.3, 0.9])
@pytest.mark.parametrize("vector", [False, True])
@pytest.mark.parametrize("name", ["a.nii", "a.nii.gz", "a.nrrd", "a.mha", "a.mhd", "a.nhdr"])
def test_a_file_cut_short_is_refused_by_images_and_fields(name, vector, part, packed, tmp_path):
    scan(tmp_path / name, packed=packed, vector=vector, dtype=np.float32)
    data = max(tmp_path.iterdir(), key=lambda p: p.stat().st_size)
    data.write_bytes(data.read_bytes()[: int(data.stat().st_size * part)])
    with pytest.raises(RegistrationError):
        (read_transform if vector else read_image)(tmp_path / name)


@pytest.mark.parametrize("name", ["a.nii.gz", "a.nrrd", "a.mha", "a.mhd", "a.nhdr"])
def test_damage_anywhere_in_packed_voxels_is_refused(name, tmp_path):
    scan(tmp_path / name, packed=True)
    data = max(tmp_path.iterdir(), key=lambda p: p.stat().st_size)
    good = data.read_bytes()
    for place in range(len(good) - 20, len(good) // 2, -23):
        data.write_bytes(good[:place] + bytes([good[place] ^ 0x20]) + good[place + 1 :])
        with pytest.raises(RegistrationError):
            read_image(tmp_path / name)


@pytest.mark.parametrize("name", ["a.nrrd", "a.mha"])
def test_entries_that_are_not_known_change_no_check(name, tmp_path):
    image = sitk.GetImageFromArray(scan(tmp_path / "plain.nii"))
    image.SetMetaData("ITK_original_spacing", "8 8 8")
    sitk.WriteImage(image, str(tmp_path / name), True)
    good = (tmp_path / name).read_bytes().replace(b"endian: ", b'labels: "" "" ""\nendian: ')
    (tmp_path / name).write_bytes(good)
    assert not check_contents(tmp_path / name).known
    np.testing.assert_array_equal(
        sitk.GetArrayFromImage(read_itk_image(tmp_path / name)), sitk.GetArrayFromImage(image)
    )
    place = len(good) - len(good) // 3
    damaged = good[:place] + bytes([good[place] ^ 0x20]) + good[place + 1 :]
    (tmp_path / name).write_bytes(damaged)
    with pytest.raises(RegistrationError):
        read_image(tmp_path / name)


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("name", ["v.nrrd", "v.mha", "v.h5", "v.tfm"])
def test_a_field_that_is_not_finite_is_refused(name, value, tmp_path):
    values = np.zeros((6, 5, 4, 3))
    values[2, 3, 1, 0] = value
    field = sitk.GetImageFromArray(values, isVector=True)
    if name.endswith((".h5", ".tfm")):
        sitk.WriteTransform(sitk.DisplacementFieldTransform(field), str(tmp_path / name))
    else:
        sitk.WriteImage(field, str(tmp_path / name))
    with pytest.raises(RegistrationError, match=r"not (finite )?|cannot be read"):
        read_transform(tmp_path / name)


def test_the_checksum_of_a_scaled_image_is_compared_by_unpacking(tmp_path):
    scan(tmp_path / "a.nii")
    content = bytearray((tmp_path / "a.nii").read_bytes())
    content[112:120] = struct.pack("<2f", 2.0, 10.0)  # slope and intercept
    (tmp_path / "b.nii.gz").write_bytes(gzip.compress(bytes(content)))
    assert read_image(tmp_path / "b.nii.gz").data.float().abs().max() > 100


def test_promises_beyond_the_file_take_no_memory(tmp_path):
    scan(tmp_path / "a.nrrd", packed=True)
    content = (tmp_path / "a.nrrd").read_bytes()
    huge = re.sub(rb"(?m)^sizes:.*$", b"sizes: 3000 3000 3000", content)
    (tmp_path / "a.nrrd").write_bytes(huge)
    with pytest.raises(RegistrationError, match="cut short"):
        check_contents(tmp_path / "a.nrrd")


def test_more_than_the_memory_is_refused_with_both_figures():
    needed = available_memory() + 5e9
    with pytest.raises(RegistrationError, match=r"needs about \d.* GB .* and \d.* GB are free"):
        require_memory(needed, "This", "crop it")


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("spline.tfm", "BSplineTransform_double_3_3\nParameters: 1\nFixedParameters: 1000000 "
         "1000000 1000000 0 0 0 1 1 1 1 0 0 0 1 0 0 0 1"),
        ("field.tfm", "DisplacementFieldTransform_double_3_3\nParameters: 1\nFixedParameters: "
         "100000 100000 1000 0 0 0 1 1 1 1 0 0 0 1 0 0 0 1"),
    ],
)  # fmt: skip
def test_a_transform_that_ends_its_reader_ends_nothing_else(name, text, tmp_path):
    (tmp_path / name).write_text(f"#Insight Transform File V1.0\n#Transform 0\nTransform: {text}\n")
    with pytest.raises(RegistrationError, match=name):
        read_transform(tmp_path / name)


# The reading process --------------------------------------------------------------------------


@pytest.fixture
def here(tmp_path, monkeypatch):
    """A small file, and a process that can import this test's functions."""
    monkeypatch.setenv("PYTHONPATH", os.path.dirname(__file__))
    process.end_reading()
    (tmp_path / "file").write_bytes(b"x")
    yield tmp_path / "file"
    process.end_reading()


@pytest.mark.parametrize(("function", "says"), [(crash, "crashed"), (take_memory, "memory")])
def test_what_ends_the_reading_process_is_a_sentence_and_the_next_file_is_read(
    function, says, here
):
    with pytest.raises(RegistrationError, match=says):
        guarded(function, files=[here])
    assert guarded(number, files=[here]) != os.getpid()


def test_a_reader_that_never_ends_is_ended_by_its_processor_time(here, monkeypatch):
    monkeypatch.setattr(process, "_SECONDS", 0.5)
    with pytest.raises(RegistrationError, match="did not finish"):
        guarded(spin, files=[here])


def test_a_reader_that_waits_for_ever_is_given_up(here, monkeypatch):
    guarded(number, files=[here])
    monkeypatch.setattr(process, "_SECONDS", 0.2)
    with pytest.raises(RegistrationError, match="did not finish"):
        guarded(sleep, files=[here])


def test_the_process_stays_for_the_next_file_also_after_an_error(here):
    first = guarded(number, files=[here])
    with pytest.raises(Unreadable, match="not today"):
        guarded(fail, files=[here])
    assert guarded(number, files=[here]) == first


def test_several_transforms_in_one_file_are_refused(tmp_path):
    one = "Transform: TranslationTransform_double_3_3\nParameters: 1 2 3\nFixedParameters: \n"
    text = "#Insight Transform File V1.0\n" + "".join(f"#Transform {k}\n{one}" for k in (0, 1))
    (tmp_path / "two.tfm").write_text(text)
    with pytest.raises(RegistrationError, match="several transforms"):
        read_itk_transform(tmp_path / "two.tfm")
