"""The lungs' regions over all phases of a 4D-CT, as a table and a plot."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from DeepRegistrationLib.function.trust import no_breath, phase_trust
from DeepRegistrationLib.images.plain_data import Volume
from DeepRegistrationLib.options import RegistrationOptions
from DeepRegistrationLib.registration.series_notes import series_notes
from DeepRegistrationLib.scene.nodes.curves import add_chart, add_table
from DeepRegistrationLib.scene.nodes.transaction import Record, reversible
from DeepRegistrationLib.scene.runs.requests import EngineQuestion, SceneRequest, Work
from DeepRegistrationLib.scene.runs.sequences import frame_times, frame_volume

_SEARCH = 0.15  # of the progress: the lungs of every phase


@dataclass(frozen=True, eq=False)
class BreathResult:
    """A breath in the scene.

    Attributes:
        table: A row a phase: change of each region's volume since exhale in percent, the lungs in
            ml, and how much of them is reliable.
        chart: Plot of the changes over time.
        rows: For the lungs and each region its name, ``exhale_ml``, its largest ``volume`` change
            as a share, and the ``phase`` of that, from 1.
        notes: Sentences about what was found, and what can be trusted.
        registration_notes: Sentences about the phases' registrations.
        record: ``record.undo()`` takes table and plot back.
    """

    table: Any
    chart: Any
    rows: list[dict[str, Any]]
    notes: list[str]
    registration_notes: list[str]
    record: Record


@dataclass(frozen=True, eq=False)
class BreathRequest(SceneRequest):
    """A 4D-CT whose phases are registered to exhale, one after the other.

    Attributes:
        scene: Where the results go.
        sequence: vtkMRMLSequenceNode of chest CTs.
        browser: The sequence browser node that plays it, or None.
        options: How to register.
    """

    scene: Any
    sequence: Any
    browser: Any = None
    options: RegistrationOptions = RegistrationOptions()

    activity: ClassVar[str] = "the measurement of the ventilation"

    def work(self) -> Work:
        """Look for exhale, then ask for one phase after the other.

        Returns:
            Exhale's number, from 0, the volumes by region and phase, the reliable percentages, the
            doubts about the lungs there, and what was said of the registrations.

        Raises:
            RegistrationError: A phase is no scalar volume.
        """
        count = self.sequence.GetNumberOfDataNodes()
        for k in range(count):
            self._phase(k)  # refuse early
        smallest, exhale, lungs, doubts = np.inf, 0, None, []
        for k in range(count):
            answer = yield EngineQuestion(
                "lungs",
                {"image": self._phase(k)},
                begin=_SEARCH * k / count,
                end=_SEARCH * (k + 1) / count,
                stage=f"Phase {k + 1} of {count}: ",
                failure=f"Phase {k + 1}: ",
            )
            mask = answer["mask"]
            size = np.count_nonzero(mask.data) * float(np.prod(mask.grid.spacing))
            if size < smallest:
                smallest, exhale, doubts = size, k, answer["failed_checks"]
                lungs = Volume(np.array(mask.data), mask.grid, mask.name)
        volumes: dict[str, np.ndarray] = {}
        reliable = np.full(count, 100.0)
        said: dict[int, list[str]] = {}
        others = [k for k in range(count) if k != exhale]
        share = (0.99 - _SEARCH) / len(others)
        for done, k in enumerate(others):
            answer = yield EngineQuestion(
                "phase",
                {
                    "reference": self._phase(exhale),
                    "phase": self._phase(k),
                    "lungs": lungs,
                    "options": self.options,
                },
                begin=_SEARCH + share * done,
                end=_SEARCH + share * (done + 1),
                stage=f"Phase {k + 1} of {count}: ",
                failure=f"Phase {k + 1}: ",
            )
            for name, (there, here) in answer["ml"].items():
                volumes.setdefault(name, np.full(count, float(there)))[k] = here
            reliable[k] = answer["reliable_percent"]
            said[k + 1] = answer["notes"]
        return exhale, volumes, reliable, doubts, series_notes("phase", said)

    def commit(
        self,
        exhale: int,
        volumes: dict[str, np.ndarray],
        reliable: np.ndarray,
        doubts: list[str],
        said: list[str],
    ) -> BreathResult:
        """Add table and plot."""
        name = f"Ventilation, {self.sequence.GetName()}"
        time, values = frame_times(self.sequence)
        changes = {region: ml / ml[exhale] - 1 for region, ml in volumes.items()}
        curves = {f"{region}, %": (100 * change).tolist() for region, change in changes.items()}
        columns = {
            time: values,
            **curves,
            "lungs, ml": volumes["lungs"].tolist(),
            "reliable, %": reliable.tolist(),
        }
        with reversible(self.scene) as record:
            table = add_table(self.scene, f"{name}, curves", columns)
            titles = list(curves), "Volume change since exhale", "%"
            chart = add_chart(self.scene, name, table, time, *titles)
        rows = [
            {
                "name": "both lungs" if region == "lungs" else region,
                "exhale_ml": float(volumes[region][exhale]),
                "volume": float(change.max()),
                "phase": int(change.argmax()) + 1,
            }
            for region, change in changes.items()
        ]
        notes = _notes(exhale, reliable, doubts) + no_breath(volumes["lungs"].tolist())
        return BreathResult(table, chart, rows, notes, said, record)

    def needed(self) -> list[tuple[str, Any]]:
        return [("sequence", self.sequence)]

    def _phase(self, number: int) -> Volume:
        return frame_volume(self.sequence, number, self.browser)


def _notes(exhale: int, reliable: np.ndarray, doubts: list[str]) -> list[str]:
    """What was found, and one sentence about trust."""
    notes = [f"Phase {exhale + 1} of {len(reliable)} has the smallest lungs: exhale."]
    if doubts:
        notes.append(f"The lungs that were found there may be wrong ({'; '.join(doubts)}).")
    return [*notes, phase_trust(reliable.tolist())]
