"""README.md and docs/: links lead somewhere, examples run, commands are those that there are."""

from __future__ import annotations

import doctest
import re
import shlex
import shutil
import subprocess
from functools import partial
from pathlib import Path

import pytest

import DeepRegistrationLib
from DeepRegistrationLib.cli import main
from DeepRegistrationLib.cli.parser import build_parser
from DeepRegistrationLib.data import phantom_cases

ROOT = Path(__file__).resolve().parents[2]
PAGES = [
    *(ROOT / name for name in ("README.md", "CONTRIBUTING.md", "weights/README.md")),
    *sorted((ROOT / "docs").glob("*.md")),
    *sorted((ROOT / "Testing" / "Benchmarks").glob("*.md")),
]
GUIDES = [path for path in PAGES if path.parent != ROOT / "Testing" / "Benchmarks"]


def relative(path: Path) -> str:
    return path.relative_to(ROOT).as_posix()


def without_code(text: str) -> str:
    return re.sub(r"(?s)```.*?```|`[^`\n]*`", "", text)


def blocks(text: str, language: str) -> list[str]:
    """The fenced blocks of a language; those without one are command lines."""
    fenced = re.findall(r"(?ms)^```(\w*)\n(.*?)^```$", text)
    return [content for name, content in fenced if name == language]


def anchors(page: Path) -> set[str]:
    """The headings of a page, as GitHub names them."""
    heads = re.findall(r"(?m)^#+ (.*)$", page.read_text("utf-8"))
    return {re.sub(r"[^\w\- ]", "", head.lower()).replace(" ", "-") for head in heads}


@pytest.mark.parametrize("page", PAGES, ids=relative)
def test_every_relative_link_leads_somewhere(page):
    text = without_code(page.read_text("utf-8"))
    links = re.findall(r"\]\(([^)\s]+)\)|src=\"([^\"]+)\"", text)
    for link in (one or other for one, other in links):
        if re.match(r"[a-z]+:", link):
            continue
        name, _, anchor = link.partition("#")
        target = (page.parent / name).resolve() if name else page
        assert target.exists(), link
        assert not anchor or anchor in anchors(target), link


@pytest.mark.parametrize("page", PAGES, ids=relative)
def test_every_table_has_as_many_cells_in_each_line(page):
    text = re.sub(r"(?s)```.*?```", "", page.read_text("utf-8"))
    for table in re.findall(r"(?m)(?:^\|.*\|$\n?)+", text):
        counts = {len(re.findall(r"(?<!\\)\|", line)) for line in table.splitlines()}
        assert len(counts) == 1, table[:200]


def test_readme_is_short():
    assert len((ROOT / "README.md").read_text("utf-8").splitlines()) < 150


def test_the_examples_of_the_python_reference_run(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    page = ROOT / "docs" / "api.md"
    text = "\n".join(blocks(page.read_text("utf-8"), "python"))
    flags = doctest.ELLIPSIS | doctest.IGNORE_EXCEPTION_DETAIL
    example = doctest.DocTestParser().get_doctest(text, {}, page.name, page.name, 0)
    failed, tried = doctest.DocTestRunner(optionflags=flags).run(example)
    assert tried > 30 and not failed


def test_the_python_reference_has_every_public_name():
    text = (ROOT / "docs" / "api.md").read_text("utf-8")
    missing = [n for n in DeepRegistrationLib.__all__ if not re.search(rf"\b{n}\b", text)]
    assert missing == ["__version__"]


def commands(page: Path) -> list[str]:
    """Calls of ``deepreg`` in the fenced blocks, continued lines joined, comments left out."""
    found = []
    for block in blocks(page.read_text("utf-8"), ""):
        for line in block.replace("\\\n", " ").splitlines():
            match = re.match(r"(?:\w+=\S+ )*(?:torchrun .* -m DeepRegistrationLib|deepreg) ", line)
            if match:
                found.append(line[match.end() :])
    return found


ALL = [(relative(page), command) for page in GUIDES for command in commands(page)]


@pytest.mark.parametrize(("page", "command"), ALL, ids=[f"{p}: {c[:40]}" for p, c in ALL])
def test_every_printed_command_is_one_that_there_is(page, command):
    words = shlex.split(command, comments=True)
    try:
        build_parser().parse_args(words)
    except SystemExit as end:
        assert end.code == 0 and "--help" in words


def test_commands_are_printed_at_all():
    assert len(ALL) > 25


CHEAP = ("README.md", "docs/training.md")


@pytest.mark.parametrize("page", CHEAP)
def test_files_that_a_page_names_are_those_that_its_phantom_command_writes(
    page, tmp_path, monkeypatch
):
    """With one phantom, as all are named alike; the page's own command makes more."""
    monkeypatch.chdir(tmp_path)
    call = next(c for c in commands(ROOT / page) if c.startswith("phantom"))
    words = shlex.split(call, comments=True)
    folder, count = (words[words.index(option) + 1] for option in ("--output", "--count"))
    assert main([*words, "--count", "1", "--quiet"]) == 0
    text = (ROOT / page).read_text("utf-8")
    names = set(re.findall(rf"\b{folder}/([\w.]+\.(?:nii\.gz|csv))", text))
    assert names
    for name in names:
        number = re.search(r"\d{5}", name)
        assert number is None or int(number[0]) < int(count), name
        assert (tmp_path / folder / re.sub(r"\d{5}", "00000", name)).is_file(), name


def test_the_lung_phantoms_of_the_training_page_train_as_printed(tmp_path, monkeypatch):
    """Its two commands, with fewer and coarser phantoms, a smaller network and two steps."""
    page = commands(ROOT / "docs" / "training.md")
    makes = next(c for c in page if c.startswith("phantom thorax"))
    trains = page[page.index(makes) + 1]
    monkeypatch.chdir(tmp_path)
    coarse = partial(phantom_cases.thorax, (40, 32, 36), (8.0, 8.0, 8.0))
    monkeypatch.setattr(phantom_cases, "thorax", lambda *_, **options: coarse(**options))
    assert main([*shlex.split(makes), "--count", "3", "--quiet"]) == 0
    cheap = ["--iterations", "2", "--set", "base=2", "--set", "size=32", "--quiet"]
    assert main([*shlex.split(trains), *cheap]) == 0
    run = tmp_path / re.search(r"--output (\S+)", trains)[1]
    assert (run / "weights.safetensors").is_file()


@pytest.mark.skipif(shutil.which("make") is None, reason="without make")
def test_training_comes_first_on_a_gpu_and_gets_its_start_and_values():
    page = (ROOT / "Testing" / "Benchmarks" / "GPU.md").read_text("utf-8")
    printed = re.search(r"`make (gpu TRAIN_DATA=[^`]*)`", page)[1]
    # Below `make test`, make would first print which folder it enters.
    call = ["make", "-n", "--no-print-directory", *shlex.split(printed), "PYTHON=python3"]
    shown = subprocess.run(call, cwd=ROOT, capture_output=True, text=True, check=True).stdout
    first = shlex.split(shown.replace("\\\n", " ").splitlines()[0])
    assert first[:3] == ["python3", "-m", "DeepRegistrationLib"]
    arguments = build_parser().parse_args(first[3:])
    assert (arguments.recipe, arguments.start) == ("corrnet", "corrnet")
    assert arguments.parameters == ["size=160"] and not arguments.resume
