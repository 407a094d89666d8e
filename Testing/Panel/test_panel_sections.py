"""A section is one .py, one .ui and one line; no section knows another."""

from __future__ import annotations

import ast
import shutil
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
PANEL = ROOT / "DeepRegistration" / "DeepRegistrationPanel"

SECTION = """
from DeepRegistrationPanel.section import Section


class GreetingSection(Section):
    uiName = "Greeting"

    def update(self):
        self.ui.greetingText.text = f"Hello, {self.parameters.method}"
"""
UI = """<?xml version="1.0" encoding="UTF-8"?>
<ui version="4.0">
 <class>Greeting</class>
 <widget class="qMRMLWidget" name="Greeting">
  <layout class="QVBoxLayout" name="layout">
   <item><widget class="QLabel" name="greetingText"/></item>
  </layout>
 </widget>
 <customwidgets>
  <customwidget>
   <class>qMRMLWidget</class><extends>QWidget</extends><header>qMRMLWidget.h</header>
   <container>1</container>
  </customwidget>
 </customwidgets>
</ui>
"""
OPEN = """
import sys
sys.path[:0] = [{testing!r}, {root!r}]
from SlicerHost.host import Host
with Host() as host:
    panel = host.load_module({file!r}).panel
    part = panel.sections[-1]
    assert part.uiName == "Greeting", [section.uiName for section in panel.sections]
    assert part.ui.greetingText.text == "Hello, optimize"
    panel.parameters.method = "affine"
    assert part.ui.greetingText.text == "Hello, affine"
"""


def sections() -> list[str]:
    """Names of the sections' modules."""
    tree = ast.parse((PANEL / "sections.py").read_text(encoding="utf-8"))
    assigned = next(node for node in tree.body if isinstance(node, ast.Assign))
    return ast.literal_eval(assigned.value)


def imported_by(path: Path) -> set[str]:
    """Names of the panel's modules that a file imports, anywhere in it."""
    tree, found = ast.parse(path.read_text(encoding="utf-8")), set()
    for node in ast.walk(tree):
        names = [node.module or ""] if isinstance(node, ast.ImportFrom) else []
        names += [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
        found |= {name.split(".")[1] for name in names if name.startswith("DeepRegistrationPanel.")}
    return found


def test_a_section_is_added_with_one_module_one_ui_file_and_one_line(tmp_path):
    module = tmp_path / "DeepRegistration"
    shutil.copytree(ROOT / "DeepRegistration", module, ignore=shutil.ignore_patterns("__pycache__"))
    package = module / "DeepRegistrationPanel"
    (package / "greeting.py").write_text(SECTION, encoding="utf-8")
    (module / "Resources" / "UI" / "Greeting.ui").write_text(UI, encoding="utf-8")
    listing = (package / "sections.py").read_text(encoding="utf-8")
    changed = listing.replace(
        f'    "{sections()[-1]}",\n', f'    "{sections()[-1]}",\n    "greeting",\n'
    )
    assert len(changed.splitlines()) == len(listing.splitlines()) + 1
    (package / "sections.py").write_text(changed, encoding="utf-8")
    code = OPEN.format(
        testing=str(ROOT / "Testing"), root=str(ROOT), file=str(module / "DeepRegistration.py")
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr[-2000:]


def test_every_ui_file_has_its_section():
    names = {path.stem.lower() for path in (ROOT / "DeepRegistration/Resources/UI").glob("*.ui")}
    assert names == set(sections())


def test_no_module_of_the_panel_imports_a_section():
    found = {path.name: imported_by(path) & set(sections()) for path in PANEL.glob("*.py")}
    assert {name: names for name, names in found.items() if names} == {}
