"""How long the panel keeps Slicer waiting: the processor time of the longest step of each action.

The module runs in the stand-in for Slicer's application, see Testing/SlicerHost. Measured is what
the module does, and what the scene does with it at once; views are drawn later, by themselves. It
is the process's own time: what else the machine does is not in it.

    python -m Testing.Benchmarks.panel_blocks
"""

from __future__ import annotations

import argparse
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Generator
from functools import partial
from pathlib import Path

import numpy as np

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "Testing"))

from SlicerHost.host import Host  # noqa: E402

from DeepRegistrationLib.images.geometry import Grid  # noqa: E402
from DeepRegistrationLib.images.plain_data import FieldMap, RegistrationOutcome, Volume  # noqa: E402

LIMIT = 100.0
"""In ms: a longer pause is felt."""

LANDMARKS = 300


class Clock:
    """Processor time of actions, ms: of each one's longest step, a value a repetition."""

    def __init__(self) -> None:
        self.longest: dict[str, list[float]] = {}

    def one(self, name: str, action: Callable[[], object]):
        """Do what is one step; its value."""
        begin = time.process_time()
        value = action()
        self.longest.setdefault(name, []).append(1000 * (time.process_time() - begin))
        return value

    def steps(self, name: str, steps: Generator) -> None:
        """Do all steps of a generator."""
        times, ended = [], False
        while not ended:
            begin = time.process_time()
            ended = next(steps, self) is self
            times.append(1000 * (time.process_time() - begin))
        self.longest.setdefault(name, []).append(max(times))

    def print(self) -> None:
        """A line an action, the median of its repetitions, and whether it is over the limit."""
        print(f"{'':24s} longest step, ms  limit, ms")
        medians = {name: statistics.median(values) for name, values in self.longest.items()}
        for name, value in medians.items():
            over = "  over" if value > LIMIT else ""
            print(f"{name:24s} {value:16.0f} {LIMIT:10.0f}{over}")


def make_outcome(size: tuple[int, int, int]) -> RegistrationOutcome:
    """What a registration with all that can be asked for gives; the field has steps of 2 mm."""
    grid = Grid(size, (0.7, 0.7, 2.5), (-178.0, -178.0, -176.0))
    coarse = grid.with_spacing(2.0)
    wave = np.float32(3 * np.sin(np.arange(coarse.shape[0]) / 20))[:, None, None]
    field = FieldMap(np.stack([np.broadcast_to(wave, coarse.shape)] * 3), coarse)
    plane = np.random.default_rng(0).integers(-1000, 400, size[1::-1], dtype=np.int16)
    image = np.stack([np.roll(plane, z, axis=1) for z in range(size[2])])
    ones = np.ones(grid.shape, np.float32)
    return RegistrationOutcome(
        transform=field,
        grid=grid,
        jacobian=Volume(ones, grid),
        displacement=Volume(ones, grid),
        warped=Volume(image, grid),
        inverse=field,
        fixed_mask=Volume(ones.astype(np.uint8), grid),
        error_maps={key: Volume(ones, grid) for key in ("predicted", "consistency")},
        seconds={"total": 1.0},
        folding={"image": 0.0},
        provenance={"mask": "lungs", "device": "cpu", "device_reason": "as chosen"},
    )


def released(record) -> Generator[None, None, None]:
    """Release a record in the panel's steps."""
    while record.release():
        yield


class Session:
    """The panel with a pair of volumes, and what a user does in it.

    Args:
        host: The stand-in.
        outcome: What its registrations give; its warped image is also what is registered.
    """

    def __init__(self, host: Host, outcome: RegistrationOutcome) -> None:
        from DeepRegistrationLib.scene.nodes.volumes import update_volume_node, vtk_image

        self.host, self.outcome, self.clock = host, outcome, Clock()
        self.panel = host.load_module(ROOT / "DeepRegistration" / "DeepRegistration.py").panel
        image = outcome.warped
        for name in ("fixedVolume", "movingVolume"):
            node = host.scene.AddNewNodeByClass("vtkMRMLScalarVolumeNode", name)
            node.CreateDefaultDisplayNodes()
            node.GetDisplayNode().AutoWindowLevelOff()
            update_volume_node(node, vtk_image(image), image.grid)
            setattr(self.panel.parameters, name, node)
        self.settle()

    def settle(self) -> None:
        """Let views and timers do what they do later."""
        self.host.process_events(0.2)

    def register(self, name: str) -> None:
        """Put an outcome into the scene, and show it."""
        from DeepRegistrationLib.scene.runs import results
        from DeepRegistrationLib.scene.runs.request import RegistrationRequest

        p = self.panel.parameters
        request = RegistrationRequest(self.host.scene, p.fixedVolume, p.movingVolume)
        prepared = results.prepare(self.outcome)
        result = self.clock.one(name, lambda: request.commit(prepared, self.outcome))
        self.clock.one("showing the result", lambda: self.panel.registered(result))
        self.settle()

    def undo(self, name: str) -> None:
        """Take the last result back, and its memory, which the panel gives back by itself."""
        record = self.panel.result.record
        self.clock.one(name, self.panel.undoResult)
        self.clock.steps("giving back memory", released(record))
        self.settle()

    def read_field(self) -> None:
        """What a measurement hands to the engine."""
        from DeepRegistrationLib.scene.nodes.transforms import map_from_node

        field = map_from_node(self.panel.parameters.transform)
        self.clock.steps("reading the field", field.vectors.make())

    def landmarks(self) -> None:
        """Lists are chosen; points are added to them, dragged and removed."""
        import vtk
        from DeepRegistrationPanel.landmarks import LandmarksSection

        from DeepRegistrationLib.scene.landmarks.pairs import point_list_from

        self.panel.section(LandmarksSection).ui.landmarksButton.collapsed = False
        rng, p, one = np.random.default_rng(1), self.panel.parameters, self.clock.one
        points = rng.uniform(-150, 150, (LANDMARKS, 3))
        lists = [
            point_list_from(points + shift, self.host.scene, name, (0, 1, 0))
            for name, shift in (("fixed", 0.0), ("moving", rng.normal(size=points.shape)))
        ]
        p.fixedLandmarks = lists[0]
        one("choosing a list", lambda: setattr(p, "movingLandmarks", lists[1]))
        self.settle()
        for node in lists:
            add = partial(node.AddControlPoint, vtk.vtkVector3d(1, 2, 3), "new")
            one("adding a landmark", add)
            self.settle()
        one("moving a landmark", lambda: lists[1].SetNthControlPointPosition(3, 1, 2, 3))
        one("removing a landmark", lambda: lists[0].RemoveNthControlPoint(LANDMARKS // 2))
        self.settle()

    def report(self) -> None:
        """Write the report, with pictures."""
        from DeepRegistrationPanel.report import ReportSection

        section = self.panel.section(ReportSection)
        with tempfile.TemporaryDirectory() as folder:
            path = str(Path(folder) / "report.html")
            work = section.request(path).work()
            self.clock.one("starting the report", lambda: next(work))
            self.clock.steps("the report", work)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--size", type=int, nargs=3, default=(512, 512, 141))
    parser.add_argument("--repeat", type=int, default=3)
    arguments = parser.parse_args()
    outcome = make_outcome(tuple(arguments.size))
    clock = Clock()
    for _ in range(arguments.repeat):
        with Host() as host:
            session = Session(host, outcome)
            session.clock = clock
            session.register("adding a result")
            session.undo("undoing it")
            session.register("adding a result")
            session.read_field()
            session.landmarks()
            session.report()
            session.undo("undoing it, landmarks")
            session.register("adding it, landmarks")
            session.register("updating a result")
            session.undo("undoing the update")
    clock.print()


if __name__ == "__main__":
    main()
