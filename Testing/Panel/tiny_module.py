"""A small module as the documentation of Slicer writes them, for the tests of the host."""

from __future__ import annotations

from pathlib import Path

MODULE = """
from typing import Annotated, Optional

import slicer
import vtk
from slicer import vtkMRMLScalarVolumeNode
from slicer.i18n import tr as _
from slicer.i18n import translate
from slicer.parameterNodeWrapper import WithinRange, parameterNodeWrapper
from slicer.ScriptedLoadableModule import *
from slicer.util import VTKObservationMixin


class Tiny(ScriptedLoadableModule):
    def __init__(self, parent):
        ScriptedLoadableModule.__init__(self, parent)
        self.parent.title = _("Tiny")
        self.parent.categories = [translate("qSlicerAbstractCoreModule", "Examples")]
        self.parent.dependencies = []
        self.parent.contributors = ["Somebody"]
        self.parent.helpText = _("Adds a threshold.")
        self.parent.acknowledgementText = ""


@parameterNodeWrapper
class TinyParameterNode:
    inputVolume: vtkMRMLScalarVolumeNode
    threshold: Annotated[float, WithinRange(-100, 500)] = 100
    invert: bool = False
    name: str = "result"


class TinyWidget(ScriptedLoadableModuleWidget, VTKObservationMixin):
    def __init__(self, parent=None):
        ScriptedLoadableModuleWidget.__init__(self, parent)
        VTKObservationMixin.__init__(self)
        self.logic = None
        self._parameterNode = None
        self._parameterNodeGuiTag = None
        self.events = []

    def setup(self):
        ScriptedLoadableModuleWidget.setup(self)
        uiWidget = slicer.util.loadUI(self.resourcePath("UI/Tiny.ui"))
        self.layout.addWidget(uiWidget)
        self.ui = slicer.util.childWidgetVariables(uiWidget)
        uiWidget.setMRMLScene(slicer.mrmlScene)
        self.logic = TinyLogic()
        self.addObserver(slicer.mrmlScene, slicer.mrmlScene.StartCloseEvent, self.onSceneStartClose)
        self.addObserver(slicer.mrmlScene, slicer.mrmlScene.EndCloseEvent, self.onSceneEndClose)
        self.ui.applyButton.connect("clicked(bool)", self.onApplyButton)
        self.initializeParameterNode()

    def cleanup(self):
        self.events.append("cleanup")
        self.removeObservers()

    def enter(self):
        self.events.append("enter")
        self.initializeParameterNode()

    def exit(self):
        self.events.append("exit")
        self._release()

    def _release(self):
        if self._parameterNode:
            self._parameterNode.disconnectGui(self._parameterNodeGuiTag)
            self._parameterNodeGuiTag = None
            self.removeObserver(
                self._parameterNode, vtk.vtkCommand.ModifiedEvent, self._checkCanApply
            )
        self._parameterNode = None

    def onSceneStartClose(self, caller, event):
        self._release()

    def onSceneEndClose(self, caller, event):
        if self.parent.isEntered:
            self.initializeParameterNode()

    def initializeParameterNode(self):
        self._release()
        self._parameterNode = self.logic.getParameterNode()
        if not self._parameterNode.inputVolume:
            node = slicer.mrmlScene.GetFirstNodeByClass("vtkMRMLScalarVolumeNode")
            if node:
                self._parameterNode.inputVolume = node
        self._parameterNodeGuiTag = self._parameterNode.connectGui(self.ui)
        self.addObserver(self._parameterNode, vtk.vtkCommand.ModifiedEvent, self._checkCanApply)
        self._checkCanApply()

    def _checkCanApply(self, caller=None, event=None):
        ready = bool(self._parameterNode and self._parameterNode.inputVolume)
        self.ui.applyButton.enabled = ready
        self.ui.applyButton.toolTip = _("Compute") if ready else _("Select an input volume")

    def onApplyButton(self):
        with slicer.util.tryWithErrorDisplay(_("Failed to compute results."), waitCursor=True):
            self.logic.process(self._parameterNode.inputVolume, self._parameterNode.threshold)


class TinyLogic(ScriptedLoadableModuleLogic):
    def getParameterNode(self):
        return TinyParameterNode(super().getParameterNode())

    def process(self, volume, threshold):
        if volume is None:
            raise ValueError("Input volume is invalid")
        if threshold > 400:
            raise ValueError("Too high")
        slicer.util.arrayFromVolume(volume)[:] += int(threshold)
        slicer.util.arrayFromVolumeModified(volume)


class TinyTest(ScriptedLoadableModuleTest):
    def setUp(self):
        slicer.mrmlScene.Clear()

    def runTest(self):
        self.setUp()
        self.test_Process()

    def test_Process(self):
        import numpy as np

        volume = slicer.util.addVolumeFromArray(np.zeros((3, 4, 5), np.int16))
        TinyLogic().process(volume, 7)
        self.assertEqual(slicer.util.arrayFromVolume(volume).max(), 7)
        self.delayDisplay("Test passed")
"""

UI = """<?xml version="1.0" encoding="UTF-8"?>
<ui version="4.0">
 <class>Tiny</class>
 <widget class="qMRMLWidget" name="Tiny">
  <layout class="QFormLayout" name="formLayout">
   <item row="0" column="0">
    <widget class="QLabel" name="label">
     <property name="text"><string>Input:</string></property>
    </widget>
   </item>
   <item row="0" column="1">
    <widget class="qMRMLNodeComboBox" name="inputSelector">
     <property name="nodeTypes">
      <stringlist><string>vtkMRMLScalarVolumeNode</string></stringlist>
     </property>
     <property name="addEnabled"><bool>false</bool></property>
     <property name="noneEnabled"><bool>true</bool></property>
     <property name="SlicerParameterName" stdset="0"><string>inputVolume</string></property>
    </widget>
   </item>
   <item row="1" column="1">
    <widget class="ctkSliderWidget" name="thresholdSlider">
     <property name="singleStep"><double>0.1</double></property>
     <property name="minimum"><double>-100</double></property>
     <property name="maximum"><double>500</double></property>
     <property name="SlicerParameterName" stdset="0"><string>threshold</string></property>
    </widget>
   </item>
   <item row="2" column="1">
    <widget class="QCheckBox" name="invertCheckBox">
     <property name="SlicerParameterName" stdset="0"><string>invert</string></property>
    </widget>
   </item>
   <item row="3" column="1">
    <widget class="QLineEdit" name="nameEdit">
     <property name="SlicerParameterName" stdset="0"><string>name</string></property>
    </widget>
   </item>
   <item row="4" column="1">
    <widget class="QPushButton" name="applyButton">
     <property name="enabled"><bool>false</bool></property>
     <property name="text"><string>Apply</string></property>
    </widget>
   </item>
  </layout>
 </widget>
 <customwidgets>
  <customwidget>
   <class>ctkSliderWidget</class><extends>QWidget</extends><header>ctkSliderWidget.h</header>
  </customwidget>
  <customwidget>
   <class>qMRMLNodeComboBox</class><extends>QWidget</extends><header>qMRMLNodeComboBox.h</header>
  </customwidget>
  <customwidget>
   <class>qMRMLWidget</class><extends>QWidget</extends><header>qMRMLWidget.h</header>
   <container>1</container>
  </customwidget>
 </customwidgets>
 <resources/>
 <connections>
  <connection>
   <sender>Tiny</sender><signal>mrmlSceneChanged(vtkMRMLScene*)</signal>
   <receiver>inputSelector</receiver><slot>setMRMLScene(vtkMRMLScene*)</slot>
  </connection>
 </connections>
</ui>
"""


def write_tiny_module(folder: Path) -> Path:
    """Write the module with its .ui file; return the module's file."""
    (folder / "Resources" / "UI").mkdir(parents=True)
    (folder / "Resources" / "UI" / "Tiny.ui").write_text(UI, encoding="utf-8")
    path = folder / "Tiny.py"
    path.write_text(MODULE, encoding="utf-8")
    return path
