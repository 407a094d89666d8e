"""slicer.parameterNodeWrapper in the host: types, ranges, defaults, files."""

import importlib
from pathlib import Path
from typing import Annotated

import pytest
import slicer
import vtk
from parameter_settings import Quality, add_parameter_node, louder, settings_class, volume


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
    return add_parameter_node(slicer_host.scene)


@pytest.fixture
def settings(renewed):
    return renewed()


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
