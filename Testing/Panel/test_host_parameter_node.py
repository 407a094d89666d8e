"""slicer.parameterNodeWrapper in the host: types, ranges, defaults, widgets, files."""

import enum
import importlib
import types
from pathlib import Path
from typing import Annotated, Optional, Union

import numpy as np
import pytest
import slicer
import vtk
from SlicerHost import slicer_source

vtkMRMLScalarVolumeNode = slicer.vtkMRMLScalarVolumeNode  # noqa: N816
vtkMRMLLabelMapVolumeNode = slicer.vtkMRMLLabelMapVolumeNode  # noqa: N816
vtkMRMLSegmentationNode = slicer.vtkMRMLSegmentationNode  # noqa: N816


louder = pytest.mark.skipif(
    slicer_source.folder() is not None, reason="only the stand-in refuses it; Slicer goes on"
)


class Quality(enum.Enum):
    FAST = "fast"
    BEST = "best"

    def label(self) -> str:
        return f"{self.value} quality"


def settings_class(layer: types.ModuleType) -> type:
    """A wrapper class with parameters of many types."""

    @layer.parameterNodeWrapper
    class Settings:
        volume: vtkMRMLScalarVolumeNode
        mask: Union[vtkMRMLLabelMapVolumeNode, vtkMRMLSegmentationNode, None]  # noqa: UP007
        threshold: Annotated[float, layer.WithinRange(-100, 500), layer.SingleStep(0.5)] = 100.0
        count: Annotated[int, layer.Minimum(1), layer.Maximum(9)] = 3
        invert: bool = False
        name: str = "result"
        quality: Quality
        method: Annotated[str, layer.Choice(["optimize", "affine"]), layer.Default("affine")]
        folder: Path
        note: Optional[str]  # noqa: UP045
        origin: tuple[float, float, float] = (1.0, 2.0, 3.0)
        names: list[str]

    return Settings


@pytest.fixture
def layer(slicer_host):
    """The module: the stand-in's, or Slicer's own where SLICER_SOURCE names it."""
    return importlib.import_module("slicer.parameterNodeWrapper")


@pytest.fixture
def renewed(layer, node):
    """Makes another wrapper of the node that ``settings`` wraps."""
    return lambda **options: settings_class(layer)(node, **options)


@pytest.fixture
def node(slicer_host):
    result = slicer.vtkMRMLScriptedModuleNode()
    result.SetSingletonTag("Settings")
    return slicer_host.scene.AddNode(result)


@pytest.fixture
def settings(renewed):
    return renewed()


def volume(name: str = "volume"):
    return slicer.util.addVolumeFromArray(np.zeros((2, 3, 4), np.int16), name=name)


def test_parameters_start_with_their_defaults_or_their_types_own(settings):
    assert settings.volume is None and settings.mask is None
    assert (settings.threshold, settings.count, settings.invert) == (100.0, 3, False)
    assert (settings.name, settings.method) == ("result", "affine")
    assert settings.quality is Quality.FAST
    assert settings.folder == Path() and settings.note is None
    assert settings.origin == (1.0, 2.0, 3.0) and settings.names == []
    assert settings.default("count").value == 3


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


def test_every_type_survives_a_saved_and_reloaded_scene(settings, layer, slicer_host, tmp_path):
    for name, value in CHANGES.items():
        setattr(settings, name, value)
    settings.volume = volume("kept")
    path = str(tmp_path / "scene.mrb")
    assert slicer.util.saveScene(path)
    slicer_host.scene.Clear(0)
    slicer.util.loadScene(path)
    node = slicer_host.scene.GetSingletonNode("Settings", "vtkMRMLScriptedModuleNode")
    again = settings_class(layer)(node)
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
        ("count", None, ValueError),
        ("invert", 1, TypeError),
        ("name", None, ValueError),
        ("quality", "fast", TypeError),
        ("method", "elastix", ValueError),
        ("folder", "some/where", TypeError),
        ("origin", (1.0, 2.0), ValueError),
        ("names", ["a", 1], TypeError),
        ("volume", "vtkMRMLScalarVolumeNode1", TypeError),
    ],
)
def test_a_wrong_value_is_refused(settings, name, value, error):
    before = getattr(settings, name)
    with pytest.raises(error):
        setattr(settings, name, value)
    assert getattr(settings, name) == before


def test_a_node_of_another_class_is_refused(settings, slicer_host):
    segmentation = slicer_host.scene.AddNewNodeByClass("vtkMRMLSegmentationNode")
    settings.mask = segmentation
    assert settings.mask is segmentation
    with pytest.raises(TypeError, match="vtkMRMLScalarVolumeNode"):
        settings.volume = segmentation


def test_a_removed_node_is_none(settings, slicer_host):
    settings.volume = volume()
    slicer_host.scene.RemoveNode(settings.volume)
    assert settings.volume is None


@louder
def test_a_misspelled_parameter_is_an_error(settings):
    with pytest.raises(AttributeError, match="treshold"):
        settings.treshold = 3


@louder
def test_a_default_outside_its_range_is_an_error(layer):
    with pytest.raises(ValueError, match="count"):

        @layer.parameterNodeWrapper
        class Wrong:
            count: Annotated[int, layer.Minimum(1)] = 0


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


# wrapper.py, _CachedParameterWrapper
def test_values_are_kept_until_the_node_says_that_it_was_modified(settings, node):
    before = node.StartModify()
    node.SetParameter("count", "5")
    assert settings.count == 3
    node.EndModify(before)
    assert settings.count == 5


def test_the_own_change_is_seen_at_once_and_another_wrappers_once_it_is_through(settings, renewed):
    other = renewed()
    before = settings.StartModify()
    settings.count = 7
    assert (settings.count, other.count) == (7, 3)
    settings.EndModify(before)
    assert other.count == 7


def test_an_observer_may_meet_a_removed_node_before_the_parameter_is_read_again(
    settings, slicer_host
):
    settings.volume = kept = volume()
    seen = []
    settings.AddObserver(vtk.vtkCommand.ModifiedEvent, lambda *_: seen.append(settings.volume))
    slicer_host.scene.RemoveNode(kept)
    assert seen == [kept]  # volume was observed first, and VTK calls that observer last
    assert settings.volume is None


def test_a_list_changed_in_place_is_kept(settings, renewed):
    settings.names.append("new")
    assert renewed().names == ["new"]
    with pytest.raises(TypeError):
        settings.names.append(1)
    assert settings.names == ["new"]


def test_two_prefixes_share_a_node(renewed):
    first, second = renewed(prefix="first"), renewed(prefix="second")
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
