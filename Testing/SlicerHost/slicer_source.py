"""Slicer's own Python layer in place of the stand-in's, where ``SLICER_SOURCE`` names its folder.

That is a checkout of Slicer or an installation. What of it cannot run here is in ``REPLACED``, with
the reason; the widgets, the application and the MRML behind it stay the host's.
"""

from __future__ import annotations

import importlib.util
import os
import sys
import types
from pathlib import Path

VARIABLE = "SLICER_SOURCE"
REPLACED = {
    "slicer.util.delayDisplay": "it waits a second for a reader, or for a click",
    "slicer.util.executePythonModule": "it runs pip, and tests install nothing",
    "slicer/__init__.py and kits": "they load Slicer's compiled modules; slicer-core has its own",
}
_PACKAGES = ("Base/Python/slicer", "bin/Python/slicer", "Contents/bin/Python/slicer")
_SAMPLES = (
    "Modules/Scripted/SampleData/SampleData.py",
    "lib/Slicer-*/qt-scripted-modules/SampleData.py",
    "Contents/lib/Slicer-*/qt-scripted-modules/SampleData.py",
)
_PARTS = ("util", "i18n", "packaging", "parameterNodeWrapper", "ScriptedLoadableModule")


def folder() -> Path | None:
    """The folder of Slicer's package ``slicer``; None where the stand-in's own layer is wanted.

    Raises:
        FileNotFoundError: The variable names a folder that has none.
    """
    given = os.environ.get(VARIABLE, "")
    if not given:
        return None
    for place in _PACKAGES:
        if (Path(given) / place / "ScriptedLoadableModule.py").is_file():
            return Path(given) / place
    raise FileNotFoundError(f"{VARIABLE}={given}: neither a checkout of Slicer nor an installation")


def modules() -> dict[str, types.ModuleType]:
    """Slicer's modules by full name; sys.modules needs ``qt`` and ``ctk`` for it.

    They are loaded anew for each session: Slicer's keep what lives as long as the application,
    such as packaging's dialog, a child of the main window.
    """
    package = folder()
    assert package is not None
    before = dict(sys.modules)
    paths = {part: _path(package, part) for part in _PARTS}
    own = {
        f"slicer.{part}": _execute(f"slicer.{part}", path) for part, path in paths.items() if path
    }
    samples = next((path for place in _SAMPLES for path in _root().glob(place)), None)
    if samples is not None:
        own["SampleData"] = _execute("SampleData", samples)
    own |= {name: sys.modules[name] for name in set(sys.modules) - set(before) if _is_part(name)}
    for name in own:
        del sys.modules[name]
    sys.modules.update(before)
    return own


def _root() -> Path:
    return Path(os.environ[VARIABLE])


def _is_part(name: str) -> bool:
    return any(name.startswith(f"slicer.{part}.") for part in _PARTS)


def _path(package: Path, part: str) -> Path | None:
    """The file of a part; None where this version of Slicer does not have it."""
    places = (package / f"{part}.py", package / part / "__init__.py")
    return next((place for place in places if place.is_file()), None)


def _execute(name: str, path: Path) -> types.ModuleType:
    is_package = path.name == "__init__.py"
    search = [str(path.parent)] if is_package else None
    spec = importlib.util.spec_from_file_location(name, path, submodule_search_locations=search)
    assert spec is not None and spec.loader is not None
    module = sys.modules[name] = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module
