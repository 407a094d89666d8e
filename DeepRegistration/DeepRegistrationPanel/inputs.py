"""Which volumes, which method, which device."""

from slicer.i18n import tr as _

from DeepRegistrationLib.methods import AUTOMATIC, method_class, method_names
from DeepRegistrationPanel.choosing import AutomaticText
from DeepRegistrationPanel.lungmasks import LungMasks
from DeepRegistrationPanel.parameters import DEVICES, QUALITIES, refinable
from DeepRegistrationPanel.section import Section
from DeepRegistrationPanel.volumechoice import VolumeChoice

_PAIRS = (
    ("fixedVolume", "movingVolume"),
    ("fixedMask", "movingMask"),
    ("fixedLandmarks", "movingLandmarks"),
    ("fixedSegmentation", "movingSegmentation"),
)


class InputsSection(Section):
    """Two volumes and a method are all that a registration needs."""

    uiName = "Inputs"

    def __init__(self, panel):
        super().__init__(panel)
        self._showing = False
        self._automatic = AutomaticText()
        self._choices = (
            (self.ui.methodBox, "method", {n: method_class(n).title for n in method_names()}),
            (self.ui.qualityBox, "quality", dict(zip(QUALITIES, _qualities(), strict=True))),
            (self.ui.deviceBox, "device", dict(zip(DEVICES, _devices(), strict=True))),
        )
        for box, _parameter, choices in self._choices:
            for name, title in choices.items():
                box.addItem(title, name)
            box.connect("currentIndexChanged(int)", self._onChoice)
        self.ui.swapButton.connect("clicked(bool)", self._onSwap)
        self._lungs = LungMasks(self)
        self._volumes = VolumeChoice(self)

    def update(self):
        self._showChoices()
        running = self.panel.runner.running
        self.ui.inputsButton.enabled = not running
        method = method_class(self.parameters.method)
        self.ui.methodText.text = self._describe(method)
        masks = bool(self.parameters.fixedMask or self.parameters.movingMask)
        if masks and not method.card.uses_masks:
            self.ui.methodText.text += "<br><b>" + _("This method ignores masks.") + "</b>"
        self.ui.refineBox.visible = refinable(self.parameters.method)
        self.ui.deviceText.text = self._deviceText()
        self._lungs.update()
        self._volumes.update()

    def connect(self):
        super().connect()
        self._volumes.connect()

    def close(self):
        self._lungs.forget()
        self._volumes.close()

    def _describe(self, method):
        """The method's card; of the automatic one, what it would take."""
        if method.name != AUTOMATIC:
            return describeMethod(method)
        return method.card.description + "<br>" + self._automatic.of(self.parameters)

    def _showChoices(self):
        """Show what is chosen; a box that changes meanwhile is no choice of the user's."""
        self._showing = True
        for box, parameter, choices in self._choices:
            box.setCurrentIndex(list(choices).index(getattr(self.parameters, parameter)))
        self._showing = False

    def _deviceText(self):
        """Which device the last run took, and why; before it nobody can know without PyTorch."""
        if self.panel.result is not None:
            return _("Last run: {reason}").format(
                reason=self.panel.result.provenance["device_reason"]
            )
        if self.parameters.device == "auto":
            return _(
                "An NVIDIA GPU if PyTorch can use one, otherwise the CPU; the result says which."
            )
        return ""

    def _onChoice(self, _index=0):
        if self.parameters is None or self._showing:
            return
        for box, parameter, _choices in self._choices:
            if getattr(self.parameters, parameter) != box.currentData:
                setattr(self.parameters, parameter, box.currentData)

    def _onSwap(self, _checked=False):
        for one, other in _PAIRS:
            first, second = getattr(self.parameters, one), getattr(self.parameters, other)
            setattr(self.parameters, one, second)
            setattr(self.parameters, other, first)

    def onEnter(self):
        self._volumes.enter()

    def onExit(self):
        self._volumes.exit()


def describeMethod(method):
    """What a user must know before choosing a method, as rich text of a few lines."""
    card = method.card
    return "<br>".join(
        (
            card.description,
            _("<b>Made for:</b> {anatomy}").format(anatomy=card.anatomy),
            _("<b>Expected error:</b> {error}").format(error=card.expected_error),
            _("<b>Time:</b> {time}").format(time=card.expected_time),
            _("<b>Weights:</b> {licence}").format(licence=card.licence),
        )
    )


def _qualities():
    return (
        _("Fast - for a first look"),
        _("Default"),
        _("Best - takes about four times as long"),
    )


def _devices():
    return (_("Automatic"), _("CPU"), _("NVIDIA GPU (CUDA)"))
