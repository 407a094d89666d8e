"""4D: every frame of a sequence registered to one of them, and the error over time."""

import logging

import qt
import slicer
from slicer.i18n import tr as _

from DeepRegistrationLib.errors import RegistrationError
from DeepRegistrationLib.scene.sequence_errors import errors_over_time
from DeepRegistrationLib.worker import State
from DeepRegistrationPanel.advanced import chosenOptions
from DeepRegistrationPanel.installation import ensurePackages
from DeepRegistrationPanel.outcome import Outcome
from DeepRegistrationPanel.section import Section

_TICK = 20  # ms

# What a sentence under the button is about: with another choice it is no longer said.
_ABOUT = ("sequence", "fixedFrame", "sequenceTransforms", "landmarkSequence", "fixedLandmarks")


class SequencesSection(Section):
    """Chooses a sequence and its fixed frame, registers all frames, and plays what came out."""

    uiName = "Sequences"

    def __init__(self, panel):
        super().__init__(panel)
        self.run = None
        self._transformsBefore = None
        self._outcome = Outcome(self)
        self._errors = None
        self._timer = qt.QTimer()
        self._timer.setInterval(_TICK)
        self._timer.connect("timeout()", self._onTick)
        self.ui.registerButton.connect("clicked(bool)", self._onRegister)
        self.ui.shownButton.connect("clicked(bool)", self._onShown)
        self.ui.playButton.connect("toggled(bool)", self._onPlay)
        self.ui.undoButton.connect("clicked(bool)", self._onUndo)
        self.ui.plotButton.connect("clicked(bool)", self._onPlot)

    @property
    def running(self):
        """Whether frames are being registered."""
        return self.run is not None and not self.run.finished

    def update(self):
        p, running = self.parameters, self.running
        count = 0 if p.sequence is None else p.sequence.GetNumberOfDataNodes()
        self.ui.frameBox.maximum = max(0, count - 1)
        self.ui.frameBox.suffix = _frameSuffix(p.sequence, p.fixedFrame)
        reason = "" if running else self._missing(count)
        self.ui.registerButton.text = _("Cancel") if running else _("Register all frames")
        self.ui.registerButton.enabled = not reason
        self.ui.progressBar.visible = running
        for widget in (self.ui.sequenceSelector, self.ui.frameBox, self.ui.transformsSelector):
            widget.enabled = not running
        self.ui.shownButton.enabled = not running and _browserOf(p.sequence) is not None
        browser = _browserOf(p.sequenceTransforms)
        self.ui.playButton.enabled = not running and browser is not None
        self.ui.playButton.checked = browser is not None and bool(browser.GetPlaybackActive())
        record = None if self.run is None else self.run.record
        self.ui.undoButton.enabled = not running and record is not None and record.undoable
        self.ui.plotButton.enabled = not running and None not in (
            p.sequenceTransforms,
            p.landmarkSequence,
            p.fixedLandmarks,
        )
        self._showStatus(reason)

    def _showStatus(self, reason):
        """What is to be said at present: of a run, of what came out, or of what is missing."""
        said = self._outcome.holds and not self.panel.running
        text = self._outcome.text if said else reason
        if self.running:
            canceling = self.run.state is State.CANCELLING
            text = _("Canceling...") if canceling else self.run.stage
        self.showMessage(self.ui.statusText, text, said and self._outcome.isError)

    def close(self):
        """Drop a run: its scene or its panel is going."""
        if self.running:
            self.run.cancel()
        self.run = self._errors = None

    def _missing(self, count):
        """Why nothing can be registered yet, for the line under the button."""
        if self.parameters.sequence is None:
            return _("Choose a sequence of volumes.")
        if count < 2:
            return _("This sequence has fewer than two frames; choose another.")
        if self.panel.running:
            return _("A registration is under way; wait until it has finished, or cancel it.")
        return ""

    def _onShown(self, _checked=False):
        browser = _browserOf(self.parameters.sequence)
        value = browser.GetMasterSequenceNode().GetNthIndexValue(browser.GetSelectedItemNumber())
        self.parameters.fixedFrame = max(
            0, self.parameters.sequence.GetItemNumberFromIndexValue(value, False)
        )

    def _onRegister(self, _checked=False):
        if self.running:
            self.run.cancel()
            self.update()
            return
        p = self.parameters
        self.panel.starting()
        self._outcome.clear()
        try:
            ensurePackages()
            self.run = self.panel.logic.startSequence(
                self.panel.engine,
                p.sequence,
                p.fixedFrame,
                chosenOptions(p),
                browserNode=_browserOf(p.sequence),
                onChange=self._onChange,
            )
        except RegistrationError as error:
            self._say(str(error), isError=True)
            return
        self._timer.start()
        self.panel.update()

    def _onTick(self):
        """Give the run its slice of time; stop asking when it has ended."""
        if self.sceneIsRead:
            return
        try:
            if self.run is not None:
                self.run.tick()
            else:  # dropped with its scene: its job has yet to be stopped
                self.panel.engine.tick()
        except Exception:
            self._timer.stop()
            raise
        if not self.running and not self.panel.engine.busy:
            self._timer.stop()

    def _onChange(self, run):
        if self.parameters is None:  # the scene is closing
            return
        if run.state is State.DONE:
            self._transformsBefore = self.parameters.sequenceTransforms
            self.parameters.sequenceTransforms = run.transforms
            self._say(_summary(run, _browserOf(run.transforms)))
            self.panel.update()
        elif run.state is State.CANCELLED:
            self._say(_("Canceled. The scene is as it was."))
            self.panel.update()
        elif run.state is State.FAILED:
            self._say(run.message, isError=True)
            logging.error("Deep Registration, 4D: %s", run.kind)
            self.panel.update()
        else:
            self.ui.progressBar.value = int(100 * run.fraction)
            self._showStatus("")

    def _onPlay(self, checked):
        browser = _browserOf(self.parameters.sequenceTransforms)
        if browser is not None:
            browser.SetPlaybackActive(checked)

    def _onUndo(self, _checked=False):
        run, self.run = self.run, None
        chosen = {"sequenceTransforms": (run.transforms, self._transformsBefore)}
        self.panel.undo([run.record], chosen)

    def _onPlot(self, _checked=False):
        p = self.parameters
        self._removePlot()
        try:
            self._errors = errors_over_time(
                slicer.mrmlScene, p.sequenceTransforms, p.fixedLandmarks, p.landmarkSequence
            )
        except RegistrationError as error:
            self._say(str(error), isError=True)
            return
        slicer.modules.plots.logic().ShowChartInLayout(self._errors.chart)

    def _removePlot(self):
        """The new plot replaces the one before."""
        if self._errors is None:
            return
        chart, scene = self._errors.chart, slicer.mrmlScene
        series = [chart.GetNthPlotSeriesNode(k) for k in range(chart.GetNumberOfPlotSeriesNodes())]
        for node in (chart, *series, self._errors.table):
            scene.RemoveNode(node)
        self._errors = None

    def _say(self, text, isError=False):
        self._outcome.say(text, _ABOUT, isError)
        self.update()


def _browserOf(sequence):
    """The sequence browser that plays a sequence, or None."""
    if sequence is None:
        return None
    return slicer.modules.sequences.logic().GetFirstBrowserNodeForSequenceNode(sequence)


def _frameSuffix(sequence, frame):
    """The index value of a frame with its unit, as in " (0.5 s)"."""
    if sequence is None or not 0 <= frame < sequence.GetNumberOfDataNodes():
        return ""
    return f" ({sequence.GetNthIndexValue(frame)} {sequence.GetIndexUnit() or ''}".rstrip() + ")"


def _summary(run, browser):
    count = run.transforms.GetNumberOfDataNodes()
    text = _("Registered {count} frames to the fixed one.").format(count=count - 1)
    if browser is None:
        return (
            text
            + " "
            + _("No sequence browser plays this sequence; create one in the Sequences module.")
        )
    return text + " " + _("Press Play: what was registered well stands still.")
