"""Corresponding points and what the transform leaves between them, live while one is dragged."""

import qt
import slicer
from slicer.i18n import tr as _

from DeepRegistrationLib.errors import RegistrationError
from DeepRegistrationLib.scene.landmarks.display import LandmarkDisplay
from DeepRegistrationLib.scene.landmarks.live import LiveLandmarks
from DeepRegistrationLib.scene.landmarks.navigation import jump_to_landmark
from DeepRegistrationLib.scene.landmarks.placing import Placing, new_point_list
from DeepRegistrationLib.scene.landmarks.plots import LandmarkPlots
from DeepRegistrationLib.scene.landmarks.state import LandmarkState, write_errors
from DeepRegistrationPanel.drivenregistration import DrivenRegistration
from DeepRegistrationPanel.files import askForFile
from DeepRegistrationPanel.guidedplacing import GuidedPlacing
from DeepRegistrationPanel.improvement import Improvement
from DeepRegistrationPanel.landmarkcheck import LandmarkWarning
from DeepRegistrationPanel.landmarksummary import summaryHtml
from DeepRegistrationPanel.pointtable import PointTable
from DeepRegistrationPanel.section import Section

_PLOT_DELAY = 150  # ms without a change after which plots follow


class LandmarksSection(Section):
    """Two point lists, the table and statistics of their errors, and those errors in the views."""

    uiName = "Landmarks"

    def __init__(self, panel):
        super().__init__(panel)
        self.state = LandmarkState()
        self._live = LiveLandmarks(self._onState)
        self._warning = LandmarkWarning(self)
        self._placing = Placing(self._onPlacing)
        self._wasPlacing = False
        self._observed = None
        self._display = None
        self._plots = None
        self._shown = False
        self._worst = -1
        checked = (self._live.set_included, self._live.set_drives)
        self._table = PointTable(self.ui.pointsTable, self._goTo, *checked)
        self.improvement = Improvement(self, self._table)
        self._driven = DrivenRegistration(self)
        bar = self.improvement.bar
        self._guided = GuidedPlacing(self, self._placing, bar, self._onPlace)
        self._plotTimer = qt.QTimer()
        self._plotTimer.setSingleShot(True)
        self._plotTimer.setInterval(_PLOT_DELAY)
        self._plotTimer.connect("timeout()", self._updatePlots)
        self.ui.placeButton.connect("clicked(bool)", self._onPlace)
        self._onPlacing()
        for kind, title in _plotKinds().items():
            self.ui.plotBox.addItem(title, kind)
        self.ui.plotBox.connect("currentIndexChanged(int)", self._onPlotKind)
        self.ui.plotButton.connect("clicked(bool)", self._onPlot)
        self.ui.exportButton.connect("clicked(bool)", self._onExport)
        self.ui.showErrorsBox.connect("toggled(bool)", self._onShowErrors)
        self.ui.projectBox.connect("toggled(bool)", self._onProject)

    def update(self):
        p = self.parameters
        self.ui.fixedPlaceWidget.setCurrentNode(p.fixedLandmarks)
        self.ui.movingPlaceWidget.setCurrentNode(p.movingLandmarks)
        if self._shown:
            self._placing.choose(p.fixedLandmarks, p.movingLandmarks)
        wanted = (p.fixedLandmarks, p.movingLandmarks, p.transform, p.movingVolume)
        if wanted != self._observed:
            self._observed = wanted
            self._live.observe(*wanted)
        self.improvement.update()
        self._guided.update()
        self._driven.update()

    def pause(self):
        self._live.pause()
        self._observed = None

    def onRegistered(self, result):
        if self.parameters.fixedLandmarks and self.parameters.movingLandmarks:
            self.ui.landmarksButton.collapsed = False

    def onEnter(self):
        self._shown = True
        self.update()
        self._showErrors()

    def onExit(self):
        self._shown = False
        self._placing.close()
        self._hideErrors()

    def close(self):
        self._plotTimer.stop()
        self._warning.close()
        self._guided.close()
        self._placing.close()
        self._live.close()
        self.improvement.close()
        self._hideErrors()
        self._observed = self._plots = None
        self._onState(LandmarkState(problem=_noLists()))

    def onPlacingUnwanted(self):
        """End placing landmarks, if that is what Slicer's place mode does at present."""
        self._placing.stop()

    def _onPlace(self, start):
        p, problem = self.parameters, ""
        if not start:
            self.onPlacingUnwanted()
            return
        if p.fixedVolume is None or p.movingVolume is None:
            problem = _("Choose a fixed and a moving volume first; the points go into their views.")
        elif p.fixedLandmarks is not None and p.fixedLandmarks is p.movingLandmarks:
            problem = _("Choose two different lists for the fixed and the moving points.")
        if problem:
            self.ui.placeButton.checked = False
            self._prompt(problem, isError=True)
            return
        scene = slicer.mrmlScene
        p.fixedLandmarks = p.fixedLandmarks or new_point_list(scene, "fixed", _("fixed points"))
        p.movingLandmarks = p.movingLandmarks or new_point_list(scene, "moving", _("moving points"))
        self._placing.start()

    def _prompt(self, text, isError=False):
        self.showMessage(self.ui.promptText, text, isError)
        self.ui.promptText.visible = bool(text)

    def _onPlacing(self):
        """Slicer places the lists' points from now on, or no longer, or the next one."""
        side = self._placing.side
        placing = side is not None
        self.ui.placeButton.checked = placing
        self._prompt(_prompts()[side].format(label=self._placing.label))
        if placing != self._wasPlacing:
            self._wasPlacing = placing
            self.panel.tell("onPlacing", placing)
        self._guided.follow()

    def onWorstWanted(self):
        """Show the landmark with the largest error in all views; the next one at each call."""
        rows = self.state.worst_first()
        if len(rows):
            self._worst = (self._worst + 1) % len(rows)
            self._table.choose(int(rows[self._worst]))

    def _onState(self, state):
        """The landmarks, the transform, or what is above them, changed."""
        before, self.state = self.state, state
        if state.changed is None:
            self._worst = -1
        self._table.show(state)
        self.ui.hintText.text = _hint(state)
        self.ui.hintText.visible = bool(self.ui.hintText.text)
        self.ui.summaryText.text = summaryHtml(state)
        self._warning.follow()
        self.improvement.follow(before)
        self._guided.follow()
        self._driven.update()
        usable = state.statistics is not None
        self.ui.exportButton.enabled = len(state.labels) > 0
        self.ui.plotButton.enabled = usable
        self.ui.plotBox.enabled = usable
        self._showErrors()
        if self._plots is not None:
            self._plotTimer.start()
        self.panel.landmarksChanged(state)

    def _goTo(self, row):
        self.improvement.rowChosen()
        try:
            jump_to_landmark(slicer.mrmlScene, self.state, row)
        except RegistrationError as error:
            self.ui.hintText.text = str(error)
            self.ui.hintText.visible = True

    def _onShowErrors(self, shown):
        self.ui.projectBox.enabled = shown
        self._showErrors()

    def _onProject(self, projected):
        if self._display is not None:
            self._display.project(projected)

    def _showErrors(self):
        wanted = self._shown and self.ui.showErrorsBox.checked and self.state.statistics is not None
        if not wanted:
            self._hideErrors()
            return
        if self._display is None:
            self._display = LandmarkDisplay(slicer.mrmlScene)
            self._display.project(self.ui.projectBox.checked)
        self._display.update(self.state, self._live.transform)

    def _hideErrors(self):
        if self._display is not None:
            self._display.remove()
            self._display = None

    def _onPlot(self, _checked=False):
        self._plots = LandmarkPlots(slicer.mrmlScene)
        self._plots.update(self.state)
        self._showPlot()

    def _onPlotKind(self, _index=0):
        if self._plots is not None:
            self._showPlot()

    def _showPlot(self):
        chart = self._plots.chart(self.ui.plotBox.currentData)
        if chart is not None:
            slicer.modules.plots.logic().ShowChartInLayout(chart)

    def _updatePlots(self):
        if self._plots is not None:
            self._plots.update(self.state)

    def _onExport(self, _checked=False):
        path = askForFile(_("Save the landmark errors"), "landmarks.csv", _("Table (*.csv)"))
        if not path:
            return
        try:
            write_errors(self.state, path)
        except RegistrationError as error:
            slicer.util.errorDisplay(str(error))


def _hint(state):
    """What is missing or wrong, and what to do."""
    if state.problem is None:
        return ""
    if not len(state.labels):
        how = _(
            "Press Place landmarks and click on the same anatomy in both images, or choose two "
            "lists."
        )
        return f"{state.problem} {how}"
    return state.problem


def _prompts():
    """What to do next, by the side that the next point belongs to."""
    end = _("To finish, press Place landmarks again, or right-click in a view.")
    return {
        None: "",
        "fixed": _("Landmark {label}: click on it in the FIXED image, in the upper row.")
        + f" {end}",
        "moving": _("Landmark {label}: now click on the same point in the MOVING image, below.")
        + f" {end}",
    }


def _noLists():
    return _("Choose a point list with the fixed and one with the moving landmarks.")


def _plotKinds():
    return {
        "histogram": _("Histogram"),
        "cumulative": _("Cumulative share"),
        "box": _("Box plot"),
    }
