"""What several features need of slice views: what they show, and a slice of one's own."""

from __future__ import annotations

import itertools
import weakref

import numpy as np
import slicer
import vtk
from vtk.util import numpy_support

from DeepRegistrationLib.scene.nodes.coordinates import matrix_to_numpy
from DeepRegistrationLib.scene.views.resliced import OUTSIDE

_ALPHA = 0  # vtkMRMLSliceCompositeNode's first compositing mode: opacity blending


def composite_of(slice_node):
    """The vtkMRMLSliceCompositeNode that says which volumes a slice view shows, or None."""
    return slicer.vtkMRMLSliceLogic.GetSliceCompositeNode(slice_node)


class ShownVolumes:
    """Remembers what slice views show and restores it.

    Args:
        slice_nodes: vtkMRMLSliceNodes.
    """

    def __init__(self, slice_nodes) -> None:
        self._state = []
        for node in slice_nodes:
            composite = composite_of(node)
            if composite is not None:
                self._state.append((composite, _state_of(composite)))

    def restore(self) -> None:
        """Show again what was shown; volumes and views that are gone are left out."""
        for composite, (background, foreground, label, opacity, mode) in self._state:
            scene = composite.GetScene()
            if scene is None:
                continue
            before = composite.StartModify()
            composite.SetBackgroundVolumeID(_still(scene, background))
            composite.SetForegroundVolumeID(_still(scene, foreground))
            composite.SetLabelVolumeID(_still(scene, label))
            composite.SetForegroundOpacity(opacity)
            composite.SetCompositing(mode)
            composite.EndModify(before)


class WithOpacity:
    """What lies over the volumes of the views ``_views`` with an opacity."""

    _views: list
    _opacity: float

    @property
    def opacity(self) -> float:
        """Of what lies on top, 0 to 1."""
        return self._opacity

    @opacity.setter
    def opacity(self, opacity: float) -> None:
        self._opacity = min(max(float(opacity), 0.0), 1.0)
        self._show_opacity()

    def _show_opacity(self) -> None:
        for view in self._views:
            composite_of(view).SetForegroundOpacity(self._opacity)


def _state_of(composite) -> tuple:
    return (
        composite.GetBackgroundVolumeID(),
        composite.GetForegroundVolumeID(),
        composite.GetLabelVolumeID(),
        composite.GetForegroundOpacity(),
        composite.GetCompositing(),
    )


def _still(scene, node_id: str | None) -> str | None:
    return node_id if node_id and scene.GetNodeByID(node_id) is not None else None


def show_in(slice_node, background, foreground=None, opacity: float = 1.0) -> None:
    """Let a slice view show one volume node, with another one blended over it, and no label map.

    A mask's color would be taken for one of a map below it, or of a difference.
    """
    composite = composite_of(slice_node)
    before = composite.StartModify()
    composite.SetBackgroundVolumeID(None if background is None else background.GetID())
    composite.SetForegroundVolumeID(None if foreground is None else foreground.GetID())
    composite.SetLabelVolumeID(None)
    composite.SetForegroundOpacity(opacity)
    composite.SetCompositing(_ALPHA)
    composite.EndModify(before)


def shows(slice_node, volume) -> bool:
    """Whether any of a volume node's box lies in what a slice view shows."""
    bounds = [0.0] * 6
    volume.GetRASBounds(bounds)
    corners = np.array(list(itertools.product(*np.reshape(bounds, (3, 2)), [1.0])))
    pixels = np.linalg.solve(matrix_to_numpy(slice_node.GetXYToRAS()), corners.T)[:3]
    size = np.array([*slice_node.GetDimensions()[:2], 0.0])
    return bool(np.all((pixels.min(1) <= size) & (pixels.max(1) >= 0)))


def outline_in(slice_nodes, mask) -> None:
    """Let slice views draw the outline of a mask, a label map node, over what they show."""
    for node in slice_nodes:
        node.SetUseLabelOutline(True)
        composite = composite_of(node)
        composite.SetLabelVolumeID(mask.GetID())
        composite.SetLabelOpacity(1.0)


class DerivedSlice:
    """A volume of one slice that lies in a slice view's plane, pixel on pixel.

    It is hidden from selectors and lists, and is not saved with the scene.
    """

    def __init__(self, slice_node, name: str) -> None:
        self._slice_node = slice_node
        scene = slice_node.GetScene()
        self.volume = scene.AddNode(unlisted("vtkMRMLScalarVolumeNode", name))
        self.display = scene.AddNode(unlisted("vtkMRMLScalarVolumeDisplayNode", name))
        self.display.SetInterpolate(False)
        self.display.AutoWindowLevelOff()
        self.volume.SetAndObserveDisplayNodeID(self.display.GetID())
        self.update(np.full((1, 1), OUTSIDE))  # a view may draw it before it is computed

    def update(self, values: np.ndarray) -> None:
        """Show values: float32 [height, width] of the view's pixels, the bottom row first."""
        height, width = values.shape
        data = vtk.vtkImageData()
        data.SetDimensions(width, height, 1)
        flat = np.ascontiguousarray(values, dtype=np.float32).ravel()
        data.GetPointData().SetScalars(numpy_support.numpy_to_vtk(flat, deep=True))
        before = self.volume.StartModify()
        self.volume.SetIJKToRASMatrix(self._slice_node.GetXYToRAS())
        self.volume.SetAndObserveImageData(data)
        self.volume.EndModify(before)

    def close(self) -> None:
        """Take the volume, its display and its legend out of the scene."""
        remove_with_displays(self.volume)


def unlisted(class_name: str, name: str):
    """A new node outside the scene: Slicer lists nodes by what they are when they are added."""
    node = getattr(slicer, class_name)()
    node.SetName(name)
    node.SetHideFromEditors(True)
    node.SetSaveWithScene(False)
    return node


def remove_with_displays(node) -> None:
    """Remove a displayable node and its display nodes, if they are still in a scene."""
    scene = node.GetScene()
    if scene is None:
        return
    displays = [node.GetNthDisplayNode(k) for k in range(node.GetNumberOfDisplayNodes())]
    scene.RemoveNode(node)
    for display in displays:
        if display is not None and display.GetScene() is not None:
            scene.RemoveNode(display)


class Observers:
    """VTK observers that are all taken away at once, at the latest with this object.

    They do not keep the object alive whose method they call: VTK's references are hidden from
    Python's garbage collection, which would otherwise take such an object apart while it is still
    called.
    """

    def __init__(self) -> None:
        self._tags: list[tuple] = []
        weakref.finalize(self, _take_away, self._tags).atexit = False

    def add(self, node, event, method, *arguments) -> None:
        """Call ``method(*arguments)`` when a node invokes an event."""
        weak = weakref.WeakMethod(method)

        def call(*_) -> None:
            function = weak()
            if function is not None:
                function(*arguments)

        self._tags.append((node, node.AddObserver(event, call)))

    def clear(self) -> None:
        """Take all observers away."""
        _take_away(self._tags)


def _take_away(tags: list[tuple]) -> None:
    while tags:
        node, tag = tags.pop()
        node.RemoveObserver(tag)
