"""The engine's process through qt.QProcess: Slicer's event loop delivers what it says."""

import os
import shutil
import sys

import qt
import slicer

_PATIENCE = 2000  # ms


class QtTransport:
    """A :class:`DeepRegistrationLib.worker.Transport` for Slicer.

    Attributes:
        engine: Set by the ``EngineProcess`` that this was given to.
    """

    engine = None

    def __init__(self):
        self._process = None

    def start(self, arguments, workingDirectory):
        """Start PythonSlicer with these arguments."""
        self._process = qt.QProcess()
        self._process.setWorkingDirectory(workingDirectory)
        self._process.connect("readyReadStandardOutput()", self._onOutput)
        self._process.connect("readyReadStandardError()", self._onErrorOutput)
        self._process.connect("finished(int,QProcess::ExitStatus)", self._onFinished)
        self._process.connect("errorOccurred(QProcess::ProcessError)", self._onError)
        self._process.start(pythonSlicer(), arguments)

    def write(self, data):
        """Send to the child's stdin."""
        if self._process is not None:
            self._process.write(qt.QByteArray(data))

    def close_input(self):
        """Close the child's stdin, which ends it."""
        if self._process is not None:
            self._process.closeWriteChannel()

    def kill(self):
        """End it at once."""
        if self._process is not None:
            self._process.kill()

    def waitForEnd(self):
        """Return when the killed process is gone: no signal then comes to a panel that is gone."""
        if self._process is not None:
            self._process.waitForFinished(_PATIENCE)

    def _onOutput(self):
        self.engine.on_output(self._process.readAllStandardOutput().data())

    def _onErrorOutput(self):
        self.engine.on_error_output(self._process.readAllStandardError().data())

    def _onFinished(self, code, status):
        self._onOutput()
        self._onErrorOutput()
        self.engine.on_exit(code, status == qt.QProcess.CrashExit)

    def _onError(self, error):
        if error == qt.QProcess.FailedToStart:
            self.engine.on_start_failed(self._process.errorString())


def pythonSlicer():
    """The Python of this Slicer, with its libraries."""
    found = shutil.which("PythonSlicer")
    if found is None:
        name = "PythonSlicer.exe" if sys.platform == "win32" else "PythonSlicer"
        found = os.path.join(slicer.app.slicerHome, "bin", name)
    return found
