"""Asking for files, in the folder of the last time."""

import os

import qt
import slicer

_KEY = "DeepRegistration/Folder"


def askForFile(title, name, kinds):
    """The path that the user chose for a new file, or an empty text.

    Args:
        title: Of the dialog.
        name: Proposed file name; its ending is added where the user gives none.
        kinds: As ``Table (*.csv)``.
    """
    start = os.path.join(_folder(), name)
    path = qt.QFileDialog.getSaveFileName(slicer.util.mainWindow(), title, start, kinds)
    if not path:
        return ""
    ending = os.path.splitext(name)[1]
    if not os.path.splitext(path)[1]:
        path += ending
    qt.QSettings().setValue(_KEY, os.path.dirname(path))
    return path


def askForFiles(title, kinds):
    """The paths of the files that the user chose, or none.

    Args:
        title: Of the dialog.
        kinds: As ``Table (*.csv)``.
    """
    window = slicer.util.mainWindow()
    paths = tuple(qt.QFileDialog.getOpenFileNames(window, title, _folder(), kinds))
    if paths:
        qt.QSettings().setValue(_KEY, os.path.dirname(paths[0]))
    return paths


def _folder():
    return qt.QSettings().value(_KEY) or os.path.expanduser("~")
