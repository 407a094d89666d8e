"""Slicer's slice views without a window: what the user would see, as pixels."""

from __future__ import annotations

import os
import subprocess
import sys

import numpy as np
import slicer
import vtk
from vtk.util import numpy_support

from DeepRegistrationLib.errors import RegistrationError
from DeepRegistrationLib.scene.space import between, map_points, matrix_to_numpy

_MANAGERS = (
    "vtkMRMLVolumeGlyphSliceDisplayableManager",
    "vtkMRMLMarkupsDisplayableManager",
    "vtkMRMLModelSliceDisplayableManager",
    "vtkMRMLTransformsDisplayableManager2D",
    "vtkMRMLColorLegendDisplayableManager",
    "vtkMRMLRulerDisplayableManager",
)

_PROBE = """
import vtkmodules.vtkRenderingOpenGL2
from vtkmodules.vtkRenderingCore import vtkRenderer, vtkRenderWindow
window = vtkRenderWindow()
window.SetOffScreenRendering(1)
window.SetSize(8, 8)
window.AddRenderer(vtkRenderer())
window.Render()
print("rendered")
"""


def rendering_problem() -> str | None:
    """Why nothing can be rendered on this machine, or None where it can.

    Without any OpenGL the first ``Render()`` ends the process, so another process tries it. Where
    there is no display, EGL is chosen for this process too.
    """
    if hasattr(slicer, "app"):
        return None  # inside Slicer, which renders already
    if sys.platform.startswith("linux") and not os.environ.get("DISPLAY"):
        os.environ.setdefault("VTK_DEFAULT_OPENGL_WINDOW", "vtkEGLRenderWindow")
    try:
        run = subprocess.run(
            [sys.executable, "-c", _PROBE], capture_output=True, text=True, timeout=60, check=False
        )
    except (OSError, subprocess.TimeoutExpired):
        run = None
    if run is not None and run.returncode == 0 and "rendered" in run.stdout:
        return None
    return (
        "No pictures: this machine has no OpenGL to render with; on Debian or Ubuntu install "
        "libegl1 and libgl1-mesa-dri."
    )


def require_rendering() -> None:
    """Raise ``RegistrationError`` where nothing can be rendered."""
    problem = rendering_problem()
    if problem is not None:
        raise RegistrationError(problem)


class SliceView:
    """One slice view, rendered offscreen by Slicer's own displayable managers.

    Args:
        application: With ``scene`` and ``logic``; see ``scene.application``.
        name: Layout name of its slice node, for example ``Red``.
        orientation: ``Axial``, ``Coronal`` or ``Sagittal``.
        size: Width and height in pixels.
    """

    def __init__(self, application, name: str, orientation: str, size: tuple[int, int]) -> None:
        self._window = vtk.vtkRenderWindow()
        self._window.SetOffScreenRendering(1)
        self._window.ShowWindowOff()
        self._window.SetMultiSamples(0)
        self._window.SetSize(*size)
        self._renderer = vtk.vtkRenderer()
        self._renderer.GetActiveCamera().ParallelProjectionOn()
        self._window.AddRenderer(self._renderer)
        self._interactor = vtk.vtkRenderWindowInteractor()
        self._interactor.SetRenderWindow(self._window)
        self._interactor.SetInteractorStyle(vtk.vtkInteractorStyleUser())
        self._interactor.Initialize()
        self._managers = self._displayable_managers(application)
        self._logic = self._slice_logic(application, name, orientation)
        self._managers.SetMRMLDisplayableNode(self.node)
        self._mapper = vtk.vtkImageMapper()
        self._mapper.SetColorWindow(255)
        self._mapper.SetColorLevel(127.5)
        self._actor = vtk.vtkActor2D()
        self._actor.SetMapper(self._mapper)
        self._actor.GetProperty().SetDisplayLocationToBackground()

    def _displayable_managers(self, application):
        factory = slicer.vtkMRMLSliceViewDisplayableManagerFactory.GetInstance()
        factory.SetMRMLApplicationLogic(application.logic)
        for name in _MANAGERS:
            if not factory.IsDisplayableManagerRegistered(name):
                factory.RegisterDisplayableManager(name)
        group = slicer.vtkMRMLDisplayableManagerGroup()
        group.SetRenderer(self._renderer)
        group.Initialize(factory, self._renderer)
        return group

    def _slice_logic(self, application, name: str, orientation: str):
        logic = slicer.vtkMRMLSliceLogic()
        logic.SetMRMLApplicationLogic(application.logic)
        application.logic.GetSliceLogics().AddItem(logic)
        logic.SetMRMLScene(application.scene)
        node = logic.AddSliceNode(name)
        node.SetOrientation(orientation)
        node.SetMappedInLayout(1)
        return logic

    @property
    def node(self):
        """The vtkMRMLSliceNode: where the view looks."""
        return self._logic.GetSliceNode()

    @property
    def composite(self):
        """The vtkMRMLSliceCompositeNode: what the view shows."""
        return self._logic.GetSliceCompositeNode()

    def show(self, volume) -> None:
        """Choose the volume node that the view shows."""
        self.composite.SetBackgroundVolumeID(volume.GetID())

    def look_at(self, center: np.ndarray, width_mm: float) -> None:
        """Center the view on a RAS point; ``width_mm`` fills the view's width."""
        width, height = self._window.GetSize()
        self._logic.ResizeSliceNode(width, height)
        self.node.JumpSliceByCentering(*(float(c) for c in center))
        self.node.SetFieldOfView(width_mm, width_mm * height / width, 1.0)
        self.node.UpdateMatrices()

    def pixels(self) -> np.ndarray:
        """Render: uint8 [height, width, 3], the top row first."""
        connection = self._logic.GetImageDataConnection()
        self._mapper.SetInputConnection(connection)
        if connection is not None and not self._renderer.HasViewProp(self._actor):
            self._renderer.AddViewProp(self._actor)
        self._window.Render()
        grabber = vtk.vtkWindowToImageFilter()
        grabber.SetInput(self._window)
        grabber.SetInputBufferTypeToRGB()
        grabber.ReadFrontBufferOff()
        grabber.Update()
        data = grabber.GetOutput()
        width, height, _ = data.GetDimensions()
        values = numpy_support.vtk_to_numpy(data.GetPointData().GetScalars())
        return values.reshape(height, width, 3)[::-1].copy()

    def covered_by(self, volume) -> np.ndarray:
        """Which pixels lie inside a volume node: bool [height, width], the top row first."""
        width, height = self._window.GetSize()
        x, y = np.meshgrid(np.arange(width), np.arange(height)[::-1])
        pixels = np.stack([x, y, np.zeros_like(x), np.ones_like(x)], axis=-1)
        world = (pixels @ matrix_to_numpy(self.node.GetXYToRAS()).T)[..., :3]
        own = map_points(between(None, volume.GetParentTransformNode()), world)
        matrix = vtk.vtkMatrix4x4()
        volume.GetRASToIJKMatrix(matrix)
        to_index = matrix_to_numpy(matrix)
        index = own @ to_index[:3, :3].T + to_index[:3, 3]
        last = np.array(volume.GetImageData().GetDimensions()) - 0.5
        return np.all((index >= -0.5) & (index <= last), axis=-1)

    def close(self) -> None:
        """Free the window; the view's nodes stay in the scene (see ``transaction.visiting``)."""
        self._managers.SetMRMLDisplayableNode(None)
        self._logic.SetMRMLScene(None)
        self._window.Finalize()


def png_of(pixels: np.ndarray) -> bytes:
    """A PNG file's bytes from uint8 [height, width, 3]."""
    flat = np.ascontiguousarray(pixels[::-1]).reshape(-1, 3)
    data = vtk.vtkImageData()
    data.SetDimensions(pixels.shape[1], pixels.shape[0], 1)
    data.GetPointData().SetScalars(numpy_support.numpy_to_vtk(flat, deep=True))
    writer = vtk.vtkPNGWriter()
    writer.WriteToMemoryOn()
    writer.SetInputData(data)
    writer.Write()
    return numpy_support.vtk_to_numpy(writer.GetResult()).tobytes()


def write_png(pixels: np.ndarray, path) -> None:
    """Write uint8 [height, width, 3] as a PNG file.

    Raises:
        RegistrationError: The file cannot be written.
    """
    try:
        with open(path, "wb") as file:
            file.write(png_of(pixels))
    except OSError as error:
        raise RegistrationError(
            f"{path} cannot be written ({error.strerror}); check the folder's rights."
        ) from error
