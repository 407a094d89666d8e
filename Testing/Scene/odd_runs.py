"""Runs in a process that answers at once, or fails as a test wants it."""

from __future__ import annotations

import contextlib
import time
from pathlib import Path

import numpy as np
from scenery import centered_grid

from DeepRegistrationLib.images.plain_data import Volume
from DeepRegistrationLib.scene.nodes.volumes import volume_node_from_image
from DeepRegistrationLib.worker import EngineProcess, PipeTransport

ROOT = Path(__file__).resolve().parents[2]


class OddTransport(PipeTransport):
    """Starts the child that answers at once, or fails as the method's name says."""

    def start(self, arguments, working_directory):
        child = ROOT / "Testing" / "Engine" / "odd_child.py"
        super().start(["-u", str(child), arguments[-1]], working_directory)


def noise_volumes(scene) -> list:
    """A fixed and a moving volume, each with noise of its own."""
    grid = centered_grid((30, 20, 10), (2.0, 2.0, 3.0), (5, 6, 7), (10, 20, 30))
    random = np.random.default_rng(1)
    images = [random.normal(size=grid.shape).astype(np.float32) for _ in range(2)]
    return [
        volume_node_from_image(Volume(data, grid, name), scene)
        for data, name in zip(images, ("Jane inhale", "Jane exhale"), strict=True)
    ]


@contextlib.contextmanager
def engine_in(folder, transport):
    """An engine that exchanges files there; at its end it has left none."""
    engine = EngineProcess(transport, root=folder)
    yield engine
    engine.close()
    assert transport.wait(lambda: not engine.running)
    assert list(folder.iterdir()) == []


def wait(transport, run, until=None, seconds=600.0) -> None:
    """Do what the panel's timer does, until the run has ended."""
    end = time.monotonic() + seconds
    while not (until or (lambda: run.finished))():
        assert time.monotonic() < end, run.stage
        transport.pump()
        run.tick()
        time.sleep(0.002)


def contents(scene) -> list[tuple]:
    """Every node, with the time of its last change."""
    nodes = [scene.GetNthNode(k) for k in range(scene.GetNumberOfNodes())]
    return [(node.GetID(), node.GetName(), node.GetMTime()) for node in nodes]
