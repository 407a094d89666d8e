"""How methods are named for a benchmark, and which patients take part."""

import dataclasses
from importlib.metadata import PackageNotFoundError

import benchmarks
import pytest
import trivial

from DeepRegistrationLib.cli.benchmark import chosen_patients
from DeepRegistrationLib.data.cases import Case, read_cases
from DeepRegistrationLib.errors import RegistrationError
from DeepRegistrationLib.studies.benchmark import peers
from DeepRegistrationLib.studies.benchmark import run as running
from DeepRegistrationLib.studies.benchmark.protocol import PROTOCOLS, pairs_for
from DeepRegistrationLib.studies.benchmark.run import Options
from DeepRegistrationLib.studies.benchmark.variants import variants_of


@pytest.mark.parametrize(
    ("text", "label"),
    [
        ("shift", "shift"),
        ("shift:scale=2", "shift scale=2"),
        ("shift:kind=loose,count=3", "shift loose count=3"),
        ("shift:quality=best,refine=true", "shift best + refine"),
        ("shift:masks=none,refine=false", "shift no mask"),
    ],
)
def test_a_variant_is_called_by_its_settings(shift, text, label):
    [variant] = variants_of([text], ["default"], ["auto"])
    assert (variant.label, variant.options.method) == (label, "shift")
    assert not {"quality", "refine"} & set(variant.options.parameters)


def test_a_method_that_says_its_own_settings_has_one_variant(shift):
    variants = variants_of(
        ["shift", "shift:scale=0,quality=best,masks=none"], ["fast", "default"], ["auto", "none"]
    )
    assert [v.label for v in variants] == [
        "shift fast",
        "shift fast no mask",
        "shift",
        "shift no mask",
        "shift scale=0 best no mask",
    ]
    last = variants[-1]
    chosen = last.options
    assert (chosen.quality, last.masked, chosen.parameters) == ("best", False, {"scale": 0.0})


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("shift:quality=good", "quality is 'good'; choose one of fast"),
        ("shift:refine=maybe", "refine is 'maybe'; choose one of"),
        ("shift:masks=some", "masks is 'some'; choose one of"),
        ("shift:scale=1,scale=2", "sets scale twice"),
        ("greedy:quality=best", "knows no quality; name it as greedy:quality=default"),
    ],
)
def test_a_wrong_setting_is_one_sentence(shift, text, sentence):
    with pytest.raises(RegistrationError) as caught:
        variants_of([text], ["default"], ["auto"])
    trivial.assert_says(str(caught.value), sentence)


def test_a_refined_variant_is_refined(tmp_path, shift, monkeypatch):
    original, asked = running.register, []

    def register(fixed, moving, options, outputs, **others):
        asked.append(options.refine)
        quick = dataclasses.replace(options, refine=False)
        return original(fixed, moving, quick, outputs, **others)

    monkeypatch.setattr(running, "register", register)
    pairs = pairs_for(PROTOCOLS["lung"], read_cases(benchmarks.small_list(tmp_path)))
    variants = variants_of(["shift", "shift:refine=true"], ["default"], ["auto"])
    options = Options(device="cpu")
    rows = running.run(PROTOCOLS["lung"], pairs, variants, tmp_path / "out", options)
    assert asked == [False, True] * 2
    assert [row["method"] for row in rows[:3]] == ["before", "shift", "shift + refine"]
    for row in rows:
        assert (row["method"] == "before") == ("cpu_seconds" not in row)
        assert row.get("cpu_seconds", 0.0) >= 0.0


@pytest.mark.parametrize(
    ("method", "sentence"),
    [
        ("svfnet", "There are no weights for svfnet; train them"),
        ("mlvirnet:weights=mine", "There are no weights called 'mine'"),
        ("elastix", "elastix is not installed; run"),
        ("convexadam", "elastix is not installed; run"),
    ],
)
def test_a_method_that_cannot_run_is_refused_before_the_first_pair(
    tmp_path, refuse, monkeypatch, method, sentence
):
    def missing(name):
        raise PackageNotFoundError(name)

    monkeypatch.setattr("DeepRegistrationLib.methods.weights.folders", lambda: [])
    monkeypatch.setattr("DeepRegistrationLib.methods.elastix.process.version", missing)
    monkeypatch.setattr(peers.ConvexAdam, "package", "torch")  # as if it were there
    path = benchmarks.small_list(tmp_path)
    told = refuse("benchmark", path, "--methods", "affine", method, "-o", tmp_path / "out")
    trivial.assert_says(told, sentence)
    assert not (tmp_path / "out").exists()


def patients(names, tmp_path):
    cases = [
        Case(f"p{k:02d}", "test", tmp_path / f"{k}{f}.nii") for k in range(1, 13) for f in "ab"
    ]
    return [case.patient for case in chosen_patients(cases, names)]


def test_patients_are_chosen_by_name_range_and_pattern(tmp_path):
    assert patients(["p03"], tmp_path) == ["p03"] * 2
    assert set(patients(["p09..p11"], tmp_path)) == {"p09", "p10", "p11"}
    assert set(patients(["p1*", "p02", "p11..p12"], tmp_path)) == {"p02", "p10", "p11", "p12"}


@pytest.mark.parametrize("name", ["p13", "p01..p13", "p05..p02", "q*"])
def test_a_patient_who_is_not_there_is_one_sentence(tmp_path, name):
    with pytest.raises(RegistrationError, match=r"No patient is called .*p01 to p12"):
        patients([name], tmp_path)


def test_the_command_takes_patients_of_any_split(tmp_path, shift, refuse, capfd):
    from DeepRegistrationLib.cli import main

    path = benchmarks.small_list(tmp_path)
    path.write_text(path.read_text().replace("ben,test", "ben,validation"))
    call = ["benchmark", str(path), "--methods", "shift", "-o", str(tmp_path / "out")]
    assert main([*call, "--patients", "ben"]) == 0
    told = capfd.readouterr().out
    assert "ben" in told and "anna" not in told
    sentence = refuse(*call[:-1], tmp_path / "other", "--patients", "carl")
    trivial.assert_says(sentence, "No patient is called 'carl'")
