"""A registration in the engine's process, from nodes to nodes, while the panel stays responsive."""

from __future__ import annotations

import time
from collections.abc import Callable, Generator
from typing import Any

import slicer

from DeepRegistrationLib.errors import RegistrationError
from DeepRegistrationLib.scene.derived import DerivedRequest
from DeepRegistrationLib.scene.imported import ImportRequest
from DeepRegistrationLib.scene.inverse import InverseRequest
from DeepRegistrationLib.scene.lung_mask import LungMaskRequest
from DeepRegistrationLib.scene.request import Request
from DeepRegistrationLib.scene.samples import SampleRequest
from DeepRegistrationLib.worker import EngineProcess, Job, State

_SLICE = 0.02  # seconds that one tick may copy results


class RegistrationRun:
    """A run; made by the logic's ``start``. Call :meth:`tick` about every 20 ms.

    Attributes:
        state: WAITING (volumes are handed over), RUNNING, CANCELLING, then DONE, CANCELLED or
            FAILED. The scene changes at DONE and at no other time.
        fraction, stage: Progress in [0, 1] and what is being done.
        result: When done: what the request's ``commit`` returned.
        message: One sentence for the user, when failed.
        kind, details: As in :class:`~DeepRegistrationLib.worker.Job`.
    """

    def __init__(
        self,
        engine: EngineProcess,
        request: Request
        | InverseRequest
        | DerivedRequest
        | ImportRequest
        | LungMaskRequest
        | SampleRequest,
        on_change: Callable[[RegistrationRun], None] | None = None,
    ) -> None:
        self._engine = engine
        self._request = request
        self._on_change = on_change
        self._finishing: Generator[None, None, Any] | None = None
        self._prepared: Any = None
        self._scene_closed = False
        self.state = State.WAITING
        self.fraction = 0.0
        self.result: Any = None
        self.message = self.kind = self.details = ""
        self._job = engine.submit(request.command, request.payload(), on_change=self._on_job_change)
        self.stage = self._job.stage
        # The statistics of the results need it: loaded now, not in the tick that adds them.
        import numpy.ma  # noqa: F401

        self._observer = request.scene.AddObserver(
            slicer.vtkMRMLScene.StartCloseEvent, self._on_scene_close
        )

    @property
    def finished(self) -> bool:
        """Whether the state is final and ticks are no longer needed."""
        return self.state in (State.DONE, State.CANCELLED, State.FAILED)

    @property
    def seconds_left(self) -> float | None:
        """Estimated; None while nobody can say."""
        return None if self.finished else self._job.seconds_left

    def cancel(self) -> None:
        """Stop; the scene stays as it is."""
        if self.finished:
            return
        if self._finishing is not None:
            self._end(State.CANCELLED)
        else:
            self._job.cancel()

    def tick(self) -> None:
        """Go on. Takes some 20 ms at most, but for the last one, which changes the scene."""
        self._engine.tick()
        if self.finished:
            return
        missing = self._missing()
        if missing is not None:
            self._job.cancel()
            activity = self._request.activity
            self._fail("user", f"{missing} during {activity}; its result was dropped.")
        elif self._finishing is not None:
            self._finish()

    def _missing(self) -> str | None:
        if self._scene_closed:
            return "The scene was closed"
        node = self._request.missing()
        return None if node is None else f"{node[0].upper()}{node[1:]} was removed"

    def _on_scene_close(self, *_) -> None:
        self._scene_closed = True

    def _on_job_change(self, job: Job) -> None:
        if self.finished:  # dropped before the engine noticed
            return
        self.fraction, self.stage = 0.98 * job.fraction, job.stage
        if job.state is State.DONE:
            self.stage = "Adding the results to the scene"
            self._finishing = self._request.preparing(job.result)
        elif job.state is State.FAILED:
            self._fail(job.kind, job.message, job.details)
            return
        elif job.state is State.CANCELLED:
            self._end(State.CANCELLED)
            return
        else:
            self.state = job.state
        self._changed()

    def _finish(self) -> None:
        """Copy a part of the results; when all is there, change the scene in a tick of its own."""
        assert self._finishing is not None
        if self._prepared is not None:
            self._commit()
            return
        end = time.monotonic() + _SLICE
        try:
            while time.monotonic() < end:
                next(self._finishing)
        except StopIteration as prepared:
            self._prepared = prepared.value
        except (OSError, MemoryError) as error:
            self._fail(
                "memory", f"The results could not be added to the scene ({error}); try again."
            )

    def _commit(self) -> None:
        try:
            self.result = self._request.commit(self._prepared, self._job.result)
        except RegistrationError as error:
            self._fail("user", str(error))
            return
        self.fraction = 1.0
        self._end(State.DONE)

    def _fail(self, kind: str, message: str, details: str = "") -> None:
        self.kind, self.message = kind, message
        self.details = self._request.without_names(details)
        self._end(State.FAILED)

    def _end(self, state: State) -> None:
        self.state = state
        self._finishing = self._prepared = None
        self._request.scene.RemoveObserver(self._observer)
        if self._job.finished:
            self._job.release()
        self._changed()

    def _changed(self) -> None:
        if self._on_change is not None:
            self._on_change(self)
