"""The DICOM registration object from the panel, read back by pydicom alone."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import pydicom
import pytest
import slicer

sys.path.append(str(Path(__file__).parents[1] / "Engine"))
import dicom_pair

from DeepRegistrationLib.images.plain_data import AffineMap, FieldMap, Volume
from DeepRegistrationLib.scene.nodes.transforms import transform_node_from
from DeepRegistrationLib.scene.nodes.volumes import volume_node_from_image

DEFORMABLE = "1.2.840.10008.5.1.4.1.1.66.3"


@pytest.fixture
def section(opened):
    from DeepRegistrationPanel.results import ResultsSection

    return opened(ResultsSection)


class Database:
    """Slicer's DICOM database as far as it is asked."""

    def __init__(self, *series) -> None:
        files = [file for made in series for file in made.folder.iterdir()]
        self._files = {str(pydicom.dcmread(file).SOPInstanceUID): str(file) for file in files}

    def fileForInstance(self, uid: str) -> str:  # noqa: N802
        return self._files.get(uid, "")


@pytest.fixture
def loaded(panel, tmp_path, monkeypatch):
    """Two series as Slicer loads them, and a field between them."""
    sides = [
        dicom_pair.series(tmp_path / name, grid)
        for name, grid in (("f", dicom_pair.FIXED), ("m", dicom_pair.MOVING))
    ]
    monkeypatch.setattr(slicer, "dicomDatabase", Database(*sides), raising=False)
    p = panel.parameters
    for side, made in zip(("fixed", "moving"), sides, strict=True):
        values = np.full(made.grid.shape, -1000, np.int16)
        node = volume_node_from_image(Volume(values, made.grid, side), slicer.mrmlScene)
        node.SetAttribute("DICOM.instanceUIDs", " ".join(made.instances))
        setattr(p, f"{side}Volume", node)
    grid = dicom_pair.FIXED
    vectors = np.random.default_rng(0).normal(0, 3, (3, *grid.shape)).astype(np.float32)
    p.transform = transform_node_from(FieldMap(vectors, grid), slicer.mrmlScene, "T")
    return sides, vectors


def save(host, panel, section, path) -> str:
    host.dialogs.expect("", str(path))
    host.process_events(0.05)
    host.click(section.ui.dicomButton)
    host.process_events(until=lambda: not panel.bar.running)
    return panel.bar.outcome.text


def test_the_object_holds_the_field_and_names_both_series(
    slicer_host, panel, section, loaded, tmp_path
):
    (fixed, moving), vectors = loaded
    path = tmp_path / "registration.dcm"
    assert save(slicer_host, panel, section, path) == f"Saved as {path}."
    found = pydicom.dcmread(path)
    assert found.SOPClassUID == DEFORMABLE
    assert (found.StudyInstanceUID, found.FrameOfReferenceUID) == (fixed.study, fixed.frame)
    (item,) = found.DeformableRegistrationSequence
    assert item.SourceFrameOfReferenceUID == moving.frame
    named = {str(r.ReferencedSOPInstanceUID) for r in item.ReferencedImageSequence}
    assert named == set(moving.instances)
    (grid,) = item.DeformableRegistrationGridSequence
    stored = np.frombuffer(grid.VectorGridData, "<f4").reshape(*dicom_pair.FIXED.shape, 3)
    assert np.array_equal(np.moveaxis(stored, -1, 0), vectors)
    assert np.allclose(grid.ImagePositionPatient, dicom_pair.FIXED.origin)


def test_volumes_that_are_not_from_dicom_have_their_sentence(
    slicer_host, panel, section, loaded, tmp_path
):
    path = tmp_path / "registration.dcm"
    panel.parameters.movingVolume.RemoveAttribute("DICOM.instanceUIDs")
    said = save(slicer_host, panel, section, path)
    assert said.startswith("The moving volume was not loaded from DICOM")
    panel.parameters.movingVolume.SetAttribute("DICOM.instanceUIDs", "1.2.3")
    assert "does not hold the series of the moving" in save(slicer_host, panel, section, path)
    assert not path.exists()


def test_a_volume_that_was_moved_is_refused(slicer_host, panel, section, loaded, tmp_path):
    path = tmp_path / "registration.dcm"
    shift = transform_node_from(
        AffineMap(np.eye(3), np.array([0.0, 0.0, 4.0])), slicer.mrmlScene, "table"
    )
    panel.parameters.fixedVolume.SetAndObserveTransformNodeID(shift.GetID())
    said = save(slicer_host, panel, section, path)
    assert "fixed image does not lie where its DICOM series does" in said
    assert not path.exists()
