"""A decision is kept with its transform, in the saved scene too, and holds for it alone."""

from __future__ import annotations

import numpy as np
import pytest
import slicer

from DeepRegistrationLib.errors import RegistrationError
from DeepRegistrationLib.images.plain_data import AffineMap, FieldMap
from DeepRegistrationLib.reports.identity import map_checksum, subject_checksum, voxel_checksum
from DeepRegistrationLib.scene.logic import RegistrationLogic
from DeepRegistrationLib.scene.nodes.application import Application
from DeepRegistrationLib.scene.nodes.provenance import decision_about, made_of, origin_in_words
from DeepRegistrationLib.scene.nodes.transforms import (
    set_transform,
    transform_node_from,
    vtk_transform,
)
from DeepRegistrationLib.scene.nodes.volumes import exhausted, volume_node_from_image
from DeepRegistrationLib.scene.report import page as reports
from DeepRegistrationLib.scene.report.identity import subject_of
from DeepRegistrationLib.scene.report.page import write_report
from DeepRegistrationLib.scene.runs.report import DecisionRequest
from DeepRegistrationLib.transforms.tensors import map_of


@pytest.fixture
def nodes(scene, fixed_image, moving_image, field, monkeypatch):
    monkeypatch.setattr(reports, "rendering_problem", lambda: "No pictures.")
    pair = [volume_node_from_image(image, scene) for image in (fixed_image, moving_image)]
    return *pair, transform_node_from(field, scene, "T")


def decide(nodes, choice="limits", reviewer="R. Viewer", comment="lungs only"):
    request = DecisionRequest(nodes[0].GetScene(), *nodes, choice, reviewer, comment)
    return request.commit(*exhausted(request.work()))


def subject(nodes) -> str:
    images, transform = exhausted(subject_of(*nodes).hashing())
    return subject_checksum(images["fixed"], images["moving"], transform)


def page_of(nodes, tmp_path) -> str:
    write_report(tmp_path / "r.html", *nodes)
    return (tmp_path / "r.html").read_text(encoding="utf-8")


def test_checksums_in_the_scene_are_those_of_the_files_content(nodes, fixed_image, field):
    images, transform = exhausted(subject_of(*nodes).hashing())
    assert images["fixed"].checksum == voxel_checksum(fixed_image.data.numpy())
    assert transform.checksum == map_checksum([map_of(field)])


def test_a_decision_is_kept_and_shown(nodes, tmp_path):
    decision = decide(nodes)
    assert decision_about(nodes[2]) == decision
    assert decision.holds_for(subject(nodes))
    text = page_of(nodes, tmp_path)
    assert "Accepted with limits" in text and "lungs only" in text and "R. Viewer" in text
    assert "no longer holds" not in text


@pytest.mark.parametrize("what", ["grid", "affine"])
def test_a_decision_holds_in_the_scene_that_was_saved_and_loaded(scene, nodes, what, tmp_path):
    if what == "affine":
        matrix = np.array([[1.01, 0.1, 0.0], [-0.1, 0.99, 0.02], [0.0, 0.0, 1 / 3]])
        affine = AffineMap(matrix, np.array([1 / 3, -2.0, 0.1]))
        nodes = (*nodes[:2], transform_node_from(affine, scene, "A"))
    decision = decide(nodes)
    assert scene.WriteToMRB(str(tmp_path / "s.mrb"))
    loaded = Application()
    assert loaded.scene.ReadFromMRB(str(tmp_path / "s.mrb"))
    again = [loaded.scene.GetFirstNodeByName(node.GetName()) for node in nodes]
    assert decision_about(again[2]) == decision
    assert decision.holds_for(subject(again))


@pytest.mark.parametrize("what", ["vector", "voxel", "origin", "parent", "bend"])
def test_a_decision_does_not_hold_when_anything_has_changed(scene, nodes, field, what, tmp_path):
    decision = decide(nodes)
    fixed, moving, transform = nodes
    if what == "vector":
        changed = map_of(field)
        vectors = changed.vectors.copy()
        vectors[0, 2, 3, 4] += 1e-3
        set_transform(transform, vtk_transform(FieldMap(vectors, changed.grid)))
    elif what == "voxel":
        scalars = moving.GetImageData().GetPointData().GetScalars()
        scalars.SetTuple1(77, scalars.GetTuple1(77) + 1)
    elif what == "origin":
        moving.SetOrigin(*(np.array(moving.GetOrigin()) + [0, 0, 0.1]))
    elif what == "bend":
        bent = transform_node_from(field, scene, "another deformation")
        fixed.SetAndObserveTransformNodeID(bent.GetID())
    else:
        shift = AffineMap(np.eye(3), np.array([0.0, 0.0, 5.0]))
        fixed.SetAndObserveTransformNodeID(transform_node_from(shift, scene, "table").GetID())
    assert not decision.holds_for(subject(nodes))
    assert "This decision no longer holds" in page_of(nodes, tmp_path)


def test_the_moving_volume_may_lie_under_the_transform_or_not(nodes):
    decision = decide(nodes)
    nodes[1].SetAndObserveTransformNodeID(nodes[2].GetID())
    assert decision.holds_for(subject(nodes))


def test_what_is_no_decision_is_refused_before_any_work(nodes):
    for values in (("limits", "R. Viewer", ""), ("accept", " ", ""), ("maybe", "R", "c")):
        request = DecisionRequest(nodes[0].GetScene(), *nodes, *values)
        with pytest.raises(RegistrationError):
            next(request.work())
    assert decision_about(nodes[2]) is None


def test_a_damaged_attribute_is_no_decision_and_no_origin(nodes):
    for text in ("{", "[1]", "null"):
        nodes[2].SetAttribute("DeepRegistration.Decision", text)
        nodes[2].SetAttribute("DeepRegistration.Provenance", text)
        assert decision_about(nodes[2]) is None and made_of(nodes[2]) == {}
    assert "not known" in origin_in_words(nodes[2])


def test_how_a_transform_was_made_is_kept_until_the_registration_is_undone(
    scene, fixed_image, moving_image, field, method_returning, tmp_path
):
    pair = [volume_node_from_image(image, scene) for image in (fixed_image, moving_image)]
    logic = RegistrationLogic(scene)
    method = method_returning(field)
    result = logic.register(*pair, method=method, quality="fast")
    made = made_of(result.nodes.transform)
    assert (made["method"], made["quality"]) == (method, "fast")
    assert f"method {method}, quality fast, {made['date']}" in origin_in_words(
        result.nodes.transform
    )
    second = logic.register(*pair, method=method, quality="best")
    assert second.nodes.transform is result.nodes.transform
    assert made_of(second.nodes.transform)["quality"] == "best"
    second.record.undo()
    assert made_of(second.nodes.transform) == made
    assert scene.WriteToMRB(str(tmp_path / "s.mrb"))
    loaded = Application()
    assert loaded.scene.ReadFromMRB(str(tmp_path / "s.mrb"))
    again = loaded.scene.GetFirstNodeByName(result.nodes.transform.GetName())
    assert made_of(again) == made


def test_uids_of_volumes_from_dicom_are_in_the_page(scene, nodes, tmp_path):
    hierarchy = slicer.vtkMRMLSubjectHierarchyNode.GetSubjectHierarchyNode(scene)
    patient = hierarchy.CreateSubjectItem(hierarchy.GetSceneItemID(), "someone")
    study = hierarchy.CreateStudyItem(patient, "a study")
    hierarchy.SetItemUID(study, "DICOM", "1.2.3.44")
    item = hierarchy.CreateItem(study, nodes[0])
    hierarchy.SetItemUID(item, "DICOM", "1.2.3.55")
    hierarchy.SetItemAttribute(item, "DICOM.FrameOfReferenceUID", "1.2.3.66")
    text = page_of(nodes, tmp_path)
    for uid in ("1.2.3.44", "1.2.3.55", "1.2.3.66"):
        assert f">{uid}</td>" in text
    assert text.count("not read from DICOM") == 1  # the moving one
