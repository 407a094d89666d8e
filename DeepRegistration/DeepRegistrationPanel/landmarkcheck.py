"""A warning where landmarks, volumes and transform seem not to belong together; a way out."""

import qt

from DeepRegistrationLib.scene.landmarks.check import LandmarkCheck, check_landmarks

_DELAY = 150  # ms without a change after which it is looked at


class LandmarkWarning:
    """The text and the buttons that offer a swap.

    Args:
        section: The :class:`~DeepRegistrationPanel.landmarks.LandmarksSection` that it is part of.
    """

    def __init__(self, section):
        self._section = section
        self._timer = qt.QTimer()
        self._timer.setSingleShot(True)
        self._timer.setInterval(_DELAY)
        self._timer.connect("timeout()", self._look)
        section.ui.swapPointsButton.connect("clicked(bool)", self._onSwap)
        section.ui.invertButton.connect("clicked(bool)", self._onInvert)
        self._say(LandmarkCheck())

    def follow(self):
        """The landmarks, or what they are measured with, changed."""
        self._timer.start()

    def close(self):
        """Forget what was said."""
        self._timer.stop()
        self._say(LandmarkCheck())

    def _look(self):
        p = self._section.parameters
        if p is None:
            return
        volumes = (p.fixedVolume, p.movingVolume)
        self._say(check_landmarks(self._section.state, p.transform, *volumes))

    def _say(self, check):
        ui = self._section.ui
        self._section.showMessage(ui.checkText, check.text, isError=True)
        ui.checkText.visible = bool(check.text)
        ui.swapPointsButton.visible = check.swap
        ui.invertButton.visible = check.invert

    def _onSwap(self, _checked=False):
        p = self._section.parameters
        fixed, moving = p.fixedLandmarks, p.movingLandmarks
        p.fixedLandmarks = None  # one list is never both
        p.movingLandmarks, p.fixedLandmarks = fixed, moving

    def _onInvert(self, _checked=False):
        self._section.parameters.transform.Inverse()
