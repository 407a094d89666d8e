"""The layout that shows the moving image below the fixed one, and the way back."""

import slicer

from DeepRegistrationLib.scene.views.layouts import SIDE_BY_SIDE, register_layouts

_FOUR_UP = slicer.vtkMRMLLayoutNode.SlicerLayoutFourUpView


class SideBySide:
    """Switches Slicer's layout.

    Args:
        onLeft: Called when the user chooses another layout in Slicer's own menu.
    """

    def __init__(self, onLeft):
        self._onLeft = onLeft
        self._shown = False
        self._before = None

    def show(self):
        """Two rows of views."""
        manager = slicer.app.layoutManager()
        register_layouts(manager.layoutLogic().GetLayoutNode())
        if manager.layout != SIDE_BY_SIDE:
            self._before = manager.layout
            manager.setLayout(SIDE_BY_SIDE)
        if not self._shown:
            self._shown = True
            manager.connect("layoutChanged(int)", self._onLayout)

    def fourUp(self):
        """Slicer's four views."""
        self._leave()
        slicer.app.layoutManager().setLayout(_FOUR_UP)

    def restore(self):
        """The layout that was there before, if the views are still side by side."""
        before = self._before
        self._leave()
        manager = slicer.app.layoutManager()
        if before is not None and manager.layout == SIDE_BY_SIDE:
            manager.setLayout(before)

    def _leave(self):
        self._before = None
        if self._shown:
            self._shown = False
            slicer.app.layoutManager().disconnect("layoutChanged(int)", self._onLayout)

    def _onLayout(self, layout):
        if layout != SIDE_BY_SIDE:
            self._leave()
            self._onLeft()
