"""Measured figures stand once, in figures.json; everything else that states them is made of it."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from copy import deepcopy

import pytest

from DeepRegistrationLib.methods import method_class
from DeepRegistrationLib.methods.expected_accuracy import decimals, measured, stated_error
from DeepRegistrationLib.methods.shipped_weights import SHIPPED
from DeepRegistrationLib.methods.weights import weight_cards
from Testing.Benchmarks.figure_blocks import DEFORMED
from Testing.Benchmarks.figure_file import FILE, ROOT, dump, fill_from_rows, find, load, take_rows
from Testing.Benchmarks.figures import card_text, pages, stale, with_blocks
from Testing.Benchmarks.shift_response import take

T00 = "4D-CT T00/T50"
HEADLINES = ("TRE", "Dice")  # what users compare methods by


@pytest.fixture
def content():
    return deepcopy(load())


def test_pages_cards_and_the_file_itself_say_what_the_file_of_figures_says(content):
    fill_from_rows(content)
    names = [str(path.relative_to(ROOT)) for path in stale(content)]
    assert not names, f"run make figures: {', '.join(names)}"


def test_one_changed_number_reaches_tables_and_cards(content):
    find(content, method="corrnet", weights="corrnet", data=T00, metric="TRE")["value"] = 3.217
    texts = {page.name: page.read_text("utf-8") for page in pages()}
    changed = {name for name, text in texts.items() if with_blocks(text, content) != text}
    assert changed == {"README.md", "results.md", "corrnet.md"}
    assert '"value": 3.217' in card_text("corrnet", content)


def test_the_choice_and_the_panel_take_their_figures_from_the_file(content):
    own = find(content, method="optimize", data=T00, metric="TRE")["value"]
    card = method_class("optimize").card
    assert next(e.value for e in card.expected if e.data == T00) == own
    assert f"{decimals(own, 2)} mm ({T00})" in card.expected_error
    for card in weight_cards():
        if card.name in SHIPPED:
            assert tuple(card.expected) == measured(card.method, card.name)


def test_what_a_network_states_names_its_weights_and_its_paper():
    text = stated_error("eppenhof", "its paper: 2.2 mm on DIR-Lab 4D-CT")
    assert ", weights eppenhof-preview; its paper" in text
    assert "refined" not in text


def test_rows_replace_what_was_measured_besides_them_only_when_they_are_taken(content):
    wanted = {"method": "optimize", "data": T00, "metric": "TRE"}
    figure = find(content, **wanted)
    figure.pop("rows", None)
    figure.update(value=9.87, measured="2026-01-01")
    fill_from_rows(content)
    assert figure["value"] == 9.87
    take_rows(content, ["lungs"])
    fill_from_rows(content)
    assert figure["rows"] == "optimize" and figure["spread"] > 0 and "measured" not in figure
    unmasked = find(content, **wanted, options="no mask")
    assert 0 < figure["value"] < unmasked["value"] < 9  # rows of its own options, not of optimize


def test_measured_shifts_become_figures_of_the_weights(content):
    before = len(content["figures"])
    take(content, "regnet-preview", {"recovered_x_mm/4": 1.23, "recovered_z_mm/12": 4.56})
    own = {"method": "regnet", "weights": "regnet-preview", "data": DEFORMED}
    known = find(content, **own, metric="recovered of a shift of 4 mm along x")
    new = find(content, **own, metric="recovered of a shift of 12 mm along z")
    assert (known["value"], new["value"], new["unit"]) == (1.2, 4.6, "mm")
    assert len(content["figures"]) == before + 1
    page = with_blocks("<!-- figures: regnet-shifts -->\n<!-- /figures -->", content)
    assert re.search(r"\| along x \| [\d.]+ \| 1\.2 \|", page)


def test_rows_of_fewer_pairs_than_stated_change_nothing(content, tmp_path):
    for name in ("lungs", "motion", "hearts", "synthetic"):
        text = (ROOT / "Testing" / "Benchmarks" / "rows" / f"{name}.csv").read_text("utf-8")
        lines = text.splitlines(keepends=True)
        (tmp_path / f"{name}.csv").write_text("".join(lines[:50]), "utf-8")
    before = find(content, method="lcc-demons", data="380 pairs of ACDC 061-080, aligned",
                  metric="Dice, RV")["value"]  # fmt: skip
    left = fill_from_rows(content, tmp_path)
    after = find(content, method="lcc-demons", data="380 pairs of ACDC 061-080, aligned",
                 metric="Dice, RV")["value"]  # fmt: skip
    assert before == after and any("lcc-demons, not 380" in text for text in left)


def test_a_figure_that_stands_twice_or_names_unknown_data_is_refused(content, tmp_path):
    path = tmp_path / "figures.json"
    figure = dict(content["figures"][3])
    for wrong, words in ((figure, "twice"), ({**figure, "data": "elsewhere"}, "unknown data")):
        path.write_text(dump({**content, "figures": [*content["figures"], wrong]}))
        with pytest.raises(ValueError, match=words):
            load(path)


def test_figures_are_read_without_torch():
    code = (
        "import sys; from DeepRegistrationLib.methods.expected_accuracy import measured; "
        "assert measured('optimize'); "
        "assert 'torch' not in sys.modules and 'scipy' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


def test_both_kinds_of_installation_bring_the_file():
    cmake = (FILE.parent / "CMakeLists.txt").read_text("utf-8")
    assert re.search(r'LIBRARY_PYTHON_RESOURCES\n[^)]*"\*\.json"', cmake)
    assert 'RESOURCES "${LIBRARY_PYTHON_RESOURCES}"' in cmake
    assert 'DeepRegistrationLib = ["figures.json"]' in (ROOT / "pyproject.toml").read_text("utf-8")


_NUMBER = r"\d+\.\d+"
_STATED = re.compile(
    rf"(?<![\d.]){_NUMBER}(?=(?:[*)]*(?:,| and| to|/| \() *\**{_NUMBER})*[*)]* mm)"
    rf"|(?<=Dice ){_NUMBER}"
)
_CELL = re.compile(rf"(?<![\d.-]){_NUMBER}(?![\d-])")


def typed(text: str, numbers: set[str], *, markdown: bool = False) -> list[str]:
    """Lines of a text that state one of these numbers, in mm, as Dice, or in a table's cell."""
    found = []
    for line in text.splitlines():
        words = set(_STATED.findall(line))
        if markdown and line.startswith("|"):
            words |= {n for n in _CELL.findall(line) if n > "1" or "Dice" in line}
        if words & numbers:
            found.append(line.strip())
    return found


def test_no_figure_of_the_tables_is_typed_elsewhere(content):
    numbers = {
        decimals(figure["value"], digits)
        for figure in content["figures"]
        if figure["metric"] in HEADLINES and figure["method"] != "before"
        for digits in (2, 3)
    }
    found = []
    code = [("DeepRegistrationLib", "*.py"), ("DeepRegistration", "*.py"), ("Testing", "*.py")]
    for folder, pattern in [*code, ("DeepRegistration", "*.ui")]:
        for path in (ROOT / folder).rglob(pattern):
            if path.name != "test_figures.py":
                found += [f"{path.name}: {n}" for n in typed(path.read_text("utf-8"), numbers)]
    for page in pages():
        text = re.sub(r"(?s)<!-- figures: .*?<!-- /figures -->", "", page.read_text("utf-8"))
        tables = not page.name.endswith("-findings.md")  # their tables hold other measurements
        found += [f"{page.name}: {line}" for line in typed(text, numbers, markdown=tables)]
    for name in SHIPPED:
        card = json.loads((ROOT / "weights" / f"{name}.json").read_text("utf-8"))
        words = [card[key] for key in ("title", "data", "held_out", "failures", "citation")]
        found += [f"{name}: {line}" for line in typed(json.dumps(words, indent=0), numbers)]
    assert not found, "take these from figures.json:\n" + "\n".join(found)


def test_the_search_for_typed_figures_finds_them():
    for text in ("1.06 mm", "1.06 and 1.37 mm", "1.06 (0.93) mm", "**1.06**, 1.37 mm", "Dice 1.06"):
        assert typed(f"an error of {text} here", {"1.06"})
    assert typed("| optimize | **1.06** (0.93) |", {"1.06"}, markdown=True)
    for text in ("version 1.06", "21.06 mm", "1.065 mm", "1.06 s", "_FINE = 1.06  # mm"):
        assert not typed(text, {"1.06"})
