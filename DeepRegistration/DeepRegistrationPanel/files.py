"""Asking where a file goes, in the folder of the last time."""

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
    folder = qt.QSettings().value(_KEY) or os.path.expanduser("~")
    start = os.path.join(folder, name)
    path = qt.QFileDialog.getSaveFileName(slicer.util.mainWindow(), title, start, kinds)
    if not path:
        return ""
    ending = os.path.splitext(name)[1]
    if not os.path.splitext(path)[1]:
        path += ending
    qt.QSettings().setValue(_KEY, os.path.dirname(path))
    return path
