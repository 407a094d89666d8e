"""Everything that the panel starts: refused, watched, canceled and ended in one way."""

import time

import qt
import slicer
from slicer.i18n import tr as _

from DeepRegistrationLib.errors import RegistrationError
from DeepRegistrationLib.scene.runs.run import Run
from DeepRegistrationLib.worker import State
from DeepRegistrationPanel.installation import ensurePackages

_TICK = 20  # ms


class Runner:
    """Starts requests, and gives each run its slices of time until it has ended.

    One run at a time changes the scene; while it lasts, a second one is refused, and so is a
    measurement, whose subject is about to change. The engine's process answers one question after
    the other: what is started during a measurement waits for its turn. A report, which is drawn in
    this process, may be saved at any time, unless its Jacobian map has yet to be made.

    Args:
        engine: The engine's process.
    """

    def __init__(self, engine):
        self.engine = engine
        self._runs = []
        self._starting = False  # also while packages are installed
        self._timer = qt.QTimer()
        self._timer.connect("timeout()", self._onTick)

    @property
    def running(self):
        """Whether something that changes the scene is under way."""
        return self._changing() is not None

    def isRunning(self, kind):
        """Whether a request of this class is under way."""
        return any(isinstance(run.request, kind) and not run.finished for run in self._runs)

    @property
    def reason(self):
        """Why nothing that changes the scene can be started at present, or ""."""
        run = self._changing()
        if run is None:
            return ""
        text = _("{activity} is under way; wait until it has finished, or cancel it.")
        activity = run.request.activity
        return text.format(activity=activity[0].upper() + activity[1:])

    def start(self, request, onChange=None):
        """Start a request; the user may be asked to install packages.

        Args:
            request: A ``SceneRequest``.
            onChange: Called with the run whenever something about it changed.

        Returns:
            The run.

        Raises:
            RegistrationError: It cannot be started.
        """
        self._refuse(request)
        self._starting = True
        try:
            if request.uses_engine:
                ensurePackages()
            run = Run(self.engine, request, onChange)
        finally:
            self._starting = False
        self._runs.append(run)
        self._pace()
        return run

    def finish(self, request, title, text=""):
        """Start a request and wait for its end behind a progress dialog; Slicer stays responsive.

        Args:
            request: A ``SceneRequest``.
            title, text: Of the dialog.

        Returns:
            The result, or None when the user canceled.

        Raises:
            RegistrationError: It cannot be started, or it failed.
        """
        run = self.start(request)
        dialog = None
        try:
            while not run.finished:
                if dialog is None and (run.fraction or run.state is State.WAITING):
                    dialog = slicer.util.createProgressDialog(
                        labelText=text, windowTitle=title, autoClose=False
                    )
                if dialog is not None:
                    if dialog.wasCanceled:
                        run.cancel()
                    dialog.value = int(100 * run.fraction)
                    dialog.labelText = run.stage
                slicer.app.processEvents()
                if not run.computing:
                    time.sleep(0.01)
        finally:
            if dialog is not None:
                dialog.close()
        if run.state is State.FAILED:
            raise RegistrationError(run.message)
        return run.result

    def drop(self):
        """Cancel everything: the scene or the panel is going. Nobody waits for the end."""
        runs, self._runs = self._runs, []
        for run in runs:
            run.cancel()

    def close(self):
        """End the engine's process, and all that it does."""
        self.drop()
        self._timer.stop()
        self.engine.close()

    def _changing(self):
        """The run that will change the scene, or None."""
        runs = (run for run in self._runs if run.request.changes_scene and not run.finished)
        return next(runs, None)

    def _refuse(self, request):
        if self._starting:
            raise RegistrationError(_("Something is being started; wait a moment."))
        if self.running and (request.changes_scene or request.uses_engine):
            raise RegistrationError(self.reason)

    def _onTick(self):
        """Give each run its slice of time; not while nodes are being added from a file."""
        if slicer.mrmlScene.IsImporting():
            return
        try:
            if not self._runs:  # what was dropped has yet to be stopped
                self.engine.tick()
            for run in list(self._runs):
                run.tick()
        finally:
            self._runs = [run for run in self._runs if not run.finished]
            self._pace()

    def _pace(self):
        """No pause between two slices of work in this process; no ticks when there is no work."""
        interval = 0 if any(run.computing for run in self._runs) else _TICK
        if self._timer.interval != interval:
            self._timer.setInterval(interval)
        if not self._runs and not self.engine.busy:
            self._timer.stop()
        elif not self._timer.active:
            self._timer.start()
