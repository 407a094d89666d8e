"""How long *Improve here* takes, from the click to the improved deformation in the scene.

The panel runs in the stand-in for Slicer's application (see Testing/SlicerHost), with the engine's
process that it starts and keeps warm. A folder's pair is registered first; then the landmark with
the largest error is improved, press after press. The first press is not counted.

    python -m Testing.Benchmarks.press FOLDER [--presses 6]
"""

from __future__ import annotations

import argparse
import os
import re
import statistics
import sys
import time
from pathlib import Path

import numpy as np

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "Testing"))

from SlicerHost.hands import click_cell  # noqa: E402
from SlicerHost.host import Host  # noqa: E402

from DeepRegistrationLib.scene.runs.demo_data import DemoPair, folder_pair  # noqa: E402

LIMIT = 3.0
"""Seconds that a press may take on two cores."""

_PATIENCE = 600.0  # seconds
_TICKS = os.sysconf("SC_CLK_TCK")


def processor_seconds() -> float:
    """Of this process and those that it has started and that still run."""
    total, waiting = time.process_time(), _children(os.getpid())
    while waiting:
        child = waiting.pop()
        waiting += _children(child)
        fields = Path(f"/proc/{child}/stat").read_text().rsplit(")", 1)[1].split()
        total += sum(map(int, fields[11:13])) / _TICKS
    return total


def _children(process: int) -> list[int]:
    threads = Path(f"/proc/{process}/task").iterdir()
    return [int(child) for t in threads for child in (t / "children").read_text().split()]


class Session:
    """The panel with a pair and its landmarks."""

    def __init__(self, host: Host, pair: DemoPair) -> None:
        from DeepRegistrationLib.scene.landmarks.pairs import point_list_from
        from DeepRegistrationLib.scene.nodes.volumes import volume_node_from_image

        self.host = host
        self.times: list[tuple[float, float]] = []
        self.panel = host.load_module(ROOT / "DeepRegistration" / "DeepRegistration.py").panel
        from DeepRegistrationPanel.landmarks import LandmarksSection

        self.section = self.panel.section(LandmarksSection)
        for box in (self.section.ui.landmarksButton, self.section.ui.improveBox):
            box.collapsed = False
        p = self.panel.parameters
        for side, color in (("fixed", (0, 1, 0)), ("moving", (1, 0, 1))):
            image, points = getattr(pair, side), getattr(pair, f"{side}_landmarks")
            setattr(p, f"{side}Volume", volume_node_from_image(image, host.scene, side))
            setattr(p, f"{side}Landmarks", point_list_from(points, host.scene, side, color))

    def click(self, button, running) -> tuple[float, float]:
        """Press a button and wait for its end; wall and processor seconds."""
        self.host.process_events(0.3)
        wall, processor = time.perf_counter(), processor_seconds()
        self.host.click(button)
        self.host.process_events(until=lambda: not running(), timeout=_PATIENCE)
        return time.perf_counter() - wall, processor_seconds() - processor

    def register(self) -> None:
        """Register, and measure the result, as the panel does by itself."""
        from DeepRegistrationPanel.run import RunSection

        run = self.panel.section(RunSection)
        self.click(run.ui.registerButton, lambda: run.running)
        self.host.process_events(until=lambda: self.panel.measurement.complete, timeout=_PATIENCE)

    def improve(self) -> None:
        """Improve the landmark with the largest error; prints a row."""
        row = int(self.section.state.worst_first()[0])
        before = self.section.state.after
        ui, bar = self.section.ui, self.section.improvement.bar
        click_cell(ui.pointsTable, row, 1)
        seconds = self.click(ui.improveButton, lambda: bar.running)
        after = self.section.state.after
        said = re.search(r"changed by ([\d.]+) mm", ui.improveText.text)
        if said is None:
            raise RuntimeError(ui.improveText.text)
        away = np.linalg.norm(self.section.state.fixed - self.section.state.fixed[row], axis=1)
        far = np.abs(after - before)[away > self.panel.parameters.radius].max(initial=0.0)
        self.host.process_events(until=lambda: not self.panel.runner.running, timeout=_PATIENCE)
        print(
            f"{self.section.state.labels[row]:>8s} {before[row]:9.2f} {after[row]:8.2f} "
            f"{float(said[1]):11.3f} {far:11.3f} {seconds[0]:9.2f} {seconds[1]:14.2f}"
        )
        self.times.append(seconds)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", type=Path, help="two images and two landmark files")
    parser.add_argument("--presses", type=int, default=6)
    arguments = parser.parse_args()
    with Host() as host:
        session = Session(host, folder_pair(arguments.folder))
        session.register()
        print("landmark before, mm    after  outside, mm  TRE beyond   wall, s  processor, s")
        for _ in range(arguments.presses + 1):
            session.improve()
    wall, processor = (statistics.median(v) for v in zip(*session.times[1:], strict=True))
    longest = max(wall for wall, _ in session.times[1:])
    print(
        f"median {wall:.2f} s (longest {longest:.2f} s), {processor:.2f} processor seconds; "
        f"the limit is {LIMIT:g} s on two cores"
    )


if __name__ == "__main__":
    main()
