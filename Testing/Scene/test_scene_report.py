"""The HTML report from the scene: private unless asked, and the scene stays as it was."""

from __future__ import annotations

import re
from collections.abc import Generator

import numpy as np
import pytest
import slicer

from DeepRegistrationLib.reports.function_parts import VENTILATION
from DeepRegistrationLib.reports.html_comparison import comparison_page
from DeepRegistrationLib.scene.landmarks.driving import remember_unknown
from DeepRegistrationLib.scene.landmarks.live import LiveLandmarks
from DeepRegistrationLib.scene.landmarks.pairs import point_list_from
from DeepRegistrationLib.scene.nodes.function_records import remember_function
from DeepRegistrationLib.scene.nodes.transaction import reversible
from DeepRegistrationLib.scene.nodes.transforms import transform_node_from
from DeepRegistrationLib.scene.nodes.volumes import exhausted, volume_node_from_image
from DeepRegistrationLib.scene.report import page as reports
from DeepRegistrationLib.scene.report import private_scene
from DeepRegistrationLib.scene.report.identity import hashed_subject
from DeepRegistrationLib.scene.report.page import drawn_report, write_report
from DeepRegistrationLib.scene.report.page_pictures import transforms_above
from DeepRegistrationLib.scene.runs.report import Judged, ReportRequest
from DeepRegistrationLib.scene.views.offscreen_views import rendering_problem
from DeepRegistrationLib.transforms import Affine
from DeepRegistrationLib.transforms.tensors import volume_of

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


@pytest.fixture(autouse=True)
def one_moment(monkeypatch):
    """All pages of a test are of one second."""
    monkeypatch.setattr(reports, "now", lambda: "2026-01-02T03:04:05+00:00")


def page(path) -> str:
    return path.read_text(encoding="utf-8")


def test_no_name_of_the_patient_is_in_the_report(case, no_rendering, tmp_path):
    fixed, moving, transform, live = case
    notes = ["'Doe^John inhale' was taken as CT."]
    write_report(tmp_path / "r.html", *case[:3], landmarks=live.state, notes=notes)
    text = page(tmp_path / "r.html")
    assert "Doe" not in text
    assert "the fixed image was taken as CT." in text


def test_the_report_says_where_what_drove_is_not_known(case, no_rendering, tmp_path):
    for said in (False, True):
        write_report(tmp_path / "r.html", *case[:3], landmarks=case[3].state)
        assert ("damaged where it says which landmarks" in page(tmp_path / "r.html")) is said
        remember_unknown(case[2])


def test_a_comparison_has_what_was_measured_of_either_transform(scene, case, no_rendering):
    pair, row = case[:2], dict.fromkeys(("volume", "gas", "density", "relative"), 0.125)
    row |= {"name": "both lungs", "exhale_ml": 3000.0, "reliable_percent": 90.0}
    subject = exhausted(hashed_subject(*case[:3]))
    with reversible(scene) as record:
        kept = {"rows": [row], "notes": ["Look at it."]}
        remember_function(case[2], VENTILATION, subject, kept, record)
    other = transform_node_from(Affine(), scene, "other")
    contents = [exhausted(drawn_report(*pair, node)) for node in (case[2], other)]
    text = comparison_page(*contents)
    body = text.split("<h2>Ventilation</h2>")[1].split("</section>")[0]
    assert "<b>A.</b> Look at it." in body and "12.5" in body
    assert "<b>B.</b> Not measured of this transform." in body


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


@pytest.fixture
def small(monkeypatch):
    """Pictures whose content is not looked at."""
    if problem := rendering_problem():
        pytest.skip(problem)
    monkeypatch.setattr(private_scene, "PANEL", 160)


def in_steps(case, path, **options) -> Generator[float, None, None]:
    """The steps of a report that has been asked for; the last one writes it."""
    fixed, moving, transform, live = case
    judged = Judged(transform, live.state, **options)
    request = ReportRequest(fixed.GetScene(), str(path), fixed, moving, judged)
    work = request.work()
    question = next(work)
    assert question.command == "derive"
    work.send({"volume": volume_of(live_jacobian(fixed))})

    def steps():
        request.commit(*(yield from work))

    return steps()


def test_the_pictures_leave_the_scene_as_it_was(scene, case, small, tmp_path):
    steps = in_steps(case, tmp_path / "r.html")
    ids = [node.GetID() for node in nodes_of(scene)]
    changes = []
    scene.AddObserver(slicer.vtkMRMLScene.NodeAboutToBeAddedEvent, lambda *_: changes.append(1))
    times = {node.GetID(): node.GetMTime() for node in nodes_of(scene)}
    for _ in steps:
        assert {node.GetID(): node.GetMTime() for node in nodes_of(scene)} == times
    assert [node.GetID() for node in nodes_of(scene)] == ids and not changes
    assert case[1].GetParentTransformNode() is None
    pictures = re.findall(r'<img alt="([^"]*)"', page(tmp_path / "r.html"))
    first = ["Before", "After", "Volume", "Deformation", "Errors", "Largest"]
    assert [title.split()[0] for title in pictures] == first


def test_the_report_is_made_in_many_steps_with_progress(case, small, tmp_path):
    fractions = list(in_steps(case, tmp_path / "r.html"))
    assert len(fractions) > 40  # five pictures of three slices, rendered and encoded one by one
    assert fractions == sorted(fractions) and 0 < fractions[0] and fractions[-1] < 1


def test_the_file_is_there_at_the_last_step_and_not_before(case, small, tmp_path):
    target = tmp_path / "r.html"
    for _ in in_steps(case, target):
        assert not target.exists()
    assert target.exists()


def test_a_report_that_is_dropped_leaves_nothing(case, small, tmp_path):
    steps = in_steps(case, tmp_path / "r.html")
    for _ in range(30):
        next(steps)
    steps.close()
    assert list(tmp_path.iterdir()) == []


def test_the_report_is_of_the_scene_as_it_was_when_it_was_asked_for(scene, case, small, tmp_path):
    in_one_go, later = tmp_path / "a.html", tmp_path / "b.html"
    exhausted(in_steps(case, in_one_go))
    steps = in_steps(case, later)
    next(steps)
    scene.Clear(True)
    exhausted(steps)
    assert page(later) == page(in_one_go)


def test_the_picture_shows_the_map_that_the_engine_made(scene, case, small, tmp_path):
    exhausted(in_steps(case, tmp_path / "later.html"))
    fixed, moving, transform, live = case
    jacobian = volume_node_from_image(live_jacobian(fixed), scene, "J")
    options = {"landmarks": live.state, "jacobian": jacobian}
    write_report(tmp_path / "there.html", fixed, moving, transform, **options)
    assert page(tmp_path / "later.html") == page(tmp_path / "there.html")
    jacobian.GetImageData().GetPointData().GetScalars().Fill(1.0)
    write_report(tmp_path / "other.html", fixed, moving, transform, **options)
    assert page(tmp_path / "other.html") != page(tmp_path / "there.html")


def nodes_of(scene) -> list:
    return [scene.GetNthNode(k) for k in range(scene.GetNumberOfNodes())]


def live_jacobian(node):
    """A map on the node's grid that is 0.5 everywhere."""
    from DeepRegistrationLib.images.image import Image
    from DeepRegistrationLib.scene.nodes.volumes import image_from_node

    image = image_from_node(node)
    return Image(image.data * 0 + 0.5, image.grid, "J")


def test_the_moving_volume_is_shown_under_the_transform_whatever_it_lies_under(
    scene, case, add_transform
):
    _, moving, transform, _ = case
    own = add_transform(np.diag([1.0, 1.0, 1.0, 1.0]), "own")
    earlier = transform_node_from(Affine(translation=(1, 2, 3)), scene, "earlier")
    earlier.SetAttribute("DeepRegistration.Method", "affine")
    moving.SetAndObserveTransformNodeID(own.GetID())
    own.SetAndObserveTransformNodeID(earlier.GetID())
    assert transforms_above(moving, transform, transform) == [own, transform]
    assert transforms_above(moving, transform, None) == [own]
    above = add_transform(np.diag([1.0, 1.0, 1.0, 1.0]), "above")
    transform.SetAndObserveTransformNodeID(above.GetID())
    assert transforms_above(moving, transform, transform) == [own, transform, above]
