"""The module ``ctk``: CTK's widgets, with the behavior that a panel meets."""

from __future__ import annotations

from types import ModuleType

from . import ctkbuttons, ctknumbers, ctkpaths  # noqa: F401  they register themselves
from .arguments import CLASSES
from .semantics import ensure_application


def make_ctk_module() -> ModuleType:
    """What ``import ctk`` gives in Slicer."""
    ensure_application()
    module = ModuleType("ctk")
    module.__dict__.update({n: c for n, c in CLASSES.items() if c._table.module == "ctk"})
    return module
