"""4D: every frame of a sequence registered to one frame, as a sequence of transforms."""

from __future__ import annotations

import time
from collections.abc import Callable, Generator

import numpy as np
import vtk

from DeepRegistrationLib.errors import RegistrationError
from DeepRegistrationLib.options import RegistrationOptions
from DeepRegistrationLib.plain import Task, Volume
from DeepRegistrationLib.scene.space import parents_of, placement, require_node
from DeepRegistrationLib.scene.transaction import Record, reversible
from DeepRegistrationLib.scene.transforms import converting, set_transform
from DeepRegistrationLib.scene.volumes import (
    check_volume_node,
    ijk_to_lps,
    placed_volume,
    voxels_of,
)
from DeepRegistrationLib.worker import EngineProcess, Job, State

_SLICE = 0.02  # seconds that one tick may copy results


def frame_volume(sequence, frame: int, browser=None) -> Volume:
    """One frame of a sequence of volumes, where the scene shows the sequence.

    Args:
        sequence: vtkMRMLSequenceNode of scalar volumes.
        frame: Its number, from 0.
        browser: vtkMRMLSequenceBrowserNode that plays it; its proxy's parents are honored.

    Raises:
        RegistrationError: Not such a sequence, or no such frame.
    """
    require_node(sequence, "vtkMRMLSequenceNode", "the sequence")
    count = sequence.GetNumberOfDataNodes()
    if not 0 <= frame < count:
        raise RegistrationError(
            f"{sequence.GetName()!r} has {count} frames, numbered from 0; there is no frame "
            f"{frame}."
        )
    node = sequence.GetNthDataNode(frame)
    role = f"frame {frame} of {sequence.GetName()!r}"
    check_volume_node(node, role)
    proxy = None if browser is None else browser.GetProxyNode(sequence)
    to_world = vtk.vtkGeneralTransform() if proxy is None else placement(proxy)
    return placed_volume(voxels_of(node), ijk_to_lps(node), to_world, role, labels=False)


class SequenceRun:
    """Registers all frames, one after the other; used as a ``RegistrationRun``.

    Args:
        engine: The engine's process.
        scene: Where the results go.
        sequence: vtkMRMLSequenceNode of volumes.
        fixed_frame: The frame to which the others are registered.
        browser: The sequence browser node that plays it, which will play the transforms too, with
            the volume under them; or None.
        options: How to register; no output besides the transforms is made.
        on_change: Called with the run whenever something about it changed.

    Attributes:
        state, fraction, stage, message, kind, details: As in ``RegistrationRun``.
        transforms: When done, the vtkMRMLSequenceNode of transforms, with the same index values.
        record: When done; ``record.undo()`` takes the results out of the scene again.
        notes: The engine's notes, a list a frame.

    Raises:
        RegistrationError: Fewer than two frames, or a frame is no scalar volume.
    """

    def __init__(
        self,
        engine: EngineProcess,
        scene,
        sequence,
        fixed_frame: int = 0,
        *,
        browser=None,
        options: RegistrationOptions | None = None,
        on_change: Callable[[SequenceRun], None] | None = None,
    ) -> None:
        self._engine, self._scene = engine, scene
        self._sequence, self._browser = sequence, browser
        self._options = options or RegistrationOptions()
        self._on_change = on_change
        self._fixed = frame_volume(sequence, fixed_frame, browser)
        count = sequence.GetNumberOfDataNodes()
        self._todo = [frame for frame in range(count) if frame != fixed_frame]
        if not self._todo:
            raise RegistrationError(
                f"{sequence.GetName()!r} has one frame only; give a sequence of several."
            )
        for frame in self._todo:
            frame_volume(sequence, frame, browser)  # refuse early
        self._values = [sequence.GetNthIndexValue(k) for k in range(count)]
        self._found: dict[int, vtk.vtkAbstractTransform] = {fixed_frame: vtk.vtkTransform()}
        self._job: Job | None = None
        self._steps: Generator[None, None, vtk.vtkAbstractTransform] | None = None
        self.state = State.WAITING
        self.fraction = 0.0
        self.stage = "Starting the engine"
        self.message = self.kind = self.details = ""
        self.transforms = None
        self.record: Record | None = None
        self.notes: list[list[str]] = [[] for _ in range(count)]
        self._submit()

    @property
    def finished(self) -> bool:
        """Whether the state is final."""
        return self.state in (State.DONE, State.CANCELLED, State.FAILED)

    def cancel(self) -> None:
        """Stop; the scene stays as it is."""
        if self.finished:
            return
        if self._steps is not None or self._job is None:
            self._end(State.CANCELLED)
        else:
            self._job.cancel()

    def tick(self) -> None:
        """Go on; call it about every 20 ms."""
        self._engine.tick()
        if self.finished:
            return
        if not self._scene.IsNodePresent(self._sequence):
            assert self._job is not None
            self._job.cancel()
            self._fail(
                "user", "The sequence was removed during the registration; nothing was added."
            )
        elif self._steps is not None:
            self._take_over()

    def _submit(self) -> None:
        moving = frame_volume(self._sequence, self._todo[0], self._browser)
        task = Task(self._fixed, moving, self._options)
        self._job = self._engine.submit("register", {"task": task}, on_change=self._on_job_change)

    def _on_job_change(self, job: Job) -> None:
        if self.finished:
            return
        total = len(self._todo) + len(self._found) - 1
        done = len(self._found) - 1
        self.fraction = 0.99 * (done + job.fraction) / total
        self.stage = f"Frame {done + 1} of {total}: {job.stage}"
        if job.state is State.DONE:
            self._steps = converting(job.result.transform)
        elif job.state is State.FAILED:
            self._fail(job.kind, f"Frame {self._todo[0]}: {job.message}", job.details)
            return
        elif job.state is State.CANCELLED:
            self._end(State.CANCELLED)
            return
        else:
            self.state = job.state
        self._changed()

    def _take_over(self) -> None:
        """Copy a part of a frame's transform; then go on to the next frame, or finish."""
        assert self._steps is not None and self._job is not None
        end = time.monotonic() + _SLICE
        try:
            while time.monotonic() < end:
                next(self._steps)
        except StopIteration as transform:
            frame = self._todo.pop(0)
            self._found[frame] = transform.value
            self.notes[frame] = self._job.result.notes
            self._steps = None
            self._job.release()
            if self._todo:
                self._submit()
            else:
                self._commit()

    def _commit(self) -> None:
        proxy = None if self._browser is None else self._browser.GetProxyNode(self._sequence)
        volumes = [] if proxy is None else [proxy]
        with reversible(self._scene, parents=volumes) as self.record:
            self.transforms = self._transform_sequence()
            if proxy is not None:
                self.record.before_undo(self._stop_playing)
                self._play(proxy)
        self.fraction = 1.0
        self._end(State.DONE)

    def _transform_sequence(self):
        """The node; every item is of the general class, which holds affines and fields alike."""
        name = self._scene.GenerateUniqueName(f"{self._sequence.GetName()} transforms")
        result = self._scene.AddNewNodeByClass("vtkMRMLSequenceNode", name)
        result.SetIndexName(self._sequence.GetIndexName())
        result.SetIndexUnit(self._sequence.GetIndexUnit())
        result.SetIndexType(self._sequence.GetIndexType())
        item = self._scene.CreateNodeByClass("vtkMRMLTransformNode")
        item.UnRegister(None)
        for frame, value in enumerate(self._values):
            set_transform(item, self._found[frame])
            result.SetDataNodeAtValue(item, value)
        return result

    def _play(self, proxy) -> None:
        """Let the browser play the transforms, with the volume under them."""
        self._browser.AddSynchronizedSequenceNode(self.transforms)
        player = self._browser.GetProxyNode(self.transforms)
        if not parents_of(proxy):
            proxy.SetAndObserveTransformNodeID(player.GetID())

    def _stop_playing(self) -> None:
        """Else the sequences' logic would make a new proxy for the one that is removed."""
        if self._scene.IsNodePresent(self._browser) and self.transforms is not None:
            self._browser.RemoveSynchronizedSequenceNode(self.transforms.GetID())

    def _fail(self, kind: str, message: str, details: str = "") -> None:
        self.kind, self.message, self.details = kind, message, details
        self._end(State.FAILED)

    def _end(self, state: State) -> None:
        self.state = state
        self._steps = None
        if self._job is not None and self._job.finished:
            self._job.release()
        self._changed()

    def _changed(self) -> None:
        if self._on_change is not None:
            self._on_change(self)


def transform_at(transforms, frame: int):
    """The transform node of a frame, inside its sequence."""
    return transforms.GetNthDataNode(frame)


def index_values(sequence) -> np.ndarray:
    """The sequence's index values as numbers: the frame numbers where they are texts."""
    values = [sequence.GetNthIndexValue(k) for k in range(sequence.GetNumberOfDataNodes())]
    try:
        return np.array([float(value) for value in values])
    except ValueError:
        return np.arange(len(values), dtype=float)
