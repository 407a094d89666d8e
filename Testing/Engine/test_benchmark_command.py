"""``deepreg benchmark`` as a command: mistakes in one sentence, files, what it says."""

import json

import benchmarks
import pytest
import trivial

from DeepRegistrationLib.cli import main


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        (("--methods", "nothing"), "no method called 'nothing'"),
        (("--methods", "shift:size=3"), "has no parameter 'size'"),
        (("--methods", "shift:scale"), "'scale' is not NAME=VALUE"),
        (("--methods", "shift", "shift"), "shift is given twice"),
        (("--methods", "shift", "--quality", "good"), "quality is 'good'; choose one of"),
        (("--methods", "shift", "--masks", "some"), "masks is 'some'; choose one of"),
        (("--methods", "shift", "--protocol", "liver"), "no protocol 'liver'"),
        (("--methods", "shift", "--split", "held"), "no split 'held'"),
        (("--methods", "shift", "--split", "train"), "No case is in the split train"),
        (("--methods", "shift", "--limit", "0"), "--limit 0 leaves no pair"),
        (("--methods", "shift", "--pictures", "-1"), "--pictures -1 is below 0"),
        (("--methods", "shift", "--alignment", "segmentations"), "anna has no labels to align by"),
        (("--methods", "shift", "--alignment", "eyes"), "no alignment 'eyes'"),
        (("--methods", "shift", "--device", "abacus"), "abacus"),
        (("--methods", "shift", "--spacing", "0"), "--spacing 0 is not a voxel size"),
        (("--methods", "shift", "--spacing", "nan"), "--spacing nan is not a voxel size"),
        (
            ("--methods", "shift", "--protocol", "synthetic", "--spacing", "2"),
            "does not go with the protocol synthetic",
        ),
    ],
)
def test_each_mistake_is_one_sentence(tmp_path, refuse, change, sentence):
    path = benchmarks.small_list(tmp_path)
    trivial.assert_says(refuse("benchmark", path, "-o", tmp_path / "out", *change), sentence)


def test_a_layout_that_does_not_exist_is_refused(tmp_path, refuse):
    options = ("-o", tmp_path / "out", "--methods", "shift")
    trivial.assert_says(refuse("benchmark", "moon:/data", *options), "no layout 'moon'")
    trivial.assert_says(refuse("benchmark", "acdc:", *options), "write acdc:FOLDER")
    (tmp_path / "file").write_text("")
    path = benchmarks.small_list(tmp_path)
    sentence = refuse("benchmark", path, "-o", tmp_path / "file", "--methods", "shift")
    trivial.assert_says(sentence, "is a file; name a folder")


def test_landmarks_of_one_image_alone_are_refused(tmp_path, refuse):
    path = benchmarks.small_list(tmp_path)
    path.write_text(path.read_text().replace("anna_out.csv", ""))
    sentence = refuse("benchmark", path, "-o", tmp_path / "out", "--methods", "shift")
    trivial.assert_says(sentence, "has landmarks for one image only")


def test_the_command_writes_its_files_and_says_what_it_found(tmp_path, shift, capfd):
    path = benchmarks.small_list(tmp_path)
    command = ["benchmark", str(path), "-o", str(tmp_path / "out"), "--methods", "shift"]
    assert main(command) == 0
    told = capfd.readouterr().out
    assert "anna" in told and "TRE 1.83 mm" in told
    names = {file.name for file in (tmp_path / "out").iterdir()}
    assert names == {
        "rows.jsonl",
        "results.json",
        "results.csv",
        "tables.md",
        "report.html",
        "overlays",
    }
    result = json.loads((tmp_path / "out" / "results.json").read_text())
    assert str(tmp_path) not in json.dumps(result)
    assert {table["name"] for table in result["tables"]} >= {"regnet-1", "eppenhof-2"}
