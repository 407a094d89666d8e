"""A request on its way, from nodes to nodes, while the panel stays responsive."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import slicer

from DeepRegistrationLib.errors import RegistrationError
from DeepRegistrationLib.scene.runs.requests import EngineQuestion, SceneRequest
from DeepRegistrationLib.worker import EngineProcess, Job, State

_SLICE = 0.02  # seconds that one tick may compute


class Run:
    """Starts a request; call :meth:`tick` about every 20 ms until it has finished.

    Args:
        engine: The process; stays warm for the next run.
        request: What to do.
        on_change: Called with the run whenever something about it changed.

    Attributes:
        request: The request.
        state: WAITING (volumes are handed over), RUNNING, CANCELLING, then DONE, CANCELLED or
            FAILED. The scene changes at DONE and at no other time.
        fraction, stage: Progress in [0, 1] and what is being done.
        part: What is known of the engine's answer before it is complete, or None.
        result: When done: what the request's ``commit`` returned.
        message: One sentence for the user, when it failed or was canceled.
        kind, details: As in :class:`~DeepRegistrationLib.worker.Job`.

    Raises:
        RegistrationError: Something that the user can correct, found before any start.
    """

    def __init__(
        self,
        engine: EngineProcess,
        request: SceneRequest,
        on_change: Callable[[Run], None] | None = None,
    ) -> None:
        self.request = request
        self._engine = engine
        self._on_change = on_change
        self._work = request.work()
        self._ask: EngineQuestion | None = None
        self._job: Job | None = None
        self._answer: Any = None
        self._prepared: tuple | None = None
        self._scene_closed = False
        self.state = State.WAITING
        self.fraction = 0.0
        self.stage = request.stage
        self.part: dict[str, Any] | None = None
        self.result: Any = None
        self.message = self.kind = self.details = ""
        self._step()
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
    def computing(self) -> bool:
        """Whether the next tick goes on with something in this process."""
        waiting = self._job is not None and not self._job.finished
        return not self.finished and not waiting

    @property
    def seconds_left(self) -> float | None:
        """Estimated; None while nobody can say."""
        if self.finished or self._job is None or self._ask is None or self._ask.stage:
            return None
        return self._job.seconds_left

    def cancel(self) -> None:
        """Stop; the scene stays as it is."""
        if self.computing:
            self._cancelled()
        elif not self.finished:
            assert self._job is not None
            self._job.cancel()

    def tick(self) -> None:
        """Go on. Takes some 20 ms at most, but for the last one, which changes the scene."""
        self._engine.tick()
        if self.finished:
            return
        missing = self._missing()
        if missing is not None:
            activity = self.request.activity
            self._fail("user", f"{missing} during {activity}; its result was dropped.")
        elif self.computing:
            self._go_on()

    def _missing(self) -> str | None:
        if self._scene_closed:
            return "The scene was closed"
        node = self.request.missing()
        return None if node is None else f"{node[0].upper()}{node[1:]} was removed"

    def _on_scene_close(self, *_) -> None:
        self._scene_closed = True

    def _go_on(self) -> None:
        """Whatever goes wrong ends the run with a sentence; a bug is raised, too."""
        try:
            done = self._advance()
        except RegistrationError as error:
            self._fail("user", str(error))
        except (OSError, MemoryError) as error:
            self._fail(
                "memory", f"The results could not be added to the scene ({error}); try again."
            )
        except Exception as error:
            name, activity = type(error).__name__, self.request.activity
            self._fail("defect", f"A bug ended {activity} ({name}); nothing was changed.")
            raise
        else:
            if done:
                self.fraction = 1.0
                self._end(State.DONE)
            else:
                self._changed()

    def _advance(self) -> bool:
        """Do the steps of a tick; the last tick changes the scene. Whether it was the last."""
        if self._prepared is not None:
            self.result = self.request.commit(*self._prepared)
            return True
        end = time.monotonic() + _SLICE
        while self._step() and time.monotonic() < end:
            pass
        return False

    def _step(self) -> bool:
        """Do one step; whether another may follow at once."""
        answer, self._answer = self._answer, None
        try:
            item = self._work.send(answer)
        except StopIteration as end:
            self._prepared = end.value
            return False
        if isinstance(item, EngineQuestion):
            self._submit(item)
        elif item is not None:
            self.state, self.fraction = State.RUNNING, item
        return item is None

    def _submit(self, ask: EngineQuestion) -> None:
        if self._job is not None:
            self._job.release()
        self._ask = ask
        self._job = self._engine.submit(ask.command, ask.payload, on_change=self._on_job_change)
        self.stage = ask.stage + self._job.stage

    def _on_job_change(self, job: Job) -> None:
        if self.finished:  # dropped before the engine noticed
            return
        assert self._ask is not None
        ask = self._ask
        self.fraction = ask.begin + (ask.end - ask.begin) * job.fraction
        self.stage, self.part = ask.stage + job.stage, job.part
        if job.state is State.DONE:
            self._answer = job.result
            self.stage = ask.stage + job.stage if ask.stage else self.request.stage
        elif job.state is State.FAILED:
            self._fail(job.kind, ask.failure + job.message, job.details)
            return
        elif job.state is State.CANCELLED:
            self._cancelled()
            return
        else:
            self.state = job.state
        self._changed()

    def _cancelled(self) -> None:
        self.message = self.request.canceled(self.part)
        self._end(State.CANCELLED)

    def _fail(self, kind: str, message: str, details: str = "") -> None:
        self.kind, self.message = kind, message
        self.details = self.request.without_names(details)
        self._end(State.FAILED)

    def _end(self, state: State) -> None:
        self.state = state
        self._work.close()
        self._answer = self._prepared = None
        self.request.scene.RemoveObserver(self._observer)
        if self._job is not None and self._job.finished:
            self._job.release()
        elif self._job is not None:
            self._job.cancel()
        self._changed()

    def _changed(self) -> None:
        if self._on_change is not None:
            self._on_change(self)
