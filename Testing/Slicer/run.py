"""The self-test and checks of the panel inside an installed Slicer.

    Slicer --testing --python-script Testing/Slicer/run.py

It needs a display (or xvfb-run) and, for what registers, the engine's packages in Slicer's Python
(``PythonSlicer -m pip install torch safetensors scipy``): nothing is installed here, and what needs
them is skipped without them. Slicer's exit code is 0 when nothing failed.

The checks have run in the stand-in only (Testing/Panel/test_slicer_checks.py), and this file in no
Slicer yet: whoever runs it first may have to correct it.
"""

import sys
import unittest
from pathlib import Path

import qt
import slicer

HERE = Path(__file__).resolve().parent
MODULE = HERE.parents[1] / "DeepRegistration" / "DeepRegistration.py"


def load_module():
    """Load the module from this checkout, unless Slicer has loaded it already."""
    factory = slicer.app.moduleManager().factoryManager()
    if not factory.isLoaded("DeepRegistration"):
        sys.path.append(str(MODULE.parent))
        factory.registerModule(qt.QFileInfo(str(MODULE)))
        factory.loadModules(["DeepRegistration"])
    assert factory.isLoaded("DeepRegistration"), f"Slicer cannot load {MODULE}"


def run():
    """Run everything; returns whether nothing failed."""
    import panel_checks

    suite = unittest.defaultTestLoader.loadTestsFromModule(panel_checks)
    return unittest.TextTestRunner(stream=sys.stdout, verbosity=2).run(suite).wasSuccessful()


if __name__ == "__main__":
    try:
        load_module()
        passed = run()
    except BaseException as error:  # else Slicer would stay open, and nobody would know
        print(f"{type(error).__name__}: {error}")
        passed = False
    slicer.util.exit(slicer.util.EXIT_SUCCESS if passed else slicer.util.EXIT_FAILURE)
