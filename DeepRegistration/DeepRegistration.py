"""The scripted module: entry points that Slicer looks for. What computes is DeepRegistrationLib."""

import importlib.util
import logging
import sys
from pathlib import Path

import ctk
import qt
import slicer
from slicer.i18n import tr as _
from slicer.i18n import translate
from slicer.ScriptedLoadableModule import (
    ScriptedLoadableModule,
    ScriptedLoadableModuleLogic,
    ScriptedLoadableModuleTest,
    ScriptedLoadableModuleWidget,
)

if importlib.util.find_spec("DeepRegistrationLib") is None:
    # The folder was added to Slicer's additional module paths: the library lies beside it.
    sys.path.append(str(Path(__file__).resolve().parents[1]))

from DeepRegistrationLib.errors import Cancelled, RegistrationError
from DeepRegistrationLib.scene import logic as sceneLogic


class DeepRegistration(ScriptedLoadableModule):
    """What Slicer shows of the module before it is opened."""

    def __init__(self, parent):
        ScriptedLoadableModule.__init__(self, parent)
        self.parent.title = _("Deep Registration")
        self.parent.categories = [translate("qSlicerAbstractCoreModule", "Registration")]
        self.parent.dependencies = []
        self.parent.contributors = ["DeepRegistration developers"]
        self.parent.helpText = _(
            "Deformable registration of CT and MRI volumes, with its target registration error at "
            "landmarks and a map of the Jacobian determinant. Not a medical device."
        )
        self.parent.acknowledgementText = ""


class DeepRegistrationLogic(sceneLogic.DeepRegistrationLogic, ScriptedLoadableModuleLogic):
    """The library's logic as Slicer expects a module's logic."""

    def __init__(self):
        ScriptedLoadableModuleLogic.__init__(self)
        sceneLogic.DeepRegistrationLogic.__init__(self)


class DeepRegistrationWidget(ScriptedLoadableModuleWidget):
    """Choose two volumes, register, look at the result."""

    def setup(self):
        ScriptedLoadableModuleWidget.setup(self)
        self.logic = DeepRegistrationLogic()
        self._running = False
        self._cancelled = False
        self.layout.addWidget(self._inputsSection())
        self.layout.addWidget(self._settingsSection())
        self.registerButton = qt.QPushButton(_("Register"))
        self.registerButton.connect("clicked(bool)", self.onRegisterOrCancel)
        self.layout.addWidget(self.registerButton)
        self.progressBar = qt.QProgressBar()
        self.progressBar.setRange(0, 100)
        self.progressBar.visible = False
        self.layout.addWidget(self.progressBar)
        self.statusLabel = qt.QLabel()
        self.statusLabel.wordWrap = True
        self.layout.addWidget(self.statusLabel)
        self.layout.addStretch(1)
        self.updateButton()

    def _inputsSection(self):
        self.inputs = ctk.ctkCollapsibleButton()
        self.inputs.text = _("Inputs")
        form = qt.QFormLayout(self.inputs)
        volume = ["vtkMRMLScalarVolumeNode"]
        mask = ["vtkMRMLLabelMapVolumeNode", "vtkMRMLSegmentationNode"]
        points = ["vtkMRMLMarkupsFiducialNode"]
        self.fixedSelector = self._selector(volume, _("The volume that stays"), False)
        self.movingSelector = self._selector(volume, _("The volume that is deformed"), False)
        self.fixedMaskSelector = self._selector(mask, _("Where the fixed volume counts"), True)
        self.movingMaskSelector = self._selector(mask, _("Where the moving volume counts"), True)
        note = _("Same order in both lists. Only for the evaluation, never for the registration")
        self.fixedLandmarksSelector = self._selector(points, note, True)
        self.movingLandmarksSelector = self._selector(points, note, True)
        form.addRow(_("Fixed volume:"), self.fixedSelector)
        form.addRow(_("Moving volume:"), self.movingSelector)
        form.addRow(_("Fixed mask:"), self.fixedMaskSelector)
        form.addRow(_("Moving mask:"), self.movingMaskSelector)
        form.addRow(_("Fixed landmarks:"), self.fixedLandmarksSelector)
        form.addRow(_("Moving landmarks:"), self.movingLandmarksSelector)
        return self.inputs

    def _settingsSection(self):
        self.settings = ctk.ctkCollapsibleButton()
        self.settings.text = _("Settings")
        form = qt.QFormLayout(self.settings)
        self.methodSelector = qt.QComboBox()
        for name, title in sceneLogic.METHODS.items():
            self.methodSelector.addItem(title, name)
        self.qualitySelector = qt.QComboBox()
        for name, title in sceneLogic.QUALITIES.items():
            self.qualitySelector.addItem(title, name)
        self.qualitySelector.setCurrentIndex(list(sceneLogic.QUALITIES).index("default"))
        self.resampleBox = qt.QCheckBox(_("Also add the resampled moving volume"))
        self.inverseBox = qt.QCheckBox(_("Also add the inverse transform"))
        form.addRow(_("Method:"), self.methodSelector)
        form.addRow(_("Quality:"), self.qualitySelector)
        form.addRow(self.resampleBox)
        form.addRow(self.inverseBox)
        return self.settings

    def _selector(self, nodeTypes, toolTip, noneEnabled):
        selector = slicer.qMRMLNodeComboBox()
        selector.nodeTypes = nodeTypes
        selector.showChildNodeTypes = False  # no vector volumes
        selector.noneEnabled = noneEnabled
        selector.addEnabled = False
        selector.removeEnabled = False
        selector.toolTip = toolTip
        selector.setMRMLScene(slicer.mrmlScene)
        selector.connect("currentNodeChanged(vtkMRMLNode*)", self.updateButton)
        return selector

    def updateButton(self, node=None):
        """Enable Register when there is a pair to register."""
        if self._running or not hasattr(self, "registerButton"):
            return
        fixed, moving = self.fixedSelector.currentNode(), self.movingSelector.currentNode()
        ready = fixed is not None and moving is not None and fixed is not moving
        self.registerButton.enabled = ready
        self.registerButton.toolTip = "" if ready else _("Choose two different volumes.")

    def onRegisterOrCancel(self, checked=False):
        """Register; while that runs, the same button cancels it."""
        if self._running:
            self._cancelled = True
            self.statusLabel.text = _("Canceling...")
            return
        self._setRunning(True)
        try:
            self.statusLabel.text = self._register()
        except Cancelled:
            self.statusLabel.text = _("Canceled; nothing was changed.")
        except RegistrationError as error:
            self.statusLabel.text = str(error)
        except Exception as error:
            logging.exception("Registration failed")
            text = _("The registration failed ({error}). The Python console has the details.")
            self.statusLabel.text = text.format(error=error)
        finally:
            self._setRunning(False)

    def _register(self):
        """Run the registration and show it; return what to say about it."""
        self._requireTorch()
        fixed, moving = self.fixedSelector.currentNode(), self.movingSelector.currentNode()
        result = self.logic.register(
            fixed,
            moving,
            method=self.methodSelector.currentData,
            quality=self.qualitySelector.currentData,
            fixedMaskNode=self.fixedMaskSelector.currentNode(),
            movingMaskNode=self.movingMaskSelector.currentNode(),
            fixedLandmarks=self.fixedLandmarksSelector.currentNode(),
            movingLandmarks=self.movingLandmarksSelector.currentNode(),
            resample=self.resampleBox.checked,
            inverse=self.inverseBox.checked,
            progress=self._onProgress,
        )
        slicer.util.setSliceViewerLayers(background=fixed, foreground=moving, foregroundOpacity=0.5)
        return "\n".join(result.summary())

    def _requireTorch(self):
        """PyTorch is installed by the PyTorch extension, and only when the user agrees."""
        if importlib.util.find_spec("torch") is not None:
            return
        try:
            import PyTorchUtils
        except ModuleNotFoundError:
            raise RegistrationError(
                _("PyTorch is missing; install the PyTorch extension in the Extensions Manager.")
            ) from None
        if PyTorchUtils.PyTorchUtilsLogic().installTorch(askConfirmation=True) is None:
            raise RegistrationError(_("Without PyTorch nothing can be registered."))

    def _onProgress(self, fraction, message):
        self.progressBar.value = int(100 * fraction)
        self.statusLabel.text = message
        slicer.app.processEvents()  # lets the user see it, and press Cancel
        if self._cancelled:
            raise Cancelled

    def _setRunning(self, running):
        self._running = running
        self._cancelled = False
        self.inputs.enabled = not running
        self.settings.enabled = not running
        self.progressBar.visible = running
        self.progressBar.value = 0
        self.registerButton.text = _("Cancel") if running else _("Register")
        self.updateButton()


class DeepRegistrationTest(ScriptedLoadableModuleTest):
    """Registers a small phantom whose true motion is known."""

    def runTest(self):
        slicer.mrmlScene.Clear()
        if importlib.util.find_spec("torch") is None:
            self.skipTest("PyTorch is not installed in this Slicer.")
        self.test_RegisterPhantom()

    def test_RegisterPhantom(self):
        """The target registration error on the phantom falls below half."""
        from DeepRegistrationLib.phantoms import thorax
        from DeepRegistrationLib.scene.landmarks import point_list_from
        from DeepRegistrationLib.scene.volumes import volume_node_from_image

        pair = thorax((80, 64, 72), (4.0, 4.0, 4.0))
        scene = slicer.mrmlScene
        result = DeepRegistrationLogic().register(
            volume_node_from_image(pair.fixed, scene, "inhale"),
            volume_node_from_image(pair.moving, scene, "exhale"),
            quality="fast",
            fixedLandmarks=point_list_from(pair.fixed_landmarks, scene, "inhale", (0, 1, 0)),
            movingLandmarks=point_list_from(pair.moving_landmarks, scene, "exhale", (1, 0, 1)),
        )
        statistics = result.landmarks.statistics
        self.assertLess(statistics["after"]["mean"], 0.5 * statistics["before"]["mean"])
        self.delayDisplay("\n".join(result.summary()))
