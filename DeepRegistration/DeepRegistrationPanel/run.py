"""The Register button: starts a run, shows how it goes, and cancels it."""

import logging

import qt
import slicer
from slicer.i18n import tr as _

from DeepRegistrationLib.errors import RegistrationError
from DeepRegistrationLib.options import Outputs
from DeepRegistrationLib.worker import State
from DeepRegistrationPanel.advanced import chosenOptions
from DeepRegistrationPanel.installation import describePackages, ensurePackages, missingPackages
from DeepRegistrationPanel.outcome import Outcome
from DeepRegistrationPanel.section import Section

_TICK = 20  # ms

# What a result is about, and what an attempt rested on: with another choice neither is said.
_RESULT = ("fixedVolume", "movingVolume", "transform")
_ATTEMPT = (
    *_RESULT,
    "fixedMask",
    "movingMask",
    "initialTransform",
    "method",
    "methodParameters",
    "quality",
    "device",
    "refine",
)


class RunSection(Section):
    """One button that turns into Cancel, progress with stage and time left, and what came out."""

    uiName = "Run"

    def __init__(self, panel):
        super().__init__(panel)
        self.run = None
        self._doneAction = None
        self._outcome = Outcome(self)
        self._timer = qt.QTimer()
        self._timer.setInterval(_TICK)
        self._timer.connect("timeout()", self._onTick)
        self.ui.registerButton.connect("clicked(bool)", self._onButton)
        self.ui.detailsButton.connect("clicked(bool)", self._onDetails)
        self._shortcut = None
        self._entered = False

    @property
    def running(self):
        """Whether a registration is under way."""
        return self.run is not None and not self.run.finished

    def onEnter(self):
        """Ctrl+R registers while the module is shown."""
        self._entered = True
        self._enableShortcut()

    def onExit(self):
        self._entered = False
        self._removeShortcut()

    def connect(self):
        super().connect()
        if self._entered:
            self._enableShortcut()

    def close(self):
        """Drop a run: its scene or its panel is going."""
        self._removeShortcut()
        if self.running:
            self.run.cancel()

    def _enableShortcut(self):
        if self._shortcut is None:
            self._shortcut = qt.QShortcut(qt.QKeySequence("Ctrl+R"), slicer.util.mainWindow())
            self._shortcut.connect("activated()", self._onShortcut)

    def _removeShortcut(self):
        """It belongs to the main window, which outlives the panel."""
        if self._shortcut is not None:
            self._shortcut.enabled = False
            self._shortcut.deleteLater()
            self._shortcut = None

    def update(self):
        running = self.running
        reason = "" if running else self._missing()
        self.ui.registerButton.text = _("Cancel") if running else _("Register")
        self.ui.registerButton.enabled = not reason
        self.ui.estimateBox.enabled = not running
        self.ui.progressBar.visible = running
        self._showStatus(reason)

    def _showStatus(self, reason):
        """What is to be said at present: of a run, of what came out, or of what is missing."""
        said = self._outcome.holds and not self.panel.running
        text = self._outcome.text if said else reason
        if self.running:
            text = self._progressText()
        elif not text and self.panel.result is None:
            text = _packagesText()
        self.showMessage(self.ui.statusText, text, said and self._outcome.isError)
        self.ui.detailsButton.visible = said and bool(self._outcome.details)

    def _progressText(self):
        if self.run.state is State.CANCELLING:
            return _("Canceling...")
        return f"{self.run.stage}{_timeLeft(self.run.seconds_left)}"

    def _missing(self):
        """Why nothing can be registered yet, for the line under the button."""
        if self.panel.running:
            return _("A 4D image is being registered; wait until it has finished, or cancel it.")
        fixed, moving = self.parameters.fixedVolume, self.parameters.movingVolume
        if fixed is None and moving is None:
            return _("Choose a fixed and a moving volume.")
        if fixed is None:
            return _("Choose the fixed volume: the one that stays.")
        if moving is None:
            return _("Choose the moving volume: the one that is deformed.")
        if fixed is moving:
            return _("Fixed and moving volume are the same; choose two different ones.")
        return ""

    def _onShortcut(self):
        if self.ui.registerButton.enabled:
            self._onButton()

    def _onButton(self, _checked=False):
        if self.running:
            self.run.cancel()
            self.update()
            return
        self.panel.starting()
        self.begin(self._start, self._onRegistered)

    def begin(self, start, onDone):
        """Start something in the engine's process, shown and canceled as a registration is.

        Args:
            start: Called with a function to call back on every change; returns the run.
            onDone: Called with the run's result, when it has one.
        """
        self._outcome.clear()
        self._doneAction = onDone
        try:
            ensurePackages()
            self.run = start(self._onChange)
        except RegistrationError as error:
            self._say(str(error), isError=True)
            return
        self._timer.start()
        self.panel.update()

    def _start(self, onChange):
        p = self.parameters
        return self.panel.logic.start(
            self.panel.engine,
            p.fixedVolume,
            p.movingVolume,
            chosenOptions(p),
            Outputs(warped=p.addWarped, inverse=p.addInverse, uncertainty=p.estimateError),
            fixedMaskNode=p.fixedMask,
            movingMaskNode=p.movingMask,
            initialTransformNode=p.initialTransform,
            onChange=onChange,
        )

    def _onTick(self):
        """Give the run its slice of time; stop asking when it has ended."""
        if self.sceneIsRead:
            return
        try:
            self.run.tick()
        except Exception:
            self._timer.stop()
            raise
        if self.run.finished and not self.panel.engine.busy:
            self._timer.stop()

    def _onChange(self, run):
        if run.state is State.DONE:
            result, run.result = run.result, None  # what is undone later leaves the memory too
            self._doneAction(result)
        elif run.state is State.CANCELLED:
            self._say(_("Canceled. The scene is as it was."))
            self.panel.update()
        elif run.state is State.FAILED:
            self._say(run.message, isError=True, details=run.details)
            self.panel.update()
            logging.error("Deep Registration: %s", run.kind)
        else:
            self.ui.progressBar.value = int(100 * run.fraction)
            self._showStatus("")

    def _onRegistered(self, result):
        p = self.parameters
        slicer.util.setSliceViewerLayers(
            background=p.fixedVolume, foreground=p.movingVolume, foregroundOpacity=0.5
        )
        self.panel.registered(result)
        self._say("\n".join(result.summary()), about=_RESULT)

    def _onDetails(self, _checked=False):
        slicer.util.infoDisplay(
            self._outcome.text,
            windowTitle=_("Registration"),
            detailedText=self._outcome.details,
        )

    def say(self, text):
        """Write a line under the button, which stays until something else is chosen."""
        self._say(text)

    def _say(self, text, isError=False, details="", about=_ATTEMPT):
        if self.parameters is not None:
            self._outcome.say(text, about, isError, details)
            self.update()


def _packagesText():
    """What the first run will ask for."""
    missing = missingPackages()
    if not missing:
        return ""
    return _("The first run asks to install {packages}.").format(packages=describePackages(missing))


def _timeLeft(seconds):
    """How long it will take, as a user says it."""
    if seconds is None:
        return ""
    if seconds < 60:
        return _(", about {seconds} s left").format(seconds=max(1, round(seconds)))
    return _(", about {minutes} min left").format(minutes=round(seconds / 60))
