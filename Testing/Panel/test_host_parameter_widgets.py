"""slicer.parameterNodeWrapper in the host: widgets that are bound to parameters."""

import importlib
from typing import Annotated, Union

import pytest
import slicer
import vtk
from parameter_settings import (
    Quality,
    add_parameter_node,
    louder,
    settings_class,
    volume,
    vtkMRMLLabelMapVolumeNode,
    vtkMRMLSegmentationNode,
)


@pytest.fixture
def layer(slicer_host):
    """The module: the stand-in's, or Slicer's own where SLICER_SOURCE names it."""
    return importlib.import_module("slicer.parameterNodeWrapper")


@pytest.fixture
def node(slicer_host):
    return add_parameter_node(slicer_host.scene)


@pytest.fixture
def settings(layer, node):
    return settings_class(layer)(node)


@pytest.fixture
def widgets(settings):
    """Widgets bound to the parameters, by parameter."""
    import ctk
    import qt

    made = {
        "threshold": ctk.ctkSliderWidget(),
        "count": qt.QSpinBox(),
        "invert": qt.QCheckBox(),
        "name": qt.QLineEdit(),
        "quality": qt.QComboBox(),
        "method": qt.QComboBox(),
    }
    settings.connectParametersToGui(made)
    return made


def test_widgets_show_ranges_choices_and_values(settings, widgets):
    assert (widgets["threshold"].minimum, widgets["threshold"].maximum) == (-100, 500)
    assert widgets["threshold"].singleStep == 0.5
    assert (widgets["count"].minimum, widgets["count"].maximum) == (1, 9)
    assert widgets["threshold"].value == 100 and widgets["count"].value == 3
    combo = widgets["quality"]
    assert [combo.itemText(i) for i in range(combo.count)] == ["fast quality", "best quality"]
    assert widgets["method"].currentText == "affine"


def test_what_the_user_sets_reaches_the_parameters(settings, widgets):
    widgets["threshold"].value = 20.5
    widgets["count"].value = 8
    widgets["invert"].checked = True
    widgets["name"].text = "typed"
    widgets["quality"].setCurrentIndex(1)
    widgets["method"].setCurrentIndex(0)
    assert (settings.threshold, settings.count, settings.invert) == (20.5, 8, True)
    assert settings.name == "typed"
    assert settings.quality is Quality.BEST and settings.method == "optimize"


def test_what_the_program_sets_reaches_the_widgets(settings, widgets):
    settings.threshold, settings.count, settings.invert = -3.5, 4, True
    settings.quality, settings.method = Quality.BEST, "optimize"
    assert (widgets["threshold"].value, widgets["count"].value) == (-3.5, 4)
    assert widgets["invert"].checked
    assert widgets["quality"].currentIndex == 1 and widgets["method"].currentIndex == 0


# wrapper.py, _makeGuiToParamCallback
def test_one_change_by_the_user_is_one_modification(settings, widgets):
    selector = slicer.qMRMLNodeComboBox()
    selector.noneEnabled = True
    selector.setMRMLScene(slicer.mrmlScene)
    settings.connectParametersToGui({"mask": selector})
    node = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLSegmentationNode")
    heard = []
    settings.AddObserver(vtk.vtkCommand.ModifiedEvent, lambda *_: heard.append(settings.mask))
    selector.setCurrentNode(node)
    assert heard == [node]


# wrapper.py, _updateGUIFromParameterNode
def test_every_modification_writes_all_widgets_again(settings, widgets):
    widgets["count"].blockSignals(True)
    widgets["count"].value = 9
    widgets["count"].blockSignals(False)
    settings.invert = True
    assert widgets["count"].value == 3


def test_widgets_are_bound_by_their_dynamic_property(settings):
    import qt

    panel = qt.QWidget()
    box = qt.QCheckBox(panel)
    box.setProperty("SlicerParameterName", "invert")
    settings.connectGui(panel)  # gives no tag before Slicer 5.10
    box.checked = True
    assert settings.invert


def test_disconnected_widgets_neither_write_nor_follow(settings):
    import qt

    box = qt.QCheckBox()
    tag = settings.connectParametersToGui({"invert": box})
    settings.disconnectGui(tag)
    box.checked = True
    assert not settings.invert
    settings.count = 7  # an observer left behind would write the old value back
    assert box.checked


# Base/Python/slicer/parameterNodeWrapper/util.py, getNodeTypes
def test_connecting_a_node_selector_makes_it_offer_the_classes_of_the_annotation(settings):
    selector = slicer.qMRMLNodeComboBox()
    selector.nodeTypes = ["vtkMRMLModelNode"]
    settings.connectParametersToGui({"mask": selector})
    assert selector.nodeTypes == ("vtkMRMLLabelMapVolumeNode", "vtkMRMLSegmentationNode")


def test_an_abstract_class_of_nodes_cannot_be_connected(node, layer):
    @layer.parameterNodeWrapper
    class Abstract:
        anything: slicer.vtkMRMLNode

    with pytest.raises(TypeError, match="abstract"):
        Abstract(node).connectParametersToGui({"anything": slicer.qMRMLNodeComboBox()})


# guiConnectors.py, QSliderOrSpinBoxToIntConnector
def test_connecting_removes_the_bounds_that_the_annotation_does_not_give(node, layer):
    import qt

    @layer.parameterNodeWrapper
    class Numbers:
        free: int
        natural: Annotated[int, layer.Minimum(0)] = 0

    boxes = {"free": qt.QSpinBox(), "natural": qt.QSpinBox()}
    Numbers(node).connectParametersToGui(boxes)
    bounds = [(box.minimum, box.maximum) for box in boxes.values()]
    assert bounds == [(-(2**31), 2**31 - 1), (0, 2**31 - 1)]


# serializers.py, UnionSerializer
def test_a_union_of_nodes_without_none_is_refused(node, layer):
    with pytest.raises(TypeError, match="None"):

        @layer.parameterNodeWrapper
        class Closed:
            mask: Union[vtkMRMLLabelMapVolumeNode, vtkMRMLSegmentationNode]  # noqa: UP007

        Closed(node)


def test_a_node_selector_and_its_parameter_follow_each_other(settings, slicer_host):
    first, second = volume("first"), volume("second")
    selector = slicer.qMRMLNodeComboBox()
    selector.nodeTypes = ["vtkMRMLScalarVolumeNode"]
    selector.noneEnabled = True
    selector.setMRMLScene(slicer.mrmlScene)
    settings.connectParametersToGui({"volume": selector})
    assert selector.currentNode() is None
    selector.setCurrentNode(second)
    assert settings.volume is second
    settings.volume = first
    assert selector.currentNode() is first
    settings.volume = None
    assert selector.currentNode() is None


def test_a_widget_that_slicer_cannot_bind_is_refused(settings):
    import qt

    with pytest.raises(RuntimeError, match="float"):
        settings.connectParametersToGui({"threshold": qt.QSpinBox()})


@louder
def test_a_button_that_is_not_checkable_is_refused(settings):
    import qt

    with pytest.raises(RuntimeError, match="invert"):
        settings.connectParametersToGui({"invert": qt.QPushButton()})  # not checkable


@louder
def test_a_widget_bound_to_no_parameter_is_an_error(settings):
    import qt

    box = qt.QCheckBox()
    box.setProperty("SlicerParameterName", "inverted")
    with pytest.raises(ValueError, match="inverted"):
        settings.connectGui(box)
