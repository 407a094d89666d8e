"""Arrows go one way: module -> scene -> engine; and nothing loads torch before it is needed."""

from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
LIBRARY = ROOT / "DeepRegistrationLib"
SCENE = sorted((LIBRARY / "scene").glob("*.py"))
ENGINE = sorted(set(LIBRARY.rglob("*.py")) - set(SCENE))


def imported(path: Path) -> set[str]:
    """Every module that a file imports, wherever in the file: full dotted names."""
    names = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module and node.level == 0:
            names |= {node.module} | {f"{node.module}.{alias.name}" for alias in node.names}
    return names


def roots(path: Path) -> set[str]:
    return {name.split(".")[0] for name in imported(path)}


def name_of(path: Path) -> str:
    return str(path.relative_to(ROOT))


@pytest.mark.parametrize("path", ENGINE, ids=name_of)
def test_the_engine_knows_nothing_of_slicer(path):
    assert not roots(path) & {"vtk", "vtkmodules", "slicer", "qt", "ctk"}
    if path.parent.name != "cli" and path.name != "__main__.py":
        assert not any(name.startswith("DeepRegistrationLib.scene") for name in imported(path))


@pytest.mark.parametrize("path", SCENE, ids=name_of)
def test_the_scene_package_knows_no_widgets(path):
    assert not roots(path) & {"qt", "ctk", "PySide6", "DeepRegistration"}


@pytest.mark.parametrize(
    "statement",
    [
        "from DeepRegistrationLib.scene import logic; logic.DeepRegistrationLogic()",
        "import DeepRegistrationLib",
        "from DeepRegistrationLib.scene import landmark_plots, live_landmarks, navigation, report",
    ],
)
def test_what_slicer_loads_at_its_start_does_not_load_torch(statement):
    code = f"import sys; {statement}; print([m for m in sys.modules if m == 'torch'])"
    run = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True
    )
    assert run.stdout.strip() == "[]"
