"""A render window without a screen, with Slicer's own displayable managers in it."""

from __future__ import annotations

import functools

import numpy as np
import slicer
import vtk
from DeepRegistrationLib.scene.views import offscreen_views as scene_views
from vtk.util import numpy_support

_COMMON = (
    "vtkMRMLOrientationMarkerDisplayableManager",
    "vtkMRMLRulerDisplayableManager",
    "vtkMRMLMarkupsDisplayableManager",
    "vtkMRMLLinearTransformsDisplayableManager",
    "vtkMRMLColorLegendDisplayableManager",
)
_SLICE = (
    "vtkMRMLCrosshairDisplayableManager",
    "vtkMRMLVolumeGlyphSliceDisplayableManager",
    "vtkMRMLModelSliceDisplayableManager",
    "vtkMRMLScalarBarDisplayableManager",
    "vtkMRMLSegmentationsDisplayableManager2D",
    "vtkMRMLTransformsDisplayableManager2D",
)
_THREE_D = (
    "vtkMRMLCameraDisplayableManager",
    "vtkMRMLViewDisplayableManager",
    "vtkMRMLModelDisplayableManager",
    "vtkMRMLThreeDReformatDisplayableManager",
    "vtkMRMLCrosshairDisplayableManager3D",
    "vtkMRMLSegmentationsDisplayableManager3D",
    "vtkMRMLTransformsDisplayableManager3D",
    "vtkMRMLVolumeRenderingDisplayableManager",
)


@functools.cache
def rendering_problem() -> str | None:
    """Why nothing can be rendered here, or None; to be asked before there is a slicer.app."""
    return scene_views.rendering_problem()


class Rendering:
    """One view of the scene.

    Args:
        application_logic: The application's.
        node: The view's node.
        size: Width and height in pixels; the managers work with it from the start.
        slice_logic: Of a slice view.

    Attributes:
        window: vtkRenderWindow.
        interactor: Gets the mouse; the displayable managers follow it.
        managers: vtkMRMLDisplayableManagerGroup.
        style: The interactor style of Slicer's view.
    """

    def __init__(self, application_logic, node, size, slice_logic=None) -> None:
        self._is_slice = slice_logic is not None
        self._slice_logic = slice_logic
        self._make_window()
        self.resize(*size)
        factory = self._factory(application_logic)
        self.managers = slicer.vtkMRMLDisplayableManagerGroup()
        self.managers.SetRenderer(self.renderer)
        self.managers.Initialize(factory, self.renderer)
        if self._is_slice:
            self.style = slicer.vtkMRMLSliceViewInteractorStyle()
            self.style.SetSliceLogic(slice_logic)
        else:
            self.style = slicer.vtkMRMLThreeDViewInteractorStyle()
        self.style.SetDisplayableManagers(self.managers)
        self.style.SetInteractor(self.interactor)
        self.managers.SetMRMLDisplayableNode(node)

    def _make_window(self) -> None:
        self.window = vtk.vtkRenderWindow()
        self.window.SetOffScreenRendering(1)
        self.window.ShowWindowOff()
        self.window.SetMultiSamples(0)
        self.renderer = vtk.vtkRenderer()
        self.window.AddRenderer(self.renderer)
        self.interactor = vtk.vtkRenderWindowInteractor()
        self.interactor.SetRenderWindow(self.window)
        # What the style of a plain VTK window would do, Slicer's own style does.
        self.interactor.SetInteractorStyle(vtk.vtkInteractorStyleUser())
        self.interactor.EnableRenderOff()
        self.interactor.Initialize()
        if self._is_slice:
            self.renderer.GetActiveCamera().ParallelProjectionOn()
            mapper = vtk.vtkImageMapper()
            mapper.SetColorWindow(255)
            mapper.SetColorLevel(127.5)
            self._image = vtk.vtkActor2D()
            self._image.SetMapper(mapper)
            self._image.GetProperty().SetDisplayLocationToBackground()
            self.renderer.AddViewProp(self._image)

    def _factory(self, application_logic):
        kind = "Slice" if self._is_slice else "ThreeD"
        factory = getattr(slicer, f"vtkMRML{kind}ViewDisplayableManagerFactory").GetInstance()
        factory.SetMRMLApplicationLogic(application_logic)
        for name in _COMMON + (_SLICE if self._is_slice else _THREE_D):
            if not factory.IsDisplayableManagerRegistered(name):
                factory.RegisterDisplayableManager(name)
        return factory

    def resize(self, width: int, height: int) -> None:
        """Take another size, in pixels."""
        self.window.SetSize(width, height)
        self.interactor.SetSize(width, height)

    def render(self) -> np.ndarray:
        """Draw: uint8 [height, width, 3], the top row first."""
        if self._is_slice:
            connection = self._slice_logic.GetImageDataConnection()
            self._image.GetMapper().SetInputConnection(connection)
            self._image.SetVisibility(connection is not None)
        self.window.Render()
        grabber = vtk.vtkWindowToImageFilter()
        grabber.SetInput(self.window)
        grabber.SetInputBufferTypeToRGB()
        grabber.ReadFrontBufferOff()
        grabber.ShouldRerenderOff()
        grabber.Update()
        data = grabber.GetOutput()
        width, height, _ = data.GetDimensions()
        values = numpy_support.vtk_to_numpy(data.GetPointData().GetScalars())
        return values.reshape(height, width, 3)[::-1].copy()

    def mouse(self, event: str, x: int, y: int, *, control=False, shift=False) -> None:
        """Pass on what the mouse did; x and y in pixels from the upper left."""
        self.interactor.SetEventInformationFlipY(x, y, int(control), int(shift), chr(0), 0, None)
        self.interactor.InvokeEvent(event)

    def close(self) -> None:
        """Free the window, from the outside in: each part still finds those it rests on."""
        self.managers.RemoveAllObservers()
        self.managers.SetMRMLDisplayableNode(None)
        self.style = None
        self.managers = None
        self.interactor.SetRenderWindow(None)
        self.interactor = None
        self.window.Finalize()
