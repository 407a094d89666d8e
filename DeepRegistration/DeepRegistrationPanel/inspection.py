"""Visual control: the two images side by side or over each other, and what the transform does."""

import qt
from slicer.i18n import tr as _

from DeepRegistrationLib.scene.views.shortcuts import shortcuts_html
from DeepRegistrationLib.scene.views.window_presets import PRESETS, apply_preset
from DeepRegistrationPanel.errormaps import ErrorMapChoice
from DeepRegistrationPanel.keys import Call, Keys
from DeepRegistrationPanel.section import Section
from DeepRegistrationPanel.sidebyside import SideBySide
from DeepRegistrationPanel.viewing import MAPS, SLIDERS, Viewing, explanations

_WARP_STEP = 10  # percent


class InspectionSection(Section):
    """Buttons for everything that shows whether the images agree; nothing of it stays behind."""

    uiName = "Inspection"

    def __init__(self, panel):
        super().__init__(panel)
        self._viewing = None
        self._present = None
        self._mode = "plain"
        self._layout = SideBySide(self._unlink)
        self._shown = False
        self._followTimer = qt.QTimer()
        self._followTimer.setSingleShot(True)
        self._followTimer.setInterval(0)
        self._followTimer.connect("timeout()", self._follow)
        self._timer = qt.QTimer()
        self._timer.connect("timeout()", self._onFlicker)
        self._modes = {name: getattr(self.ui, f"{name}Button") for name in explanations()}
        self._show = {name: Call(self._onMode, name).call for name in self._modes}
        for name, button in self._modes.items():
            button.connect("clicked(bool)", self._show[name])
        self._presets = {name: Call(self._onPreset, name).call for name in PRESETS}
        for name, preset in PRESETS.items():
            button = getattr(self.ui, f"{name}Button")
            button.toolTip = f"{preset.title}: {preset.help}"
            button.connect("clicked(bool)", self._presets[name])
        self.ui.fourUpButton.connect("clicked(bool)", self._onFourUp)
        self.ui.linkedButton.connect("clicked(bool)", self._onLinked)
        self.ui.opacitySlider.connect("valueChanged(double)", self._onSlider)
        self.ui.squareSlider.connect("valueChanged(double)", self._onSlider)
        self.ui.periodSlider.connect("valueChanged(double)", self._onPeriod)
        self._errorMap = ErrorMapChoice(self.ui.errorMapBox, self._onErrorMap)
        self.ui.warpSlider.connect("valueChanged(double)", self._onWarp)
        self.ui.gridBox.connect("toggled(bool)", self._onGrid)
        self.ui.gridSlider.connect("valueChanged(double)", self._onGrid)
        self.ui.rigidBox.connect("toggled(bool)", self._passOn)
        self.ui.keysText.text = shortcuts_html()
        self._keys = Keys(self._actions())
        self._sayAtCursor(None)

    def _actions(self):
        return {
            **self._show,
            "grid": self._onToggleGrid,
            "linked": self._onToggleLinked,
            "swap": self._onFlicker,
            "warp_less": Call(self._stepWarp, -_WARP_STEP).call,
            "warp_more": Call(self._stepWarp, _WARP_STEP).call,
            "worst": self._onWorst,
        }

    def update(self):
        if self._outdated():
            # Not at once: a node may be on its way out of the scene, and so may its displays.
            self._followTimer.start()
        else:
            self._passOn()
            self._showChoices()

    def _passOn(self, _value=None):
        """What is chosen besides volumes and transform, to what is shown."""
        if self._viewing is not None:
            p = self.parameters
            self._viewing.showPoints(p.fixedLandmarks, p.movingLandmarks)
            if self._viewing.withoutRigid(self.ui.rigidBox.checked, p.fixedMask):
                self._again()

    def onPlacing(self, placing):
        """A landmark is placed on its own image: both are shown, each in its own space."""
        if not placing:
            return
        self._follow()
        if self._viewing is not None and not self._viewing.linked:
            self._onLinked()

    def onGuided(self, side):
        if self._viewing is not None:
            self._viewing.leadFrom(side)

    def _outdated(self):
        """Whether other nodes are shown than those that are chosen."""
        return self._shown and self.parameters is not None and self._wanted() != self._present

    def _wanted(self):
        p = self.parameters
        volumes = (p.fixedVolume, p.movingVolume)
        usable = all(v is not None and v.GetImageData() is not None for v in volumes)
        return (*volumes, p.transform) if usable else None

    def _showChoices(self):
        """Which buttons can be pressed."""
        viewing = self._viewing
        maps = () if viewing is None else viewing.maps()
        made = () if viewing is None or self.panel.runner.running else viewing.makeable()
        for name, button in self._modes.items():
            button.enabled = viewing is not None and name not in set(MAPS).difference(maps, made)
        self._errorMap.offer(maps)
        if viewing is not None and self._mode in MAPS and self._mode not in maps:
            self._setMode("plain")
        movable = viewing is not None and viewing.transform is not None
        self.ui.linkedButton.enabled = viewing is not None
        for name in ("warpSlider", "gridBox", "gridSlider", "rigidBox"):
            getattr(self.ui, name).enabled = movable
        self._explain()

    def onRegistered(self, result):
        """The views were given other volumes: show the chosen mode on these."""
        if self._mode != "plain" and not self._outdated():
            self._showChoices()
            self._setMode(self._mode)

    def onEnter(self):
        self._shown = True
        self._keys.enable(True)
        self.update()

    def onExit(self):
        self._shown = False
        self._keys.enable(False)
        self._reset()

    def connect(self):
        super().connect()
        self._keys.enable(self._shown)

    def close(self):
        self._keys.close()
        self._reset()

    def _follow(self):
        """Take over other nodes, if any; the chosen mode goes on with them.

        A timer calls this after each change of the nodes, and what a key does calls it first: the
        key may be quicker than the timer.
        """
        if not self._outdated():
            return
        linked = self.ui.linkedButton.checked
        self._closeViewing()
        self._present = self._wanted()
        if self._present is not None:
            self._viewing = Viewing(*self._present, self._sayAtCursor)
            self._passOn()
            if linked:
                self._link()
            if self._mode in MAPS and self._mode not in self._viewing.maps():
                self._mode = "plain"
            self._setMode(self._mode)
            self._onGrid()
        elif linked:
            self._onFourUp()
        self._showChoices()

    def _reset(self):
        """Everything in the views as it was, and the widgets as at the start."""
        self._closeViewing()
        self._layout.restore()
        self._mode = "plain"
        self._modes["plain"].checked = True
        self.ui.fourUpButton.checked = True
        self.ui.gridBox.checked = False
        self.ui.warpSlider.value = 100
        self._explain()

    def _closeViewing(self):
        self._timer.stop()
        self._followTimer.stop()
        self._present = None
        if self._viewing is not None:
            viewing, self._viewing = self._viewing, None
            viewing.close()
        self._sayAtCursor(None)

    def _onErrorMap(self):
        if self._mode == "predicted":
            self._setMode(self._mode)

    def _onMode(self, mode):
        self._follow()
        enabled = self._modes[mode].enabled
        if enabled and mode in self._viewing.makeable():
            self._modes[self._mode].checked = True  # until the map is there
            self.panel.tell("onMapWanted", mode, self._show[mode])
        elif enabled:
            self._setMode(mode)

    def _setMode(self, mode):
        self._mode = mode
        self._modes[mode].checked = True
        self._timer.stop()
        if self._viewing is not None:
            shown = self._errorMap.shown if mode == "predicted" else mode
            self._viewing.compare(
                shown, self.ui.opacitySlider.value / 100, self.ui.squareSlider.value
            )
            self._onWarp()
        if mode == "flicker":
            self._onPeriod()
            self._timer.start()
        self._explain()

    def _explain(self):
        """Which slider belongs to the mode, and what is to be seen."""
        for name, modes in SLIDERS.items():
            for kind in ("Label", "Slider"):
                getattr(self.ui, f"{name}{kind}").visible = self._mode in modes
        text = explanations()[self._mode]
        self.ui.errorMapBox.visible = self._mode == "predicted"
        if self._mode == "predicted":
            text = f"{self._errorMap.explanation} {text}"
        if self._viewing is None:
            text = _("Choose a fixed and a moving volume.")
        elif self._viewing.problem:
            text = f"{text} {self._viewing.problem}"
        elif self._mode == "displacement":
            text = f"{text} {self._viewing.rigidText}"
        self.ui.modeText.text = text

    def _onSlider(self, _value=0.0):
        if self._viewing is not None:
            self._viewing.setOpacity(self.ui.opacitySlider.value / 100)
            self._viewing.setSquare(self.ui.squareSlider.value)

    def _onPeriod(self, _value=0.0):
        self._timer.setInterval(int(1000 * self.ui.periodSlider.value))

    def _onFlicker(self):
        if self._viewing is not None:
            self._viewing.flicker()

    def _onWarp(self, _value=0.0):
        if self._viewing is not None:
            self._viewing.setPercent(self.ui.warpSlider.value)

    def _stepWarp(self, step):
        self.ui.warpSlider.value = self.ui.warpSlider.value + step

    def _onGrid(self, _value=None):
        if self._viewing is not None:
            spacing = self.ui.gridSlider.value if self.ui.gridBox.checked else 0
            self._viewing.showGrid(spacing)

    def _onWorst(self):
        self.panel.tell("onWorstWanted")

    def _onToggleGrid(self):
        self._follow()
        if self.ui.gridBox.enabled:
            self.ui.gridBox.checked = not self.ui.gridBox.checked

    def _onPreset(self, name):
        apply_preset(name, (self.parameters.fixedVolume, self.parameters.movingVolume))

    def _onToggleLinked(self):
        self._follow()
        if self.ui.linkedButton.checked:
            self._onFourUp()
        elif self.ui.linkedButton.enabled:
            self._onLinked()

    def _onLinked(self, _checked=False):
        self.ui.linkedButton.checked = True
        if self._viewing is not None:
            self._link()
            self._again()

    def _link(self):
        """Two rows of views, the moving image in its own space in the lower one."""
        self._layout.show()
        self._viewing.unlink()
        self._viewing.link()

    def _onFourUp(self, _checked=False):
        self._layout.fourUp()
        self._unlink()

    def _unlink(self):
        self.ui.fourUpButton.checked = True
        self.panel.tell("onPlacingUnwanted")
        if self._viewing is not None:
            self._viewing.unlink()
        self._again()

    def _again(self):
        """Comparison and grid in the views that are shown now."""
        if self._viewing is not None:
            self._viewing.showGrid(0)
            self._onGrid()
            self._setMode(self._mode)

    def _sayAtCursor(self, readout):
        text = _("Move the mouse over a slice view.")
        if readout is not None:
            text = self._viewing.describe(readout)
        self.ui.cursorText.text = text
