"""Cancel at every tick of a run of every kind: the scene is as before, or all is there."""

from __future__ import annotations

import numpy as np
import pytest
import slicer
from odd_runs import contents, noise_volumes

from DeepRegistrationLib.evaluation.driving_record import Drove
from DeepRegistrationLib.images.plain_data import AffineMap, RegistrationOutcome, Volume
from DeepRegistrationLib.options import Outputs
from DeepRegistrationLib.scene.nodes.transform_import import ImportRequest
from DeepRegistrationLib.scene.nodes.volumes import volume_from_node
from DeepRegistrationLib.scene.runs.derived import DerivedRequest
from DeepRegistrationLib.scene.runs.inverse import InverseRequest
from DeepRegistrationLib.scene.runs.lung_mask import LungMaskRequest
from DeepRegistrationLib.scene.runs.propagation import CopyRequest, Direction
from DeepRegistrationLib.scene.runs.quality import QualityRequest
from DeepRegistrationLib.scene.runs.request import RegistrationRequest
from DeepRegistrationLib.scene.runs.results import refer_to_pair
from DeepRegistrationLib.scene.runs.run import Run
from DeepRegistrationLib.scene.runs.samples import SampleRequest
from DeepRegistrationLib.scene.runs.sequences import SequenceRequest
from DeepRegistrationLib.scene.runs.strain import StrainRequest
from DeepRegistrationLib.scene.runs.ventilation import VentilationRequest
from DeepRegistrationLib.worker import Job, State

REGION = {
    "name": "both lungs",
    "exhale_ml": 3000.0,
    "volume": 0.1,
    "gas": 0.1,
    "density": 0.1,
    "relative": 1.0,
    "reliable_percent": 90.0,
}
SHIFT = AffineMap(np.eye(3), np.array([1.0, 2.0, 3.0]))


class QuickEngine:
    """Answers in this process: progress at one tick, a part at the next, then the answer."""

    def __init__(self, answers) -> None:
        self._answers, self._present, self._count = answers, None, 0

    def submit(self, command, payload, *, on_change):
        self._present = Job(1, command, {}, on_change=on_change)
        self._count = 0
        return self._present

    def tick(self) -> None:
        job = self._present
        if job is None or job.finished:
            return
        self._count += 1
        if job.cancel_asked_at is not None:
            job.ended(State.CANCELLED)
        elif self._count == 1:
            job.state = State.RUNNING
            job.progressed(0.5, "Shifting")
        elif self._count == 2:
            job.advanced({"pending": ["inverse consistency"]})
        else:
            job.result = self._answers[job.command]
            job.ended(State.DONE)


@pytest.fixture
def volumes(scene):
    return noise_volumes(scene)


@pytest.fixture
def engine(volumes):
    image = volume_from_node(volumes[0])
    ones = Volume(np.ones(image.grid.shape, np.float32), image.grid)
    mask = Volume(np.ones(image.grid.shape, np.uint8), image.grid)
    pair = {"fixed": image, "moving": image, "fixed_labels": mask, "moving_labels": mask}
    points = np.zeros((1, 3))
    return QuickEngine(
        {
            "register": RegistrationOutcome(
                transform=SHIFT,
                grid=image.grid,
                jacobian=ones,
                displacement=ones,
                warped=image,
                fixed_mask=mask,
                seconds={"total": 1.0},
                folding={"image": 0.0},
                provenance={"mask": "lungs"},
            ),
            "inverse": {"inverse": SHIFT, "residual_mm": {"mean": 0.0, "max": 0.0}},
            "derive": {"volume": ones},
            "imported": {
                "transform": SHIFT,
                "exchanged": False,
                "direction": "It maps fixed points.",
                "notes": [],
                "drove": Drove(labels=("Liver",)).text(),
            },
            "lungs": {"mask": mask, "failed_checks": [], "missing": ""},
            "phantom": {**pair, "fixed_landmarks": points, "moving_landmarks": points},
            "quality": {"pending": []},
            "ventilation": {"map": ones, "rows": [REGION], "notes": []},
            "strain": {
                "curves": {"radial": [0.0, 0.4], "cavity_ml": [120.0, 60.0]},
                "segments": {"radial": [0.4] * 16 + [None]},
                "labels": mask,
            },
        }
    )


def frames(scene, volumes, transform):
    sequence = scene.AddNewNodeByClass("vtkMRMLSequenceNode", "cine")
    for k, node in enumerate((*volumes, volumes[0])):
        sequence.SetDataNodeAtValue(node, str(k))
    return lambda: SequenceRequest(scene, sequence)


KINDS = {
    "registration": lambda s, v, t: (
        lambda: RegistrationRequest(s, *v, outputs=Outputs(warped=True))
    ),
    "frames": frames,
    "lungs": lambda s, v, t: lambda: LungMaskRequest(s, v[0]),
    "inverse": lambda s, v, t: lambda: InverseRequest(s, t),
    "map": lambda s, v, t: lambda: DerivedRequest(s, t, *v, "displacement"),
    "import": lambda s, v, t: lambda: ImportRequest(s, ("shift.tfm",), *v),
    "phantom": lambda s, v, t: lambda: SampleRequest(s, "thorax", {}),
    "ventilation": lambda s, v, t: lambda: VentilationRequest(s, *v, t),
    "strain": lambda s, v, t: lambda: StrainRequest(s, fixed=v[0], moving=v[1], transform=t),
    "measurement": lambda s, v, t: lambda: QualityRequest(s, *v, t),
    "copy": lambda s, v, t: lambda: CopyRequest(s, v[1], t, Direction.TO_FIXED, v[0]),
}


@pytest.fixture(params=KINDS)
def ask(request, scene, volumes, add_transform):
    transform = add_transform(np.eye(4), "truth")
    refer_to_pair(transform, *volumes)
    return KINDS[request.param](scene, volumes, transform)


def test_cancel_at_any_tick_leaves_the_scene_as_it_was(scene, engine, ask):
    before = contents(scene)
    for ticks in range(1000):
        run = Run(engine, ask())
        for _ in range(ticks):
            run.tick()
        if run.finished:
            break
        assert contents(scene) == before, "the scene changes in the last tick only"
        run.cancel()
        while not run.finished:
            run.tick()
        assert run.state is State.CANCELLED and run.message.startswith("Canceled")
        assert run.result is None and contents(scene) == before
    assert run.state is State.DONE, run.message
    assert ticks >= 2


def test_closing_the_scene_at_any_tick_ends_the_run(scene, engine, ask):
    run = Run(engine, ask())
    run.tick()
    scene.InvokeEvent(slicer.vtkMRMLScene.StartCloseEvent)
    before = contents(scene)
    run.tick()
    assert run.state is State.FAILED and run.message.startswith("The scene was closed during the")
    run.tick()
    assert contents(scene) == before and run.result is None
