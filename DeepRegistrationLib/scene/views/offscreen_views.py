"""Slicer's slice views without a window: what the user would see, as pixels."""

from __future__ import annotations

import os
import struct
import subprocess
import sys
import zlib
from collections.abc import Generator

import numpy as np
import slicer
import vtk
from vtk.util import numpy_support

from DeepRegistrationLib.errors import RegistrationError
from DeepRegistrationLib.scene.nodes.coordinates import map_points
from DeepRegistrationLib.scene.nodes.volumes import exhausted
from DeepRegistrationLib.scene.views.resliced import pixel_to_voxel

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

_SIGNATURE = b"\x89PNG\r\n\x1a\n"
_RGB = 2  # color type
_UP = 2  # filter: the difference from the row above
_BAND = 64  # rows a step


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
        for name in _MANAGERS:
            if not factory.IsDisplayableManagerRegistered(name):
                factory.RegisterDisplayableManager(name)
        group = slicer.vtkMRMLDisplayableManagerGroup()
        group.SetRenderer(self._renderer)
        before = factory.GetMRMLApplicationLogic()  # the views of Slicer's window need it
        factory.SetMRMLApplicationLogic(application.logic)
        group.Initialize(factory, self._renderer)
        factory.SetMRMLApplicationLogic(before)
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

    def look_at(self, center: np.ndarray, width_mm: float, orientation: str | None = None) -> None:
        """Center the view on a RAS point; ``width_mm`` fills the view's width.

        Args:
            orientation: ``Axial``, ``Coronal`` or ``Sagittal``; as it is when omitted.
        """
        width, height = self._window.GetSize()
        before = self.node.StartModify()  # a deformed grid is computed at every change
        if orientation is not None:
            self.node.SetOrientation(orientation)
        self._logic.ResizeSliceNode(width, height)
        self.node.JumpSliceByCentering(*(float(c) for c in center))
        self.node.SetFieldOfView(width_mm, width_mm * height / width, 1.0)
        self.node.UpdateMatrices()
        self.node.EndModify(before)

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
        to_voxel = pixel_to_voxel(volume, self.node)
        last = np.array(volume.GetImageData().GetDimensions()) - 0.5
        result = np.empty((height, width), bool)
        for begin in range(0, height, _BAND):  # more at once would leave the processor's cache
            y, x = np.mgrid[begin : min(begin + _BAND, height), :width].astype(float)
            pixels = np.stack([x, height - 1 - y, np.zeros_like(x)], axis=-1)
            index = map_points(to_voxel, pixels)
            result[begin : begin + _BAND] = np.all((index >= -0.5) & (index <= last), axis=-1)
        return result

    def close(self) -> None:
        """Free the window; the view's nodes stay in the scene."""
        self._managers.SetMRMLDisplayableNode(None)
        self._logic.SetMRMLScene(None)
        self._window.Finalize()


def png_of(pixels: np.ndarray) -> bytes:
    """A PNG file's bytes from uint8 [height, width, 3]."""
    return exhausted(encoding_png(pixels))


def encoding_png(pixels: np.ndarray) -> Generator[None, None, bytes]:
    """:func:`png_of` in steps of milliseconds; see the PNG specification (ISO/IEC 15948)."""
    height, width = pixels.shape[:2]
    flat = np.ascontiguousarray(pixels).reshape(height, -1)
    rows = np.full((height, 1 + flat.shape[1]), _UP, dtype=np.uint8)
    rows[0, 1:] = flat[0]
    rows[1:, 1:] = flat[1:] - flat[:-1]  # modulo 256, as the filter wants it
    packer = zlib.compressobj()
    parts = []
    for begin in range(0, height, _BAND):
        parts.append(packer.compress(rows[begin : begin + _BAND].tobytes()))
        yield
    data = b"".join([*parts, packer.flush()])
    header = struct.pack(">IIBBBBB", width, height, 8, _RGB, 0, 0, 0)
    return _SIGNATURE + _chunk(b"IHDR", header) + _chunk(b"IDAT", data) + _chunk(b"IEND", b"")


def _chunk(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


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
            f"{path} cannot be written ({error.strerror}); check the folder's permissions."
        ) from error
