"""One definition of the region a result is judged in, in every command."""

import json

import numpy as np
import pytest
import torch

from DeepRegistrationLib.cli import main
from DeepRegistrationLib.data.cases import read_cases
from DeepRegistrationLib.data.phantoms import thorax
from DeepRegistrationLib.evaluation.quality import measure_quality
from DeepRegistrationLib.evaluation.region import Region, region_of
from DeepRegistrationLib.images.geometry import Grid
from DeepRegistrationLib.images.image import Image, read_image, write_image
from DeepRegistrationLib.options import Outputs, RegistrationOptions
from DeepRegistrationLib.studies.benchmark.protocol import PROTOCOLS, BenchmarkPair, pairs_for
from DeepRegistrationLib.studies.benchmark.run import Options, run
from DeepRegistrationLib.studies.benchmark.variants import variants_of
from DeepRegistrationLib.studies.cohort.pair_task import PairTask, register_pair
from DeepRegistrationLib.transforms import read_transform
from DeepRegistrationLib.transforms.single import single_transform
from DeepRegistrationLib.transforms.tensors import map_of, volume_of

GRID = Grid((12, 10, 8), (2.0, 2.0, 3.0))


@pytest.fixture(scope="module")
def chest():
    return thorax((40, 32, 36), (8.0, 8.0, 8.0))


def half(value=1):
    data = torch.zeros(GRID.shape, dtype=torch.int16)
    data[:, :, :6] = value
    return Image(data, GRID, "half")


def test_a_given_mask_comes_before_the_kept_one_and_that_before_the_lungs(chest):
    given = Image((chest.fixed.data > -500).to(torch.uint8), chest.fixed.grid, "given")
    kept = Region("lungs", chest.fixed_lungs)
    pair = chest.fixed, chest.moving
    assert region_of(*pair, fixed_mask=given, kept=kept).source == "mask"
    assert region_of(*pair, kept=kept) is kept
    found = region_of(*pair, fixed_labels=given)
    assert found.source == "lungs"
    truth = chest.fixed_lungs.data != 0
    overlap = (found.mask.data != 0) & truth
    assert 2 * overlap.sum() / ((found.mask.data != 0).sum() + truth.sum()) > 0.8


def test_labels_come_before_the_whole_image_and_nothing_is_the_whole_image():
    smooth = Image(torch.zeros(GRID.shape), GRID, "MRI")
    found = region_of(smooth, smooth, fixed_labels=half(7))
    assert found.source == "labels" and int(found.mask.data.max()) == 1
    assert found.described()["volume_ml"] == pytest.approx(6 * 10 * 8 * 12 / 1000)
    assert region_of(smooth, smooth).mask is None
    assert region_of(smooth, smooth, fixed_labels=half(0)).described() == {
        "source": "image",
        "name": "image",
    }
    assert region_of(None, None).source == "image"


@pytest.fixture(scope="module")
def files(chest, tmp_path_factory):
    """The phantom with labels, and landmarks whose order differs between the images."""
    folder = tmp_path_factory.mktemp("chest")
    rows = ["image,labels,landmarks,patient,split"]
    points = {"fixed": chest.fixed_landmarks, "moving": chest.moving_landmarks}
    for side in ("fixed", "moving"):
        write_image(getattr(chest, side), folder / f"{side}.nii.gz")
        write_image(getattr(chest, f"{side}_lungs"), folder / f"{side}_labels.nii.gz")
        order = np.random.default_rng(len(side)).permutation(len(points[side]))
        control = [
            {"label": f"vessel {k}", "position": np.asarray(points[side])[k].tolist()}
            for k in order
        ]
        markups = {"markups": [{"type": "Fiducial", "controlPoints": control}]}
        (folder / f"{side}.mrk.json").write_text(json.dumps(markups))
        rows.append(f"{side}.nii.gz,{side}_labels.nii.gz,{side}.mrk.json,anna,test")
    (folder / "list.csv").write_text("\n".join(rows) + "\n")
    return folder


def by_register(files, out):
    marks = [f"--{s}-landmarks={files / s}.mrk.json" for s in ("fixed", "moving")]
    images = [str(files / f"{s}.nii.gz") for s in ("fixed", "moving")]
    assert main(["register", *images, "-o", str(out), "--method", "affine", "-q", *marks]) == 0
    return json.loads((out / "report.json").read_text())


def by_evaluate(files, out, capsys, *more):
    given = [
        f"--{side}{what}={files / name.format(side)}"
        for side in ("fixed", "moving")
        for what, name in (
            ("", "{}.nii.gz"),
            ("-landmarks", "{}.mrk.json"),
            ("-labels", "{}_labels.nii.gz"),
        )
    ]
    assert main(["evaluate", str(out / "transform.h5"), *given, *more]) == 0
    return json.loads(capsys.readouterr().out)


def by_panel(files, out):
    """What the panel's engine measures of the scene that holds this result."""
    fixed, moving = (read_image(files / f"{s}.nii.gz") for s in ("fixed", "moving"))
    labels = [volume_of(read_image(files / f"{s}_labels.nii.gz")) for s in ("fixed", "moving")]
    transform = single_transform(read_transform(out / "transform.h5"), fixed.grid)
    return measure_quality(
        map_of(transform),
        volume_of(fixed),
        volume_of(moving),
        kept_mask=volume_of(read_image(out / "mask.nii.gz")),
        fixed_labels=labels[0],
        moving_labels=labels[1],
    )


def by_cohort(files, folder):
    cases = read_cases(files / "list.csv")
    pair = BenchmarkPair("anna fixed < moving", cases[0], cases[1])
    options = RegistrationOptions(method="affine", device="cpu")
    job = PairTask(pair, folder / "anna", {}, options, Outputs())
    row = register_pair(job)
    assert row["status"] == "ok", row
    return row, json.loads((folder / "anna" / "report.json").read_text())


def by_benchmark(files, out):
    protocol = PROTOCOLS["lung"]
    pairs = pairs_for(protocol, read_cases(files / "list.csv"))
    variants = variants_of(["affine"], ["default"], ["auto"])
    rows = run(protocol, pairs, variants, out, Options(device="cpu"))
    return next(row for row in rows if row["method"] == "affine")


def test_every_command_measures_one_registration_alike(files, tmp_path, capsys):
    report = by_register(files, tmp_path / "out")
    assert report["region"]["source"] == "lungs"
    evaluated = by_evaluate(files, tmp_path / "out", capsys)
    panel = by_panel(files, tmp_path / "out")
    row, cohort = by_cohort(files, tmp_path)
    benchmark = by_benchmark(files, tmp_path / "benchmark")
    for other in (evaluated, panel, cohort):
        assert other["region"] == report["region"]
        assert other["jacobian"]["in_mask"]["mean"] == pytest.approx(
            report["jacobian"]["in_mask"]["mean"], abs=1e-4
        )
        assert other["similarity"]["after"]["local_ncc"] == pytest.approx(
            report["similarity"]["after"]["local_ncc"], abs=1e-3
        )
    assert benchmark["region"] == "lungs"
    assert benchmark["lcc"] == pytest.approx(report["similarity"]["after"]["local_ncc"], abs=1e-3)
    dice = evaluated["overlap"]["1"]["after"]["dice"]
    for other in (panel["overlap"], cohort["overlap"]):
        assert other["1"]["after"]["dice"] == pytest.approx(dice, abs=1e-4)
    assert benchmark["overlap"]["1"]["dice"] == pytest.approx(dice, abs=1e-4)
    assert row["overlap_1_after_dice"] == pytest.approx(dice, abs=1e-4)
    error = report["tre"]["after"]["mean"]
    assert error < report["tre"]["before"]["mean"]  # the pairs are those of the labels
    assert evaluated["tre"]["after"]["mean"] == pytest.approx(error, abs=1e-4)
    assert row["tre_after_mean"] == pytest.approx(error, abs=1e-4)
    assert benchmark["tre"]["mean"] == pytest.approx(error, abs=1e-4)
    assert panel["inverse_consistency"] == pytest.approx(evaluated["inverse_consistency"])


def test_the_mask_that_was_given_is_kept_beside_the_transform(files, chest, tmp_path, capsys):
    values = torch.zeros(chest.fixed.grid.shape, dtype=torch.uint8)
    values[10:20, 8:20, 8:30] = 1
    write_image(Image(values, chest.fixed.grid), tmp_path / "box.nii.gz")
    images = [str(files / f"{s}.nii.gz") for s in ("fixed", "moving")]
    out = tmp_path / "out"
    options = ["--method", "affine", "-q", "--fixed-mask", str(tmp_path / "box.nii.gz")]
    assert main(["register", *images, "-o", str(out), *options]) == 0
    report = json.loads((out / "report.json").read_text())
    assert report["region"] == {
        "source": "mask",
        "name": "mask",
        "volume_ml": pytest.approx(10 * 12 * 22 * 0.512),
    }
    np.testing.assert_array_equal(read_image(out / "mask.nii.gz").data.numpy(), values.numpy())
    evaluated = by_evaluate(files, out, capsys)
    assert evaluated["region"] == report["region"]
    whole = tmp_path / "whole.nii.gz"
    write_image(Image(torch.ones_like(values), chest.fixed.grid), whole)
    other = by_evaluate(files, out, capsys, "--fixed-mask", str(whole))
    assert other["region"]["volume_ml"] > 10 * report["region"]["volume_ml"]


def test_a_transform_without_a_report_beside_it_is_judged_in_the_lungs(files, tmp_path, capsys):
    report = by_register(files, tmp_path / "out")
    moved = tmp_path / "elsewhere"
    moved.mkdir()
    (tmp_path / "out" / "transform.h5").rename(moved / "transform.h5")
    assert by_evaluate(files, moved, capsys)["region"] == report["region"]
