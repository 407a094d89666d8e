"""How a run is started, shown and canceled: a button, a bar and a line of text."""

import logging

from slicer.i18n import tr as _

from DeepRegistrationLib.errors import RegistrationError
from DeepRegistrationLib.worker import State
from DeepRegistrationPanel.outcome import Outcome


class RunBar:
    """A button that turns into Cancel, a progress bar, and a line that says how it goes or went.

    Args:
        section: The section whose widgets these are.
        button, bar, label: QPushButton, QProgressBar, QLabel.
        about: Names of the parameters that a sentence about a run depends on.
        onClick: Called when the button is clicked and nothing runs here.

    Attributes:
        run: The last run, or None.
        outcome: What is to be said of it.
    """

    def __init__(self, section, button, bar, label, about, onClick):
        self._section = section
        self._button, self._bar, self._label = button, bar, label
        self._title = button.text
        self._about, self._onStart = about, onClick
        self._onDone = None
        self.run = None
        self.outcome = Outcome(section)
        button.connect("clicked(bool)", self._onClick)

    @property
    def running(self):
        """Whether a run that was started here is under way."""
        return self.run is not None and not self.run.finished

    @property
    def said(self):
        """Whether the line says what came of the last run."""
        return self.outcome.holds and not self._section.panel.runner.running

    def start(self, request, onDone):
        """Start a request; what goes wrong is said.

        Args:
            request: A ``SceneRequest``.
            onDone: Called with its result.
        """
        self.outcome.clear()
        try:
            run = self._section.panel.runner.start(request, self._onChange)
        except RegistrationError as error:
            self.say(str(error), isError=True)
            return
        self.run, self._onDone = run, onDone
        self._bar.value = 0
        self._section.panel.update()

    def say(self, text, isError=False, details="", about=None):
        """Write a sentence, which stays until something that it is about is chosen anew."""
        if self._section.parameters is not None:
            about = self._about if about is None else about
            self.outcome.say(text, about, isError, details)
            self._section.update()

    def update(self, reason="", hint=""):
        """Bring the widgets up to date.

        Args:
            reason: Why nothing can be started, or "".
            hint: What else to say when there is nothing to say.
        """
        running = self.running
        self._button.text = _("Cancel") if running else self._title
        self._button.enabled = running or not reason
        self._bar.visible = running
        if running:
            self._showProgress()
        else:
            text = self.outcome.text if self.said else reason or hint
            self._section.showMessage(self._label, text, self.said and self.outcome.isError)

    def close(self):
        """The scene or the panel is going, and the run with it."""
        self.run = self._onDone = None
        self.outcome.clear()

    def click(self):
        """Do what the button does, where it can be clicked."""
        if self._button.enabled:
            self._onClick()

    def _onClick(self, _checked=False):
        if self.running:
            self.run.cancel()
            self._section.update()
        else:
            self._onStart()

    def _onChange(self, run):
        if run is not self.run or self._section.parameters is None:  # dropped with its scene
            return
        if not run.finished:
            self._bar.value = int(100 * run.fraction)
            self._showProgress()
            self._section.onProgress(run)
            return
        if run.state is State.DONE:
            result, run.result = run.result, None  # what is undone later leaves the memory too
            self._onDone(result)
        else:
            failed = run.state is State.FAILED
            self.say(run.message, isError=failed, details=run.details)
            if failed:
                logging.error("Deep Registration: %s", run.kind)
        self._section.panel.update()

    def _showProgress(self):
        text = _("Canceling...")
        if self.run.state is not State.CANCELLING:
            own = f"{self.run.stage}{_timeLeft(self.run.seconds_left)}"
            text = self._section.stageOf(self.run) or own
        self._section.showMessage(self._label, text)


def _timeLeft(seconds):
    """How long it will take, as a user says it."""
    if seconds is None:
        return ""
    if seconds < 60:
        return _(", about {seconds} s left").format(seconds=max(1, round(seconds)))
    return _(", about {minutes} min left").format(minutes=round(seconds / 60))
