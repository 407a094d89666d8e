"""4D: every frame of a sequence registered to one of them, and the error over time."""

import slicer
from slicer.i18n import tr as _

from DeepRegistrationLib.errors import RegistrationError
from DeepRegistrationLib.scene.runs.sequence_errors import errors_over_time
from DeepRegistrationLib.scene.runs.sequences import SequenceRequest
from DeepRegistrationPanel.parameters import chosenOptions
from DeepRegistrationPanel.runbar import RunBar
from DeepRegistrationPanel.section import Section
from DeepRegistrationPanel.sequencechoice import browserOf

# What a sentence under the button is about: with another choice it is no longer said.
_ABOUT = ("sequence", "fixedFrame", "sequenceTransforms", "landmarkSequence", "fixedLandmarks")


class SequencesSection(Section):
    """Chooses a sequence and its fixed frame, registers all frames, and plays what came out."""

    uiName = "Sequences"

    def __init__(self, panel):
        super().__init__(panel)
        ui = self.ui
        self.bar = RunBar(
            self, ui.registerButton, ui.progressBar, ui.statusText, _ABOUT, self._onRegister
        )
        self._result = None  # of the last run, a SequenceResult
        self._transformsBefore = None
        self._errors = None
        self.ui.frameBox.connect("valueChanged(int)", self._onFrame)
        self.ui.shownButton.connect("clicked(bool)", self._onShown)
        self.ui.playButton.connect("toggled(bool)", self._onPlay)
        self.ui.undoButton.connect("clicked(bool)", self._onUndo)
        self.ui.plotButton.connect("clicked(bool)", self._onPlot)

    def update(self):
        p, running = self.parameters, self.running
        count = 0 if p.sequence is None else p.sequence.GetNumberOfDataNodes()
        self.ui.frameBox.maximum = max(1, count)
        self.ui.frameBox.value = p.fixedFrame + 1
        self.ui.frameBox.suffix = _frameSuffix(p.sequence, p.fixedFrame)
        self.bar.update(self._missing(count))
        for widget in (self.ui.sequenceSelector, self.ui.frameBox, self.ui.transformsSelector):
            widget.enabled = not running
        self.ui.shownButton.enabled = not running and browserOf(p.sequence) is not None
        browser = browserOf(p.sequenceTransforms)
        self.ui.playButton.enabled = not running and browser is not None
        self.ui.playButton.checked = browser is not None and bool(browser.GetPlaybackActive())
        undoable = self._result is not None and self._result.record.undoable
        self.ui.undoButton.enabled = not running and undoable
        self.ui.plotButton.enabled = not running and None not in (
            p.sequenceTransforms,
            p.landmarkSequence,
            p.fixedLandmarks,
        )

    def close(self):
        """The scene or the panel is going."""
        self.bar.close()
        self._result = self._transformsBefore = self._errors = None

    def _missing(self, count):
        """Why nothing can be registered yet, for the line under the button."""
        if self.parameters.sequence is None:
            return _("Choose a sequence of volumes.")
        if count < 2:
            return _("This sequence has fewer than two frames; choose another.")
        return self.panel.runner.reason

    def _onFrame(self, number):
        """Numbers are shown as Slicer's sequence browser shows them, from 1."""
        self.parameters.fixedFrame = number - 1

    def _onShown(self, _checked=False):
        browser = browserOf(self.parameters.sequence)
        value = browser.GetMasterSequenceNode().GetNthIndexValue(browser.GetSelectedItemNumber())
        self.parameters.fixedFrame = max(
            0, self.parameters.sequence.GetItemNumberFromIndexValue(value, False)
        )

    def _onRegister(self):
        p = self.parameters
        request = SequenceRequest(
            slicer.mrmlScene, p.sequence, p.fixedFrame, browserOf(p.sequence), chosenOptions(p)
        )
        self.panel.tell("onStarting")
        self.bar.start(request, self._onRegistered)

    def _onRegistered(self, result):
        self._result, self._transformsBefore = result, self.parameters.sequenceTransforms
        self.parameters.sequenceTransforms = result.transforms
        summary = _summary(result.transforms, browserOf(result.transforms))
        self.bar.say("\n".join([summary, *result.notes]))

    def _onPlay(self, checked):
        browser = browserOf(self.parameters.sequenceTransforms)
        if browser is not None:
            browser.SetPlaybackActive(checked)

    def _onUndo(self, _checked=False):
        result, self._result = self._result, None
        chosen = {"sequenceTransforms": (result.transforms, self._transformsBefore)}
        self.panel.undo([result.record], chosen)

    def _onPlot(self, _checked=False):
        p = self.parameters
        self._removePlot()
        try:
            self._errors = errors_over_time(
                slicer.mrmlScene, p.sequenceTransforms, p.fixedLandmarks, p.landmarkSequence
            )
        except RegistrationError as error:
            self.bar.say(str(error), isError=True)
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


def _frameSuffix(sequence, frame):
    """The index value of a frame with its unit, as in " (0.5 s)"."""
    if sequence is None or not 0 <= frame < sequence.GetNumberOfDataNodes():
        return ""
    return f" ({sequence.GetNthIndexValue(frame)} {sequence.GetIndexUnit() or ''}".rstrip() + ")"


def _summary(transforms, browser):
    count = transforms.GetNumberOfDataNodes()
    text = _("Registered {count} frames to the fixed one.").format(count=count - 1)
    if browser is None:
        return (
            text
            + " "
            + _("No sequence browser plays this sequence; create one in the Sequences module.")
        )
    return text + " " + _("Press Play: what was registered well stands still.")
