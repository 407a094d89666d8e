"""The examples of docs/architecture.md, written as files into a copy of the project and run there.

A fenced block whose first line is a comment with a path is that file; one of the language ``diff``
adds lines to the file that it names; blocks of ``>>>`` and lines of ``deepreg`` are run.
"""

from __future__ import annotations

import os
import re
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
PAGE = ROOT / "docs" / "architecture.md"
FOLDERS = ("DeepRegistrationLib", "DeepRegistration")

_FILE = re.compile(r"(?:# |<!-- )((?:DeepRegistrationLib|DeepRegistration)/\S+)(?: -->)?\n")


def blocks(heading: str = "") -> list[tuple[str, str]]:
    """Language and content of the fenced blocks below a heading, or of all."""
    text = PAGE.read_text("utf-8")
    if heading:
        text = text.split(f"\n## {heading}\n", 1)[1].split("\n## ", 1)[0]
    return re.findall(r"(?ms)^```(\w*)\n(.*?)^```$", text)


def copy_with_examples(root: Path) -> None:
    """The project's code in another folder, with all files of the page added."""
    for folder in FOLDERS:
        ignored = shutil.ignore_patterns("__pycache__")
        shutil.copytree(ROOT / folder, root / folder, ignore=ignored)
    for language, content in blocks():
        if named := _FILE.match(content):
            path = root / named[1]
            assert not path.exists(), path
            path.parent.mkdir(exist_ok=True)
            path.write_text(content, encoding="utf-8")
        elif language == "diff":
            change(root, content)


def change(root: Path, difference: str) -> None:
    """Add the lines that begin with +, where the others are found."""
    head, *lines = difference.splitlines(keepends=True)
    assert head.startswith("--- ") and all(line[0] in " +" for line in lines)
    path = root / head[4:].strip()
    before = "".join(line[1:] for line in lines if line[0] == " ")
    text = path.read_text("utf-8")
    assert text.count(before) == 1, path
    path.write_text(text.replace(before, "".join(line[1:] for line in lines)), encoding="utf-8")


def run(root: Path, *headings: str) -> str:
    """Run what stands below these headings in the copy, in its order; what was printed.

    Examples in Python go on in one session with those before them.
    """
    printed, session = "", ""
    for language, content in (block for heading in headings for block in blocks(heading)):
        if content.startswith(">>> "):
            session += content
            (root / "session.txt").write_text(session, encoding="utf-8")
            printed += call(root, {}, "-m", "doctest", "session.txt")
        elif not language:
            for line in content.splitlines():
                *given, words = re.match(r"((?:\w+=\S+ )*)deepreg (.*)", line).groups()
                variables = dict(each.split("=") for each in given[0].split())
                arguments = ["-m", "DeepRegistrationLib", *shlex.split(words)]
                printed += call(root, variables, *arguments)
    return printed


def call(root: Path, variables: dict[str, str], *arguments: str) -> str:
    """Python in the copy; fails with what it said."""
    environment = {**os.environ, **variables, "XDG_DATA_HOME": str(root / "data_home")}
    done = subprocess.run(
        [sys.executable, *arguments], cwd=root, env=environment, capture_output=True, text=True
    )
    assert done.returncode == 0, f"{arguments}\n{done.stdout[-3000:]}\n{done.stderr[-3000:]}"
    return done.stdout
