"""Keyboard shortcuts that work while the module is shown."""

import qt
import slicer

from DeepRegistrationLib.scene.views.shortcuts import SHORTCUTS


class Keys:
    """Binds the keys of ``SHORTCUTS`` to functions.

    Args:
        actions: For an action's name what to do. Shortcuts of other actions are left out.
    """

    def __init__(self, actions):
        self._actions = actions
        self._shortcuts = []

    def enable(self, enabled):
        """Let the keys work, or not."""
        if enabled and not self._shortcuts:
            window = slicer.util.mainWindow()
            for entry in SHORTCUTS:
                if entry.action in self._actions:
                    shortcut = qt.QShortcut(qt.QKeySequence(entry.keys), window)
                    shortcut.connect("activated()", self._actions[entry.action])
                    self._shortcuts.append(shortcut)
        for shortcut in self._shortcuts:
            shortcut.enabled = enabled

    def close(self):
        """Take the keys away; they belong to the main window, which outlives the panel."""
        self.enable(False)
        for shortcut in self._shortcuts:
            shortcut.deleteLater()
        self._shortcuts = []


class Call:
    """A function with its argument, to be connected to a signal."""

    def __init__(self, function, argument):
        self._function, self._argument = function, argument

    def call(self, _checked=False):
        self._function(self._argument)
