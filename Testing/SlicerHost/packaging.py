"""slicer.packaging and slicer.i18n: nothing is ever installed; what was asked for is recorded."""
# ruff: noqa: N802, N803 - Slicer's names

from __future__ import annotations

import importlib.metadata
import types
from dataclasses import dataclass, field


@dataclass
class Pip:
    """Stands for pip.

    Attributes:
        calls: ("install" or "uninstall", requirements) in order.
        error: Raised by the next call, as a failing pip would.
    """

    calls: list[tuple[str, object]] = field(default_factory=list)
    error: Exception | None = None

    def __call__(self, verb: str, requirements) -> None:
        self.calls.append((verb, requirements))
        if self.error is not None:
            raise self.error


def make_packaging_module(pip: Pip) -> types.ModuleType:
    """The module ``slicer.packaging`` (5.12 and later)."""
    module = types.ModuleType("slicer.packaging")

    def pip_check(req) -> bool:
        """Whether all requirements are installed."""
        from packaging.requirements import Requirement

        for one in req if isinstance(req, list) else [req]:
            wanted = one if isinstance(one, Requirement) else Requirement(one)
            try:
                version = importlib.metadata.version(wanted.name)
            except importlib.metadata.PackageNotFoundError:
                return False
            if not wanted.specifier.contains(version, prereleases=True):
                return False
        return True

    def pip_install(
        requirements,
        constraints=None,
        no_deps_requirements=None,
        skip_packages=None,
        blocking=True,
        show_progress=True,
        requester=None,
        logCallback=None,
        completedCallback=None,
    ) -> None:
        pip("install", requirements)
        if completedCallback is not None:
            completedCallback(0)

    def pip_ensure(
        requirements,
        constraints=None,
        skip_packages=None,
        prompt_install=True,
        prompt_restart=True,
        requester=None,
        skip_in_testing=True,
        show_progress=True,
    ) -> None:
        missing = requirements if isinstance(requirements, list) else [requirements]
        missing = [requirement for requirement in missing if not pip_check(requirement)]
        if missing:
            pip("install", missing)

    def pip_uninstall(
        requirements, blocking=True, logCallback=None, completedCallback=None
    ) -> None:
        pip("uninstall", requirements)

    def isPipInstallInProgress() -> bool:
        return False

    for function in (pip_check, pip_install, pip_ensure, pip_uninstall, isPipInstallInProgress):
        setattr(module, function.__name__, function)
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
