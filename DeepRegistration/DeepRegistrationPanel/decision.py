"""What the user decides about a transform: accept, accept with limits, or reject."""

import qt
import slicer
from slicer.i18n import tr as _

from DeepRegistrationLib.reports.decision import CHOICES
from DeepRegistrationLib.reports.html_identity import shown_date
from DeepRegistrationLib.scene.landmarks.pairs import taken_as_identity
from DeepRegistrationLib.scene.nodes.provenance import decision_about
from DeepRegistrationLib.scene.nodes.volumes import grid_of
from DeepRegistrationLib.scene.runs.report import DecisionRequest
from DeepRegistrationPanel.runbar import RunBar

_ABOUT = ("fixedVolume", "movingVolume", "transform")
_NAME = "DeepRegistration/Reviewer"  # of the settings: who decided last


class DecisionBox:
    """The folded part of the report section in which a decision is recorded.

    Args:
        section: The report section, whose widgets these are.
    """

    def __init__(self, section):
        self._section, self._panel, self._ui = section, section.panel, section.ui
        for choice, title in CHOICES.items():
            self._ui.choiceBox.addItem(_(title), choice)
        self._ui.reviewerEdit.text = qt.QSettings().value(_NAME) or ""
        self._bar = RunBar(
            section,
            self._ui.decideButton,
            self._ui.decideBar,
            self._ui.decisionText,
            _ABOUT,
            self._onDecide,
        )
        self._times = {}  # by transform's ID: when all that the decision is about was last changed

    def update(self):
        """Say what was decided about the chosen transform."""
        p = self._panel.parameters
        known = None not in (p.fixedVolume, p.movingVolume, p.transform)
        reason = "" if known else _("Choose two volumes and a transform, or register.")
        decision = decision_about(p.transform) if known else None
        self._bar.update(reason, "" if decision is None else self._words(decision))
        title = _("Decision") if decision is None else _("Decision: {what}")
        self._ui.decisionBox.title = title.format(
            what="" if decision is None else _(CHOICES[decision.choice])
        )

    def close(self):
        """The scene is closing."""
        self._bar.close()
        self._times = {}
        self._ui.commentEdit.text = ""
        self._ui.choiceBox.currentIndex = 0

    def _onDecide(self):
        p, ui = self._panel.parameters, self._ui
        self._asked = p.transform.GetID(), self._now()
        qt.QSettings().setValue(_NAME, ui.reviewerEdit.text)
        request = DecisionRequest(
            slicer.mrmlScene,
            p.fixedVolume,
            p.movingVolume,
            p.transform,
            ui.choiceBox.currentData,
            ui.reviewerEdit.text,
            ui.commentEdit.text,
        )
        self._bar.start(request, self._onDecided)

    def _onDecided(self, decision):
        node, times = self._asked
        self._times[node] = times
        self._ui.commentEdit.text = ""
        self._section.update()

    def _words(self, decision):
        """A decision, and whether it is known to hold."""
        what = _(CHOICES[decision.choice])
        text = _("{what} by {who}, {date}.").format(
            what=what, who=decision.reviewer, date=shown_date(decision.date)
        )
        if decision.comment:
            text += f" {decision.comment}"
        before = self._times.get(self._panel.parameters.transform.GetID())
        if before == self._now():
            return text
        if before is None:
            return text + " " + _("The report checks whether it still holds.")
        return (
            text + " " + _("Something has changed since: the report says whether it still holds.")
        )

    def _now(self):
        """When voxels and transform were last changed, and where the volumes lie."""
        p = self._panel.parameters
        volumes = [
            (node.GetID(), node.GetImageData().GetMTime(), _place(node, p.transform))
            for node in (p.fixedVolume, p.movingVolume)
            if node.GetImageData() is not None
        ]
        return (*volumes, p.transform.GetTransformToWorldMTime())


def _place(node, transform):
    """Where the scene shows a volume without the transform; of a bent one, since when."""
    grid = grid_of(node, taken_as_identity(node, transform))
    return node.GetParentTransformNode().GetTransformToWorldMTime() if grid is None else grid
