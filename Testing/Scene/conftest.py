"""A scene as the application has it, and small volumes with known content."""

from __future__ import annotations

import os
from collections.abc import Callable

import numpy as np
import pytest
import torch

os.environ.setdefault("VTK_DEFAULT_OPENGL_WINDOW", "vtkEGLRenderWindow")

vtk = pytest.importorskip("vtk", reason="vtk is not installed")
pytest.importorskip("slicer", reason="slicer-core is not installed")

from DeepRegistrationLib.geometry import Grid  # noqa: E402
from DeepRegistrationLib.image import Image  # noqa: E402
from DeepRegistrationLib.methods import (  # noqa: E402
    Card,
    Method,
    base,
    parameter,  # noqa: F401
)
from DeepRegistrationLib.scene.application import Application  # noqa: E402
from DeepRegistrationLib.scene.space import matrix_to_vtk  # noqa: E402
from DeepRegistrationLib.transforms import DisplacementField, Transform  # noqa: E402


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


def rotation(degrees: tuple[float, float, float]) -> np.ndarray:
    """Rotation about x, then y, then z: [3, 3]."""
    x, y, z = np.radians(degrees)
    about_x = np.array([[1, 0, 0], [0, np.cos(x), -np.sin(x)], [0, np.sin(x), np.cos(x)]])
    about_y = np.array([[np.cos(y), 0, np.sin(y)], [0, 1, 0], [-np.sin(y), 0, np.cos(y)]])
    about_z = np.array([[np.cos(z), -np.sin(z), 0], [np.sin(z), np.cos(z), 0], [0, 0, 1]])
    return about_z @ about_y @ about_x


def centered_grid(size, spacing, center, degrees=(0.0, 0.0, 0.0)) -> Grid:
    """A grid about a center, rotated."""
    direction = rotation(degrees)
    half = (np.array(size) - 1) / 2 * np.array(spacing)
    origin = np.array(center) - direction @ half
    return Grid(size, spacing, tuple(origin), tuple(direction.ravel()))


def smooth(points: np.ndarray) -> np.ndarray:
    """A smooth scene in LPS mm, between -950 and about 100: [...] of [..., 3]."""
    result = np.full(points.shape[:-1], -950.0)
    for center, width in (((5, -8, 20), 16), ((-12, 10, 14), 12), ((14, 12, 30), 10)):
        distance = np.sum((points - np.array(center)) ** 2, axis=-1)
        result = result + 900 * np.exp(-distance / (2 * width**2))
    return result


def image_on(grid: Grid, name: str = "image") -> Image:
    """The smooth scene on a grid."""
    values = smooth(grid.points(dtype=torch.float64).numpy())
    return Image(torch.from_numpy(values).float(), grid, name)


def bump(grid: Grid, strength: float = 4.0) -> DisplacementField:
    """A smooth displacement field of up to about ``strength`` mm that differs along each axis."""
    points = grid.points(dtype=torch.float64).numpy()
    u = np.stack(
        [
            np.sin(points[..., 1] / 17) * strength,
            np.cos(points[..., 2] / 19) * strength * 0.7,
            np.sin((points[..., 0] + points[..., 2]) / 23) * strength * 0.8,
        ]
    )
    return DisplacementField(torch.from_numpy(u).float(), grid)


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
        from dataclasses import dataclass

        @dataclass(frozen=True)
        class Parameters:
            pass

        class Given(Method):
            name = "given"
            title = "A given transform"
            card = Card("for tests", "", "", "", "", "", "", False)

            def register(self, fixed, moving, context):
                context.progress(0.5, "Looking it up")
                return transform

        Given.Parameters = Parameters
        monkeypatch.setitem(base._METHODS, "given", Given)
        return "given"

    return register
