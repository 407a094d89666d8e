"""Strain of the left ventricle over a cine series: measured, put into words, tables and a plot."""

from base64 import b64encode
from html import escape
from math import isfinite, nan

import qt
import slicer
from slicer.i18n import tr as _

from DeepRegistrationLib.reports.bulls_eye import LIMITS, bulls_eye_png
from DeepRegistrationLib.scene.runs.method_choice import may_be_one_heart
from DeepRegistrationLib.scene.runs.strain import StrainRequest
from DeepRegistrationPanel.choosing import changed
from DeepRegistrationPanel.parameters import chosenOptions
from DeepRegistrationPanel.runbar import RunBar
from DeepRegistrationPanel.section import Section, stillThere
from DeepRegistrationPanel.sequencechoice import browserOf, frameProblem, volumeSequences

_ABOUT = ("cine", "heartLabels", "endDiastole", "fixedVolume", "movingVolume", "transform")
_LEVELS = {"basal": slice(0, 6), "mid": slice(6, 12), "apical": slice(12, 16)}  # of 17 segments
_EYES = 270  # pixels that all bull's eyes take beside one another: a panel may be narrow


class StrainSection(Section):
    """Measures strain in the engine's process; there where a scene may hold a beating heart."""

    uiName = "Strain"

    def __init__(self, panel):
        super().__init__(panel)
        ui = self.ui
        self.bar = RunBar(
            self, ui.measureButton, ui.progressBar, ui.statusText, _ABOUT, self._onMeasure
        )
        self._result = None  # of the last run, a StrainResult
        self._pair = (None, False)  # voxels that were looked at, and whether they show a heart
        ui.cineSelector.connect("nodeAdded(vtkMRMLNode*)", self._onSequenceAdded)
        ui.plotButton.connect("clicked(bool)", self._onPlot)
        ui.undoButton.connect("clicked(bool)", self._onUndo)

    def update(self):
        p, ui, running = self.parameters, self.ui, self.running
        self.widget.visible = running or self._result is not None or self._wanted()
        self.bar.update(self._reason())
        ui.statusText.visible = bool(ui.statusText.text)
        for widget in (ui.cineSelector, ui.labelsSelector, ui.frameBox):
            widget.enabled = not running
        needed = p.cine is not None and p.heartLabels is not None
        ui.frameBox.visible = ui.frameLabel.visible = needed
        ui.frameBox.maximum = p.cine.GetNumberOfDataNodes() if needed else max(1, p.endDiastole)
        there = self._result is not None and stillThere(self._result.chart) is not None
        ui.plotButton.enabled = there and not running
        ui.resultText.visible = there and self.bar.said
        undoable = self._result is not None and self._result.record.undoable
        ui.undoButton.enabled = undoable and not running

    def onEnter(self):
        if self.parameters is not None:
            self.update()

    def close(self):
        self.bar.close()
        self._result, self._pair = None, (None, False)
        self.ui.statusText.text = self.ui.resultText.text = ""

    def _wanted(self):
        """Whether the scene may hold a beating heart: a sequence, or a pair of cine frames."""
        if volumeSequences():
            return True
        pair = self.parameters.fixedVolume, self.parameters.movingVolume
        if None in pair or pair[0] is pair[1]:
            return False
        key = [changed(node) for node in pair]
        if key != self._pair[0]:
            self._pair = (key, may_be_one_heart(*pair))
        return self._pair[1]

    def _reason(self):
        """Why nothing can be measured, for the line under the button."""
        p = self.parameters
        if p.cine is not None:
            problem = frameProblem(p.cine)
            if not problem and p.heartLabels is not None and not p.endDiastole:
                problem = _("Say which frame is end-diastole: the segmentation belongs to it.")
            return problem or self.panel.runner.reason
        if p.fixedVolume is None or p.movingVolume is None:
            return _("Choose a cine sequence, or end-diastole as fixed and end-systole as moving "
                     "volume.")  # fmt: skip
        if p.transform is None:
            return _("Register, choose a transform under Results, or choose a cine sequence.")
        return self.panel.runner.reason

    def _onSequenceAdded(self, _node):
        if self.parameters is not None:
            self.update()

    def _onMeasure(self):
        p, scene = self.parameters, slicer.mrmlScene
        if p.cine is None:
            request = StrainRequest(
                scene,
                fixed=p.fixedVolume,
                moving=p.movingVolume,
                transform=p.transform,
                labels=p.heartLabels,
            )
        else:
            known = p.heartLabels is not None
            request = StrainRequest(
                scene,
                p.cine,
                browserOf(p.cine),
                labels=p.heartLabels,
                end_diastole=p.endDiastole - 1 if known else None,
                options=chosenOptions(p),
            )
        self.bar.start(request, self._onMeasured)

    def _onMeasured(self, result):
        self._result = result
        around = self.ui.resultText.palette.color(qt.QPalette.Window)
        self.ui.resultText.text = _resultHtml(
            result.measured, (around.red(), around.green(), around.blue())
        )
        self.bar.say(_summary(result.measured))

    def _onPlot(self, _checked=False):
        slicer.modules.plots.logic().ShowChartInLayout(self._result.chart)

    def _onUndo(self, _checked=False):
        result, self._result = self._result, None
        self.panel.undo([result.record], {})


def _summary(measured):
    """Ejection fraction, mean strain and how far to trust them."""
    last = measured["end_systole"]
    means = ", ".join(
        f"{name} {measured['curves'][name][last]:+.0%}" for name in measured["segments"]
    )
    text = _("Ejection fraction {share:.0%}. Mean strain at end-systole (frame {frame}): {means}.")
    text = text.format(share=measured["ejection_fraction"], frame=last + 1, means=means)
    return f"{text} {measured['trust']}"


def _resultHtml(measured, around):
    """Bull's eyes, a table of the levels, and what else was found."""
    last, cells, rows = measured["end_systole"], "", ""
    size = _EYES // len(measured["segments"])
    for name, segments in measured["segments"].items():
        values = [nan if value is None else value for value in segments]
        picture = b64encode(bulls_eye_png(values, LIMITS[name], size, around)).decode("ascii")
        legend = _("{name}, blue {low:.0%} to red {high:+.0%}").format(
            name=name.capitalize(), low=-LIMITS[name], high=LIMITS[name]
        )
        cells += (
            f"<td style='padding-right:6px'><img src='data:image/png;base64,{picture}'><br>"
            f"{legend}</td>"
        )
        means = [_mean(values[part]) for part in _LEVELS.values()]
        numbers = [measured["curves"][name][last], *means]
        rows += f"<tr><td>{name}</td>" + "".join(f"<td>{_number(v)}</td>" for v in numbers)
        rows += "</tr>"
    head = "".join(
        f"<th align='left' style='padding-right:10px'>{title}</th>"
        for title in (_("strain, %"), _("whole"), _("basal"), _("mid"), _("apical"))
    )
    notes = "".join(f"<p>{escape(note)}</p>" for note in measured["notes"])
    return (
        f"<table><tr>{cells}</tr></table>"
        f"<p>{_('Seen from the apex: anterior above, septum left; gray: not measured.')}</p>"
        f"<table><tr>{head}</tr>{rows}</table>{notes}"
    )


def _mean(values):
    known = [value for value in values if isfinite(value)]
    return sum(known) / len(known) if known else nan


def _number(value):
    return f"{100 * value:.1f}" if isfinite(value) else "–"
