"""Sample data: listed for Slicer's Sample Data module, and the phantoms load without a network."""

from __future__ import annotations

import pytest
import slicer
from PySide6.QtWidgets import QApplication, QProgressDialog

from DeepRegistrationLib.scene.landmarks.pairs import landmark_pairs

SMALL = {
    "thorax": {"size": (40, 32, 36), "spacing": (8.0, 8.0, 8.0)},
    "heart": {"size": (40, 40, 6), "spacing": (4.0, 4.0, 12.0)},
}


def sources() -> dict:
    from SampleData import SampleDataLogic

    listed = SampleDataLogic.sampleDataSourcesByCategory("Deep Registration")
    return {source.sampleName: source for source in listed}


def test_samples_are_listed_with_pictures_and_checksums(panel):
    assert list(sources()) == [
        "Thorax phantom (inhale, exhale)",
        "Heart phantom (diastole, systole)",
        "Cardiac CT, 10 phases (13 MB)",
    ]
    cine = sources()["Cardiac CT, 10 phases (13 MB)"]
    assert cine.uris[0].endswith(cine.checksums[0].removeprefix("SHA256:"))
    assert cine.customDownloader is None


@pytest.mark.parametrize("name", list(SMALL))
def test_a_phantom_is_loaded_and_chosen(panel, name):
    from DeepRegistrationPanel.samples import loadPhantom

    sample = loadPhantom(panel, name, **SMALL[name])
    p = panel.parameters
    assert (p.fixedVolume, p.movingVolume) == (sample.fixed, sample.moving)
    assert tuple(sample.fixed.GetImageData().GetDimensions()) == SMALL[name]["size"]
    pairs = landmark_pairs(p.fixedLandmarks, p.movingLandmarks)
    assert len(pairs.fixed) >= 5
    names = [
        p.fixedSegmentation.GetSegmentation().GetNthSegment(k).GetName()
        for k in range(p.fixedSegmentation.GetSegmentation().GetNumberOfSegments())
    ]
    expected = {"thorax": ["Lungs"], "heart": ["Right ventricle", "Myocardium", "Left ventricle"]}
    assert names == expected[name]
    before = slicer.mrmlScene.GetNumberOfNodes()
    sample.record.undo()
    assert slicer.mrmlScene.GetNumberOfNodes() < before - 5


def test_nothing_is_installed_or_loaded_when_the_user_declines(slicer_host, panel, monkeypatch):
    from DeepRegistrationPanel import installation

    monkeypatch.setattr(installation, "missingPackages", lambda: ["torch"])
    source = sources()["Thorax phantom (inhale, exhale)"]
    slicer_host.dialogs.expect("PyTorch (about", "Cancel")
    slicer_host.dialogs.expect("Nothing was installed", "Ok")
    assert source.customDownloader(source) == []
    assert slicer_host.pip.calls == []
    assert panel.parameters.fixedVolume is None


def test_cancel_in_the_progress_dialog_leaves_the_scene_as_it_was(slicer_host, panel, monkeypatch):
    from DeepRegistrationPanel import runner

    before = slicer.mrmlScene.GetNumberOfNodes()
    source = sources()["Thorax phantom (inhale, exhale)"]

    def cancel_soon(_seconds):
        for widget in QApplication.topLevelWidgets():
            if isinstance(widget, QProgressDialog) and widget.value() > 0:
                widget.cancel()

    monkeypatch.setattr(runner.time, "sleep", cancel_soon)
    assert source.customDownloader(source) == []
    assert slicer.mrmlScene.GetNumberOfNodes() == before
