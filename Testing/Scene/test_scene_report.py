"""The HTML report from the scene: private unless asked, and the scene stays as it was."""

from __future__ import annotations

import re

import numpy as np
import pytest
import slicer

from DeepRegistrationLib.scene import report as reports
from DeepRegistrationLib.scene.landmarks import point_list_from
from DeepRegistrationLib.scene.live_landmarks import LiveLandmarks
from DeepRegistrationLib.scene.report import placed_under, write_report
from DeepRegistrationLib.scene.transforms import transform_node_from
from DeepRegistrationLib.scene.views import rendering_problem
from DeepRegistrationLib.scene.volumes import volume_node_from_image
from DeepRegistrationLib.transforms import Affine

POINTS = np.array([[5.0, -8.0, 20.0], [-12.0, 10.0, 14.0], [14.0, 12.0, 30.0]])


@pytest.fixture
def case(scene, fixed_image, moving_image, field):
    """Volumes and landmarks named after a patient, and a transform."""
    fixed = volume_node_from_image(fixed_image, scene, "Doe^John inhale")
    moving = volume_node_from_image(moving_image, scene, "Doe^John exhale")
    lists = [point_list_from(POINTS, scene, name, (0, 1, 0)) for name in ("F", "M")]
    for node in lists:
        node.SetNthControlPointLabel(0, "Doe-1")
    transform = transform_node_from(field, scene, "T")
    live = LiveLandmarks()
    live.observe(*lists, transform, moving)
    yield fixed, moving, transform, live
    live.close()


@pytest.fixture
def no_rendering(monkeypatch):
    monkeypatch.setattr(reports, "rendering_problem", lambda: "No pictures: no OpenGL.")


def page(path) -> str:
    return path.read_text(encoding="utf-8")


def test_no_name_of_the_patient_is_in_the_report(case, no_rendering, tmp_path):
    fixed, moving, transform, live = case
    notes = ["'Doe^John inhale' was taken as CT."]
    write_report(tmp_path / "r.html", *case[:3], landmarks=live.state, notes=notes)
    text = page(tmp_path / "r.html")
    assert "Doe" not in text
    assert "the fixed image was taken as CT." in text


def test_names_and_patient_are_there_when_asked_for(scene, case, no_rendering, tmp_path):
    hierarchy = slicer.vtkMRMLSubjectHierarchyNode.GetSubjectHierarchyNode(scene)
    patient = hierarchy.CreateSubjectItem(hierarchy.GetSceneItemID(), "someone")
    hierarchy.SetItemAttribute(patient, "DICOM.PatientID", "id-4711")
    study = hierarchy.CreateStudyItem(patient, "a study")
    hierarchy.SetItemAttribute(study, "DICOM.StudyDate", "20200131")
    hierarchy.CreateItem(study, case[0])
    write_report(tmp_path / "r.html", *case[:3], landmarks=case[3].state, identified=True)
    text = page(tmp_path / "r.html")
    for expected in ("Doe^John inhale", "Doe^John exhale", "id-4711", "20200131", "Doe-1"):
        assert expected in text
    write_report(tmp_path / "r.html", *case[:3], landmarks=case[3].state)
    for hidden in ("Doe", "id-4711", "20200131"):
        assert hidden not in page(tmp_path / "r.html")


def test_without_opengl_the_report_says_so(case, no_rendering, tmp_path):
    write_report(tmp_path / "r.html", *case[:3])
    assert "No pictures: no OpenGL." in page(tmp_path / "r.html")


def test_the_pictures_leave_the_scene_as_it_was(application, case, tmp_path, monkeypatch):
    monkeypatch.setattr(reports.pictures, "_PANEL", 160)  # small: the content is tested elsewhere
    if problem := rendering_problem():
        pytest.skip(problem)
    fixed, moving, transform, live = case
    jacobian = volume_node_from_image(live_jacobian(fixed), application.scene, "J")
    nodes = application.scene.GetNumberOfNodes()
    write_report(
        tmp_path / "r.html",
        fixed,
        moving,
        transform,
        landmarks=live.state,
        jacobian=jacobian,
        application=application,
    )
    assert moving.GetParentTransformNode() is None
    # the tables of two color scales stay, as with the pictures themselves
    assert application.scene.GetNumberOfNodes() == nodes + 2
    pictures = re.findall(r'<img alt="([^"]*)"', page(tmp_path / "r.html"))
    first = ["Before", "After", "Volume", "Deformation", "Errors"]
    assert [title.split()[0] for title in pictures] == first


def live_jacobian(node):
    """A map on the node's grid that is 1 everywhere."""
    from DeepRegistrationLib.image import Image
    from DeepRegistrationLib.scene.volumes import image_from_node

    image = image_from_node(node)
    return Image(image.data * 0 + 1, image.grid, "J")


def test_the_moving_volume_is_shown_under_the_transform_whatever_it_lies_under(
    scene, case, add_transform
):
    _, moving, transform, _ = case
    own = add_transform(np.diag([1.0, 1.0, 1.0, 1.0]), "own")
    earlier = transform_node_from(Affine(translation=(1, 2, 3)), scene, "earlier")
    earlier.SetAttribute("DeepRegistration.Method", "affine")
    moving.SetAndObserveTransformNodeID(own.GetID())
    own.SetAndObserveTransformNodeID(earlier.GetID())
    with placed_under(moving, transform, transform):
        assert moving.GetParentTransformNode() is own
        assert own.GetParentTransformNode() is transform
    with placed_under(moving, transform, None):
        assert own.GetParentTransformNode() is None
    assert own.GetParentTransformNode() is earlier
