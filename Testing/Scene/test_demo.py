"""``make demo``: what it writes, what it says, and what it refuses."""

from __future__ import annotations

import json

import numpy as np
import pytest
from scenery import centered_grid, image_on

from DeepRegistrationLib.evaluation.landmarks import write_landmarks
from DeepRegistrationLib.images.image import write_image
from DeepRegistrationLib.scene.nodes.application import Application
from DeepRegistrationLib.scene.runs import demo
from DeepRegistrationLib.scene.runs.demo_data import folder_pair
from DeepRegistrationLib.scene.views import offscreen_views

POINTS = np.array([[2.0, 3.0, 20.0], [8.0, -4.0, 25.0], [-9.0, 6.0, 15.0]])


@pytest.fixture
def folder(tmp_path):
    """A pair on disk, with masks and landmarks, named as people name such files."""
    place = tmp_path / "pair"
    place.mkdir()
    grid = centered_grid((30, 30, 30), (2.5, 2.5, 2.5), (2, 3, 20))
    for name in ("patient_fixed", "patient_moving"):
        write_image(image_on(grid, name), place / f"{name}.nii.gz")
        mask = image_on(grid)
        write_image(
            type(mask)((mask.data > -800).byte(), grid, "mask"), place / f"{name}_mask.nii.gz"
        )
        write_landmarks(POINTS, place / f"{name}.csv")
    return place


def read(output) -> dict:
    return json.loads((output / "report.json").read_text())


def test_the_phantom_gives_scene_report_and_pictures(tmp_path, capsys):
    output = tmp_path / "demo"
    code = demo.main(
        ["--output", str(output), "--spacing", "8", "--method", "affine", "--quality", "fast"]
    )
    assert code == 0
    expected = (
        set(demo.FILES)
        if offscreen_views.rendering_problem() is None
        else {"scene.mrb", "report.json"}
    )
    assert {path.name for path in output.iterdir()} == expected
    report = read(output)
    assert report["tre"]["n"] > 10
    assert report["tre"]["after"]["mean"] < report["tre"]["before"]["mean"]
    said = capsys.readouterr().out
    assert "mm before" in said and "mm after" in said
    assert "scene.mrb in 3D Slicer" in said


def test_the_saved_scene_opens_with_the_overlay(tmp_path, monkeypatch):
    monkeypatch.setattr(demo, "rendering_problem", lambda: "Not needed here.")
    output = tmp_path / "demo"
    assert demo.main(["--output", str(output), "--spacing", "8", "--method", "affine"]) == 0
    application = Application()
    scene = application.scene
    assert scene.ReadFromMRB(str(output / "scene.mrb"))
    fixed, moving = (scene.GetFirstNodeByName(name) for name in ("Inhale", "Exhale"))
    composite = next(
        scene.GetNthNodeByClass(k, "vtkMRMLSliceCompositeNode")
        for k in range(scene.GetNumberOfNodesByClass("vtkMRMLSliceCompositeNode"))
        if scene.GetNthNodeByClass(k, "vtkMRMLSliceCompositeNode").GetLayoutName() == "Red"
    )
    assert composite.GetBackgroundVolumeID() == fixed.GetID()
    assert composite.GetForegroundVolumeID() == moving.GetID()
    assert moving.GetParentTransformNode() is not None
    assert fixed.GetDisplayNode().GetColorNode().GetName() == "Green"


def test_a_folder_is_read_with_its_masks_and_landmarks(folder):
    pair = folder_pair(folder)
    assert (pair.fixed.name, pair.moving.name) == ("patient_fixed", "patient_moving")
    assert np.allclose(pair.fixed_landmarks, POINTS)
    assert bool(pair.moving_mask.data.any())


def test_without_opengl_all_but_the_pictures_is_written(tmp_path, capsys, monkeypatch):
    monkeypatch.setattr(demo, "rendering_problem", lambda: "No pictures: no OpenGL.")
    output = tmp_path / "demo"
    assert demo.main(["--output", str(output), "--spacing", "8", "--method", "affine"]) == 0
    assert {path.name for path in output.iterdir()} == {"scene.mrb", "report.json"}
    assert "No pictures: no OpenGL." in capsys.readouterr().out


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["--data", "{folder}/nothing"], "is not a folder"),
        (["--fixed", "{folder}/patient_fixed.nii.gz"], "Give both images"),
        (["--data", "a", "b", "c"], "one folder or two image files"),
        (["--data", "{folder}", "--fixed", "x"], "either --data or --fixed"),
        (["--spacing", "0"], "not within 1 to 8 mm"),
        (["--data", "{folder}/a.nii", "{folder}/b.nii"], "does not exist"),
    ],
)
def test_mistakes_are_one_sentence_exit_2_and_nothing_written(
    folder, tmp_path, capsys, arguments, sentence
):
    output = tmp_path / "demo"
    given = [argument.format(folder=folder) for argument in arguments]
    assert demo.main([*given, "--output", str(output)]) == 2
    said = capsys.readouterr()
    assert sentence in said.err
    assert len(said.err.strip().splitlines()) == 1
    assert not output.exists()


def test_a_folder_with_another_number_of_images_is_refused(folder, tmp_path, capsys):
    (folder / "patient_moving.nii.gz").unlink()
    assert demo.main(["--data", str(folder), "--output", str(tmp_path / "demo")]) == 2
    assert "holds 1 images" in capsys.readouterr().err
