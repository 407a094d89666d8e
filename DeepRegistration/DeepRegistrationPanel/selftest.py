"""The module's self-test: in a real Slicer from the Reload & Test button, and in the tests."""

import time

import slicer

from DeepRegistrationPanel.installation import missingPackages

_PATIENCE = 1800  # seconds, as a busy computer is slow


def registerPhantom(test):
    """Register a small phantom by the panel's own button; its landmark error falls below half.

    Args:
        test: The ScriptedLoadableModuleTest.
    """
    if missingPackages():
        # Not skipTest: Slicer calls runTest itself, and shows its exception as a failure.
        test.delayDisplay("Skipped: the engine's packages are not installed in this Slicer.")
        return
    from DeepRegistrationLib.data.phantoms import thorax
    from DeepRegistrationLib.scene.landmarks.pairs import point_list_from
    from DeepRegistrationLib.scene.nodes.volumes import volume_node_from_image

    pair = thorax((80, 64, 72), (4.0, 4.0, 4.0))
    scene = slicer.mrmlScene
    slicer.util.selectModule("DeepRegistration")
    panel = slicer.util.getModuleWidget("DeepRegistration").panel
    p = panel.parameters
    p.fixedVolume = volume_node_from_image(pair.fixed, scene, "inhale")
    p.movingVolume = volume_node_from_image(pair.moving, scene, "exhale")
    p.fixedLandmarks = point_list_from(pair.fixed_landmarks, scene, "inhale", (0, 1, 0))
    p.movingLandmarks = point_list_from(pair.moving_landmarks, scene, "exhale", (1, 0, 1))
    p.quality = "fast"
    panel.bar.click()
    end = time.monotonic() + _PATIENCE
    while panel.bar.running and time.monotonic() < end:
        slicer.app.processEvents()
        time.sleep(0.01)
    test.assertIsNotNone(panel.result, panel.bar.outcome.text)
    evaluation = panel.logic.evaluate(p.transform, p.fixedLandmarks, p.movingLandmarks)
    before, after = (evaluation.statistics[when]["mean"] for when in ("before", "after"))
    test.assertLess(after, 0.5 * before)
    test.delayDisplay(f"Registered: {before:.2f} mm before, {after:.2f} mm after")
