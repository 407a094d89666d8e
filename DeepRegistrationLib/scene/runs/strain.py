"""Strain of the left ventricle as tables, a plot and labels, measured in the engine's process."""

from __future__ import annotations

from collections.abc import Generator
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
import vtk

from DeepRegistrationLib.errors import RegistrationError
from DeepRegistrationLib.function.segment_names import SEGMENT_NAMES
from DeepRegistrationLib.options import RegistrationOptions
from DeepRegistrationLib.reports.function_parts import STRAIN
from DeepRegistrationLib.scene.landmarks.pairs import taken_as_identity
from DeepRegistrationLib.scene.nodes.coordinates import require_node
from DeepRegistrationLib.scene.nodes.curves import add_chart, add_table
from DeepRegistrationLib.scene.nodes.function_records import remember_function
from DeepRegistrationLib.scene.nodes.heart_labels import heart_labels_from_node
from DeepRegistrationLib.scene.nodes.hierarchy import put_beside
from DeepRegistrationLib.scene.nodes.transaction import Record, reversible
from DeepRegistrationLib.scene.nodes.transforms import map_from_node
from DeepRegistrationLib.scene.nodes.volumes import (
    check_volume_node,
    copying,
    update_volume_node,
    volume_from_node,
)
from DeepRegistrationLib.scene.report.identity import hashed_subject
from DeepRegistrationLib.scene.runs.requests import EngineRequest, Work
from DeepRegistrationLib.scene.runs.sequences import frame_times, frame_volume


@dataclass(frozen=True, eq=False)
class StrainResult:
    """Strain in the scene.

    Attributes:
        curves: Table, a row a frame: mean strain in percent and the cavity in ml.
        segments: Table of the 17 segments at end-systole, in percent.
        chart: Plot of the mean strain over time.
        labels: Label map of the end-diastolic frame where it was segmented here, else None.
        measured: See ``function.numpy_interface.strain_of``.
        record: ``record.undo()`` takes all of them back.
    """

    curves: Any
    segments: Any
    chart: Any
    labels: Any
    measured: dict[str, Any]
    record: Record


@dataclass(frozen=True, eq=False)
class StrainRequest(EngineRequest):
    """What to measure: a cine sequence, or a pair of its frames with the transform between them.

    Attributes:
        scene: Where the results go.
        sequence: vtkMRMLSequenceNode of short-axis stacks; None for a pair.
        browser: The sequence browser node that plays it, or None.
        fixed, moving, transform: End-diastole, another frame, and the transform between them, where
            there is no sequence.
        labels: Label map or segmentation of the end-diastolic frame, or None.
        end_diastole: Number of that frame, from 0; None: to be found.
        options: How to register the frames of a sequence.
    """

    scene: Any
    sequence: Any = None
    browser: Any = None
    fixed: Any = None
    moving: Any = None
    transform: Any = None
    labels: Any = None
    end_diastole: int | None = None
    options: RegistrationOptions = RegistrationOptions()

    command: ClassVar[str] = "strain"
    activity: ClassVar[str] = "the measurement of the strain"

    def payload(self) -> dict[str, Any]:
        """The engine's request.

        Raises:
            RegistrationError: A node is missing or of the wrong kind, or a segmentation without the
                number of its frame.
        """
        given = self.labels
        if self.sequence is not None and given is not None and self.end_diastole is None:
            raise RegistrationError(
                f"{given.GetName()!r} belongs to one frame; say which one is end-diastole."
            )
        frames = self._pair() if self.sequence is None else self._frames()
        request: dict[str, Any] = {
            "frames": frames,
            "options": self.options,
            "labels": None,
            "end_diastole": self.end_diastole,
            "transform": None,
        }
        if given is not None:
            request["labels"] = heart_labels_from_node(given, "the segmentation of the heart")
        if self.sequence is None:
            request["transform"] = map_from_node(self.transform, frames[0].grid)
        return request

    def _pair(self) -> list:
        require_node(self.transform, "vtkMRMLTransformNode", "the transform")
        check_volume_node(self.fixed, "the fixed volume")
        check_volume_node(self.moving, "the moving volume")
        above = taken_as_identity(self.moving, self.transform)
        return [
            volume_from_node(self.fixed, "the fixed volume"),
            volume_from_node(self.moving, "the moving volume", ignoring=above),
        ]

    def _frames(self) -> list:
        count = self.sequence.GetNumberOfDataNodes()
        return [frame_volume(self.sequence, k, self.browser) for k in range(count)]

    def preparing(self, result: dict) -> Generator[None, None, vtk.vtkImageData]:
        """Copy the labels in steps; touches no scene."""
        return copying(result["labels"])

    def work(self) -> Work:
        hashing = None
        if self.sequence is None:
            hashing = hashed_subject(self.fixed, self.moving, self.transform)  # as they are
        prepared = yield from super().work()
        return *prepared, "" if hashing is None else (yield from hashing)

    def commit(self, data: vtk.vtkImageData, result: dict, subject: str) -> StrainResult:
        """Add tables, plot and labels; the transform of a pair remembers them for its report."""
        owner = self.fixed if self.sequence is None else self.sequence
        name = f"Strain, {owner.GetName()}"
        with reversible(self.scene) as record:
            labels = None
            if self.labels is None:
                labels = self.scene.AddNewNodeByClass(
                    "vtkMRMLLabelMapVolumeNode",
                    self.scene.GenerateUniqueName(f"{owner.GetName()} heart at end-diastole"),
                )
                update_volume_node(labels, data, result["labels"].grid)
                labels.CreateDefaultDisplayNodes()
                if self.sequence is None:
                    put_beside(labels, owner)
            curves, chart = self._curves(name, result)
            segments = add_table(
                self.scene,
                f"{name}, segments",
                {
                    "segment": list(SEGMENT_NAMES),
                    "name": list(SEGMENT_NAMES.values()),
                    **{f"{k}, %": _percent(values) for k, values in result["segments"].items()},
                },
            )
        if subject:
            kept = {key: value for key, value in result.items() if key != "labels"}
            remember_function(self.transform, STRAIN, subject, kept, record)
        return StrainResult(curves, segments, chart, labels, result, record)

    def _curves(self, name: str, result: dict) -> tuple[Any, Any]:
        found = dict(result["curves"])
        cavity = found.pop("cavity_ml")
        time, values = ("frame", [1.0, 2.0])
        if self.sequence is not None:
            time, values = frame_times(self.sequence)
        strains = {f"{direction}, %": _percent(shares) for direction, shares in found.items()}
        columns = {time: values, **strains, "cavity, ml": cavity}
        table = add_table(self.scene, f"{name}, curves", columns)
        titles = list(strains), "Strain over the beat", "%"
        chart = add_chart(self.scene, name, table, time, *titles)
        return table, chart

    def needed(self) -> list[tuple[str, Any]]:
        given = [("segmentation", self.labels)] if self.labels is not None else []
        if self.sequence is not None:
            return [("sequence", self.sequence), *given]
        return [
            ("fixed volume", self.fixed),
            ("moving volume", self.moving),
            ("transform", self.transform),
            *given,
        ]


def _percent(shares) -> list[float]:
    return [np.nan if share is None else 100.0 * share for share in shares]
