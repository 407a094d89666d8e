"""The pages and the command line of ventilation and strain."""

from __future__ import annotations

import csv
import xml.etree.ElementTree as ElementTree
from dataclasses import replace
from pathlib import Path

import dicom_pair
import numpy as np
import pytest
import SimpleITK as sitk
import torch

from DeepRegistrationLib import Image, RegistrationError, read_image, write_image, write_transform
from DeepRegistrationLib.cli import function, main
from DeepRegistrationLib.data.phantoms import cine, thorax
from DeepRegistrationLib.images.label_files import write_labels
from DeepRegistrationLib.images.labels import Labels, Segment
from DeepRegistrationLib.reports.bulls_eye import bulls_eye_svg, color
from DeepRegistrationLib.reports.curves_svg import curves_svg
from Testing.Engine import breathing_chest as chest


@pytest.fixture
def breath(tmp_path: Path) -> Path:
    for exhale in (False, True):
        image, lungs = chest.scan(exhale)
        write_image(image, tmp_path / f"{image.name}.nii.gz")
        write_image(lungs, tmp_path / f"{image.name}_lungs.nii.gz")
    write_transform(chest.motion(to_exhale=True), tmp_path / "motion.h5")
    return tmp_path


def run(*words: object) -> int:
    return main([str(word) for word in words])


def rows_of(path: Path) -> list[dict[str, str]]:
    with path.open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


def test_ventilation_writes_maps_table_and_page(breath, capsys):
    folder = breath / "out"
    given = [breath / f"{name}.nii.gz" for name in ("inhale", "exhale")]
    lungs = breath / "inhale_lungs.nii.gz"
    options = ["--transform", breath / "motion.h5", "--lungs", lungs, "--output", folder]
    assert run("ventilation", *given, *options) == 0
    printed = capsys.readouterr().out
    assert "The fixed image is the inhale" in printed
    rows = rows_of(folder / "regions.csv")
    assert [row["region"] for row in rows][:2] == ["both lungs", "right lung, lower third"]
    inside = read_image(lungs).data.numpy() != 0
    changes, exhale = chest.truth(False)
    true = (exhale * (1 + changes["volume"]))[inside].sum() / exhale[inside].sum() - 1
    assert float(rows[0]["volume"]) == pytest.approx(true, abs=0.005)
    names = {path.name for path in folder.iterdir()}
    maps = ("volume", "gas", "density", "mass", "relative", "reliable", "lungs")
    assert names == {*(f"{name}.nii.gz" for name in maps), "regions.csv", "report.html"}
    volume = read_image(folder / "volume.nii.gz")
    assert volume.grid.same_as(chest.GRID)
    assert float(np.abs(volume.data.numpy()[~inside]).max()) == 0
    page = (folder / "report.html").read_text("utf-8")
    assert "data:image/png" in page
    assert "right lung, upper third" in page
    assert "<script" not in page


def test_wrong_phases_leave_no_folder(breath, capsys):
    folder = breath / "out"
    given = [breath / f"{name}.nii.gz" for name in ("inhale", "exhale")]
    options = ["--transform", breath / "motion.h5", "--lungs", breath / "inhale_lungs.nii.gz"]
    assert run("ventilation", *given, *options, "--fixed-phase", "exhale", "-o", folder) == 2
    assert "exchange the images" in capsys.readouterr().err
    assert not folder.exists()


def noted(read):
    """A reader whose images have something to be said about."""

    def reading(*given, **more):
        found = read(*given, **more)
        if isinstance(found, list):
            return [replace(image, notes=("a slice was missing",)) for image in found]
        return replace(found, notes=("a slice was missing",))

    return reading


def test_structures_as_regions_are_checked_and_explained(breath, capsys):
    made = [dicom_pair.series(breath / name, chest.GRID) for name in ("fixed", "moving")]
    ring = np.linspace(0, 2 * np.pi, 60, endpoint=False)
    ring = 20 * np.column_stack([np.cos(ring), np.sin(ring), 0 * ring])
    middle = chest.GRID.to_physical(np.array(chest.GRID.size) // 2)
    rois = {"here": [ring + middle], "far": [ring + middle + (900.0, 0.0, 0.0)]}
    files = [dicom_pair.structures(breath / f"{k}.dcm", each, rois) for k, each in enumerate(made)]
    given = [breath / f"{name}.nii.gz" for name in ("inhale", "exhale")]
    given += ["--transform", breath / "motion.h5", "--lungs", breath / "inhale_lungs.nii.gz"]
    assert run("ventilation", *given, "--regions", files[0], "-o", breath / "out") == 0
    assert "0.dcm: outside the image or smaller" in capsys.readouterr().out
    given[:2] = made[0].folder, made[1].folder
    assert run("ventilation", *given, "--regions", files[1], "-o", breath / "two") == 2
    assert "1.dcm was drawn on the moving image" in capsys.readouterr().err


def test_what_a_region_does_not_tell_is_empty_in_the_table(breath, capsys):
    """A lesion has no air; a CT is no list of regions."""
    given = [breath / f"{name}.nii.gz" for name in ("inhale", "exhale")]
    options = ["--transform", breath / "motion.h5", "--lungs", breath / "inhale_lungs.nii.gz"]
    scan, lungs = chest.scan(False)
    x, y, z = chest.GRID.points().unbind(-1)
    lesion = ((x - 60) ** 2 + y**2 + z**2 < 30**2) & (lungs.data > 0)
    write_image(replace(scan, data=torch.where(lesion, 30.0, scan.data)), given[0])
    write_image(replace(lungs, data=lesion.to(torch.uint8)), breath / "lesion.nii.gz")
    options += ["--output", breath / "out", "--regions"]
    assert run("ventilation", *given, *options, breath / "lesion.nii.gz") == 0
    row = rows_of(breath / "out/regions.csv")[-1]
    assert float(row["volume"]) > 0.05
    assert row["gas"] == row["density"] == row["relative_gas"] == ""
    assert run("ventilation", *given, *options, given[0]) == 2
    assert "give a label map" in capsys.readouterr().err


def test_ventilation_of_phases(tmp_path, capsys, monkeypatch):
    monkeypatch.setattr(function, "read_sequence", noted(function.read_sequence))
    options = {"size": (60, 48, 54), "spacing": (5.0, 5.0, 5.0), "noise": 10.0, "seed": 4}
    pair = thorax(motion=20.0, **options)
    middle = thorax(motion=10.0, **options).moving
    images = [pair.fixed, middle, pair.moving]
    for k, image in enumerate(images):
        write_image(image, tmp_path / f"{k}.nii.gz")
    joined = sitk.JoinSeries([sitk.ReadImage(str(tmp_path / f"{k}.nii.gz")) for k in range(3)])
    sitk.WriteImage(joined, str(tmp_path / "4d.nii.gz"))
    assert (
        run("ventilation", tmp_path / "4d.nii.gz", "-o", tmp_path / "out", "--quality", "fast") == 0
    )
    rows = {row["volume_ml"]: row for row in rows_of(tmp_path / "out" / "curves.csv")}
    lungs = [float(rows["lungs"][f"phase_{k}"]) for k in (1, 2, 3)]
    assert lungs == sorted(lungs, reverse=True)
    assert "polyline" in (tmp_path / "out" / "report.html").read_text("utf-8")
    assert capsys.readouterr().out.count("a slice was missing.") == 1
    assert run("ventilation", tmp_path / "0.nii.gz", "-o", tmp_path / "one") == 2
    assert "at least two phases" in capsys.readouterr().err
    lungs_given = ["--lungs", tmp_path / "0.nii.gz"]
    assert run("ventilation", tmp_path / "4d.nii.gz", "-o", tmp_path / "one", *lungs_given) == 2
    assert "--lungs is for two images" in capsys.readouterr().err


def test_named_segments_of_the_heart_are_known_by_their_names(tmp_path, capsys, monkeypatch):
    given: list[Image] = []

    def strain(*_frames, labels, **_more):
        given.append(labels)
        raise RegistrationError("Only the labels are of interest.")

    monkeypatch.setattr(function, "strain", strain)
    phantom = cine(2, (40, 38, 6), (5.0, 5.0, 16.0), seed=3)
    for k, frame in enumerate(phantom.frames):
        write_image(frame, tmp_path / f"{k}.nii.gz")
    truth = phantom.labels[0].data
    renumbered = replace(phantom.labels[0], data=torch.where(truth > 0, 4 - truth, 0))
    names = {1: "Left ventricle", 2: "Myocardium", 3: "RV"}
    frames = [tmp_path / "0.nii.gz", tmp_path / "1.nii.gz"]
    words = [*frames, "--end-diastole", 1, "-o", tmp_path / "out", "--labels"]
    for names[3], says in (("RV", "Only the labels"), ("vessel", "Left ventricle, Myocardium, v")):
        segments = tuple(Segment(name, 0, value) for value, name in names.items())
        write_labels(Labels((renumbered,), segments), tmp_path / "heart.seg.nrrd")
        assert run("strain", *words, tmp_path / "heart.seg.nrrd") == 2
        assert says in capsys.readouterr().err
    assert (given[0].data == truth).all() and len(given) == 1


def test_strain_writes_maps_tables_and_bulls_eyes(tmp_path, capsys, monkeypatch):
    monkeypatch.setattr(function, "load_image", noted(function.load_image))
    phantom = cine(2, (80, 76, 11), (2.5, 2.5, 8.0), seed=3)
    for k, frame in enumerate(phantom.frames):
        write_image(frame, tmp_path / f"{k}.nii.gz")
    write_image(phantom.labels[0], tmp_path / "labels.nii.gz")
    frames = [tmp_path / "0.nii.gz", tmp_path / "1.nii.gz"]
    given = ["--labels", tmp_path / "labels.nii.gz", "--end-diastole", 1, "--quality", "fast"]
    assert run("strain", *frames, *given, "-o", tmp_path / "out") == 0
    printed = capsys.readouterr().out
    assert "end-systole is frame 2" in printed and "a slice was missing." in printed
    names = {path.name for path in (tmp_path / "out").iterdir()}
    assert names == {
        "radial.nii.gz", "radial.svg", "circumferential.nii.gz", "circumferential.svg",
        "labels.nii.gz", "segments.csv", "curves.csv", "report.html",
    }  # fmt: skip
    rows = rows_of(tmp_path / "out" / "segments.csv")
    assert len(rows) == 17
    assert all(float(row["radial"]) > 0 > float(row["circumferential"]) for row in rows[:12])
    assert run("strain", frames[0], "-o", tmp_path / "one") == 2
    assert "at least two frames" in capsys.readouterr().err


def test_no_result_replaces_an_input_nor_stays_of_another_run(breath, capsys):
    images = breath / "inhale.nii.gz", breath / "exhale.nii.gz"
    lungs = breath / "out" / "lungs.nii.gz"
    lungs.parent.mkdir()
    lungs.write_bytes((breath / "inhale_lungs.nii.gz").read_bytes())
    given = ["--transform", breath / "motion.h5", "-o", breath / "out"]
    assert run("ventilation", *images, "--lungs", lungs, *given) == 2
    assert "would be overwritten" in capsys.readouterr().err
    (breath / "out" / "labels.nii.gz").symlink_to(lungs)
    assert run("strain", *images, "--labels", lungs, "--end-diastole", 1, "-o", breath / "out") == 2
    assert "would be overwritten" in capsys.readouterr().err
    assert {path.name for path in (breath / "out").iterdir()} == {"labels.nii.gz", "lungs.nii.gz"}
    (breath / "out" / "curves.csv").write_text("of another run")
    assert run("ventilation", *images, "--lungs", breath / "inhale_lungs.nii.gz", *given) == 0
    assert not (breath / "out" / "curves.csv").exists()


BENT = ("--transform", "image")


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (("ventilation", 3, "--resolution", 3), "--resolution is for two images"),
        (("ventilation", 3, "--fixed-phase", "inhale"), "--fixed-phase is for two images"),
        (("ventilation", 1, "--frame", 1), "all are needed"),
        (("strain", 1, "--frame", 1), "all are needed"),
        (("strain", 2, "--labels", "image"), "say with --end-diastole which"),
        (("strain", 2, "--reference", 0), "is now --end-diastole, which counts from 1"),
        (("strain", 2, "--end-diastole", 0), "no frame 0; the frames are 1 to 2"),
        (("strain", 2, "--end-diastole", 3), "no frame 3; the frames are 1 to 2"),
        (("strain", 2, "--open"), "--open is for --tracking frames"),
        (("ventilation", 2, *BENT, "--method", "corrnet"), "--method says how to register"),
        (("ventilation", 2, *BENT, "--quality", "best"), "--quality says how to register"),
        (("ventilation", 2, *BENT, "--set", "levels=3"), "--set says how to register"),
        (("ventilation", 2, *BENT, "--refine"), "--refine says how to register"),
        (("ventilation", 2, *BENT, "--seed", 3), "--seed says how to register"),
        (("ventilation", 2, *BENT, "--device", "cpu"), "--device says how to register"),
    ],
)
def test_an_option_that_would_do_nothing_is_refused(tmp_path, words, says, capsys):
    image = tmp_path / "image.nii.gz"
    sitk.WriteImage(sitk.Image(4, 4, 4, sitk.sitkInt16), str(image))
    command, count, *options = words
    options = [image if option == "image" else option for option in options]
    assert run(command, *[image] * count, *options, "-o", tmp_path / "out") == 2
    assert says in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


def test_every_segment_has_its_place_in_the_bulls_eye():
    values = [k / 100 for k in range(1, 18)]
    root = ElementTree.fromstring(bulls_eye_svg(values, "test", 0.3))
    texts = {
        element.text: (float(element.get("x", 0)), float(element.get("y", 0)))
        for element in root.iter("{http://www.w3.org/2000/svg}text")
        if element.get("x")
    }
    middle = texts["17"]
    for name in ("1", "7", "13"):  # anterior walls above the middle
        assert texts[name][0] == pytest.approx(middle[0])
        assert texts[name][1] < middle[1] - 30
    for name in ("4", "10", "15"):
        assert texts[name][1] > middle[1] + 30
    for name in ("2", "3", "8", "9", "14"):  # septum at the left
        assert texts[name][0] < middle[0] - 30
    for name in ("5", "6", "11", "12", "16"):
        assert texts[name][0] > middle[0] + 30
    assert texts["2"][1] < middle[1] < texts["3"][1]


def test_colors_are_blue_white_red_and_gray_where_nothing_is_known():
    assert color(0.0, 0.3) == "#f7f7f7"
    assert color(-0.5, 0.3) == "#2166ac"
    assert color(0.3, 0.3) == "#b2182b"
    assert color(float("nan"), 0.3) == "#8a8f94"
    assert "?" in bulls_eye_svg([float("nan")] * 17, "test", 0.3)


def test_curves_hold_what_is_below_zero_and_unknown():
    curves = {"a": np.array([0.0, -5.0, np.nan, 3.0]), "b & c": np.zeros(4)}
    root = ElementTree.fromstring(curves_svg(curves, "x", "y", "curves"))
    lines = [e for e in root.iter("{http://www.w3.org/2000/svg}polyline")]
    assert [len(line.get("points", "").split()) for line in lines] == [3, 4]
    heights = [float(point.split(",")[1]) for point in lines[0].get("points", "").split()]
    assert heights[1] > heights[0] > heights[2]
