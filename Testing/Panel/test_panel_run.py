"""The Register button and what it leads to, pressed by mouse and keyboard."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
import slicer
from pairs import add_landmarks, add_pair
from PySide6.QtCore import Qt
from PySide6.QtTest import QTest
from SlicerHost.arguments import unwrap
from SlicerHost.hands import press_keys

from DeepRegistrationLib.scene.nodes.coordinates import matrix_to_numpy
from DeepRegistrationLib.scene.views.slice_views import shows

ROOT = Path(__file__).resolve().parents[2]
MODULE = ROOT / "DeepRegistration" / "DeepRegistration.py"


def press(widget) -> None:
    """A click with the left mouse button, once the layout has given the widget its place."""
    target = unwrap(widget)
    for _ in range(600):
        if target.height() > 0:
            break
        QTest.qWait(100)
    assert target.height() > 0, "it has no place on the panel"
    QTest.mouseClick(target, Qt.MouseButton.LeftButton)


def contents(scene) -> dict:
    """Nodes of the scene and what transforms them."""
    nodes = [scene.GetNthNode(k) for k in range(scene.GetNumberOfNodes())]
    return {
        node.GetID(): node.GetTransformNodeID() if node.IsA("vtkMRMLTransformableNode") else None
        for node in nodes
    }


def _without_colors(nodes: dict) -> dict:
    """Hidden color tables, which are not saved, serve all maps of a session."""
    return {key: value for key, value in nodes.items() if "Color" not in key}


def finish(host, run) -> None:
    host.process_events(until=lambda: not run.running)


def test_register_is_disabled_with_the_reason_under_it(panel, run):
    assert not run.ui.registerButton.enabled
    assert "Choose a fixed and a moving volume" in run.ui.statusText.text
    fixed, moving = add_pair(panel.parameters)
    assert run.ui.registerButton.enabled
    assert run.ui.statusText.text == ""
    panel.parameters.movingVolume = fixed
    assert not run.ui.registerButton.enabled
    assert "two different" in run.ui.statusText.text


def test_a_click_registers_and_one_more_click_undoes_it(slicer_host, panel, run):
    fixed, moving = add_pair(panel.parameters)
    add_landmarks(panel.parameters)
    panel.parameters.quality = "fast"
    before = contents(slicer.mrmlScene)
    press(run.ui.registerButton)
    assert run.ui.registerButton.text == "Cancel"
    finish(slicer_host, run)
    assert run.ui.registerButton.text == "Register"
    assert "Registered in" in run.ui.statusText.text
    assert moving.GetParentTransformNode() is panel.parameters.transform
    evaluation = panel.logic.evaluate(
        panel.parameters.transform,
        panel.parameters.fixedLandmarks,
        panel.parameters.movingLandmarks,
    )
    means = [evaluation.statistics[when]["mean"] for when in ("before", "after")]
    assert means[1] < 0.5 * means[0]
    from DeepRegistrationPanel.results import ResultsSection

    results = panel.section(ResultsSection)
    assert results.ui.jacobianButton.text == "Create"  # made when somebody wants it
    press(results.ui.inverseButton)
    finish(slicer_host, run)
    assert "mm at most" in run.ui.statusText.text
    assert results.ui.inverseButton.text == "Show"
    press(results.ui.jacobianButton)
    finish(slicer_host, run)
    made = contents(slicer.mrmlScene)
    for table in (evaluation.errorTable, evaluation.summaryTable):  # the test's own
        slicer.mrmlScene.RemoveNode(table)
    press(results.ui.undoButton)
    left = contents(slicer.mrmlScene)
    assert len(made) > len(before) + 4
    assert _without_colors(left) == _without_colors(before)
    assert moving.GetParentTransformNode() is None
    assert panel.parameters.transform is None


def test_only_views_that_show_nothing_of_the_fixed_image_move_to_it(slicer_host, panel, run):
    fixed, _ = add_pair(panel.parameters)
    panel.parameters.method = "affine"
    slicer_host.process_events(0.1)
    manager = slicer.app.layoutManager()
    lost, aside, seen = (
        manager.sliceWidget(name).sliceLogic().GetSliceNode() for name in ("Red", "Yellow", "Green")
    )
    bounds = [0.0] * 6
    fixed.GetRASBounds(bounds)
    center = [(bounds[k] + bounds[k + 1]) / 2 for k in (0, 2, 4)]
    for node in (lost, aside, seen):
        node.JumpSliceByCentering(*center)
    lost.SetSliceOffset(bounds[5] + 500.0)
    aside.SetXYZOrigin(4000.0, 0.0, 0.0)
    seen.SetSliceOffset(bounds[2] + 5.0)
    before = matrix_to_numpy(seen.GetSliceToRAS())
    assert [shows(node, fixed) for node in (lost, aside, seen)] == [False, False, True]
    press(run.ui.registerButton)
    finish(slicer_host, run)
    assert all(shows(node, fixed) for node in (lost, aside, seen))
    assert (matrix_to_numpy(seen.GetSliceToRAS()) == before).all()


def test_maps_are_made_of_a_transform_from_elsewhere(slicer_host, panel, run):
    from DeepRegistrationPanel.results import ResultsSection

    add_pair(panel.parameters)
    node = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLLinearTransformNode", "by hand")
    results = panel.section(ResultsSection)
    assert not results.ui.jacobianButton.enabled
    panel.parameters.transform = node
    assert not results.ui.inverseButton.enabled
    press(results.ui.jacobianButton)
    finish(slicer_host, run)
    made = slicer.util.arrayFromVolume(slicer.util.getNode("Jacobian, by hand"))
    assert abs(made - 1).max() < 1e-5


def test_cancel_leaves_the_scene_as_it_was(slicer_host, panel, run):
    add_pair(panel.parameters)
    panel.parameters.quality = "best"
    before = contents(slicer.mrmlScene)
    press(run.ui.registerButton)
    assert run.ui.statusText.text  # at once, before the engine says anything
    slicer_host.process_events(until=lambda: run.run.fraction > 0.05)
    press(run.ui.registerButton)
    finish(slicer_host, run)
    assert "Canceled" in run.ui.statusText.text
    assert contents(slicer.mrmlScene) == before


def interpreters(launcher: int) -> list[int]:
    """The process that PythonSlicer, which is a launcher, has started."""
    return [
        int(pid) for pid in Path(f"/proc/{launcher}/task/{launcher}/children").read_text().split()
    ]


@pytest.mark.skipif(not Path("/proc/self/task").is_dir(), reason="finds the processes in /proc")
@pytest.mark.parametrize(
    ("number", "of_launcher", "words"),
    [
        (signal.SIGSEGV, False, "stopped unexpectedly (a crash)"),
        (signal.SIGKILL, False, "most likely because memory ran out"),
        (signal.SIGSEGV, True, "stopped unexpectedly (signal 11)"),
        (signal.SIGKILL, True, "most likely because memory ran out"),
    ],
)
def test_a_killed_engine_is_told_in_one_sentence_and_the_next_run_works(
    slicer_host, panel, run, number, of_launcher, words
):
    add_pair(panel.parameters)
    panel.parameters.quality = "fast"
    before = contents(slicer.mrmlScene)
    press(run.ui.registerButton)
    slicer_host.process_events(until=lambda: run.run.fraction > 0)
    launcher = int(panel.engine._transport._process.processId())
    (interpreter,) = interpreters(launcher)
    os.kill(launcher if of_launcher else interpreter, number)
    finish(slicer_host, run)
    slicer_host.process_events(until=lambda: not Path(f"/proc/{interpreter}").exists())
    assert words in run.ui.statusText.text
    assert run.ui.detailsButton.visible
    assert contents(slicer.mrmlScene) == before
    press(run.ui.registerButton)
    finish(slicer_host, run)
    assert "Registered in" in run.ui.statusText.text


def test_closing_the_scene_during_a_run_drops_it(slicer_host, panel, run):
    add_pair(panel.parameters)
    press(run.ui.registerButton)
    slicer_host.process_events(0.2)
    slicer.mrmlScene.Clear(False)
    finish(slicer_host, run)
    assert slicer.util.getNodesByClass("vtkMRMLGridTransformNode") == []
    assert not run.ui.registerButton.enabled


def test_ctrl_r_registers(slicer_host, panel, run):
    fixed, moving = add_pair(panel.parameters)
    panel.parameters.method = "affine"
    press_keys(slicer_host.window, "Ctrl+R")
    assert run.running
    finish(slicer_host, run)
    assert moving.GetParentTransformNode().IsLinear()


def test_nothing_is_installed_unless_the_user_agrees(slicer_host, panel, run, monkeypatch):
    from DeepRegistrationPanel import installation

    missing = ["torch", "safetensors"]
    monkeypatch.setattr(installation, "missingPackages", lambda: list(missing))
    add_pair(panel.parameters)
    slicer_host.dialogs.expect("PyTorch (about", "Cancel")
    press(run.ui.registerButton)
    assert slicer_host.pip.calls == []
    assert "Nothing was installed" in run.ui.statusText.text
    slicer_host.dialogs.expect("PyTorch (about", "Ok")
    slicer_host.pip.fails = True
    if hasattr(slicer, "packaging"):  # Slicer 5.12 and later show pip's output, too
        slicer_host.dialogs.expect("Package installation failed.")
    press(run.ui.registerButton)
    assert slicer_host.pip.calls == [("install", ["torch>=2.1", "safetensors>=0.4"])]
    assert "The installation failed" in run.ui.statusText.text
    assert not run.running


def test_swap_exchanges_volumes_and_landmarks(panel):
    from DeepRegistrationPanel.inputs import InputsSection

    fixed, moving = add_pair(panel.parameters)
    add_landmarks(panel.parameters)
    points = panel.parameters.fixedLandmarks
    press(panel.section(InputsSection).ui.swapButton)
    assert panel.parameters.fixedVolume is moving
    assert panel.parameters.movingVolume is fixed
    assert panel.parameters.movingLandmarks is points


def test_choices_and_nodes_survive_saving_and_loading_the_scene(slicer_host, panel, tmp_path):
    fixed, moving = add_pair(panel.parameters)
    panel.parameters.quality = "best"
    panel.parameters.methodParameters = '{"optimize": {"smoothness": 2.5}}'
    path = str(tmp_path / "scene.mrb")
    assert slicer.mrmlScene.WriteToMRB(path)
    slicer.mrmlScene.Clear(False)
    assert panel.parameters.fixedVolume is None
    assert slicer.mrmlScene.ReadFromMRB(path)
    slicer_host.process_events(0.05)
    assert panel.parameters.fixedVolume.GetName() == "inhale"
    assert panel.parameters.movingVolume.GetName() == "exhale"
    assert panel.parameters.quality == "best"
    from DeepRegistrationPanel.advanced import AdvancedSection

    fields = panel.section(AdvancedSection)._fields
    assert fields["smoothness"].widget.value == 2.5
    assert fields["iterations"].widget.value == 1.0


def test_advanced_settings_come_from_the_methods_dataclass(panel):
    from DeepRegistrationPanel.advanced import AdvancedSection, changedParameters

    section = panel.section(AdvancedSection)
    names = ["anatomy", "smoothness", "iterations", "sliding", "segmentation"]
    assert list(section._fields) == names
    section._fields["smoothness"].widget.value = 3.0
    assert changedParameters(panel.parameters) == {"smoothness": 3.0}
    panel.parameters.method = "affine"
    assert list(section._fields) == ["degrees_of_freedom", "iterations"]
    assert changedParameters(panel.parameters) == {}
    every = {"affine": {"freedom": "rigid"}, "optimize": {"smoothness": 3.0}}
    panel.parameters.methodParameters = json.dumps(every)
    assert changedParameters(panel.parameters) == {"degrees_of_freedom": "rigid"}  # a former name
    assert section._fields["degrees_of_freedom"].widget.currentData == "rigid"
    panel.parameters.method = "optimize"
    assert section._fields["smoothness"].widget.value == 3.0
    press(section.ui.defaultsButton)
    assert changedParameters(panel.parameters) == {}


_NO_TORCH = """
import sys
sys.path[:0] = [{testing!r}, {module!r}, {panel!r}]
from SlicerHost.host import Host
with Host() as host:
    panel = host.load_module({file!r}).panel
    from DeepRegistrationPanel.run import RunSection
    import numpy as np, slicer
    for name in ("one", "two"):
        voxels = np.random.default_rng(0).normal(size=(20, 20, 20))
        slicer.util.addVolumeFromArray(voxels, name=name)
    p = panel.parameters
    p.fixedVolume, p.movingVolume = slicer.util.getNodesByClass("vtkMRMLScalarVolumeNode")
    p.method = "affine"
    assert "scipy" not in sys.modules  # an open panel does not need it
    run = panel.section(RunSection)
    run.ui.registerButton.click()
    host.process_events(until=lambda: not run.running)
    assert "Registered in" in run.ui.statusText.text, run.ui.statusText.text
    assert "torch" not in sys.modules
"""


def test_slicers_own_process_never_loads_torch():
    code = _NO_TORCH.format(
        testing=str(ROOT / "Testing"),
        module=str(MODULE.parent),
        panel=str(Path(__file__).parent),
        file=str(MODULE),
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=ROOT)
    assert done.returncode == 0, done.stderr[-2000:]
