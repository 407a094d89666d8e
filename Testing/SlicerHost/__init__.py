"""A headless stand-in for 3D Slicer's application, for the tests of the panel.

The scene is real (slicer-core); Qt is PySide6 behind PythonQt's manners. ``tables`` says what
Slicer's Qt layer offers, ``semantics`` makes classes of it that refuse everything else,
``qtmodule``, ``ctkmodule`` and ``mrmlwidgets`` give them behavior, ``uiloader`` reads Designer's
files. A test that needs the Qt object behind a widget (for QTest, say) finds it in ``_qt``.
"""

import ctypes
import os
import sys

if sys.version_info < (3, 12):
    # Some calls of PySide6 (6.12: emit()) return True or None without a reference of their own;
    # after some thousand of them Python would free the constant and abort.  From 3.12 on these
    # constants are immortal; so they are here.
    for _constant in (None, True, False):
        ctypes.c_ssize_t.from_address(id(_constant)).value += 1 << 40

os.environ.setdefault("QT_QPA_PLATFORM", "offscreen")
