"""A headless stand-in for 3D Slicer's application, for the tests of the panel.

The scene is real (slicer-core); Qt is PySide6 behind PythonQt's manners.  ``tables`` says what
Slicer's Qt layer offers, ``semantics`` makes classes of it that refuse everything else, ``qtmodule``,
``ctkmodule`` and ``mrmlwidgets`` give them behavior, ``uiloader`` reads Designer's files.
"""

import os

os.environ.setdefault("QT_QPA_PLATFORM", "offscreen")
