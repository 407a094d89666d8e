"""slicer.parameterNodeWrapper in the host: types, ranges, defaults, widgets, files."""

from __future__ import annotations

import enum
from pathlib import Path
from typing import Annotated

import numpy as np
import pytest
import slicer
import vtk
from SlicerHost.parameter_node import parameterNodeWrapper
from SlicerHost.validators import Choice, Default, Maximum, Minimum, SingleStep, WithinRange

vtkMRMLScalarVolumeNode = slicer.vtkMRMLScalarVolumeNode  # noqa: N816
vtkMRMLLabelMapVolumeNode = slicer.vtkMRMLLabelMapVolumeNode  # noqa: N816
vtkMRMLSegmentationNode = slicer.vtkMRMLSegmentationNode  # noqa: N816


class Quality(enum.Enum):
    FAST = "fast"
    BEST = "best"

    def label(self) -> str:
        return f"{self.value} quality"


@parameterNodeWrapper
class Settings:
    volume: vtkMRMLScalarVolumeNode
    mask: vtkMRMLLabelMapVolumeNode | vtkMRMLSegmentationNode | None
    threshold: Annotated[float, WithinRange(-100, 500), SingleStep(0.5)] = 100
    count: Annotated[int, Minimum(1), Maximum(9)] = 3
    invert: bool = False
    name: str = "result"
    quality: Quality
    method: Annotated[str, Choice(["optimize", "affine"]), Default("affine")]
    folder: Path
    note: str | None
    origin: tuple[float, float, float] = (1.0, 2.0, 3.0)
    names: list[str]


@pytest.fixture
def node(slicer_host):
    result = slicer.vtkMRMLScriptedModuleNode()
    result.SetSingletonTag("Settings")
    return slicer_host.scene.AddNode(result)


@pytest.fixture
def settings(node):
    return Settings(node)


def volume(name: str = "volume"):
    return slicer.util.addVolumeFromArray(np.zeros((2, 3, 4), np.int16), name=name)


def test_parameters_start_with_their_defaults_or_their_types_own(settings):
    assert settings.volume is None and settings.mask is None
    assert (settings.threshold, settings.count, settings.invert) == (100.0, 3, False)
    assert (settings.name, settings.method) == ("result", "affine")
    assert settings.quality is Quality.FAST
    assert settings.folder == Path() and settings.note is None
    assert settings.origin == (1.0, 2.0, 3.0) and settings.names == []
    assert settings.default("count") == 3


CHANGES = {
    "threshold": -12.25,
    "count": 9,
    "invert": True,
    "name": 'ä "quoted" <text>',
    "quality": Quality.BEST,
    "method": "optimize",
    "folder": Path("some/where"),
    "note": "",
    "origin": (0.1, -2.0, 1e-9),
    "names": ["a", "b c"],
}


def test_every_type_survives_a_saved_and_reloaded_scene(settings, slicer_host, tmp_path):
    for name, value in CHANGES.items():
        setattr(settings, name, value)
    settings.volume = volume("kept")
    path = str(tmp_path / "scene.mrb")
    assert slicer.util.saveScene(path)
    slicer_host.scene.Clear(0)
    slicer.util.loadScene(path)
    again = Settings(slicer_host.scene.GetSingletonNode("Settings", "vtkMRMLScriptedModuleNode"))
    assert {name: getattr(again, name) for name in CHANGES} == CHANGES
    assert again.volume.GetName() == "kept"
    assert again.volume.GetScene() is slicer_host.scene


@pytest.mark.parametrize(
    ("name", "value", "error"),
    [
        ("threshold", "12", TypeError),
        ("threshold", 500.1, ValueError),
        ("count", 2.0, TypeError),
        ("count", 0, ValueError),
        ("count", None, TypeError),
        ("invert", 1, TypeError),
        ("name", None, TypeError),
        ("quality", "fast", TypeError),
        ("method", "elastix", ValueError),
        ("folder", "some/where", TypeError),
        ("origin", (1.0, 2.0), TypeError),
        ("names", ["a", 1], TypeError),
        ("volume", "vtkMRMLScalarVolumeNode1", TypeError),
    ],
)
def test_a_wrong_value_is_refused_with_the_parameters_name(settings, name, value, error):
    before = getattr(settings, name)
    with pytest.raises(error, match=name):
        setattr(settings, name, value)
    assert getattr(settings, name) == before


def test_a_node_of_another_class_is_refused(settings, slicer_host):
    segmentation = slicer_host.scene.AddNewNodeByClass("vtkMRMLSegmentationNode")
    settings.mask = segmentation
    assert settings.mask is segmentation
    with pytest.raises(TypeError, match="volume"):
        settings.volume = segmentation


def test_a_removed_node_is_none(settings, slicer_host):
    settings.volume = volume()
    slicer_host.scene.RemoveNode(settings.volume)
    assert settings.volume is None


def test_a_misspelled_parameter_is_an_error(settings):
    with pytest.raises(AttributeError, match="treshold"):
        settings.treshold = 3


def test_a_default_outside_its_range_is_an_error():
    with pytest.raises(ValueError, match="count"):

        @parameterNodeWrapper
        class Wrong:
            count: Annotated[int, Minimum(1)] = 0


def test_observers_hear_of_every_change(settings, node):
    heard = []
    tag = settings.AddObserver(vtk.vtkCommand.ModifiedEvent, lambda *_: heard.append(1))
    settings.count = 5
    settings.volume = volume()
    assert len(heard) >= 2
    settings.RemoveObserver(tag)
    heard.clear()
    settings.count = 6
    assert heard == []


def test_a_list_changed_in_place_is_kept(settings, node):
    settings.names.append("new")
    assert Settings(node).names == ["new"]
    with pytest.raises(TypeError):
        settings.names.append(1)
    assert settings.names == ["new"]


def test_two_prefixes_share_a_node(node):
    first, second = Settings(node, prefix="first"), Settings(node, prefix="second")
    first.count, second.count = 4, 7
    assert (first.count, second.count) == (4, 7)


# Widgets


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


def test_widgets_are_bound_by_their_dynamic_property_until_disconnected(settings):
    import qt

    panel = qt.QWidget()
    box = qt.QCheckBox(panel)
    box.setProperty("SlicerParameterName", "invert")
    tag = settings.connectGui(panel)
    box.checked = True
    assert settings.invert
    settings.disconnectGui(tag)
    box.checked = False
    assert settings.invert
    settings.count = 7  # an observer left behind would write the old value back
    assert not box.checked


# Base/Python/slicer/parameterNodeWrapper/util.py, getNodeTypes
def test_connecting_a_node_selector_makes_it_offer_the_classes_of_the_annotation(settings):
    selector = slicer.qMRMLNodeComboBox()
    selector.nodeTypes = ["vtkMRMLModelNode"]
    settings.connectParametersToGui({"mask": selector})
    assert selector.nodeTypes == ("vtkMRMLLabelMapVolumeNode", "vtkMRMLSegmentationNode")


def test_an_abstract_class_of_nodes_cannot_be_connected(node):
    @parameterNodeWrapper
    class Abstract:
        anything: slicer.vtkMRMLNode

    with pytest.raises(TypeError, match="abstract"):
        Abstract(node).connectParametersToGui({"anything": slicer.qMRMLNodeComboBox()})


# guiConnectors.py, QSliderOrSpinBoxToIntConnector
def test_connecting_removes_the_bounds_that_the_annotation_does_not_give(node):
    import qt

    @parameterNodeWrapper
    class Numbers:
        free: int
        natural: Annotated[int, Minimum(0)] = 0

    boxes = {"free": qt.QSpinBox(), "natural": qt.QSpinBox()}
    Numbers(node).connectParametersToGui(boxes)
    bounds = [(box.minimum, box.maximum) for box in boxes.values()]
    assert bounds == [(-(2**31), 2**31 - 1), (0, 2**31 - 1)]


# serializers.py, UnionSerializer
def test_a_union_of_nodes_without_none_is_refused(node):
    with pytest.raises(TypeError, match="None"):

        @parameterNodeWrapper
        class Closed:
            mask: vtkMRMLLabelMapVolumeNode | vtkMRMLSegmentationNode

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

    with pytest.raises(RuntimeError, match="threshold"):
        settings.connectParametersToGui({"threshold": qt.QSpinBox()})
    with pytest.raises(RuntimeError, match="invert"):
        settings.connectParametersToGui({"invert": qt.QPushButton()})  # not checkable


def test_a_widget_bound_to_no_parameter_is_an_error(settings):
    import qt

    box = qt.QCheckBox()
    box.setProperty("SlicerParameterName", "inverted")
    with pytest.raises(ValueError, match="inverted"):
        settings.connectGui(box)
