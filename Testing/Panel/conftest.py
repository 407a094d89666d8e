"""One application for the whole run, and slots that may not fail unseen."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import pytest

os.environ.setdefault("QT_QPA_PLATFORM", "offscreen")
os.environ.setdefault("VTK_DEFAULT_OPENGL_WINDOW", "vtkEGLRenderWindow")
sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
MODULE = Path(__file__).resolve().parents[2] / "DeepRegistration" / "DeepRegistration.py"

pytest.importorskip("PySide6.QtWidgets", reason="PySide6 is not installed", exc_type=ImportError)
pytest.importorskip("slicer", reason="slicer-core is not installed")

import slicer  # noqa: E402
from improving import add_wrong  # noqa: E402
from node_selectors import selector_of_volumes  # noqa: E402
from pairs import add_pair  # noqa: E402
from SlicerHost import ctkmodule, mrmlwidgets, qtmodule, signals, slicer_source  # noqa: E402

from DeepRegistrationLib.scene.nodes.application import Application  # noqa: E402


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


@pytest.fixture
def scene():
    """A scene without the panel."""
    return Application().scene


@pytest.fixture
def selector(widgets, scene):
    """A node combo box that lists the scene's volumes."""
    return selector_of_volumes(widgets, scene)


@pytest.fixture
def widget(slicer_host):
    """The module's widget, as Slicer makes it when a user opens the module."""
    return slicer_host.load_module(MODULE)


@pytest.fixture
def panel(widget):
    return widget.panel


@pytest.fixture
def opened(slicer_host, panel):
    """A function that unfolds a section of the panel, by its class, and gives it."""

    def unfold(kind):
        section = panel.section(kind)
        getattr(section.ui, f"{kind.uiName[0].lower()}{kind.uiName[1:]}Button").collapsed = False
        slicer_host.process_events(0.05)
        return section

    return unfold


@pytest.fixture
def panel_with_pair(slicer_host):
    """The panel with a pair of volumes chosen, and shown in views that can be clicked."""
    if slicer_host.rendering_problem:
        pytest.skip(slicer_host.rendering_problem)
    panel = slicer_host.load_module(MODULE).panel
    fixed, _moving = add_pair(panel.parameters)
    slicer.util.setSliceViewerLayers(background=fixed, fit=True)
    slicer_host.process_events(0.05)
    return panel


@pytest.fixture
def run(panel):
    """The section that registers."""
    from DeepRegistrationPanel.run import RunSection

    return panel.section(RunSection)


@pytest.fixture
def wrong(panel, section):
    """A deformation that is wrong at a place, chosen in the panel."""
    return add_wrong(panel)
