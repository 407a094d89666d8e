"""One application for the whole run, and slots that may not fail unseen."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import pytest

os.environ.setdefault("QT_QPA_PLATFORM", "offscreen")
os.environ.setdefault("VTK_DEFAULT_OPENGL_WINDOW", "vtkEGLRenderWindow")
sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

pytest.importorskip("PySide6.QtWidgets", reason="PySide6 is not installed", exc_type=ImportError)
pytest.importorskip("slicer", reason="slicer-core is not installed")

from SlicerHost import ctkmodule, mrmlwidgets, qtmodule, signals, slicer_source  # noqa: E402


def pytest_report_header():
    """On which Python layer of Slicer the panel is tested, and what of it is replaced."""
    folder = slicer_source.folder()
    if folder is None:
        return "Slicer's Python layer: the stand-in's"
    kept = [f"  not {name}: {why}" for name, why in slicer_source.REPLACED.items()]
    return [f"Slicer's Python layer: {folder}", *kept]


@pytest.fixture(scope="session")
def qt():
    """The module that ``import qt`` gives in Slicer."""
    return qtmodule.make_qt_module()


@pytest.fixture(scope="session")
def ctk():
    return ctkmodule.make_ctk_module()


@pytest.fixture(scope="session")
def widgets():
    """Classes qMRML... and qSlicer... by name."""
    return mrmlwidgets.slicer_widget_classes()


@pytest.fixture(autouse=True)
def slot_errors():
    """What a slot raises is only printed by Slicer; here it fails the test, unless taken out."""
    signals.uncaught.clear()
    qtmodule.modal.__init__()
    yield signals.uncaught
    assert not signals.uncaught, signals.uncaught


@pytest.fixture
def slicer_host():
    """Slicer's application around a new scene; see SlicerHost.host."""
    from SlicerHost.host import Host

    with Host() as host:
        yield host
