"""What a user does with the panel, through nothing but Slicer's own API: for run.py.

The stand-in's tests run the same checks (Testing/Panel/test_slicer_checks.py).
"""

import tempfile
import time
import unittest
from pathlib import Path

import numpy as np
import qt
import slicer

_PATIENCE = 1800  # seconds


def wait_for(condition):
    """Let the event loop run until something holds.

    Raises:
        AssertionError: It did not within half an hour.
    """
    end = time.monotonic() + _PATIENCE
    while not condition():
        assert time.monotonic() < end, "waited in vain"
        slicer.app.processEvents()
        time.sleep(0.01)


def add_volumes():
    """Two noisy volumes of 40 x 36 x 32 voxels, one 2 mm beside the other."""
    values = np.random.default_rng(0).normal(size=(32, 36, 40))
    for _ in range(8):  # smooth enough to be registered
        values = sum(np.roll(values, step, axis) for axis in range(3) for step in (-1, 0, 1)) / 9
    values = np.round(1000 * values / np.abs(values).max()).astype(np.int16)
    nodes = [slicer.util.addVolumeFromArray(values, name=name) for name in ("one", "two")]
    nodes[1].SetOrigin(2.0, 0.0, 0.0)
    return nodes


class PanelChecks(unittest.TestCase):
    """Each begins with an empty scene and the open module."""

    def setUp(self):
        slicer.mrmlScene.Clear(0)
        slicer.util.selectModule("DeepRegistration")
        slicer.app.processEvents()

    @property
    def panel(self):
        return slicer.util.getModuleWidget("DeepRegistration").panel

    def section(self, name):
        """A section by the name of its .ui file."""
        return next(s for s in self.panel.sections if s.uiName == name)

    def choose(self):
        """Two volumes, chosen, and the affine method."""
        parameters = self.panel.parameters
        parameters.fixedVolume, parameters.movingVolume = nodes = add_volumes()
        parameters.method = "affine"
        return nodes

    def skip_without_packages(self):
        from DeepRegistrationPanel.installation import missingPackages

        if missingPackages():
            self.skipTest(f"not installed in this Slicer: {', '.join(missingPackages())}")

    def test_the_self_test(self):
        self.skip_without_packages()
        slicer.selfTests["DeepRegistration"]()

    def test_every_selector_reaches_its_parameter_and_can_be_emptied(self):
        found = 0
        for section in self.panel.sections:
            for widget in vars(section.ui).values():
                name = widget.property("SlicerParameterName")
                if not name or not widget.inherits("qMRMLNodeComboBox"):
                    continue
                for kind in widget.nodeTypes:
                    node = slicer.mrmlScene.AddNewNodeByClass(kind)
                    widget.setCurrentNode(node)
                    self.assertIs(getattr(self.panel.parameters, name), node, name)
                    widget.setCurrentNode(None)
                    self.assertIsNone(getattr(self.panel.parameters, name), name)
                    found += 1
        self.assertGreater(found, 10)

    def test_a_removed_volume_leaves_its_selector_empty(self):
        one, two = self.choose()
        slicer.mrmlScene.RemoveNode(two)
        slicer.app.processEvents()
        self.assertIs(self.panel.parameters.fixedVolume, one)
        self.assertIsNone(self.panel.parameters.movingVolume)

    def test_a_click_registers_and_another_undoes_it(self):
        self.skip_without_packages()
        one, two = self.choose()
        run, results = self.section("Run"), self.section("Results")
        before = slicer.mrmlScene.GetNumberOfNodes()
        run.ui.registerButton.click()
        self.assertTrue(run.running, run.ui.statusText.text)
        wait_for(lambda: not run.running)
        self.assertIsNotNone(self.panel.result, run.ui.statusText.text)
        found = slicer.util.arrayFromTransformMatrix(self.panel.parameters.transform, toWorld=True)
        self.assertLess(abs(abs(found[0, 3]) - 2.0), 0.3)
        results.ui.undoButton.click()
        self.assertEqual(slicer.mrmlScene.GetNumberOfNodes(), before)

    def test_choices_come_back_with_a_saved_scene(self):
        self.choose()
        with tempfile.TemporaryDirectory() as folder:
            path = str(Path(folder) / "scene.mrb")
            self.assertTrue(slicer.util.saveScene(path))
            slicer.mrmlScene.Clear(0)
            slicer.util.loadScene(path)
        slicer.app.processEvents()
        parameters = self.panel.parameters
        self.assertEqual(parameters.method, "affine")
        names = [node.GetName() for node in (parameters.fixedVolume, parameters.movingVolume)]
        self.assertEqual(names, ["one", "two"])

    def test_reloading_keeps_choices_and_the_open_panel(self):
        one, two = self.choose()
        old = self.panel
        slicer.util.getModuleWidget("DeepRegistration").onReload()
        self.assertIsNot(self.panel, old)
        self.assertIs(self.panel.parameters.fixedVolume, one)
        wait_for(lambda: self.section("Inspection").ui.blendButton.enabled)

    def test_side_by_side_has_its_views_and_goes_back(self):
        self.choose()
        node = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLLinearTransformNode")
        self.panel.parameters.transform = node
        inspection = self.section("Inspection")
        inspection.ui.inspectionButton.collapsed = False
        wait_for(lambda: inspection.ui.linkedButton.enabled)
        manager = slicer.app.layoutManager()
        before = manager.layout
        inspection.ui.linkedButton.click()
        slicer.app.processEvents()
        self.assertIn("MovingAxial", manager.sliceViewNames())
        inspection.ui.fourUpButton.click()
        self.assertEqual(manager.layout, before)

    def test_the_panel_can_be_drawn(self):
        pixels = self.section("Inputs").widget.grab()
        self.assertIsInstance(pixels, qt.QPixmap)
        self.assertGreater(pixels.width(), 100)
