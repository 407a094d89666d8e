"""Landmarks that drive whole registrations: which, and what they no longer prove."""

from slicer.i18n import tr as _

from DeepRegistrationLib.scene.landmarks import driving


class DrivenRegistration:
    """The check box below the buttons that improve, and the sentence about it.

    Args:
        section: The :class:`~DeepRegistrationPanel.landmarks.LandmarksSection` that it is part of.
    """

    def __init__(self, section):
        self._section = section
        section.ui.drivenBox.connect("clicked(bool)", self._onClicked)

    def update(self):
        """Bring the sentence up to date."""
        p = self._section.parameters
        driven = p is not None and p.driven
        text = self._section.ui.drivenText
        text.visible = driven
        text.text = self._sentence() if driven else ""

    def _onClicked(self, checked):
        """Without a choice, all landmarks drive: what else would be meant?"""
        state, p = self._section.state, self._section.parameters
        usable = state.usable
        if checked and not (usable & state.marks.drives).any() and usable.any():
            lists = (p.fixedLandmarks, p.movingLandmarks)
            driving.set_drives(lists, driving.ids_of(lists, state.indices[usable].tolist()), True)

    def _sentence(self):
        state = self._section.state
        usable = state.usable
        drives = int((usable & state.marks.drives).sum())
        if not drives:
            return _("Place landmarks, and check those in the column Drives that shall drive it.")
        left = int(usable.sum()) - drives
        return _(
            "Landmarks that drive the next registration and do not count as proof of it: {drives}. "
            "Left to measure it: {left}."
        ).format(drives=drives, left=left)
