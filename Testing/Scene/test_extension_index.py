"""The entry for Slicer's extension index, by the rules that the index's own checks apply."""

from __future__ import annotations

import json
import re
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
SCHEMA = "https://raw.githubusercontent.com/Slicer/Slicer/main/Schemas/" + (
    "slicer-extension-catalog-entry-schema-v1.0.1.json#"
)
TYPES = {
    "$schema": str,
    "category": str,
    "scm_url": str,
    "scm_revision": str,
    "scm_type": str,
    "build_dependencies": list,
    "build_subdirectory": str,
    "enabled": bool,
    "tier": int,
}
"""Every key that the schema knows; it allows no other."""


@pytest.fixture(scope="module")
def entry() -> dict:
    return json.loads((ROOT / "DeepRegistration.json").read_text(encoding="utf-8"))


@pytest.fixture(scope="module")
def cmake() -> str:
    return (ROOT / "CMakeLists.txt").read_text(encoding="utf-8")


def value(cmake: str, name: str) -> str:
    """The text of a variable, as the index's check reads it: on one line, in quotes."""
    found = re.findall(rf'set\s*\({name}\s*"([^"\n]+)"[ ]*\)', cmake)
    assert len(found) == 1, name
    return found[0]


def test_the_entry_has_what_the_schema_wants_and_nothing_else(entry):
    assert {"$schema", "category", "scm_url"} <= set(entry) <= set(TYPES)
    assert all(isinstance(entry[key], TYPES[key]) for key in entry)
    assert entry["$schema"] == SCHEMA
    assert entry["tier"] in (1, 3, 5)
    assert entry.get("scm_type", "git") in ("git", "local")


def test_the_entry_and_the_build_agree(entry, cmake):
    project = re.findall(r"project\s*\(\s*([^\s\)]+)", cmake)[0]
    assert f"{project}.json" == "DeepRegistration.json"
    assert not project.lower().startswith("slicer")
    assert entry["category"] == value(cmake, "EXTENSION_CATEGORY") == "Registration"
    assert " ".join(entry["build_dependencies"]) == value(cmake, "EXTENSION_DEPENDS")
    assert entry["scm_url"].removesuffix(".git") == value(cmake, "EXTENSION_HOMEPAGE")


def test_the_repository_is_named_as_the_index_wants(entry):
    assert entry["scm_url"].startswith(("https://", "git://"))
    assert "slicer" in entry["scm_url"].rsplit("/", 1)[1].lower()


@pytest.mark.parametrize("name", ["EXTENSION_ICONURL", "EXTENSION_SCREENSHOTURLS"])
def test_pictures_are_whole_addresses_of_files_in_the_repository(entry, cmake, name):
    start = f"{entry['scm_url'].removesuffix('.git')}/raw/{entry['scm_revision']}/"
    for url in value(cmake, name).split():
        assert url.startswith(start)
        assert (ROOT / url.removeprefix(start)).is_file(), url


def test_the_license_lies_in_the_root_and_the_checkout_is_small():
    assert (ROOT / "LICENSE").is_file()
    if not (ROOT / ".git").exists():
        pytest.skip("no checkout")
    listed = subprocess.run(
        ["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, text=True, check=True
    )
    files = [ROOT / name for name in listed.stdout.split("\0") if name]
    assert sum(path.stat().st_size for path in files if path.is_file()) < 100e6


def test_the_tutorial_shows_pictures_that_exist_and_are_small():
    text = (ROOT / "docs" / "tutorial.md").read_text(encoding="utf-8")
    pictures = re.findall(r"!\[[^\]]+\]\(([^)]+)\)", text)
    assert len(pictures) >= 12
    for name in pictures:
        assert (ROOT / "docs" / name).is_file(), name
    shots = list((ROOT / "Resources" / "Screenshots").glob("*.png"))
    assert max(path.stat().st_size for path in shots) < 300_000
    assert sum(path.stat().st_size for path in shots) < 5_000_000
