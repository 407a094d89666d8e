"""The module file, read by Python without Slicer's Qt: what it needs, and what it must not do."""

from __future__ import annotations

import ast
import os
import shutil
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
MODULE = ROOT / "DeepRegistration" / "DeepRegistration.py"

# The names that Slicer brings, empty: enough to read the file and to make its logic.
STUBS = """
import sys, types
import slicer
import slicer.util
for name in ("qt", "ctk", "i18n", "ScriptedLoadableModule", "parameterNodeWrapper"):
    name = name if len(name) < 4 else "slicer." + name
    sys.modules[name] = types.ModuleType(name)
sys.modules["slicer.parameterNodeWrapper"].parameterNodeWrapper = lambda kind: kind
sys.modules["slicer.parameterNodeWrapper"].Choice = list
sys.modules["slicer.parameterNodeWrapper"].Minimum = int
sys.modules["slicer.parameterNodeWrapper"].WithinRange = lambda low, high: (low, high)
sys.modules["slicer.i18n"].tr = lambda text: text
sys.modules["slicer.i18n"].translate = lambda context, text: text
for kind in ("", "Widget", "Test"):
    name = "ScriptedLoadableModule" + kind
    setattr(sys.modules["slicer.ScriptedLoadableModule"], name, type(name, (), {}))
class Logic:
    def __init__(self, parent=None):
        self.moduleName = type(self).__name__
sys.modules["slicer.ScriptedLoadableModule"].ScriptedLoadableModuleLogic = Logic
slicer.mrmlScene = slicer.vtkMRMLScene()
"""


def run_in_slicers_place(code: str, path: Path, folder: Path) -> str:
    """Run code where only ``path`` is on Python's path, as Slicer adds a module's folder."""
    script = f"import sys; sys.path.insert(0, {str(path)!r})\n{STUBS}\n{code}"
    environment = {k: v for k, v in os.environ.items() if k != "PYTHONPATH"}
    run = subprocess.run(
        [sys.executable, "-c", script],
        cwd=folder,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert run.returncode == 0, run.stderr
    return run.stdout


def test_the_four_classes_that_slicer_looks_for_are_there():
    names = [n.name for n in ast.parse(MODULE.read_text()).body if isinstance(n, ast.ClassDef)]
    for kind in ("", "Widget", "Logic", "Test"):
        assert f"DeepRegistration{kind}" in names


def test_the_logic_is_made_without_torch_and_scipy_and_uses_the_applications_scene(tmp_path):
    code = (
        "import DeepRegistration\n"
        "logic = DeepRegistration.DeepRegistrationLogic()\n"
        "assert logic.mrmlScene is slicer.mrmlScene\n"
        "assert logic.moduleName == 'DeepRegistrationLogic'\n"
        "print([name for name in ('torch', 'scipy') if name in sys.modules])"
    )
    assert run_in_slicers_place(code, MODULE.parent, tmp_path).strip() == "[]"


def test_adding_only_the_modules_folder_is_enough(tmp_path):
    """Additional module paths: the library is found beside the module, wherever the clone lies."""
    shutil.copytree(ROOT / "DeepRegistration", tmp_path / "clone" / "DeepRegistration")
    shutil.copytree(ROOT / "DeepRegistrationLib", tmp_path / "clone" / "DeepRegistrationLib")
    code = (
        "sys.meta_path[:] = [f for f in sys.meta_path if 'editable' not in str(f).lower()]\n"
        "import DeepRegistration, DeepRegistrationLib.scene.logic as logic\n"
        "print(logic.__file__)"
    )
    module = tmp_path / "clone" / "DeepRegistration"
    found = run_in_slicers_place(code, module, tmp_path).strip()
    assert Path(found).is_relative_to(tmp_path / "clone")


def test_nothing_is_installed_but_by_the_function_that_asks_first():
    """pip and PyTorch's installer are called from one place, behind the user's consent."""
    callers = {
        (path.name, function.name)
        for path in MODULE.parent.rglob("*.py")
        for function in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(function, ast.FunctionDef)
        for node in ast.walk(function)
        if (isinstance(node, ast.Attribute) and node.attr in {"installTorch", "pip_install"})
        or (isinstance(node, ast.Name) and node.id == "pip_install")
    }
    assert callers == {("installation.py", "_install")}
    text = (MODULE.parent / "DeepRegistrationPanel" / "installation.py").read_text(encoding="utf-8")
    asks, installs = text.index("confirmOkCancelDisplay("), text.index("_install(missing)")
    assert asks < installs
