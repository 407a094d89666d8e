"""The page that a physicist signs, from the command line: identity, checklist, pictures."""

from __future__ import annotations

import base64
import gzip
import hashlib
import json
import re

import dicom_pair
import numpy as np
import pydicom
import pytest
import SimpleITK as sitk
import trivial
from pages_made import evaluate, text_of
from test_html_report import Page

from DeepRegistrationLib.cli import main
from DeepRegistrationLib.images.body import body_box
from DeepRegistrationLib.images.geometry import Grid
from DeepRegistrationLib.reports.checklist import checklist
from DeepRegistrationLib.reports.identity import map_checksum, voxel_checksum
from DeepRegistrationLib.reports.slice_pictures import near, overlay_picture, overview
from DeepRegistrationLib.transforms import (
    Affine,
    Composite,
    DisplacementField,
    read_transform,
    write_transform,
)
from DeepRegistrationLib.transforms.tensors import parts_of

# Identity -------------------------------------------------------------------------------------


def test_the_page_tells_images_by_the_checksum_of_what_itk_reads(pair, written, tmp_path):
    assert evaluate(pair, written, tmp_path / "p.html") == 0
    text = text_of(tmp_path / "p.html")
    for path in pair:
        voxels = sitk.GetArrayFromImage(sitk.ReadImage(str(path))).astype("<f4")
        assert hashlib.sha256(voxels.tobytes()).hexdigest() in text
    assert hashlib.sha256(written.read_bytes()).hexdigest() in text
    image = sitk.ReadImage(str(pair[1]))
    assert " × ".join(str(n) for n in image.GetSize()) in text
    assert " × ".join(f"{v:.4g}" for v in image.GetSpacing()) in text
    assert (
        "not read from DICOM" in text and "read from a file; how it was made is not known" in text
    )


def test_names_of_files_are_in_the_page_only_when_wanted(pair, written, tmp_path):
    evaluate(pair, written, tmp_path / "p.html")
    assert "moving.mha" not in text_of(tmp_path / "p.html")
    evaluate(pair, written, tmp_path / "p.html", "--patient-data")
    text = text_of(tmp_path / "p.html")
    assert "moving.mha" in text and "T.h5" in text


def test_notes_do_not_name_files_either(pair, written, tmp_path):
    image = sitk.ReadImage(str(pair[0]))
    image.SetMetaData("sform_code", "0")
    image.SetMetaData("qform_code", "0")
    doubtful = tmp_path / "Doe_John.nii.gz"
    sitk.WriteImage(image, str(doubtful))
    raw = bytearray(gzip.decompress(doubtful.read_bytes()))
    raw[252:256] = bytes(4)  # neither form: read along the axes, and said so
    doubtful.write_bytes(gzip.compress(bytes(raw)))
    assert evaluate((doubtful, pair[1]), written, tmp_path / "p.html") == 0
    assert "Doe" in (tmp_path / "p.json").read_text()  # the report for programs names files
    text = text_of(tmp_path / "p.html")
    assert "Doe" not in text and "the fixed image" in text.split("How it was made")[1]
    evaluate((doubtful, pair[1]), written, tmp_path / "p.html", "--patient-data")
    assert "Doe_John" in text_of(tmp_path / "p.html")


def test_uids_come_from_the_dicom_headers_and_the_patient_only_when_wanted(written, tmp_path):
    sides = [dicom_pair.series(tmp_path / name, dicom_pair.FIXED) for name in ("f", "m")]
    pair = [side.folder for side in sides]
    tissue = np.random.default_rng(0).integers(-900, 200, dicom_pair.FIXED.shape[1:], np.int16)
    for file in (file for folder in pair for file in folder.iterdir()):
        dataset = pydicom.dcmread(file)
        dataset.PixelData = tissue.tobytes()
        dataset.save_as(file)
    assert evaluate(pair, written, tmp_path / "p.html") == 0
    text = text_of(tmp_path / "p.html")
    for side in sides:
        header = pydicom.dcmread(next(side.folder.iterdir()))
        for uid in (header.SeriesInstanceUID, header.StudyInstanceUID, header.FrameOfReferenceUID):
            assert str(uid) in text
    assert "Phantom" not in text and "19700101" not in text and "P1" not in text
    evaluate(pair, written, tmp_path / "p.html", "--patient-data")
    text = text_of(tmp_path / "p.html")
    assert "Phantom^Breathing" in text and "19700101" in text


def test_a_transform_keeps_its_checksum_in_a_file(tmp_path):
    grid = Grid((5, 6, 7), (2.0, 2.0, 3.0), (1.0, -4.0, 0.3))
    import torch

    vectors = torch.randn(3, *grid.shape, generator=torch.Generator().manual_seed(1))
    vectors[:, 0] = -0.0
    affine = Affine.about(np.array([1.0, 2, 3]), np.diag([1.1, 0.9, 1.0]), (3.0, 0.2, -1))
    chain = Composite([affine, Affine(translation=(1.0, 0, 0)), DisplacementField(vectors, grid)])
    write_transform(chain, tmp_path / "t.h5")
    before = map_checksum(parts_of(chain))
    assert map_checksum(parts_of(read_transform(tmp_path / "t.h5"))) == before
    vectors[0, 1, 2, 3] += 1e-4
    assert map_checksum(parts_of(chain)) != before


def test_the_checksum_of_a_field_is_that_of_its_bytes():
    import torch

    grid = Grid((2, 3, 4), (1.0, 1.0, 2.0))
    vectors = torch.arange(72, dtype=torch.float32).reshape(3, *grid.shape)
    head = "field 2 3 4 1.000000 1.000000 2.000000 0.000000 0.000000 0.000000 1.000000 0.000000 "
    head += "0.000000 0.000000 1.000000 0.000000 0.000000 0.000000 1.000000\n"
    stream = head.encode() + np.moveaxis(vectors.numpy(), 0, -1).astype("<f4").tobytes()
    found = map_checksum(parts_of(DisplacementField(vectors, grid)))
    assert found == hashlib.sha256(stream).hexdigest()


@pytest.mark.parametrize("dtype", ["<i2", ">i2", "u1", "<f8"])
def test_voxels_have_one_checksum_in_any_type(dtype):
    values = np.random.default_rng(0).integers(0, 100, (300, 70, 80))
    assert voxel_checksum(values.astype(dtype)) == voxel_checksum(values.astype("<f4"))


# Where the transform came from ----------------------------------------------------------------


def test_the_page_of_a_registration_says_how_it_was_made(pair, shift, tmp_path, landmarks):
    out = tmp_path / "out"
    line = trivial.register(*pair, out, "--report", "-q", *landmarks)
    assert main([str(v) for v in line]) == 0
    report = json.loads((out / "report.json").read_text())
    text = text_of(out / "report.html")
    assert "method shift, quality default" in text and report["date"] in text
    assert report["transform"]["sha256"] in text
    assert hashlib.sha256((out / "transform.h5").read_bytes()).hexdigest() in text
    # measured again later, it still knows; another transform in its place is not taken for it
    evaluate(pair, out / "transform.h5", tmp_path / "p.html")
    assert "method shift, quality default" in text_of(tmp_path / "p.html")
    write_transform(Affine(translation=(9.0, 0, 0)), out / "transform.h5")
    evaluate(pair, out / "transform.h5", tmp_path / "p.html")
    text = text_of(tmp_path / "p.html")
    assert "method shift" not in text and "how it was made is not known" in text


def test_landmarks_keep_the_labels_of_their_files(pair, written, tmp_path):
    points = np.array([[0.0, 12.0, 40.0], [4.0, 14.0, 38.0]])
    for name, move in (("f", 0.0), ("m", (2.0, -1.0, 3.5))):
        rows = [
            f"{x},{y},{z},{label}"
            for (x, y, z), label in zip(points + move, ("carina", "apex"), strict=True)
        ]
        (tmp_path / f"{name}.csv").write_text("\n".join(["x,y,z,label", *rows]))
    files = ("--fixed-landmarks", tmp_path / "f.csv", "--moving-landmarks", tmp_path / "m.csv")
    assert evaluate(pair, written, tmp_path / "p.html", *files) == 0
    page = (tmp_path / "p.html").read_text(encoding="utf-8")
    rows = page[page.index("Landmarks one by one") :]
    before = np.linalg.norm([2.0, -1.0, 3.5])
    assert f"<td>carina</td><td>{before:.2f}</td><td>0.50</td>" in rows
    assert "<td>apex</td>" in rows and "Largest landmark error: 0.50 mm at carina" in page


# The checklist --------------------------------------------------------------------------------


def test_the_checklist_follows_the_measures():
    jacobian = {"min": 0.5, "max": 1.5, "percent_nonpositive": 0.0}
    after = {"dice": 0.85, "mean_surface_distance": 1.0}
    quality = {
        "voxel_mm": 3.0,
        "jacobian": {**jacobian, "percent_nonpositive": 2.0, "in_mask": jacobian},
        "overlap": {"1": {"after": after}, "heart": {"after": {**after, "dice": 0.79}}},
        "inverse_consistency": {"p95": 3.5, "max": 9.0},
    }
    states = {item.title: item.state for item in checklist(quality, [1.0, 2.9])}
    structures = "Structures: Dice, mean distance to agreement"
    assert states["Target registration error at landmarks"] == "kept"
    assert states[f"{structures}, label 1"] == "kept"
    assert states[f"{structures}, heart"] == "exceeded"
    assert states["Jacobian determinant"] == "kept"
    assert states["Inverse consistency"] == "exceeded"
    assert states["Images and transform are identified"] == "not measured"
    worse = {item.title: item.state for item in checklist(quality, [1.0, 3.1], identified=True)}
    assert worse["Target registration error at landmarks"] == "exceeded"
    assert worse["Images and transform are identified"] == "kept"
    driven = {**quality, "overlap": {"1": {"after": after, "drove": True}}}
    (found,) = (item for item in checklist(driven) if item.title == f"{structures}, label 1")
    assert found.state == "not measured" and "drove the registration: no proof" in found.found
    empty = [item.state for item in checklist({})]
    assert "kept" not in empty and "exceeded" not in empty


# Two transforms -------------------------------------------------------------------------------


def test_two_transforms_are_compared_on_one_page(pair, written, tmp_path, landmarks):
    other = tmp_path / "U.h5"
    write_transform(Affine(translation=(3.0, -1.0, 3.0)), other)
    page = tmp_path / "p.html"
    assert evaluate(pair, written, page, "--compare", other, *landmarks) == 0
    text = text_of(page)
    assert "Two deformable registrations compared" in text
    assert "B has the smaller error at 3 of 3 landmarks" in text  # the marks are 1 mm beyond A
    assert "landmark error, mean, mm1.000.00-1.00" in text  # cells, joined
    for path in (written, other):
        assert hashlib.sha256(path.read_bytes()).hexdigest() in text
    tags = [tag for tag, _ in Page(page.read_text(encoding="utf-8")).tags]
    assert tags.count("img") > 4


# Pictures -------------------------------------------------------------------------------------


def test_the_body_fills_the_frame():
    scan = np.full((60, 90, 100), -1000.0, np.float32)
    scan[10:50, 20:70, 30:80] = 40.0
    scan[:, 80, 10:90] = 200.0  # the table
    box = body_box(scan, (2.0, 2.0, 2.0))
    for part, (low, high) in zip(box, ((10, 50), (20, 70), (30, 80)), strict=True):
        assert low - 8 <= part.start <= low and high <= part.stop <= high + 8
    empty = body_box(np.zeros((5, 6, 7), np.float32), (1.0, 1.0, 1.0))
    assert [part.stop - part.start for part in empty] == [5, 6, 7]


def test_a_picture_shows_the_place_it_is_of(tmp_path):
    grid = Grid((80, 70, 60), (2.0, 2.0, 2.0), (5.0, -3.0, 40.0))
    image = np.full(grid.shape, -1000.0, np.float32)
    image[5:55, 10:60, 10:70] = -200.0
    image[30, 40, 50] = 300.0
    point = tuple(grid.to_physical(np.array([50, 40, 30])))
    place = near(grid, point)
    assert tuple(place.center) == (30, 40, 50)
    (tmp_path / "p.png").write_bytes(overlay_picture(image, image, grid, place))
    pixels = sitk.GetArrayFromImage(sitk.ReadImage(str(tmp_path / "p.png")))
    gray = (pixels.max(-1).astype(int) - pixels.min(-1)) == 0
    bright = np.argwhere(gray & (pixels[..., 0] == pixels[gray][:, 0].max()))
    cross = np.argwhere((pixels == (255, 220, 0)).all(-1))
    for third in np.array_split(np.arange(pixels.shape[1]), 3):  # one in each slice
        spot = bright[np.isin(bright[:, 1], third)].mean(0)
        mark = cross[np.isin(cross[:, 1], third)].mean(0)
        assert np.abs(spot - mark).max() < 6
    whole = overview(image, grid)
    assert whole.box[0].start <= 5 and whole.box[0].stop >= 55
    small = np.zeros(grid.shape, bool)
    small[28:33, 38:43, 48:53] = True  # a heart in a chest
    around = overview(image, grid, small)
    assert tuple(around.center) == (28, 38, 48) and not around.marked
    assert [part.stop - part.start for part in around.box] == [35, 35, 35]  # 15 on each side
    assert overview(image, grid, image > -500).box == whole.box


def test_the_pictures_of_the_page_are_png_files_itk_reads(pair, written, tmp_path):
    evaluate(pair, written, tmp_path / "p.html")
    found = re.findall(r"base64,([^\"]+)", (tmp_path / "p.html").read_text(encoding="utf-8"))
    assert len(found) >= 3
    for k, data in enumerate(found):
        (tmp_path / f"{k}.png").write_bytes(base64.b64decode(data))
        assert sitk.ReadImage(str(tmp_path / f"{k}.png")).GetSize()[1] == 420
