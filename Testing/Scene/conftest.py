"""A scene as the application has it, and small volumes with known content."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import pytest

os.environ.setdefault("VTK_DEFAULT_OPENGL_WINDOW", "vtkEGLRenderWindow")

vtk = pytest.importorskip("vtk", reason="vtk is not installed")
pytest.importorskip("slicer", reason="slicer-core is not installed")

from odd_runs import OddTransport, engine_in, noise_volumes, wait  # noqa: E402
from scenery import bump, centered_grid, image_on  # noqa: E402

from DeepRegistrationLib.images.image import Image  # noqa: E402
from DeepRegistrationLib.methods import Card, Method, base  # noqa: E402
from DeepRegistrationLib.scene.logic import RegistrationLogic  # noqa: E402
from DeepRegistrationLib.scene.nodes.application import Application  # noqa: E402
from DeepRegistrationLib.scene.nodes.coordinates import matrix_to_vtk  # noqa: E402
from DeepRegistrationLib.transforms import DisplacementField, Transform  # noqa: E402
from DeepRegistrationLib.worker import EngineProcess, PipeTransport  # noqa: E402


class Messages:
    """What VTK and MRML complained about during a test."""

    def __init__(self) -> None:
        self.window = vtk.vtkStringOutputWindow()
        self._forgiven = 0

    @property
    def text(self) -> str:
        return self.window.GetOutput()[self._forgiven :]

    def forgive(self) -> str:
        """Take note of what was said so far; it does not fail the test."""
        text, self._forgiven = self.text, len(self.window.GetOutput())
        return text


@pytest.fixture(autouse=True)
def vtk_messages():
    """C++ errors go to an output window only; here they fail the test."""
    messages = Messages()
    before = vtk.vtkOutputWindow.GetInstance()
    vtk.vtkOutputWindow.SetInstance(messages.window)
    yield messages
    vtk.vtkOutputWindow.SetInstance(before)
    assert not messages.text, messages.text


@pytest.fixture
def application(vtk_messages) -> Application:
    return Application()


@pytest.fixture
def scene(application):
    return application.scene


@pytest.fixture
def fixed_image() -> Image:
    """Oblique and anisotropic."""
    grid = centered_grid((28, 26, 18), (2.0, 2.2, 3.1), (2, 3, 20), (12, -9, 24))
    return image_on(grid, "fixed")


@pytest.fixture
def moving_image() -> Image:
    """Oblique otherwise, of another size and spacing."""
    grid = centered_grid((36, 34, 30), (1.8, 2.0, 2.4), (0, 5, 21), (-8, 15, -11))
    return image_on(grid, "moving")


@pytest.fixture
def field() -> DisplacementField:
    """A displacement field on a third grid, around both images."""
    return bump(centered_grid((24, 23, 25), (4.0, 4.2, 3.8), (1, 3, 20), (5, 7, -10)))


@pytest.fixture
def add_transform(scene) -> Callable:
    """Add a linear transform node from a to-parent matrix in RAS."""

    def add(matrix: np.ndarray, name: str = "parent"):
        node = scene.AddNewNodeByClass("vtkMRMLLinearTransformNode", name)
        node.SetMatrixTransformToParent(matrix_to_vtk(matrix))
        return node

    return add


@pytest.fixture
def method_returning(monkeypatch) -> Callable[[Transform], str]:
    """List a method that returns a given transform at once, and say its name."""

    def register(transform: Transform) -> str:
        @dataclass(frozen=True)
        class NoParameters:
            pass

        class Given(Method):
            name = "given"
            title = "A given transform"
            card = Card("for tests", "", "", "", "", "", "", False)
            Parameters = NoParameters

            def register(self, fixed, moving, context):
                context.progress(0.5, "Looking it up")
                return transform

        monkeypatch.setitem(base._METHODS, "given", Given)
        return "given"

    return register


@pytest.fixture
def volumes(scene):
    """Two volume nodes of noise."""
    return noise_volumes(scene)


@pytest.fixture
def transport():
    """A process that does what tests ask of it, see ``odd_child``."""
    return OddTransport()


@pytest.fixture
def engine(transport, tmp_path):
    with engine_in(tmp_path, transport) as engine:
        yield engine


@pytest.fixture(scope="module")
def warm_engine(tmp_path_factory):
    """One process of the real engine for all tests of a file, and its transport."""
    transport = PipeTransport()
    engine = EngineProcess(transport, root=tmp_path_factory.mktemp("engine"))
    engine.transport = transport
    yield engine
    engine.close()
    transport.wait(lambda: not engine.running)


@pytest.fixture
def start(scene, volumes, engine):
    """A function that starts a registration of the two volumes."""
    logic = RegistrationLogic(scene)
    return lambda **options: logic.start(engine, *volumes, **options)


@pytest.fixture
def finished(transport, start):
    """A function that runs one to its end."""

    def begin(**options):
        run = start(**options)
        wait(transport, run)
        return run

    return begin
