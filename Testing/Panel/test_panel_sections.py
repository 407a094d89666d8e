"""A section is one .py, one .ui and one line; no section knows another."""

from __future__ import annotations

import ast
import re
from pathlib import Path
from xml.etree import ElementTree

from Testing import worked_examples

ROOT = Path(__file__).resolve().parents[2]
PANEL = ROOT / "DeepRegistration" / "DeepRegistrationPanel"

OPEN = """
import sys
sys.path[:0] = [{testing!r}, {root!r}]
from DeepRegistrationLib.methods import method_class
from SlicerHost.host import Host
with Host() as host:
    panel = host.load_module({file!r}).panel
    part = panel.sections[-1]
    assert part.uiName == "MethodCard", [section.uiName for section in panel.sections]
    assert part.ui.cardText.text.startswith(method_class("optimize").card.description)
    panel.parameters.method = "affine"
    assert part.ui.cardText.text.startswith(method_class("affine").card.description)
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
    """Those of the example in docs/architecture.md."""
    _, _, (language, difference) = worked_examples.blocks("Add a panel section")
    assert language == "diff" and len(re.findall(r"(?m)^\+", difference)) == 1
    worked_examples.copy_with_examples(tmp_path)
    module = tmp_path / "DeepRegistration" / "DeepRegistration.py"
    code = OPEN.format(testing=str(ROOT / "Testing"), root=str(tmp_path), file=str(module))
    worked_examples.call(tmp_path, {}, "-c", code)


def test_every_ui_file_has_its_section():
    names = {path.stem.lower() for path in (ROOT / "DeepRegistration/Resources/UI").glob("*.ui")}
    assert names == set(sections())


def test_no_module_of_the_panel_imports_a_section():
    found = {path.name: imported_by(path) & set(sections()) for path in PANEL.glob("*.py")}
    assert {name: names for name, names in found.items() if names} == {}


def test_no_two_widgets_share_a_cell_of_a_form():
    for path in sorted((ROOT / "DeepRegistration" / "Resources" / "UI").glob("*.ui")):
        for layout in ElementTree.parse(path).iter("layout"):
            taken = []
            for item in layout.findall("item"):
                if "row" in item.attrib:
                    row, column = int(item.get("row")), int(item.get("column"))
                    rows = range(row, row + int(item.get("rowspan", 1)))
                    columns = range(column, column + int(item.get("colspan", 1)))
                    taken += [(r, c) for r in rows for c in columns]
            assert len(taken) == len(set(taken)), f"{path.name}: {layout.get('name')}"
