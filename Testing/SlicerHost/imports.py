"""Imports put back after a module was loaded: Slicer starts with fresh ones."""

from __future__ import annotations

import inspect
import os
import sys
from pathlib import Path


class Imports:
    """sys.modules and sys.path at one time."""

    def __init__(self) -> None:
        self._modules, self._path = dict(sys.modules), list(sys.path)

    def restore(self, folders: list[Path]) -> None:
        """Forget what came from ``folders``, and undo reloads.

        Of a package that was reloaded, even in part, everything is put back: modules of before
        and after would not know each other's classes.
        """
        reloaded = {
            name.partition(".")[0]
            for name, module in self._modules.items()
            if sys.modules.get(name) is not module
        }
        inside = tuple(str(folder) + os.sep for folder in folders)
        for name, module in list(sys.modules.items()):
            file = getattr(module, "__file__", None) or ""
            if name.partition(".")[0] in reloaded or file.startswith(inside):
                del sys.modules[name]
        for name, module in self._modules.items():
            if name.partition(".")[0] in reloaded:
                sys.modules[name] = module
                self._forget_parts(name, module)
        sys.path[:] = self._path

    def _forget_parts(self, package: str, module) -> None:
        """``from package import part`` takes what the package has, even if it was never here."""
        for part, value in list(vars(module).items()):
            name = f"{package}.{part}"
            if inspect.ismodule(value) and value.__name__ == name and name not in self._modules:
                delattr(module, part)
