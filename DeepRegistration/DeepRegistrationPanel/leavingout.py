"""What landmarks that drive can tell of the error: each is left out once."""

import numpy as np
import slicer
from slicer.i18n import tr as _

from DeepRegistrationLib.evaluation.landmark_pairs import LandmarkPairs
from DeepRegistrationLib.scene.landmarks.driving import ids_of, segments_that_drove
from DeepRegistrationLib.scene.landmarks.driving_marks import marks_of
from DeepRegistrationLib.scene.landmarks.driving_pairs import DrivingPairs
from DeepRegistrationLib.scene.landmarks.driving_start import start_of
from DeepRegistrationLib.scene.nodes.coordinates import flipped
from DeepRegistrationLib.scene.runs.left_out import (
    LeftOutOfWholeRequest,
    LeftOutRequest,
    options_of,
)


class LeavingOut:
    """The button *Leave one out*.

    Args:
        improvement: The :class:`~DeepRegistrationPanel.improvement.Improvement` beside which it is.
    """

    def __init__(self, improvement):
        self._improvement, self._section = improvement, improvement.section
        self._section.ui.leaveOutButton.connect("clicked(bool)", self._onLeaveOut)

    def update(self):
        """Bring the button up to date."""
        rows = self._leftOut(start_of(self._section.parameters.transform))
        running = self._section.panel.runner.running
        self._section.ui.leaveOutButton.enabled = len(rows) > 1 and not running

    def _leftOut(self, start):
        """Rows of pairs whose errors can be measured: that improved it, else that drove it all."""
        if start is not None:
            return self._driving(start)
        p = self._section.parameters
        if p.transform is None or options_of(p.transform, p.device) is None:
            return np.empty(0, dtype=int)
        return self._driving(p.initialTransform)

    def _driving(self, start):
        """Rows of pairs that drove the transform, but not what it started from, if anything."""
        state, p = self._section.state, self._section.parameters
        if not state.marks.used.any():
            return np.empty(0, dtype=int)
        lists = (p.fixedLandmarks, p.movingLandmarks)
        ids = tuple(zip(*ids_of(lists, state.indices.tolist()), strict=True))
        known = marks_of(start, lists, ids, (state.fixed, state.moving))
        return np.flatnonzero(state.marks.used & ~known.drove & self._improvement.usable())

    def _onLeaveOut(self, _checked=False):
        start = start_of(self._section.parameters.transform)
        question = self._improvement.question(self._leftOut(start))
        if start is not None:
            request = LeftOutRequest(**question, startNode=start)
        else:
            request = self._withoutEach(question)
        self._improvement.bar.start(request, self._onLeftOut)

    def _withoutEach(self, question):
        """The request to register anew without them."""
        p = self._section.parameters
        ends = flipped(question["fixedPoints"]), flipped(question["movingPoints"])
        pairs = LandmarkPairs(question["labels"], *ends)
        segments = (p.fixedSegmentation, p.movingSegmentation)
        driven = segments_that_drove(p.transform) and None not in segments
        return LeftOutOfWholeRequest(
            slicer.mrmlScene,
            p.fixedVolume,
            p.movingVolume,
            options_of(p.transform, p.device),
            fixedMaskNode=p.fixedMask,
            movingMaskNode=p.movingMask,
            initialTransformNode=p.initialTransform,
            drivingSegments=segments if driven else (),
            transformNode=p.transform,
            drove=DrivingPairs(question["lists"], pairs, question["ids"]),
        )

    def _onLeftOut(self, errors):
        text = _(
            "Leave one out: the mean error at {count} landmarks that drive is {mean:.2f} mm, the "
            "largest {max:.2f} mm, when each is left out."
        )
        self._improvement.bar.say(
            text.format(count=len(errors), mean=np.mean(errors), max=np.max(errors))
        )
