"""The extension installs everything that it needs, and names everything that it is."""

from __future__ import annotations

import re
import struct
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]


def listed(path: Path, variable: str) -> list[str]:
    """The entries of a CMake list variable."""
    text = path.read_text(encoding="utf-8")
    match = re.search(rf"set\({variable}\s(.*?)\)", text, re.DOTALL)
    assert match is not None, variable
    return match.group(1).replace("${MODULE_NAME}", "DeepRegistration").split()


def test_every_file_of_the_library_is_listed_and_every_listed_file_exists():
    library = ROOT / "DeepRegistrationLib"
    names = listed(library / "CMakeLists.txt", "LIBRARY_PYTHON_SCRIPTS")
    files = {path.relative_to(library).as_posix() for path in library.rglob("*.py")}
    missing = "\n  ".join(sorted(files - set(names)))
    assert not missing, f"add to DeepRegistrationLib/CMakeLists.txt:\n  {missing}"
    assert not set(names) - files, "these are listed there but do not exist"
    assert len(names) == len(set(names))


def test_every_file_of_the_module_is_listed():
    module = ROOT / "DeepRegistration"
    names = listed(module / "CMakeLists.txt", "MODULE_PYTHON_SCRIPTS")
    names += listed(module / "CMakeLists.txt", "MODULE_PYTHON_RESOURCES")
    files = {
        path.relative_to(module).as_posix()
        for path in module.rglob("*")
        if path.is_file() and path.suffix in {".py", ".png", ".ui", ".svg"}
    }
    assert set(names) == files


@pytest.mark.parametrize("name", ["HOMEPAGE", "CONTRIBUTORS", "DESCRIPTION", "ICONURL", "DEPENDS"])
def test_the_extension_states_its_metadata(name):
    text = (ROOT / "CMakeLists.txt").read_text(encoding="utf-8")
    assert re.search(rf'set\(EXTENSION_{name} "[^"\n]+"\)', text)
    assert "project(DeepRegistration" in text


@pytest.mark.parametrize(
    "path",
    ["Resources/DeepRegistration.png", "DeepRegistration/Resources/Icons/DeepRegistration.png"],
)
def test_icons_are_pngs_of_128_pixels(path):
    header = (ROOT / path).read_bytes()[:24]
    assert header.startswith(b"\x89PNG")
    assert struct.unpack(">II", header[16:24]) == (128, 128)


def test_every_picture_that_the_extension_shows_exists():
    text = (ROOT / "CMakeLists.txt").read_text(encoding="utf-8")
    paths = re.findall(r"raw/main/(\S+?\.png)", text)
    assert len(paths) >= 3
    assert all((ROOT / path).is_file() for path in paths)
