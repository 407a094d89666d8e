"""The checks that run inside an installed Slicer, in the stand-in: they themselves are right."""

from __future__ import annotations

import io
import sys
import unittest
from pathlib import Path

MODULE = Path(__file__).resolve().parents[2] / "DeepRegistration" / "DeepRegistration.py"
CHECKS = MODULE.parents[1] / "Testing" / "Slicer"


def test_the_checks_for_an_installed_slicer_pass_in_the_stand_in(slicer_host, monkeypatch):
    slicer_host.load_module(MODULE)
    monkeypatch.syspath_prepend(str(CHECKS))
    try:
        import panel_checks

        suite = unittest.defaultTestLoader.loadTestsFromModule(panel_checks)
        said = io.StringIO()
        result = unittest.TextTestRunner(stream=said, verbosity=2).run(suite)
    finally:
        sys.modules.pop("panel_checks", None)
    assert result.wasSuccessful() and not result.skipped, said.getvalue()
    assert result.testsRun >= 8
