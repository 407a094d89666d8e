"""The Register button: starts a run, shows how it goes, and cancels it."""

import qt
import slicer
from slicer.i18n import tr as _

from DeepRegistrationLib.options import Outputs
from DeepRegistrationLib.reports.deformation_findings import folding_findings
from DeepRegistrationLib.scene.runs.request import RegistrationRequest
from DeepRegistrationLib.scene.views.slice_views import shows
from DeepRegistrationPanel.installation import describePackages, missingPackages
from DeepRegistrationPanel.parameters import chosenOptions
from DeepRegistrationPanel.runbar import RunBar
from DeepRegistrationPanel.section import Section

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
    "driven",
    "drivenSegments",
)


class RunSection(Section):
    """One button that turns into Cancel, progress with stage and time left, and what came out."""

    uiName = "Run"

    def __init__(self, panel):
        super().__init__(panel)
        ui = self.ui
        self.bar = panel.bar = RunBar(
            self, ui.registerButton, ui.progressBar, ui.statusText, _ATTEMPT, self._onRegister
        )
        self.ui.detailsButton.connect("clicked(bool)", self._onDetails)
        self._summary = ""  # what was said of the last result, without its folding
        self._shortcut = None
        self._entered = False

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
        self.bar.close()

    def _enableShortcut(self):
        if self._shortcut is None:
            self._shortcut = qt.QShortcut(qt.QKeySequence("Ctrl+R"), slicer.util.mainWindow())
            self._shortcut.connect("activated()", self.bar.click)

    def _removeShortcut(self):
        """It belongs to the main window, which outlives the panel."""
        if self._shortcut is not None:
            self._shortcut.enabled = False
            self._shortcut.deleteLater()
            self._shortcut = None

    def update(self):
        hint = _packagesText() if self.panel.result is None else ""
        self.bar.update(self._missing(), hint)
        self.ui.estimateBox.enabled = not self.running
        self.ui.detailsButton.visible = self.bar.said and bool(self.bar.outcome.details)

    def _missing(self):
        """Why nothing can be registered yet, for the line under the button."""
        if self.panel.runner.running:
            return self.panel.runner.reason
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

    def _onRegister(self):
        p = self.parameters
        lists = (p.fixedLandmarks, p.movingLandmarks)
        segments = (p.fixedSegmentation, p.movingSegmentation)
        request = RegistrationRequest(
            slicer.mrmlScene,
            p.fixedVolume,
            p.movingVolume,
            chosenOptions(p),
            Outputs(warped=p.addWarped, inverse=p.addInverse, uncertainty=p.estimateError),
            fixedMaskNode=p.fixedMask,
            movingMaskNode=p.movingMask,
            initialTransformNode=p.initialTransform,
            drivingLandmarks=lists if p.driven else (),
            drivingSegments=segments if p.drivenSegments and None not in segments else (),
        )
        self.panel.tell("onStarting")
        self.bar.start(request, self._onRegistered)

    def _onRegistered(self, result):
        p = self.parameters
        slicer.util.setSliceViewerLayers(
            background=p.fixedVolume, foreground=p.movingVolume, foregroundOpacity=0.5
        )
        _bringIntoView(p.fixedVolume)
        self.panel.registered(result)
        self._summary = "\n".join(result.summary())
        later = _("Whether it folds is not known yet: see Quality.")
        self._sayResult([] if result.folding else [later])

    def onMeasured(self):
        """Say whether the result folds, as soon as it is known."""
        result, measures = self.panel.result, self.panel.measurement.measures
        outcome = self.bar.outcome
        if measures is None or result is None or result.folding or not outcome.holds:
            return
        if outcome.text.startswith(self._summary):
            self._sayResult([finding.text for finding in folding_findings(measures)])

    def _sayResult(self, folding):
        self.bar.say("\n".join([self._summary, *folding]), about=_RESULT)

    def _onDetails(self, _checked=False):
        slicer.util.infoDisplay(
            self.bar.outcome.text,
            windowTitle=_("Registration"),
            detailedText=self.bar.outcome.details,
        )


def _bringIntoView(volume):
    """Fit a volume into the slice views that show nothing of it; the others stay as they are."""
    manager = slicer.app.layoutManager()
    for node in slicer.util.getNodesByClass("vtkMRMLSliceNode"):
        widget = manager.sliceWidget(node.GetLayoutName()) if node.IsMappedInLayout() else None
        if widget is not None and not shows(node, volume):
            widget.sliceLogic().FitSliceToBackground()


def _packagesText():
    """What the first run will ask for."""
    missing = missingPackages()
    if not missing:
        return ""
    return _("The first run asks to install {packages}.").format(packages=describePackages(missing))
