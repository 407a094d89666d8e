"""Designer's files: what Slicer would not load is refused with the name of the culprit."""

from __future__ import annotations

import pytest
import slicer
from SlicerHost.uiloader import UiError, children_by_name, load_ui

GOOD = """<?xml version="1.0" encoding="UTF-8"?>
<ui version="4.0">
 <class>Panel</class>
 <widget class="qMRMLWidget" name="Panel">
  <layout class="QVBoxLayout" name="verticalLayout">
   <property name="leftMargin"><number>0</number></property>
   <item>
    <widget class="ctkCollapsibleButton" name="inputs">
     <property name="text"><string>Inputs</string></property>
     <property name="collapsed"><bool>false</bool></property>
     <layout class="QFormLayout" name="formLayout">
      <item row="0" column="0">
       <widget class="QLabel" name="fixedLabel">
        <property name="text"><string>Fixed:</string></property>
        <property name="alignment"><set>Qt::AlignRight|Qt::AlignVCenter</set></property>
       </widget>
      </item>
      <item row="0" column="1">
       <widget class="qMRMLNodeComboBox" name="fixed">
        <property name="toolTip"><string>Stays in place</string></property>
        <property name="nodeTypes">
         <stringlist><string>vtkMRMLScalarVolumeNode</string></stringlist>
        </property>
        <property name="noneEnabled"><bool>true</bool></property>
        <property name="SlicerParameterName" stdset="0"><string>fixed</string></property>
       </widget>
      </item>
      <item row="1" column="1">
       <widget class="ctkSliderWidget" name="opacity">
        <property name="maximum"><double>1.0</double></property>
        <property name="singleStep"><double>0.05</double></property>
        <property name="value"><double>0.25</double></property>
       </widget>
      </item>
     </layout>
    </widget>
   </item>
   <item>
    <widget class="QPushButton" name="apply">
     <property name="enabled"><bool>false</bool></property>
     <property name="text"><string>Register</string></property>
    </widget>
   </item>
   <item>
    <spacer name="spacer"><property name="orientation"><enum>Qt::Vertical</enum></property></spacer>
   </item>
  </layout>
 </widget>
 <customwidgets>
  <customwidget><class>qMRMLWidget</class><extends>QWidget</extends>
   <header>qMRMLWidget.h</header><container>1</container></customwidget>
  <customwidget><class>qMRMLNodeComboBox</class><extends>QWidget</extends>
   <header>qMRMLNodeComboBox.h</header></customwidget>
  <customwidget><class>ctkCollapsibleButton</class><extends>QWidget</extends>
   <header>ctkCollapsibleButton.h</header><container>1</container></customwidget>
  <customwidget><class>ctkSliderWidget</class><extends>QWidget</extends>
   <header>ctkSliderWidget.h</header></customwidget>
 </customwidgets>
 <resources/>
 <connections>
  <connection>
   <sender>Panel</sender><signal>mrmlSceneChanged(vtkMRMLScene*)</signal>
   <receiver>fixed</receiver><slot>setMRMLScene(vtkMRMLScene*)</slot>
  </connection>
  <connection>
   <sender>fixed</sender><signal>currentNodeChanged(bool)</signal>
   <receiver>apply</receiver><slot>setEnabled(bool)</slot>
  </connection>
 </connections>
</ui>
"""


@pytest.fixture
def ui_file(tmp_path):
    """Write a .ui file in which one text is replaced by another."""

    def write(old: str = "", new: str = ""):
        assert old in GOOD
        path = tmp_path / "Panel.ui"
        path.write_text(GOOD.replace(old, new) if old else GOOD)
        return path

    return write


def test_a_panel_is_loaded_with_its_properties(ui_file):
    panel = load_ui(ui_file())
    ui = children_by_name(panel)
    assert panel.className() == "qMRMLWidget"
    assert ui["fixedLabel"].alignment == 0x82
    assert (ui["inputs"].text, ui["inputs"].collapsed) == ("Inputs", False)
    assert ui["fixed"].nodeTypes == ("vtkMRMLScalarVolumeNode",)
    assert ui["fixed"].noneEnabled
    assert ui["fixed"].toolTip == "Stays in place"
    assert (ui["opacity"].maximum, ui["opacity"].value) == (1.0, 0.25)
    assert ui["verticalLayout"].contentsMargins().left() == 0
    assert panel.apply is ui["apply"]


def test_the_name_of_a_parameter_is_a_dynamic_property(ui_file):
    fixed = load_ui(ui_file()).findChild("qMRMLNodeComboBox", "fixed")
    assert fixed.property("SlicerParameterName") == "fixed"


def test_connections_hand_the_scene_on_and_enable_the_button(ui_file):
    panel, scene = load_ui(ui_file()), slicer.vtkMRMLScene()
    ui = children_by_name(panel)
    panel.setMRMLScene(scene)
    assert ui["fixed"].mrmlScene() is scene
    volume = scene.AddNewNodeByClass("vtkMRMLScalarVolumeNode")
    assert not ui["apply"].enabled
    ui["fixed"].setCurrentNode(volume)
    assert ui["apply"].enabled
    scene.RemoveNode(volume)
    assert not ui["apply"].enabled


@pytest.mark.parametrize(
    ("old", "new", "culprit"),
    [
        ('"noneEnabled"', '"noneAllowed"', "fixed: qMRMLNodeComboBox has no property noneAllowed"),
        ('"toolTip"', '"tooltip"', "fixed: qMRMLNodeComboBox has no property tooltip"),
        ('"singleStep"', '"step"', "opacity: ctkSliderWidget has no property step"),
        ("ctkSliderWidget", "ctkSlideWidget", "opacity: there is no class ctkSlideWidget"),
        ("ctkSliderWidget", "qMRMLThreeDWidget", "qMRMLThreeDWidget has no Designer plugin"),
        (
            "currentNodeChanged(bool)",
            "currentNodeChanged(int)",
            "fixed: qMRMLNodeComboBox has no signal currentNodeChanged(int)",
        ),
        ("setEnabled(bool)", "enable(bool)", "apply: QPushButton has no public slot enable(bool)"),
        ("<receiver>apply<", "<receiver>start<", "there is no object start"),
        (
            "<class>ctkSliderWidget</class>",
            "<class>ctkRangeWidget</class>",
            "opacity: ctkSliderWidget is missing from <customwidgets>",
        ),
    ],
)
def test_what_slicer_lacks_is_refused_by_name(ui_file, old, new, culprit):
    with pytest.raises(UiError) as caught:
        load_ui(ui_file(old, new))
    assert culprit in str(caught.value)


def test_all_problems_are_told_at_once(ui_file):
    path = ui_file('"noneEnabled"', '"noneAllowed"')
    path.write_text(path.read_text().replace("setEnabled(bool)", "enable(bool)"))
    with pytest.raises(UiError, match="(?s)noneAllowed.*enable"):
        load_ui(path)


def test_objects_that_qt_made_keep_their_connections(ui_file):
    ui, got = children_by_name(load_ui(ui_file())), []
    ui["apply"].enabled = True
    ui["apply"].connect("clicked()", got.append)
    del ui["opacity"]
    assert ui["apply"].disconnect("clicked()", got.append)
    ui["apply"].click()
    assert got == []
