"""docs/architecture.md: its files and names exist, and its examples run in a copy."""

from __future__ import annotations

import ast
import json
import re

import pytest
import SimpleITK as sitk

from Testing import worked_examples
from Testing.worked_examples import PAGE, ROOT

TEXT = PAGE.read_text("utf-8")
PROSE = re.sub(r"(?s)```.*?```", "", TEXT)
NAMED = re.findall(r"`([\w/]+\.(?:py|json|ui))(?:: (\w+))?`", PROSE)


@pytest.mark.parametrize(("path", "name"), NAMED, ids=[":".join(n) for n in NAMED])
def test_every_file_and_every_name_in_it_exists(path, name):
    folders = (ROOT, ROOT / "DeepRegistrationLib", ROOT / "DeepRegistration")
    (file,) = (folder / path for folder in folders if (folder / path).is_file())
    if name:
        tree = ast.parse(file.read_text("utf-8"))
        defined = {getattr(node, "name", None) for node in tree.body}
        assert name in defined


def test_every_file_that_the_prose_mentions_is_among_them():
    assert len(NAMED) == len(re.findall(r"\w\.(?:py|json|ui)\b", PROSE)) > 40


@pytest.fixture(scope="module")
def copy(tmp_path_factory):
    root = tmp_path_factory.mktemp("copy")
    worked_examples.copy_with_examples(root)
    return root


@pytest.fixture(scope="module")
def printed(copy):
    """What the examples print that build on each other."""
    return worked_examples.run(copy, "Add a method", "Add weights")


def test_a_method_of_a_folder_is_listed_and_registers_a_phantom(copy, printed):
    assert "center-of-mass: Center of mass" in printed
    report = (copy / "aligned" / "report.json").read_text("utf-8")
    assert json.loads(report)["parameters"] == {"threshold": -200.0}


def test_weights_are_trained_exported_listed_and_used(copy, printed):
    assert "Stopped (finished) after step 300" in printed and "my_weights/shift" in printed
    card = json.loads((copy / "my_weights" / "shift.json").read_text("utf-8"))
    assert card["method"] == "learned-shift" and card["architecture"] == {"scale": 10.0}
    assert (copy / "learned" / "transform.h5").is_file()


def test_a_format_of_a_module_reads_its_file(copy):
    printed = worked_examples.run(copy, "Add a file format")
    assert "moving to fixed points: inverted" in printed
    written = sitk.ReadTransform(str(copy / "tuesday.h5"))
    assert written.TransformPoint((0.0, 0.0, 0.0)) == pytest.approx((2, -3, -5))


@pytest.mark.parametrize("check", ["check", "format --check"])
def test_the_examples_are_written_as_the_projects_own_code(copy, check):
    settings = f"--config={ROOT / 'pyproject.toml'}"
    worked_examples.call(copy, {}, "-m", "ruff", *check.split(), settings, *worked_examples.FOLDERS)


def test_an_example_that_fails_is_noticed(tmp_path):
    (tmp_path / "session.txt").write_text(">>> 1 + 1\n3\n")
    with pytest.raises(AssertionError, match="Expected"):
        worked_examples.call(tmp_path, {}, "-m", "doctest", "session.txt")
