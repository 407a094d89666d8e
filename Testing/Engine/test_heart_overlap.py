"""Overlap of ventricles that a network segments: figures for hearts that nobody segmented."""

import json
from dataclasses import replace
from pathlib import Path

import pytest
from hearts import heart_labels, stack_grid
from test_heart_segmentation import Reader, known, legible

from DeepRegistrationLib import heart_overlap, register, registered_overlap
from DeepRegistrationLib.cli import main
from DeepRegistrationLib.data.phantoms import thorax
from DeepRegistrationLib.images.image import read_image, write_image
from DeepRegistrationLib.methods.heart import segmentation
from DeepRegistrationLib.methods.weights import find_weights
from DeepRegistrationLib.reports.heart_findings import BY_NETWORK, heart_findings
from DeepRegistrationLib.reports.verdict import verdict
from DeepRegistrationLib.transforms import Affine, write_transform

ACDC = Path(__file__).resolve().parents[3] / "shared" / "data" / "cardiac_acdc"
SHIFT = (14.0, -6.0, 0.0)
NAMES = {"RV": 1, "myocardium": 2, "LV": 3}


@pytest.fixture
def hearts(monkeypatch):
    """The same heart twice, moved in the second image, and a network that reads it there."""
    labels = [heart_labels(stack_grid(), shift=shift) for shift in ((0.0, 0.0, 0.0), SHIFT)]
    images = [
        replace(legible(each), name=name)
        for each, name in zip(labels, ("fixed", "moving"), strict=True)
    ]
    truth = dict(zip(("fixed", "moving"), labels, strict=True))
    monkeypatch.setattr(
        segmentation, "find_heart", lambda image: known(image, truth[image.name.split(".")[0]])
    )
    monkeypatch.setattr(segmentation, "_network", lambda *_: Reader())
    return images, labels


def test_the_overlap_is_that_of_the_hearts_before_and_after(hearts):
    images, labels = hearts
    found = heart_overlap(*images, Affine(translation=SHIFT))
    assert found["reason"] == "" and not found["aligned"]
    for name, label in NAMES.items():
        for when, transform in (("before", Affine()), ("after", Affine(translation=SHIFT))):
            true = registered_overlap(*labels, transform)[label]["dice"]
            # The toy network takes the blurred edge of a bright structure for a darker one.
            assert found["overlap"][name][when]["dice"] == pytest.approx(true, abs=0.1)
        assert found["overlap"][name]["after"]["dice"] > 0.85
    (finding,) = heart_findings(found)
    assert finding.level == "ok"
    assert finding.text.endswith(f"after, {BY_NETWORK}.")
    assert "no independent proof" not in finding.text
    assert verdict({"hearts": found}).level == "unknown"  # it never proves anything


def test_a_transform_that_takes_the_ventricles_apart_is_a_caution(hearts):
    images, _ = hearts
    found = heart_overlap(*images, Affine(translation=tuple(-mm for mm in SHIFT)))
    (finding,) = heart_findings(found)
    assert finding.level == "caution"
    assert finding.text.endswith("the ventricles agree less than before.")


def test_segmentations_that_the_registration_aligned_are_no_independent_proof(hearts):
    images, _ = hearts
    card = find_weights(segmentation.METHOD)
    for weights, aligned in (({card.name: card.sha256}, True), ({"svfnet": "another"}, False)):
        found = heart_overlap(*images, Affine(translation=SHIFT), made={"weights": weights})
        assert found["aligned"] is aligned
        assert ("no independent proof" in heart_findings(found)[0].text) is aligned


def test_that_ventricles_agree_less_is_said_of_them_and_not_of_the_proof(hearts):
    images, _ = hearts
    card = find_weights(segmentation.METHOD)
    apart = Affine(translation=tuple(-mm for mm in SHIFT))
    found = heart_overlap(*images, apart, made={"weights": {card.name: card.sha256}})
    (finding,) = heart_findings(found)
    assert f"{BY_NETWORK}: the ventricles agree less than before; the regis" in finding.text
    assert finding.text.endswith("so they are no independent proof.")


def test_images_without_a_heart_for_sure_give_a_reason(hearts, monkeypatch):
    images, labels = hearts
    monkeypatch.setattr(
        segmentation, "find_heart", lambda image: known(image, labels[0], sure=False)
    )
    found = heart_overlap(*images, Affine())
    assert found["overlap"] is None
    reason = "The ventricles of the fixed image were not segmented: the image shows no heart for "
    assert found["reason"] == f"{reason}sure."
    assert heart_findings(found)[0].level == "unknown"
    chest = thorax((40, 32, 36), (8.0, 8.0, 8.0), landmarks=0)
    assert "it is CT" in heart_overlap(chest.fixed, chest.moving, Affine())["reason"]


def test_evaluate_says_it_in_report_page_verdict_and_terminal(hearts, tmp_path, capsys):
    images, _ = hearts
    for image in images:
        write_image(image, tmp_path / f"{image.name}.nii.gz")
    words = ["--fixed", str(tmp_path / "fixed.nii.gz"), "--moving", str(tmp_path / "moving.nii.gz")]
    for sign, level in ((1, "ok"), (-1, "caution")):
        file = str(tmp_path / "t.tfm")
        write_transform(Affine(translation=tuple(sign * mm for mm in SHIFT)), file)
        page = tmp_path / f"page{sign}.html"
        ordered = ["evaluate", file, *words, "--segment-hearts", "--report", str(page)]
        assert main(ordered) == 0
        report = json.loads(capsys.readouterr().out)
        assert set(report["hearts"]["overlap"]) == set(NAMES)
        assert "farthest" not in json.dumps(report["hearts"])  # no places in a report
        (finding,) = heart_findings(report["hearts"])
        said = {found["text"]: found["level"] for found in report["verdict"]["findings"]}
        assert said[finding.text] == level
        assert f"Overlap of ventricles, {BY_NETWORK}" in page.read_text("utf-8")
        assert finding.text in page.read_text("utf-8")
    assert main([*ordered[:-2], "--strict", "--output", str(tmp_path / "report.json")]) == 3
    assert finding.text in capsys.readouterr().out


def test_evaluate_needs_both_images_for_it(refuse, tmp_path):
    write_transform(Affine(), tmp_path / "t.tfm")
    grid = stack_grid()
    write_image(legible(heart_labels(grid)), tmp_path / "fixed.nii.gz")
    words = ["evaluate", tmp_path / "t.tfm", "--fixed", tmp_path / "fixed.nii.gz"]
    assert "--fixed and --moving" in refuse(*words, "--segment-hearts")


def test_a_real_heart_is_as_its_labels_say(tmp_path):
    """End-diastole to end-systole of a patient that the networks were not trained on."""
    patient = ACDC / "patient061"
    if not patient.is_dir():
        pytest.skip("the real data (shared/data) are not here")
    files = sorted(patient.glob("*frame??.nii*"))
    fixed, moving = (read_image(file) for file in files)
    labels = [read_image(next(patient.glob(f"{f.name.split('.')[0]}_gt.nii*"))) for f in files]
    for segmented in (True, False):
        parameters = {"segmentation": segmented}
        result = register(fixed, moving, quality="fast", parameters=parameters, device="cpu")
        found = heart_overlap(fixed, moving, result.transform, made=result.provenance)
        assert found["aligned"] is segmented
        true = registered_overlap(*labels, result.transform, fixed.grid)
        for name, label in NAMES.items():
            values = found["overlap"][name]
            assert values["after"]["dice"] > values["before"]["dice"]
            assert values["after"]["dice"] == pytest.approx(true[label]["dice"], abs=0.12)
