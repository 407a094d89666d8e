"""The extension installs everything that it needs, and names everything that it is."""

from __future__ import annotations

import os
import re
import shutil
import struct
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]


# What Slicer's macros do with these lists, as far as the lists go: they note them.
STUBS = """
cmake_minimum_required(VERSION 3.16)
project(stubs NONE)
macro(note)
  cmake_parse_arguments(MY "WITH_GENERIC_TESTS;NO_INSTALL_SUBDIR"
    "NAME;TARGET_NAME;DESTINATION_DIR;INSTALL_DIR" "SCRIPTS;RESOURCES" ${ARGN})
  if(MY_UNPARSED_ARGUMENTS)
    message(FATAL_ERROR "unknown: ${MY_UNPARSED_ARGUMENTS}")
  endif()
  file(WRITE ${CMAKE_BINARY_DIR}/${MY_NAME}${MY_TARGET_NAME}.txt
    "${MY_SCRIPTS};${MY_RESOURCES}")
endmacro()
macro(ctkMacroCompilePythonScript)
  note(${ARGN})
endmacro()
macro(slicerMacroBuildScriptedModule)
  note(${ARGN})
endmacro()
add_subdirectory(DeepRegistrationLib)
add_subdirectory(DeepRegistration)
"""
FOLDERS = ("DeepRegistrationLib", "DeepRegistration")
INSTALLED = {".py", ".json", ".png", ".ui"}


def wanted(folder: Path) -> list[str]:
    """Every file that an installed extension needs, as a path in its folder."""
    return sorted(
        path.relative_to(folder).as_posix()
        for path in folder.rglob("*")
        if path.suffix in INSTALLED and "__pycache__" not in path.parts
    )


def listed(build: Path, folder: str) -> list[str]:
    """The files that CMake gave to Slicer's macro for a folder."""
    text = (build / f"{folder}.txt").read_text(encoding="utf-8")
    return sorted(name for name in text.split(";") if name)


@pytest.fixture
def cmake():
    path = os.pathsep.join((str(Path(sys.executable).parent), os.environ["PATH"]))
    program = shutil.which("cmake", path=path)
    if program is None:
        pytest.skip("cmake is not installed")

    def run(*arguments) -> None:
        done = subprocess.run([program, *map(str, arguments)], capture_output=True, text=True)
        assert done.returncode == 0, done.stderr + done.stdout

    return run


def test_a_build_installs_every_file_and_notices_those_that_come_and_go(cmake, tmp_path):
    source, build = tmp_path / "source", tmp_path / "build"
    for folder in FOLDERS:  # the files' names matter, not what is in them
        for name in wanted(ROOT / folder):
            (source / folder / name).parent.mkdir(parents=True, exist_ok=True)
            (source / folder / name).touch()
        shutil.copy(ROOT / folder / "CMakeLists.txt", source / folder)
    (source / "CMakeLists.txt").write_text(STUBS, encoding="utf-8")
    cmake("-S", source, "-B", build)
    for folder in FOLDERS:
        assert listed(build, folder) == wanted(ROOT / folder)
    (source / "DeepRegistrationLib" / "new_room").mkdir()
    (source / "DeepRegistrationLib" / "new_room" / "new.py").touch()
    (source / "DeepRegistration" / "Resources" / "UI" / "New.ui").touch()
    (source / "DeepRegistration" / "DeepRegistrationPanel" / "section.py").unlink()
    cmake("--build", build)
    for folder in FOLDERS:
        assert listed(build, folder) == wanted(source / folder)


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
