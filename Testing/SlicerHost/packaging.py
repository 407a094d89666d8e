"""slicer.packaging and slicer.i18n: nothing is ever installed; what was asked for is recorded."""
# ruff: noqa: N802, N803 - Slicer's names

from __future__ import annotations

import shlex
import subprocess
import types
from dataclasses import dataclass, field

import slicer

_UNWRITTEN = "pip_check pip_ensure pip_uninstall isPipInstallInProgress load_requirements".split()


@dataclass
class Pip:
    """Stands for pip.

    Attributes:
        calls: ("install" or "uninstall", arguments) in order.
        fails: Whether it ends with an error.
    """

    calls: list[tuple[str, list[str]]] = field(default_factory=list)
    fails: bool = False

    def __call__(self, verb: str, arguments: list[str]) -> int:
        """Run it; returns the exit code."""
        self.calls.append((verb, arguments))
        return int(self.fails)


def make_packaging_module() -> types.ModuleType:
    """The module ``slicer.packaging`` (5.12 and later)."""
    module = types.ModuleType("slicer.packaging")

    def pip_install(requirements) -> None:
        """Base/Python/slicer/packaging.py: a failure is displayed, then raised."""
        wanted = shlex.split(requirements) if isinstance(requirements, str) else requirements
        try:
            slicer.util.executePythonModule("pip", ["install", *wanted])
        except subprocess.CalledProcessError as error:
            slicer.util.errorDisplay("Package installation failed.")
            raise subprocess.CalledProcessError(error.returncode, "pip install") from None

    def unwritten(name: str):
        if name in _UNWRITTEN:
            raise NotImplementedError(f"slicer.packaging.{name} is not written in this host")
        raise AttributeError(f"slicer.packaging has no attribute {name}")

    module.pip_install, module.__getattr__ = pip_install, unwritten
    return module


def make_i18n_module() -> types.ModuleType:
    """The module ``slicer.i18n``: everything stays English."""
    module = types.ModuleType("slicer.i18n")

    def tr(text: str) -> str:
        return text

    def translate(context: str, text: str) -> str:
        return text

    module.tr, module.translate = tr, translate
    return module
