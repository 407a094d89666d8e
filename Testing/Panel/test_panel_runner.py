"""What the panel starts: every kind is canceled, fails, loses its scene, and Slicer quits."""

from __future__ import annotations

import re
from dataclasses import replace

import pytest
import slicer
from pairs import add_landmarks, add_pair, add_true_transform, contents, phantom

from DeepRegistrationLib.errors import RegistrationError
from DeepRegistrationLib.options import RegistrationOptions
from DeepRegistrationLib.scene.landmarks.driving import ids_of
from DeepRegistrationLib.scene.landmarks.state import LandmarkState
from DeepRegistrationLib.scene.nodes.coordinates import flipped
from DeepRegistrationLib.scene.nodes.transform_import import ImportRequest
from DeepRegistrationLib.scene.runs.derived import DerivedRequest
from DeepRegistrationLib.scene.runs.improvement import ImprovementRequest
from DeepRegistrationLib.scene.runs.inverse import InverseRequest
from DeepRegistrationLib.scene.runs.left_out import LeftOutRequest
from DeepRegistrationLib.scene.runs.lung_mask import LungMaskRequest
from DeepRegistrationLib.scene.runs.places import PlacesRequest
from DeepRegistrationLib.scene.runs.propagation import CopyRequest, Direction
from DeepRegistrationLib.scene.runs.quality import QualityRequest
from DeepRegistrationLib.scene.runs.report import Judged, ReportRequest
from DeepRegistrationLib.scene.runs.request import RegistrationRequest
from DeepRegistrationLib.scene.runs.results import refer_to_pair
from DeepRegistrationLib.scene.runs.samples import SampleRequest
from DeepRegistrationLib.scene.runs.sequences import SequenceRequest
from DeepRegistrationLib.scene.runs.ventilation import VentilationRequest
from DeepRegistrationLib.transforms import Affine, write_transform
from DeepRegistrationLib.worker import State

BEST = RegistrationOptions(quality="best")


@pytest.fixture
def panel(widget):
    fill(widget.panel)
    return widget.panel


def fill(panel) -> None:
    """Everything that any kind of request needs."""
    p = panel.parameters
    add_pair(p)
    add_landmarks(p)
    refer_to_pair(add_true_transform(p), p.fixedVolume, p.movingVolume)
    sequence = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLSequenceNode", "breathing")
    for k, node in enumerate((p.fixedVolume, p.movingVolume, p.fixedVolume)):
        sequence.SetDataNodeAtValue(node, str(k))
    p.sequence = sequence


def the_import(scene, p, folder):
    path = folder / "shift.tfm"
    write_transform(Affine(translation=(1.0, 2.0, 3.0)), path)
    return ImportRequest(scene, (str(path),), p.fixedVolume, p.movingVolume)


def the_report(scene, p, folder):
    judged = Judged(p.transform, LandmarkState())
    path = str(folder / "report.html")
    return ReportRequest(scene, path, p.fixedVolume, p.movingVolume, judged)


def the_improvement(scene, p, _folder, kind=ImprovementRequest, **more):
    rows, lists = [3, 8], (p.fixedLandmarks, p.movingLandmarks)
    pair = phantom()
    ends = (flipped(pair.fixed_landmarks[rows]), flipped(pair.moving_landmarks[rows]))
    nodes = (p.transform, p.fixedVolume, p.movingVolume)
    names = ids_of(lists, [(row, row) for row in rows])
    return kind(scene, *nodes, ["4", "9"], *ends, lists=lists, ids=names, **more)


KINDS = {
    "registration": lambda s, p, _: RegistrationRequest(s, p.fixedVolume, p.movingVolume, BEST),
    "frames": lambda s, p, _: SequenceRequest(s, p.sequence, options=BEST),
    "lungs": lambda s, p, _: LungMaskRequest(s, p.fixedVolume),
    "inverse": lambda s, p, _: InverseRequest(s, p.transform),
    "map": lambda s, p, _: DerivedRequest(
        s, p.transform, p.fixedVolume, p.movingVolume, "jacobian"
    ),
    "import": the_import,
    "phantom": lambda s, p, _: SampleRequest(s, "heart", {}),
    "measurement": lambda s, p, _: QualityRequest(s, p.fixedVolume, p.movingVolume, p.transform),
    "report": the_report,
    "improvement": the_improvement,
    "leave one out": lambda s, p, f: the_improvement(
        s, p, f, LeftOutRequest, startNode=p.transform
    ),
    "places": lambda s, p, _: PlacesRequest(s, p.fixedVolume, p.movingVolume, p.transform),
    "ventilation": lambda s, p, _: VentilationRequest(
        s, p.fixedVolume, p.movingVolume, p.transform
    ),
    "copy": lambda s, p, _: CopyRequest(
        s, p.movingVolume, p.transform, Direction.TO_FIXED, p.fixedVolume
    ),
}
"""What the panel starts: from the scene, the parameters and a folder, a request."""


def is_a_sentence(text: str) -> bool:
    return bool(re.fullmatch(r"[A-Z][^\n]*\.", text)) and "Traceback" not in text


def begin(host, panel, request):
    """Start it, and wait until it is under way."""
    seen = []
    run = panel.runner.start(request, lambda run: seen.append((run.state, run.fraction)))
    host.process_events(until=lambda: run.fraction > 0 or run.finished)
    assert not run.finished, run.message
    return run


def end(host, panel, run) -> None:
    host.process_events(until=lambda: run.finished and not panel.engine.busy)


@pytest.fixture(params=KINDS)
def ask(request, slicer_host, panel, tmp_path):
    """Make a request of each kind."""
    if request.param == "report" and slicer_host.rendering_problem:
        pytest.skip(slicer_host.rendering_problem)
    target = tmp_path / "made"
    target.mkdir()
    return lambda: KINDS[request.param](slicer.mrmlScene, panel.parameters, target)


def test_every_kind_can_be_canceled_fail_and_lose_its_scene(
    slicer_host, panel, ask, tmp_path, monkeypatch
):
    made = tmp_path / "made"
    first = ask()
    before, files = contents(), list(made.iterdir())

    run = panel.runner.start(first)  # canceled before it is under way
    run.cancel()
    end(slicer_host, panel, run)
    assert run.state is State.CANCELLED and is_a_sentence(run.message)
    assert not panel.runner.running and contents() == before

    run = begin(slicer_host, panel, first)  # canceled in the middle
    run.cancel()
    end(slicer_host, panel, run)
    assert run.state is State.CANCELLED and is_a_sentence(run.message)
    assert contents() == before and list(made.iterdir()) == files

    with monkeypatch.context() as patch:
        if first.uses_engine:  # the process dies, before it was asked: it might be quick to answer
            patch.setattr(panel.engine._transport, "write", lambda _data: None)
            run = panel.runner.start(first)
            panel.engine._transport.kill()
        else:
            patch.setattr(type(first), "commit", refuse)
            run = panel.runner.start(first)
        end(slicer_host, panel, run)
    assert run.state is State.FAILED and is_a_sentence(run.message), run.message
    assert contents() == before and list(made.iterdir()) == files

    run = begin(slicer_host, panel, first)
    slicer.mrmlScene.Clear(False)
    empty = contents()
    assert not panel.runner.running  # whoever comes next need not wait
    end(slicer_host, panel, run)
    assert run.state is State.CANCELLED
    assert contents() == empty and list(made.iterdir()) == files


def refuse(*_):
    raise RegistrationError("The disk is full.")


@pytest.mark.parametrize("kind", ["registration", "frames", "report"])
def test_slicer_can_quit_in_the_middle_and_leaves_no_process(slicer_host, panel, tmp_path, kind):
    if kind == "report" and slicer_host.rendering_problem:
        pytest.skip(slicer_host.rendering_problem)
    run = begin(slicer_host, panel, KINDS[kind](slicer.mrmlScene, panel.parameters, tmp_path))
    process = panel.engine._transport._process
    before = contents()
    panel.close()
    assert run.finished and not panel.engine.running
    if process is not None:
        assert process.state() == 0  # not running
    assert not panel.runner._timer.active
    slicer_host.process_events(0.3)
    assert contents() == before


def test_a_node_removed_in_the_middle_is_said(slicer_host, panel, tmp_path):
    for kind, node, words in (
        ("registration", "movingVolume", "The moving volume 'exhale' was removed during"),
        ("frames", "sequence", "The sequence 'breathing' was removed during the registration of"),
    ):
        run = begin(slicer_host, panel, KINDS[kind](slicer.mrmlScene, panel.parameters, tmp_path))
        slicer.mrmlScene.RemoveNode(getattr(panel.parameters, node))
        end(slicer_host, panel, run)
        assert run.state is State.FAILED and run.message.startswith(words)
        slicer.mrmlScene.Clear(False)
        fill(panel)


def test_a_run_goes_on_while_another_module_is_shown(slicer_host, panel):
    p = panel.parameters
    affine = RegistrationOptions(method="affine")
    request = RegistrationRequest(slicer.mrmlScene, p.fixedVolume, p.movingVolume, affine)
    run = panel.runner.start(request)
    panel.exit()
    end(slicer_host, panel, run)
    assert run.state is State.DONE
    assert p.movingVolume.GetParentTransformNode() is run.result.nodes.transform


def test_a_second_change_of_the_scene_is_refused_and_a_report_is_not(slicer_host, panel, tmp_path):
    def start(kind, **changed):
        request = KINDS[kind](slicer.mrmlScene, panel.parameters, tmp_path)
        return panel.runner.start(replace(request, **changed))

    first = start("registration")
    for kind in ("registration", "frames", "lungs", "import", "measurement", "copy"):
        with pytest.raises(RegistrationError, match="The registration is under way; wait until"):
            start(kind)
    if not slicer_host.rendering_problem:
        with pytest.raises(RegistrationError, match="The registration is under way; wait until"):
            start("report")  # its Jacobian map has yet to be made
        report = start("report", no_map="There is no map.")
        slicer_host.process_events(until=lambda: report.finished)
        assert report.state is State.DONE
    assert not first.finished
    first.cancel()
    end(slicer_host, panel, first)


def test_what_is_started_during_a_measurement_waits_for_its_turn(slicer_host, panel, tmp_path):
    runs = [
        panel.runner.start(KINDS[kind](slicer.mrmlScene, panel.parameters, tmp_path))
        for kind in ("measurement", "map")
    ]
    assert runs[1].stage == "Waiting for the current computation to finish"
    order = []
    slicer_host.process_events(
        until=lambda: (
            order.extend(k for k, run in enumerate(runs) if run.finished and k not in order)
            or len(order) == 2
        ),
        timeout=120,
    )
    assert order == [0, 1]
    assert [run.state for run in runs] == [State.DONE, State.DONE]


def test_a_bug_ends_the_run_with_a_sentence_and_is_not_hidden(
    slicer_host, panel, tmp_path, monkeypatch
):
    request = KINDS["copy"](slicer.mrmlScene, panel.parameters, tmp_path)
    before = contents()

    def defect(*_):
        slicer.mrmlScene.AddNewNodeByClass("vtkMRMLTextNode")
        raise ZeroDivisionError

    monkeypatch.setattr("DeepRegistrationLib.scene.runs.propagation.update_volume_node", defect)
    run = panel.runner.start(request)
    with pytest.raises(ZeroDivisionError):
        end(slicer_host, panel, run)
    assert run.state is State.FAILED and contents() == before
    assert run.message == "A bug ended the copying (ZeroDivisionError); nothing was changed."
    assert not panel.runner.running
