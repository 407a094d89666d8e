"""Correcting the deformation where a landmark shows that it is wrong, step by step."""

import numpy as np
import slicer
from slicer.i18n import tr as _

from DeepRegistrationLib.registration.improvement_notes import worsened
from DeepRegistrationLib.scene.landmarks.driving import ids_of
from DeepRegistrationLib.scene.landmarks.driving_start import drop_start, start_of
from DeepRegistrationLib.scene.nodes.coordinates import flipped
from DeepRegistrationLib.scene.nodes.outputs import outputs_of
from DeepRegistrationLib.scene.runs.improvement import ImprovementRequest, undo_all
from DeepRegistrationLib.scene.runs.results import ERROR_MAPS
from DeepRegistrationPanel.leavingout import LeavingOut
from DeepRegistrationPanel.runbar import RunBar

_REMADE = ("warped", "jacobian", "displacement", "inverse")  # what follows the deformation
# What a sentence is about: with another choice it is no longer said.
_ABOUT = ("fixedVolume", "movingVolume", "transform", "fixedLandmarks", "movingLandmarks")


class Improvement:
    """The buttons under the table that improve and undo; :class:`LeavingOut` is one more.

    Args:
        section: The :class:`~DeepRegistrationPanel.landmarks.LandmarksSection` that it is part of.
        table: Its ``PointTable``.
    """

    def __init__(self, section, table):
        self.section, self._table = section, table
        ui = section.ui
        self.bar = RunBar(
            section, ui.improveButton, ui.improveProgress, ui.improveText, _ABOUT, self._onImprove
        )
        ui.undoImproveButton.connect("clicked(bool)", self._onUndo)
        self._leavingOut = LeavingOut(self)
        self._moved = None  # label of the pair that was moved, or became one, last
        self._steps = []  # records, the last one first to be undone
        self._reached = None  # the transform node, and what it holds since the last step

    def update(self):
        """Bring the widgets up to date."""
        ui, runner = self.section.ui, self.section.panel.runner
        self._forgetIfReplaced()
        self.bar.update(self._reason(), self._hint())
        ui.improveText.visible = bool(ui.improveText.text)
        start = start_of(self.section.parameters.transform)
        ui.undoImproveButton.enabled = start is not None and not runner.running
        self._leavingOut.update()

    def follow(self, before):
        """The landmarks changed; the one that was moved is selected."""
        moved = _movedRow(before, self.section.state)
        if moved is not None:
            self._moved = self.section.state.labels[moved]
            if self._table.row != moved:
                self._table.select(moved)
        if self.section.parameters is not None:
            self.update()

    def rowChosen(self):
        """The user chose a row of the table."""
        self._moved = None
        if self.section.parameters is not None:
            self.update()

    def close(self):
        """The scene or the panel is going."""
        self.bar.close()
        self._forget()
        self._moved = None

    def _forgetIfReplaced(self):
        """A new registration, or a change by hand, cannot be undone step by step."""
        if self._reached is None or self.bar.running:  # a run here is what replaces it
            return
        node, held, start = self._reached
        if (node, held) != self._held(node):
            self._forget()
            scene = slicer.mrmlScene
            if node.GetScene() is not None:
                drop_start(node)
            elif scene.IsNodePresent(start) and not scene.IsClosing():
                scene.RemoveNode(start)

    def _forget(self):
        steps, self._steps = self._steps, []
        self._reached = None
        self.section.panel.release(steps)

    @staticmethod
    def _held(node):
        return node, None if node.GetScene() is None else node.GetTransformFromParent()

    def _reach(self, node):
        """Take note of what the steps have made of a transform node."""
        self._reached = (*self._held(node), start_of(node))

    def usable(self):
        """Rows that may drive and are mapped: bool [n]."""
        state = self.section.state
        return state.usable & np.isfinite(state.mapped).all(axis=1)

    def _targets(self):
        """Rows around which the deformation is improved by the next press."""
        state, usable = self.section.state, self.usable()
        rows = np.flatnonzero(usable & state.marks.drives & ~state.marks.used).tolist()
        if self._moved in state.labels:
            rows.append(state.labels.index(self._moved))
        elif not rows and 0 <= self._table.row < len(state.labels):
            rows.append(self._table.row)
        return sorted({row for row in rows if usable[row]})

    def _reason(self):
        """Why nothing can be improved."""
        p = self.section.parameters
        if self.section.panel.runner.running:
            return self.section.panel.runner.reason
        if p.fixedVolume is None or p.movingVolume is None or p.transform is None:
            return _("Register first, or choose two volumes and a transform.")
        if not self._targets():
            return _(
                "Where the registration is wrong, drag a landmark to its right place, place a new "
                "pair, or choose a row of the table."
            )
        return ""

    def _hint(self):
        """What the next press would do."""
        state = self.section.state
        names = _named([state.labels[row] for row in self._targets()])
        return _("Improves the deformation around {names}.").format(names=names)

    def _onImprove(self):
        state, p = self.section.state, self.section.parameters
        targets = self._targets()
        rows = np.union1d(self._drivingNear(targets), targets).astype(int)
        places = flipped(state.fixed[targets])
        request = ImprovementRequest(**self.question(rows), places=places)
        labels = [state.labels[row] for row in targets]
        at = [rows.tolist().index(row) for row in targets]
        made = outputs_of(p.transform)
        before, names = state.after, state.labels

        def onDone(result):
            self._moved = None
            self._steps.append(result.record)
            self._reach(result.node)
            lines = [_sentence(result, labels, at, p.radius), *self._beside(names, before)]
            if any(kind in made for kind in ERROR_MAPS):
                lines.append(_("The error estimate was of the deformation before, and is gone."))
            self.bar.say("\n".join(lines))
            self._remake([kind for kind in _REMADE if kind in made])

        self.bar.start(request, onDone)

    def _beside(self, names, before):
        """What is to be said of the landmarks that do not drive."""
        state = self.section.state
        if state.labels != names:  # some were placed or removed meanwhile
            return []
        rows = np.flatnonzero(state.counted)
        return worsened([names[row] for row in rows], before[rows], state.after[rows])

    def _drivingNear(self, targets):
        """Rows that drive and are near enough to have a part in it."""
        state = self.section.state
        rows = np.flatnonzero(self.usable() & state.marks.drives)
        apart = np.linalg.norm(state.fixed[rows, None] - state.fixed[targets], axis=-1)
        return rows[(apart < self.section.parameters.radius).any(axis=1)]

    def _remake(self, kinds):
        """Make volumes of the transform again that had been made of it."""
        if kinds:
            first, *others = kinds
            self.section.panel.tell("onMapWanted", first, lambda: self._remake(others))

    def question(self, rows):
        """Arguments that all requests share."""
        state, p = self.section.state, self.section.parameters
        lists = (p.fixedLandmarks, p.movingLandmarks)
        return {
            "scene": slicer.mrmlScene,
            "transformNode": p.transform,
            "fixedNode": p.fixedVolume,
            "movingNode": p.movingVolume,
            "labels": [state.labels[row] for row in rows],
            "fixedPoints": flipped(state.fixed[rows]),
            "movingPoints": flipped(state.moving[rows]),
            "radius": p.radius,
            "weight": 1 / p.trust**2,
            "fixedMaskNode": p.fixedMask,
            "lists": lists,
            "ids": ids_of(lists, state.indices[rows].tolist()),
        }

    def _onUndo(self, _checked=False):
        node = self.section.parameters.transform
        ours = self._reached is not None and self._reached[0] is node and self._steps
        self._reached = None  # what it holds is about to change
        if ours:
            self.section.panel.undo([self._steps.pop()], {})
            self._reach(node)
            self.bar.say(_("The last improvement was taken back."))
        else:
            self._forget()
            undo_all(slicer.mrmlScene, node)
            self.section.panel.update()
            self.bar.say(_("All improvements of this transform were taken back."))


def _movedRow(before, state):
    """The pair of which a point was moved, or that became one; None for none, or for many."""
    placed = np.isfinite(state.fixed - state.moving).all(axis=1)
    if state.changed is None:
        earlier = np.isfinite(before.fixed - before.moving).all(axis=1)
        known = {label for label, whole in zip(before.labels, earlier, strict=True) if whole}
        rows = [row for row in np.flatnonzero(placed) if state.labels[row] not in known]
    else:
        rows = [
            row
            for row in state.changed
            if placed[row]
            and not (
                np.array_equal(state.fixed[row], before.fixed[row])
                and np.array_equal(state.moving[row], before.moving[row])
            )
        ]
    return int(rows[0]) if len(rows) == 1 else None


def _sentence(result, labels, at, radius):
    """What came of an improvement."""
    lines = [
        _("Landmark {label}: {before:.2f} mm before, {after:.2f} mm after.").format(
            label=label, before=result.before[k], after=result.residuals[k]
        )
        for label, k in zip(labels, at, strict=True)
    ]
    lines.append(
        _(
            "More than {radius:.0f} mm away, the deformation changed by {change:.2f} mm at most."
        ).format(radius=radius, change=result.largest_change_outside)
    )
    if len(labels) == 1:
        lines.append(_("This landmark drives now and no longer counts in the error (TRE)."))
    else:
        lines.append(_("These landmarks drive now and no longer count in the error (TRE)."))
    return "\n".join([*lines, *result.notes])


def _named(labels):
    """The landmarks of these labels, as a sentence calls them."""
    if len(labels) == 1:
        return _("landmark {label}").format(label=labels[0])
    return _("landmarks {labels}").format(labels=", ".join(labels))
