"""The host runs a module written as Slicer's documentation has them, and refuses misuses."""

from __future__ import annotations

import os
import sys
import time
from pathlib import Path

import numpy as np
import pytest
import slicer
from SlicerHost.host import Host
from tiny_module import write_tiny_module


@pytest.fixture
def tiny(slicer_host, tmp_path):
    """The small module's panel, open."""
    return slicer_host.load_module(write_tiny_module(tmp_path))


def volume(name: str = "volume"):
    return slicer.util.addVolumeFromArray(np.zeros((3, 4, 5), np.int16), name=name)


# A module's life


def test_a_module_is_described_by_its_class(tiny):
    module = slicer.modules.tiny
    assert (module.name, module.title) == ("Tiny", "Tiny")
    assert module.categories == ("Examples",)
    assert slicer.util.getModule("Tiny") is module
    assert slicer.modules.TinyWidget is tiny is slicer.util.getModuleWidget("Tiny")
    assert slicer.util.getModuleLogic("Tiny") is tiny.logic
    assert Path(slicer.util.modulePath("Tiny")).name == "Tiny.py"


def test_opening_a_module_sets_it_up_and_enters_it(tiny):
    assert tiny.events == ["enter"]
    assert tiny.parent.isEntered
    assert tiny.ui.applyButton.enabled is False


def test_the_panel_works_by_mouse(tiny, slicer_host):
    node = volume()
    tiny.ui.inputSelector.setCurrentNode(node)
    assert tiny.ui.applyButton.enabled
    tiny.ui.thresholdSlider.value = 12
    slicer_host.click(tiny.ui.applyButton)
    assert slicer.util.arrayFromVolume(node).max() == 12


def test_a_disabled_button_cannot_be_clicked(tiny, slicer_host):
    with pytest.raises(AssertionError, match="applyButton"):
        slicer_host.click(tiny.ui.applyButton)


def test_closing_the_scene_starts_over(tiny, slicer_host):
    tiny.ui.inputSelector.setCurrentNode(volume())
    tiny.ui.thresholdSlider.value = 12
    slicer.mrmlScene.Clear(0)
    slicer_host.process_events()
    assert tiny._parameterNode.inputVolume is None
    assert tiny.ui.thresholdSlider.value == 100
    assert not tiny.ui.applyButton.enabled


def test_the_panel_comes_back_as_the_scene_was_saved(tiny, slicer_host, tmp_path):
    tiny.ui.inputSelector.setCurrentNode(volume("kept"))
    tiny.ui.thresholdSlider.value = 33
    slicer.util.saveScene(str(tmp_path / "scene.mrb"))
    slicer.mrmlScene.Clear(0)
    slicer.util.loadScene(str(tmp_path / "scene.mrb"))
    slicer_host.process_events()
    tiny.parent.exit()
    tiny.parent.enter()
    assert tiny.ui.thresholdSlider.value == 33
    assert tiny.ui.inputSelector.currentNode().GetName() == "kept"


def test_reloading_takes_the_class_that_is_in_the_file_now(tiny, slicer_host):
    path = Path(slicer.util.modulePath("Tiny"))
    path.write_text(path.read_text().replace('_("Compute")', '_("Compute anew")'))
    tiny.onReload()
    slicer_host.process_events()
    fresh = slicer.util.getModuleWidget("Tiny")
    assert fresh is not tiny and tiny.events[-1] == "cleanup"
    fresh.enter()
    fresh.ui.inputSelector.setCurrentNode(volume())
    assert fresh.ui.applyButton.toolTip == "Compute anew"


def test_the_self_test_runs(tiny):
    slicer.selfTests["Tiny"]()


def test_leaving_the_host_cleans_up(tmp_path):
    before = {name: sys.modules.get(name) for name in ("qt", "ctk", "slicer.modules", "Tiny")}
    path, names = os.environ["PATH"], set(vars(slicer))
    with Host() as host:
        widget = host.load_module(write_tiny_module(tmp_path))
        home = Path(slicer.app.slicerHome)
    assert widget.events == ["enter", "exit", "cleanup"]
    assert {name: sys.modules.get(name) for name in before} == before
    assert os.environ["PATH"] == path
    assert set(vars(slicer)) - names <= {"mrmlScene"}
    assert not home.exists()


def test_an_error_in_a_slot_fails_the_test(slicer_host):
    import qt

    def broken():
        raise ZeroDivisionError("in a slot")

    qt.QTimer.singleShot(0, broken)
    with pytest.raises(ZeroDivisionError):
        slicer_host.process_events(0.05)


def test_an_error_in_an_observer_fails_the_test(slicer_host):
    def broken(caller, event):
        raise ZeroDivisionError("in an observer")

    tag = slicer.mrmlScene.AddObserver(slicer.mrmlScene.EndCloseEvent, broken)
    slicer.mrmlScene.Clear(0)
    slicer.mrmlScene.RemoveObserver(tag)
    with pytest.raises(ZeroDivisionError):
        slicer_host.process_events()


# slicer.app and slicer.util


def test_the_application_says_what_slicer_says(slicer_host):
    assert (slicer.app.majorVersion, slicer.app.minorVersion) == (5, 12)
    assert slicer.app.mrmlScene() is slicer.mrmlScene
    assert slicer.app.applicationLogic().GetMRMLScene() is slicer.mrmlScene
    assert Path(slicer.app.temporaryPath).is_dir()
    assert Path(slicer.util.tempDirectory()).parent == Path(slicer.app.temporaryPath)
    slicer.app.settings().setValue("A/B", 3)
    assert int(slicer.util.settingsValue("A/B", 0, converter=int)) == 3
    assert slicer.util.mainWindow() is not None


@pytest.mark.parametrize(
    ("target", "name"),
    [
        ("slicer.app", "mainWindow"),
        ("slicer.app", "scene"),
        ("slicer.app.layoutManager()", "redSliceWidget"),
        ('slicer.app.layoutManager().sliceWidget("Red")', "sliceNode"),
        ('slicer.app.layoutManager().sliceWidget("Red").sliceView()', "resetFocalPoint"),
        ("slicer.app.moduleManager()", "loadModule"),
        ("slicer.modules.markups", "wrongName"),
        ("slicer.modules", "nothing"),
        ("slicer.util", "infoBox"),
    ],
)
def test_what_slicer_lacks_is_refused(slicer_host, target, name):
    with pytest.raises(AttributeError):
        getattr(eval(target), name)


def test_what_the_host_lacks_is_named(slicer_host):
    with pytest.raises(NotImplementedError, match="settingsDialog"):
        slicer.app.settingsDialog()


def test_a_misspelled_signal_of_the_application_is_refused(slicer_host):
    with pytest.raises(ValueError, match="layoutChange"):
        slicer.app.layoutManager().connect("layoutChange(int)", print)


def test_data_nodes_get_their_item_in_the_subject_hierarchy(slicer_host):
    node = volume()
    tree = slicer.vtkMRMLSubjectHierarchyNode.GetSubjectHierarchyNode(slicer.mrmlScene)
    item = tree.GetItemByDataNode(node)
    assert item and tree.GetItemName(item) == "volume"


def test_nothing_is_installed(slicer_host):
    slicer.util.pip_install("some-package>=1 --upgrade")
    slicer.util.pip_install(["another"])
    wanted = [("install", ["some-package>=1", "--upgrade"]), ("install", ["another"])]
    assert slicer_host.pip.calls == wanted


def test_what_a_session_has_still_to_do_ends_with_it():
    late = []

    def closing(caller, event):
        import qt

        timer.start(0)
        qt.QTimer.singleShot(0, lambda: late.append("single shot"))

    with Host() as host:
        import qt

        timer = qt.QTimer()
        timer.connect("timeout()", lambda: late.append("timer"))
        host.scene.AddObserver(host.scene.EndCloseEvent, closing)
    with Host() as host:
        host.process_events(0.05)
    assert late == []


# Dialogs


def test_dialogs_are_answered_by_the_test(slicer_host):
    slicer_host.dialogs.expect("Install", "Yes")
    slicer_host.dialogs.expect("Sure", "Cancel")
    slicer_host.dialogs.expect("Done")
    assert slicer.util.confirmYesNoDisplay("Install 200 MB?") is True
    assert slicer.util.confirmOkCancelDisplay("Sure?") is False
    slicer.util.infoDisplay("Done.")
    assert [dialog.text for dialog in slicer_host.dialogs.shown] == [
        "Install 200 MB?",
        "Sure?",
        "Done.",
    ]
    assert slicer_host.dialogs.shown[0].buttons == ("Yes", "No")


def test_a_file_is_chosen_by_the_test(slicer_host):
    import qt

    slicer_host.dialogs.expect("Save", "/somewhere/table.csv")
    path = qt.QFileDialog.getSaveFileName(slicer.util.mainWindow(), "Save table", "", "*.csv")
    assert path == "/somewhere/table.csv"


def test_an_error_is_displayed_and_goes_on(tiny, slicer_host):
    tiny.ui.inputSelector.setCurrentNode(volume())
    tiny.ui.thresholdSlider.value = 450
    slicer_host.dialogs.expect("Too high")
    with pytest.raises(ValueError, match="Too high"):
        slicer_host.click(tiny.ui.applyButton)


@pytest.mark.parametrize("expected", [[], [("Something else", "Ok")], [("Delete", "Ok")]])
def test_an_unexpected_dialog_or_answer_fails_the_test(expected):
    with pytest.raises(AssertionError, match="Delete"), Host() as host:
        for text, answer in expected:
            host.dialogs.expect(text, answer)
        slicer.util.confirmYesNoDisplay("Delete everything?")


def test_an_unexpected_dialog_fails_even_when_the_module_catches_its_error():
    with pytest.raises(AssertionError, match="Delete"), Host():
        try:
            slicer.util.errorDisplay("Delete everything?")
        except AssertionError:
            pass


def test_a_dialog_that_does_not_come_fails_the_test():
    with pytest.raises(AssertionError, match="Install"), Host() as host:
        host.dialogs.expect("Install", "Yes")


# The event loop


def test_the_longest_block_of_the_event_loop_is_measured(slicer_host):
    import qt

    done = []
    qt.QTimer.singleShot(20, lambda: (compute(0.15), done.append(True)))
    with slicer_host.longest_block() as block:
        slicer_host.process_events(until=lambda: done)
    assert 0.15 <= block.seconds < 0.3


def compute(seconds: float) -> None:
    """Keep the processor busy."""
    end = time.process_time() + seconds
    while time.process_time() < end:
        pass


def test_waiting_in_vain_fails_the_test(slicer_host):
    with pytest.raises(AssertionError, match="vain"):
        slicer_host.process_events(until=lambda: False, timeout=0.05)


def test_what_mrml_complains_about_fails_the_test():
    with pytest.raises(AssertionError, match="no-such-file"), Host():
        slicer.app.coreIOManager().loadNodes("VolumeFile", {"fileName": "no-such-file.nrrd"})
