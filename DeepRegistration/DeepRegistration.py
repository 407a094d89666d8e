"""The scripted module: entry points that Slicer looks for. The panel is DeepRegistrationPanel."""

import importlib.util
import sys
from pathlib import Path

import slicer
from slicer.i18n import tr as _
from slicer.i18n import translate
from slicer.ScriptedLoadableModule import (
    ScriptedLoadableModule,
    ScriptedLoadableModuleLogic,
    ScriptedLoadableModuleTest,
    ScriptedLoadableModuleWidget,
)
from slicer.util import VTKObservationMixin

if importlib.util.find_spec("DeepRegistrationLib") is None:
    # The folder was added to Slicer's additional module paths: the library lies beside it.
    sys.path.append(str(Path(__file__).resolve().parents[1]))

from DeepRegistrationPanel.panel import Panel
from DeepRegistrationPanel.parameters import DeepRegistrationParameterNode
from DeepRegistrationPanel.samples import registerSampleData

from DeepRegistrationLib.scene import logic as sceneLogic
from DeepRegistrationLib.scene.views.layouts import SavedLayouts
from DeepRegistrationLib.scene.views.shortcuts import shortcuts_html

_OWN_PACKAGES = ("DeepRegistrationPanel", "DeepRegistrationLib")

# Node selectors empty themselves when a scene was closed or read, and would empty the parameters.
_AFTER_SELECTORS = -20.0


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
        self.parent.helpText += f"<p>{_('Keyboard shortcuts:')}</p>{shortcuts_html()}"
        self.parent.acknowledgementText = _(
            "Methods after Hering et al. 2019, Eppenhof and Pluim 2019, Sokooti et al. 2017 and "
            "Rohe et al. 2017; built on PyTorch, SimpleITK, NumPy and SciPy."
        )
        self._layouts = None
        slicer.app.connect("startupCompleted()", self._onStarted)

    def _onStarted(self):
        registerSampleData(lambda name: self.resourcePath(f"Icons/{name}"))
        manager = slicer.app.layoutManager()
        if manager is not None:  # there is none without a main window
            self._layouts = SavedLayouts(slicer.mrmlScene, manager.layoutLogic().GetLayoutNode())


class DeepRegistrationLogic(sceneLogic.RegistrationLogic, ScriptedLoadableModuleLogic):
    """The library's logic as Slicer expects a module's logic."""

    def __init__(self):
        ScriptedLoadableModuleLogic.__init__(self)
        sceneLogic.RegistrationLogic.__init__(self)

    def getParameterNode(self):
        return DeepRegistrationParameterNode(super().getParameterNode())


class DeepRegistrationWidget(ScriptedLoadableModuleWidget, VTKObservationMixin):
    """Shows the panel, and keeps its parameter node that of the present scene."""

    def __init__(self, parent=None):
        ScriptedLoadableModuleWidget.__init__(self, parent)
        VTKObservationMixin.__init__(self)
        self.panel = None
        self._following = False  # before a scene began to be read

    def setup(self):
        ScriptedLoadableModuleWidget.setup(self)
        self.logic = DeepRegistrationLogic()
        self.panel = Panel(self.layout, self.logic, self.resourcePath)
        self.layout.addStretch(1)
        scene = slicer.mrmlScene
        self.addObserver(scene, scene.StartCloseEvent, self.onSceneStartClose)
        self.addObserver(scene, scene.StartImportEvent, self.onSceneStartImport)
        for event in (scene.EndCloseEvent, scene.EndImportEvent):
            self.addObserver(scene, event, self.onSceneChanged, priority=_AFTER_SELECTORS)
        self.panel.follow(self.logic.getParameterNode())
        if self.parent.isEntered:  # reloaded while it is shown: nobody calls enter then
            self.enter()

    def enter(self):
        if self.panel.parameters is None:
            self.panel.follow(self.logic.getParameterNode())
        self.panel.enter()

    def exit(self):
        self.panel.exit()

    def cleanup(self):
        self.removeObservers()
        if self.panel is not None:
            self.panel.close()

    def onReload(self):
        """Reload the panel and the library too, not only this file."""
        for name in [n for n in sys.modules if n.split(".")[0] in _OWN_PACKAGES]:
            del sys.modules[name]
        ScriptedLoadableModuleWidget.onReload(self)

    def onSceneStartClose(self, caller, event):
        self.panel.sceneClosing()

    def onSceneStartImport(self, caller, event):
        self._following = self.panel.parameters is not None
        self.panel.follow(None)

    def onSceneChanged(self, caller, event):
        """A scene was closed or read: its parameter node may be another, with other choices."""
        if self.parent.isEntered or self._following:
            self._following = False
            self.panel.follow(self.logic.getParameterNode())


class DeepRegistrationTest(ScriptedLoadableModuleTest):
    """Registers a small phantom whose true motion is known, through the panel."""

    def runTest(self):
        slicer.mrmlScene.Clear()
        from DeepRegistrationPanel.selftest import registerPhantom

        registerPhantom(self)
