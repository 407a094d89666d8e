"""Widgets that watch a MRML scene."""

from __future__ import annotations

import traceback
import weakref
from collections.abc import Callable
from typing import Any

import shiboken6
import slicer
import vtk

from . import signals
from .parts import Plain

_WITH_NODE = (
    slicer.vtkMRMLScene.NodeAddedEvent,
    slicer.vtkMRMLScene.NodeRemovedEvent,
    slicer.vtkMRMLScene.NodeAboutToBeRemovedEvent,
)

# A scene that is deleted still calls them: the garbage collector may not have cleared them before.
_callbacks: set[Callable] = set()


class Observing:
    """A QObject with observers of VTK objects that end with it."""

    def __init__(self, *arguments) -> None:
        self._observed: list[tuple[Any, int]] = []
        super().__init__(*arguments)

    def observe(self, subject: Any, event: Any, method: Callable, priority: float = 0.0) -> None:
        """Call ``method(subject)`` at each event, of a scene's node events ``method(node)``."""
        self._observed.append((subject, watch(subject, event, method, priority)))

    def unobserve(self, subjects: list | None = None) -> None:
        """Stop watching these, or everything."""
        kept = []
        for subject, tag in self._observed:
            if subjects is None or any(subject is other for other in subjects):
                subject.RemoveObserver(tag)
            else:
                kept.append((subject, tag))
        self._observed = kept


class InScene(Observing, Plain):
    """A widget with a scene, and observers that end with it."""

    def __init__(self, *arguments) -> None:
        self._scene: Any = None
        super().__init__(*arguments)

    def mrmlScene(self):
        return self._scene

    def setMRMLScene(self, scene) -> None:
        if scene is self._scene:
            return
        self._scene = scene
        self.scene_changed()
        if hasattr(self, "mrmlSceneChanged"):
            self.mrmlSceneChanged.emit(scene)

    def scene_changed(self) -> None:
        """Follow the new scene."""


def watch(subject: Any, event: Any, method: Callable, priority: float = 0.0) -> int:
    """Observe without keeping the widget alive; what the method raises is kept for the test."""
    target = weakref.WeakMethod(method, lambda _: _callbacks.discard(call))

    def call(caller, _, *node):
        alive = target()
        if alive is None or not shiboken6.isValid(alive.__self__):
            return
        try:
            alive(*(node or (caller,)))
        except Exception as error:
            signals.uncaught.append(error)
            traceback.print_exc()

    if event in _WITH_NODE and subject.IsA("vtkMRMLScene"):
        call = vtk.calldata_type(vtk.VTK_OBJECT)(call)  # fatal where the data are no object
    _callbacks.add(call)
    return subject.AddObserver(event, call, priority)
