"""Placing landmarks at suggested places, one after the other."""

import qt
import slicer
from slicer.i18n import tr as _

from DeepRegistrationLib.scene.landmarks.guiding import Guide
from DeepRegistrationLib.scene.runs.places import PlacesRequest
from DeepRegistrationPanel.section import stillThere


class GuidedPlacing:
    """The buttons that suggest places and lead through them.

    Args:
        section: The :class:`~DeepRegistrationPanel.landmarks.LandmarksSection` that it is part of.
        placing: Its ``Placing``.
        bar: A ``RunBar`` to search with.
        place: Called with whether placing shall start, as its button does.
    """

    def __init__(self, section, placing, bar, place):
        self._section, self._placing = section, placing
        self._bar, self._place = bar, place
        self._guide = Guide(placing)
        self._leading = False
        self._timer = qt.QTimer()  # views that have just been made are still being arranged
        self._timer.setSingleShot(True)
        self._timer.setInterval(0)
        self._timer.connect("timeout()", self._show)
        ui = section.ui
        ui.suggestButton.connect("clicked(bool)", self._onSuggest)
        ui.guidedButton.connect("clicked(bool)", self._onGuided)
        ui.skipButton.connect("clicked(bool)", self._onSkip)

    def update(self):
        """Offer what can be done."""
        p, ui = self._section.parameters, self._section.ui
        usable = None not in (p.fixedVolume, p.movingVolume)
        ui.suggestButton.enabled = usable and not self._section.panel.runner.running
        ui.guidedButton.enabled = usable and (self._left > 0 or ui.suggestButton.enabled)

    @property
    def _left(self):
        places = self._section.parameters.suggestedPlaces
        return 0 if places is None else places.GetNumberOfControlPoints()

    def follow(self):
        """The next click is due somewhere else, or nobody places landmarks any more."""
        if not self._leading:
            return
        if self._placing.side is None or not self._guide.active:
            self._end()
        elif self._placing.side == "fixed" and self._guide.left == 0:
            self._end()
            self._placing.stop()
            self._bar.say(_("Landmarks were placed at all suggested places."))
        else:
            self._timer.start()

    def _show(self):
        if self._leading and self._section.parameters is not None:
            # First: a view that goes elsewhere under the mouse would lead the others back.
            self._section.panel.tell("onGuided", self._placing.side)
            self._guide.follow(self._section.state)

    def close(self):
        """The scene or the panel is going."""
        self._end()

    def _end(self):
        if self._leading:
            self._section.panel.tell("onGuided", None)
        self._leading = False
        self._timer.stop()
        self._guide.stop()
        self._section.ui.guidedButton.checked = False
        self._section.ui.skipButton.visible = False

    def _onSuggest(self, _checked=False):
        self._search(self._onSuggested)

    def _search(self, onDone):
        p = self._section.parameters
        masks = (p.fixedMask, p.movingMask)
        pair = (p.fixedVolume, p.movingVolume, p.transform)
        self._bar.start(PlacesRequest(slicer.mrmlScene, *pair, masks), onDone)

    def _onSuggested(self, result):
        p, node = self._section.parameters, result.node
        earlier, p.suggestedPlaces = stillThere(p.suggestedPlaces), node
        if earlier is not None:
            slicer.mrmlScene.RemoveNode(earlier)
        text = _("{count} places are suggested, orange in the views. Press Guided pairs next.")
        self._bar.say(text.format(count=node.GetNumberOfControlPoints()))

    def _onGuided(self, start):
        if not start:
            self._placing.stop()
        elif self._left:
            self._lead()
        else:
            self._section.ui.guidedButton.checked = False
            self._search(self._onFound)

    def _onFound(self, result):
        self._onSuggested(result)
        self._lead()

    def _lead(self):
        p = self._section.parameters
        self._place(True)
        if self._placing.side is None:
            self._end()
            return
        self._leading = self._section.ui.guidedButton.checked = True
        self._section.ui.skipButton.visible = True
        self._guide.start(p.suggestedPlaces, p.transform)
        self.follow()

    def _onSkip(self, _checked=False):
        self._guide.skip()
        self.follow()
