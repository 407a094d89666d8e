"""What drove a transform stays known when its file is renamed, copied or converted."""

from __future__ import annotations

import json
import shutil

import numpy as np
import pytest
import SimpleITK as sitk
from references import GRIDS, wave_field
from test_itk_hdf5 import flat

from DeepRegistrationLib import RegistrationError, write_landmarks
from DeepRegistrationLib.cli import main
from DeepRegistrationLib.evaluation.driving_record import (
    Drove,
    read_driving,
    write_driving,
    write_driving_labels,
)
from DeepRegistrationLib.evaluation.landmark_pairs import LandmarkPairs
from DeepRegistrationLib.images.carried import ABLE, carried_text
from DeepRegistrationLib.reports.driving_files import DRIVING_FILE, DRIVING_LABELS_FILE, what_drove
from DeepRegistrationLib.reports.file_report import identity_of_transform
from DeepRegistrationLib.transforms import Affine, Composite, read_transform, write_transform

POINTS = np.random.default_rng(0).normal(size=(4, 3)) * 20
PAIRS = LandmarkPairs(["a", 'b "x", y', "ü"], POINTS[:3], POINTS[:3] + 1.0)
DROVE = Drove(PAIRS, ("left lung", "3"))
FIELD = wave_field(GRIDS["straight"](), 3.0, 45.0)
TRANSFORM = Composite([Affine(translation=(1.0, 2.0, -3.0)), FIELD])


def test_the_record_comes_back_exactly_and_damage_is_said(tmp_path):
    file = tmp_path / "driving_landmarks.csv"
    driving = PAIRS
    write_driving(driving, file)
    again = read_driving(file)
    assert again.labels == driving.labels
    assert (again.fixed == driving.fixed).all() and (again.moving == driving.moving).all()
    for text in (
        "",
        "x,y\n1,2\n",
        file.read_text(encoding="utf-8").replace(",x,", ",r,"),
        file.read_text(encoding="utf-8") + "d,1,2\n",
    ):
        file.write_text(text, encoding="utf-8")
        with pytest.raises(RegistrationError, match="does not say which landmarks drove"):
            read_driving(file)


def same(found):
    assert found.labels == DROVE.labels and found.pairs.labels == PAIRS.labels
    assert (found.pairs.fixed == PAIRS.fixed).all() and (found.pairs.moving == PAIRS.moving).all()
    return True


# In the file itself


@pytest.mark.parametrize("ending", ABLE)
def test_a_file_carries_it_and_itk_reads_the_same_transform(tmp_path, ending):
    transform = FIELD if ending == ".nrrd" else TRANSFORM
    plain, carrying = tmp_path / f"plain{ending}", tmp_path / f"carrying{ending}"
    write_transform(transform, plain)
    write_transform(transform, carrying, DROVE.text())
    assert same(Drove.read(carried_text(carrying), "it"))
    assert carried_text(plain) is None
    if ending == ".nrrd":
        one, two = (sitk.ReadImage(str(path)) for path in (plain, carrying))
        assert (sitk.GetArrayFromImage(one) == sitk.GetArrayFromImage(two)).all()
    else:
        one, two = (sitk.ReadTransform(str(path)) for path in (plain, carrying))
        assert flat(one) == flat(two)
    own = [identity_of_transform(read_transform(path)).checksum for path in (plain, carrying)]
    assert own[0] == own[1]


def test_thousands_of_pairs_fit_into_the_file(tmp_path):
    many = np.random.default_rng(1).normal(size=(3000, 3)) * 90
    text = Drove(LandmarkPairs([f"p{k}" for k in range(3000)], many, many + 2.0)).text()
    write_transform(TRANSFORM, tmp_path / "t.h5", text)
    assert carried_text(tmp_path / "t.h5") == text and len(text) > 100_000
    assert flat(sitk.ReadTransform(str(tmp_path / "t.h5")))[1][0] == "AffineTransform"


@pytest.mark.parametrize("ending", [".h5", ".tfm", ".nrrd"])
def test_slicers_own_reader_passes_over_it(tmp_path, ending):
    slicer = pytest.importorskip("slicer", reason="slicer-core is not installed")
    path = tmp_path / f"carrying{ending}"
    write_transform(FIELD, path, DROVE.text())
    scene = slicer.vtkMRMLScene()
    node = scene.AddNewNodeByClass("vtkMRMLTransformNode")
    storage = scene.AddNewNodeByClass("vtkMRMLTransformStorageNode")
    storage.SetFileName(str(path))
    assert storage.ReadData(node) == 1
    point = FIELD.grid.to_physical(np.array([5.0, 6.0, 4.0]))
    moved = node.GetTransformFromParent().TransformPoint((point * (-1, -1, 1)).tolist())
    expected = point + FIELD.vectors[:, 4, 6, 5].numpy()
    assert np.array(moved) * (-1, -1, 1) == pytest.approx(expected, abs=1e-4)


def test_a_damaged_text_is_said(tmp_path):
    write_transform(TRANSFORM, tmp_path / "t.tfm", DROVE.text()[:-5])
    with pytest.raises(RegistrationError, match="t.tfm says of the landmarks .* is damaged"):
        what_drove(tmp_path / "t.tfm", str)


# In its folder


@pytest.fixture
def folder(tmp_path):
    """What a registration that landmarks and segments drove leaves."""
    found = tmp_path / "result"
    found.mkdir()
    write_transform(TRANSFORM, found / "transform.h5", DROVE.text())
    write_driving(PAIRS, found / DRIVING_FILE)
    write_driving_labels(DROVE.labels, found / DRIVING_LABELS_FILE)
    report = {"transform": {"sha256": identity_of_transform(TRANSFORM).checksum}}
    (found / "report.json").write_text(json.dumps(report))
    return found


def drove(path):
    return what_drove(path, lambda: identity_of_transform(read_transform(path)).checksum)


def test_renamed_and_copied_files_keep_it(folder, tmp_path):
    assert same(drove(shutil.copy(folder / "transform.h5", tmp_path / "other.h5")))
    assert same(drove((folder / "transform.h5").rename(folder / "patient 7.h5")))


def test_a_file_that_another_program_wrote_beside_it_is_known_by_its_numbers(folder, tmp_path):
    again = sitk.ReadTransform(str(folder / "transform.h5"))
    for name in ("saved by another.h5", "transform.h5"):
        sitk.WriteTransform(again, str(folder / name))
        assert carried_text(folder / name) is None and same(drove(folder / name))


def test_a_transform_of_other_numbers_is_not_said_to_be_driven(folder):
    for name in ("other.h5", "transform.h5"):
        write_transform(Affine(translation=(1.0, 2.0, 3.0)), folder / name)
        assert not drove(folder / name)
    (folder / "report.json").unlink()  # then the name alone speaks, for what is safer
    assert same(drove(folder / "transform.h5")) and not drove(folder / "other.h5")


def test_converting_keeps_it_or_says_that_it_is_lost(folder, tmp_path, capsys):
    assert main(["convert", str(folder / "transform.h5"), str(tmp_path / "t.tfm")]) == 0
    assert "cannot be written" not in capsys.readouterr().out
    assert same(drove(tmp_path / "t.tfm"))
    write_transform(FIELD, folder / "field.nrrd", DROVE.text())
    assert main(["convert", str(folder / "field.nrrd"), str(tmp_path / "f.nii.gz")]) == 0
    assert "segments drove the transform cannot be written into f.nii.gz" in capsys.readouterr().out


def test_what_drove_a_transform_is_no_proof_of_its_inverse_either(tmp_path, capsys):
    fixed, shift = (
        np.array([[10.0, 0.0, 0.0], [40.0, 5.0, 0.0], [5.0, 50.0, 9.0]]),
        (30.0, 0.0, 0.0),
    )
    write_driving(
        LandmarkPairs(["a", "b"], fixed[:2], fixed[:2] + shift), tmp_path / "driving_landmarks.csv"
    )
    write_transform(Affine(translation=tuple(-v for v in shift)), tmp_path / "inverse.h5")
    write_landmarks(fixed + shift, tmp_path / "ours.csv")
    write_landmarks(fixed, tmp_path / "theirs.csv")
    lists = (
        "--fixed-landmarks",
        tmp_path / "ours.csv",
        "--moving-landmarks",
        tmp_path / "theirs.csv",
    )
    assert main(["evaluate", str(tmp_path / "inverse.h5"), *map(str, lists)]) == 0
    report = json.loads(capsys.readouterr().out)
    assert report["tre"]["n"] == 1
    assert report["driving"]["residual_mm"] == pytest.approx([0.0, 0.0], abs=1e-4)


def test_what_drove_a_renamed_start_is_no_proof_of_what_is_made_of_it(folder, tmp_path, capsys):
    (folder / "transform.h5").rename(tmp_path / "renamed.h5")
    for name, points in (("f", POINTS), ("m", POINTS + 1.0)):
        write_landmarks(points, tmp_path / f"{name}.csv")
    lists = ["--fixed-landmarks", tmp_path / "f.csv", "--moving-landmarks", tmp_path / "m.csv"]
    assert main(["evaluate", str(tmp_path / "renamed.h5"), *map(str, lists)]) == 0
    report = json.loads(capsys.readouterr().out)
    assert report["tre"]["n"] == 1 and report["driving_labels"] == list(DROVE.labels)


def test_a_damaged_record_of_the_start_is_said_before_anything_is_registered(
    pair, tmp_path, capsys, monkeypatch
):
    monkeypatch.setattr("DeepRegistrationLib.cli.register.register", None)
    write_transform(TRANSFORM, tmp_path / "t.tfm", DROVE.text()[:-5])
    words = ["register", *map(str, pair), "-o", str(tmp_path / "out")]
    assert main([*words, "--initial", str(tmp_path / "t.tfm")]) == 2
    assert "t.tfm says of the landmarks" in capsys.readouterr().err
