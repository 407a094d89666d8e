"""Which part of the error estimate is looked at."""

from slicer.i18n import tr as _


class ErrorMapChoice:
    """A combo box with the maps of errors that there are.

    Args:
        box: QComboBox.
        onChange: Called when the user chooses another one.
    """

    def __init__(self, box, onChange):
        self._box, self._onChange = box, onChange
        self._filling = False
        box.connect("currentIndexChanged(int)", self._changed)

    @property
    def shown(self):
        """Key of the chosen map; None where there is none."""
        return self._box.currentData

    @property
    def explanation(self):
        """What the chosen map shows."""
        return errorMaps()[self.shown][1] if self.shown else ""

    def offer(self, maps):
        """Offer those that there are; what is chosen stays."""
        names = {key: title for key, (title, _text) in errorMaps().items() if key in maps}
        if [self._box.itemData(k) for k in range(self._box.count)] == list(names):
            return
        chosen = self.shown
        self._filling = True
        self._box.clear()
        for key, title in names.items():
            self._box.addItem(title, key)
        if names:
            self._box.setCurrentIndex(max(0, self._box.findData(chosen)))
        self._filling = False

    def _changed(self, _index=0):
        if not self._filling:
            self._onChange()


def errorMaps():
    """The maps of errors, with title and what each shows."""
    return {
        "predicted": (
            _("Combined"),
            _("Disagreement of several registrations and of the images, up to 3 mm."),
        ),
        "consistency": (
            _("Inverse consistency"),
            _("How far a point ends up from its start when it is registered in both directions."),
        ),
        "spread": (_("Spread"), _("How much repeated estimates of the same method differ.")),
        "misalignment": (
            _("Misalignment"),
            _("How far structures nearby still lie apart, by matched blocks of both images."),
        ),
    }
