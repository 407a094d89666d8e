"""A run as Slicer's own process starts it: the engine's process alone loads PyTorch."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np

ROOT = Path(__file__).resolve().parents[2]

PHANTOM = """
import sys, time
import numpy as np
from DeepRegistrationLib.images.geometry import Grid
from DeepRegistrationLib.images.plain_data import Volume
from DeepRegistrationLib.scene.nodes.application import Application
from DeepRegistrationLib.scene.landmarks.pairs import point_list_from
from DeepRegistrationLib.scene.logic import RegistrationLogic
from DeepRegistrationLib.scene.nodes.volumes import volume_node_from_image
from DeepRegistrationLib.worker import EngineProcess, PipeTransport
saved = np.load(sys.argv[1])
application = Application()
scene = application.scene
grid = Grid(saved["fixed"].shape[::-1], saved["spacing"], saved["origin"])
nodes = [volume_node_from_image(Volume(saved[k], grid, k), scene) for k in ("fixed", "moving")]
points = [point_list_from(saved[k], scene, k, (0, 1, 0)) for k in ("before", "after")]
transport = PipeTransport()
engine = EngineProcess(transport, root=sys.argv[2])
run = RegistrationLogic(scene).start(engine, *nodes, quality="fast", warped=True,
    inverse=True, parameters={"iterations": 0.1},
    fixedLandmarks=points[0], movingLandmarks=points[1])
while not run.finished:
    transport.pump(); run.tick(); time.sleep(0.005)
print(run.message, run.details, file=sys.stderr)
engine.close()
transport.wait(lambda: not engine.running)
statistics = run.result.landmarks.statistics
print("torch" in sys.modules, statistics["before"]["mean"], statistics["after"]["mean"])
"""


def test_slicers_process_registers_the_phantom_without_ever_loading_torch(tmp_path):
    from DeepRegistrationLib.data.phantoms import thorax

    pair = thorax((48, 40, 44), (6.5, 6.5, 6.5))
    np.savez(
        tmp_path / "pair.npz",
        fixed=pair.fixed.data.numpy(),
        moving=pair.moving.data.numpy(),
        spacing=pair.fixed.grid.spacing,
        origin=pair.fixed.grid.origin,
        before=pair.fixed_landmarks,
        after=pair.moving_landmarks,
    )
    assert pair.fixed.grid.same_as(pair.moving.grid)
    exchange = tmp_path / "exchange"
    exchange.mkdir()
    done = subprocess.run(
        [sys.executable, "-c", PHANTOM, str(tmp_path / "pair.npz"), str(exchange)],
        cwd=ROOT,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    torch_loaded, before, after = done.stdout.split()
    assert torch_loaded == "False"
    assert float(after) < 0.5 * float(before)
    assert list(exchange.iterdir()) == []
