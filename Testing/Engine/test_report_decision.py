"""The decision on the page that a physicist signs, and what the command line refuses there."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest
import SimpleITK as sitk
import trivial
from pages_made import evaluate, text_of
from trivial import assert_says

from DeepRegistrationLib.cli import main
from DeepRegistrationLib.reports.decision import Decision, decision_in_page, decision_of
from DeepRegistrationLib.transforms import (
    Affine,
    write_transform,
)

WHO = ("--reviewer", "R. Viewer")


def test_without_a_decision_there_is_a_form_to_fill_in(pair, written, tmp_path):
    evaluate(pair, written, tmp_path / "p.html")
    page = tmp_path / "p.html"
    assert decision_in_page(page) is None
    text = text_of(page)
    for word in ("Accepted with limits", "Rejected", "Signature", "Purpose of the registration"):
        assert word in text


def test_a_decision_is_in_the_page_and_stays_when_it_is_made_again(pair, written, tmp_path):
    page = tmp_path / "p.html"
    words = ("--decision", "limits", *WHO, "--comment", "lungs <only> & 'no' \"ribs\"")
    assert evaluate(pair, written, page, *words) == 0
    first = decision_in_page(page)
    assert (first.choice, first.reviewer) == ("limits", "R. Viewer")
    assert first.comment == "lungs <only> & 'no' \"ribs\""
    assert "Accepted with limits" in text_of(page) and first.comment in text_of(page)
    assert evaluate(pair, written, page) == 0  # again, nothing has changed
    assert decision_in_page(page) == first
    assert "no longer holds" not in text_of(page)


@pytest.mark.parametrize("changed", ["transform", "voxel", "origin"])
def test_a_decision_does_not_hold_for_anything_else(pair, written, tmp_path, changed):
    page = tmp_path / "p.html"
    evaluate(pair, written, page, "--decision", "accept", *WHO)
    if changed == "transform":
        write_transform(Affine(translation=(2.0, -1.0, 3.001)), written)
    else:
        image = sitk.ReadImage(str(pair[0]))
        if changed == "voxel":
            image[3, 4, 5] = image[3, 4, 5] + 1.0
        else:
            image.SetOrigin([v + 0.01 for v in image.GetOrigin()])
        sitk.WriteImage(image, str(pair[0]))
    evaluate(pair, written, page)
    assert "This decision no longer holds" in text_of(page)
    assert decision_in_page(page).reviewer == "R. Viewer"
    evaluate(pair, written, page, "--decision", "accept", *WHO)
    assert "no longer holds" not in text_of(page)


@pytest.mark.parametrize(
    ("options", "says"),
    [
        (("--decision", "perhaps", *WHO), "'perhaps' is no decision; decide one of accept, limits"),
        (("--decision", "accept"), "A decision needs a name"),
        (("--decision", "limits", *WHO), "needs a comment; say which limits hold"),
        (("--decision", "reject", *WHO), "needs a comment; say why"),
        (WHO, "--reviewer belongs to a decision"),
        (("--comment", "x"), "--comment belongs to a decision"),
        (("--decision", "accept", *WHO, "--comment", 5000 * "x"), "5000 characters"),
        (("--decision", "accept", *WHO, "--compare", "other.h5"), "about one transform"),
        (("--compare", "missing.h5"), "missing.h5"),
    ],
)
def test_what_is_no_decision_has_its_sentence(pair, written, tmp_path, options, says, capsys):
    page = tmp_path / "p.html"
    assert evaluate(pair, written, page, *options) == 2
    assert_says(capsys.readouterr().err, re.escape(says))
    assert not page.exists()


@pytest.mark.parametrize("option", ["--report", "--output"])
def test_a_folder_is_no_page_and_nothing_else_is_written(pair, written, tmp_path, option, capsys):
    (tmp_path / "folder").mkdir()
    other = "--output" if option == "--report" else "--report"
    words = ["evaluate", written, "--fixed", pair[0], "--moving", pair[1]]
    words += [option, tmp_path / "folder", other, tmp_path / "x"]
    assert main([str(word) for word in words]) == 2
    assert "is a folder" in capsys.readouterr().err
    assert not (tmp_path / "x").exists()


def test_labels_without_a_common_structure_are_no_overlap(pair, written, tmp_path, capsys):
    for name, number in (("one", 1), ("seven", 7)):
        image = sitk.ReadImage(str(pair[0]))
        labels = sitk.Cast(image != 0, sitk.sitkUInt8) * number
        sitk.WriteImage(labels, str(tmp_path / f"{name}.nii.gz"))
    given = [
        "--fixed-labels",
        tmp_path / "one.nii.gz",
        "--moving-labels",
        tmp_path / "seven.nii.gz",
    ]
    assert main([str(word) for word in ("evaluate", written, *given)]) == 2
    assert "no structure of the same name, or number" in capsys.readouterr().err


def test_options_of_the_page_need_the_page(pair, shift, written, tmp_path, capsys):
    images = ("--fixed", str(pair[0]), "--moving", str(pair[1]))
    assert main(["evaluate", str(written), *images, "--decision", "accept"]) == 2
    assert_says(capsys.readouterr().err, "say with --report")
    assert main(["evaluate", str(written), *images[:2], "--report", "p.html", "--decision",
                 "accept", *WHO]) == 2  # fmt: skip
    assert_says(capsys.readouterr().err, "give --fixed and --moving too")
    line = trivial.register(*pair, tmp_path / "out", "--patient-data")
    assert main([str(v) for v in line]) == 2
    assert_says(capsys.readouterr().err, "give --report too")


@pytest.mark.parametrize("option", ["--report", "--output"])
def test_what_is_read_is_not_written_over(pair, written, landmarks, tmp_path, capsys, option):
    read = [written, *pair, *(Path(path) for path in landmarks[1::2])]
    before = [path.read_bytes() for path in read]
    images = ["--fixed", pair[0], "--moving", pair[1], *landmarks]
    for path in read:
        same = f"{path.parent}/./{path.name}"  # the same file, written differently
        line = ["evaluate", written, *images, option, same]
        assert main([str(word) for word in line]) == 2
        assert_says(capsys.readouterr().err, "would be overwritten")
    assert [path.read_bytes() for path in read] == before
    same = str(tmp_path / "one")
    line = ["evaluate", written, *images, "--report", same, "--output", same]
    assert main([str(word) for word in line]) == 2


NUMBERS = json.dumps(dict.fromkeys(("choice", "reviewer", "comment", "date", "subject"), 1))


@pytest.mark.parametrize("text", ["", "{", "[]", "null", '{"choice": "a"}', 99 * "[", NUMBERS])
def test_a_damaged_decision_is_none(text):
    assert decision_of(text) is None


def test_a_decision_reads_back_as_it_was():
    decision = Decision("reject", "Ä. <B>", 'no\n"never"', "2026-01-02T03:04:05+00:00", "ab")
    assert decision_of(decision.text()) == decision
    assert decision.holds_for("ab") and not decision.holds_for("") and not decision.holds_for("cd")
