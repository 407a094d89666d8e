"""Imports go down: every package has a floor, and imports from lower floors alone.

Only the scene knows Slicer, only the panel knows widgets, and nothing loads torch before it is
needed. An import counts wherever it stands: at the top, in a function, for type checkers only.
The names that a package hands on at their first use (``_HOME``) are for callers of the library.
"""

from __future__ import annotations

import ast
import subprocess
import sys
from collections.abc import Iterator
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

import pytest

FLOORS = """
DeepRegistrationLib errors progress
arguments devices
options
images
transforms
losses
files
data evaluation methods
registration
function
reports
training
studies
cli worker
__main__
scene
DeepRegistration
"""
"""A line a floor, from the bottom up: folders and single files of the library, then the panel."""

ROOT = Path(__file__).resolve().parents[2]
LIBRARY, PANEL = "DeepRegistrationLib", "DeepRegistration"
FLOOR = {
    package: number
    for number, line in enumerate(FLOORS.replace("\\\n", "").strip().splitlines())
    for package in line.split()
}


SCENE = sorted((ROOT / LIBRARY / "scene").rglob("*.py"))
ENGINE = sorted(set((ROOT / LIBRARY).rglob("*.py")) - set(SCENE))


def sources(root: Path) -> dict[str, Path]:
    """The files of library and panel by their modules' names."""
    found = {}
    for folder in (root / LIBRARY, root / PANEL):
        above = root if folder.name == LIBRARY else folder
        for path in folder.rglob("*.py"):
            name = ".".join(path.relative_to(above).with_suffix("").parts)
            found[name.removesuffix(".__init__")] = path
    return found


def package_of(module: str) -> str:
    """What has a floor: the folder, or the single file, that a module lies in."""
    names = module.split(".")
    if names[0] != LIBRARY:
        return PANEL
    return names[1] if len(names) > 1 else LIBRARY


def named(node: ast.AST, module: str, is_package: bool) -> Iterator[str]:
    """Every dotted name that a statement or call imports, absolute."""
    if isinstance(node, ast.Import):
        yield from (alias.name for alias in node.names)
    elif isinstance(node, ast.ImportFrom):
        parts = module.split(".")
        parts = parts[: len(parts) - node.level + is_package] if node.level else []
        base = ".".join([*parts, *([node.module] if node.module else [])])
        yield from (f"{base}.{alias.name}" for alias in node.names)
    elif isinstance(node, ast.Call) and node.args and isinstance(node.args[0], ast.Constant):
        called = getattr(node.func, "id", getattr(node.func, "attr", ""))
        if called in ("import_module", "__import__"):
            yield str(node.args[0].value)


def imports(root: Path) -> dict[str, set[str]]:
    """The modules of library and panel that each of them imports."""
    files = sources(root)
    found: dict[str, set[str]] = {module: set() for module in files}
    for module, path in files.items():
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            for name in named(node, module, path.name == "__init__.py"):
                while name and name not in files:
                    name = name.rpartition(".")[0]  # of a name in a module: the module
                found[module] |= {name} - {"", module}
    return found


def upward(root: Path) -> list[str]:
    """A line for every import that does not go down."""
    return sorted(
        f"{module} imports {other}: {package_of(other)} does not lie below {package_of(module)}"
        for module, others in imports(root).items()
        for other in others
        if package_of(other) != package_of(module)
        and FLOOR[package_of(other)] >= FLOOR[package_of(module)]
    )


def circle(root: Path) -> list[str]:
    """Modules that import each other in a circle; none where there is no circle."""
    try:
        TopologicalSorter(imports(root)).prepare()
    except CycleError as error:
        return list(error.args[1])
    return []


def test_every_package_has_one_floor():
    assert FLOORS.replace("\\\n", "").split() == list(FLOOR)
    assert {package_of(module) for module in sources(ROOT)} == set(FLOOR)


def test_imports_go_down():
    assert not upward(ROOT)


def test_no_files_import_each_other_in_a_circle():
    assert not circle(ROOT)


@pytest.mark.parametrize(
    "text",
    [
        "import DeepRegistrationLib.scene.views",
        "from DeepRegistrationLib import scene",
        "from ..scene import views",
        "def later():\n    from DeepRegistrationLib.scene import views",
        "if TYPE_CHECKING:\n    from DeepRegistrationLib.scene.views import SliceViews",
        "import_module('DeepRegistrationLib.scene.views')",
    ],
)
def test_an_import_is_seen_wherever_it_stands(text, tmp_path):
    files = {
        "transforms/__init__.py": "",
        "transforms/base.py": text,
        "scene/__init__.py": "",
        "scene/views.py": "from DeepRegistrationLib.transforms import base",
    }
    (tmp_path / PANEL).mkdir()
    for name, content in files.items():
        path = tmp_path / LIBRARY / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(content, encoding="utf-8")
    (found,) = upward(tmp_path)
    assert found.startswith("DeepRegistrationLib.transforms.base imports DeepRegistrationLib.scene")
    assert "views" not in text or circle(tmp_path)


def roots(path: Path) -> set[str]:
    """The top-level names that a file imports."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    return {name.split(".")[0] for node in ast.walk(tree) for name in named(node, "", False)}


def name_of(path: Path) -> str:
    return str(path.relative_to(ROOT))


@pytest.mark.parametrize("path", ENGINE, ids=name_of)
def test_the_engine_knows_nothing_of_slicer(path):
    assert not roots(path) & {"vtk", "vtkmodules", "slicer", "qt", "ctk"}


@pytest.mark.parametrize("path", SCENE, ids=name_of)
def test_the_scene_package_knows_no_widgets(path):
    assert not roots(path) & {"qt", "ctk", "PySide6", PANEL}


@pytest.mark.parametrize(
    "statement",
    [
        "from DeepRegistrationLib.scene import logic; logic.RegistrationLogic()",
        "import DeepRegistrationLib",
        "from DeepRegistrationLib.scene.landmarks import live, navigation, plots",
        "from DeepRegistrationLib.scene.report import page",
    ],
)
def test_what_slicer_loads_at_its_start_does_not_load_torch(statement):
    code = f"import sys; {statement}; print([m for m in sys.modules if m == 'torch'])"
    run = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True
    )
    assert run.stdout.strip() == "[]"
