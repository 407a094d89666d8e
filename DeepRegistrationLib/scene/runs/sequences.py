"""4D: every frame of a sequence registered to one frame, as a sequence of transforms."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
import vtk

from DeepRegistrationLib.errors import RegistrationError
from DeepRegistrationLib.images.plain_data import Task, Volume
from DeepRegistrationLib.options import RegistrationOptions
from DeepRegistrationLib.registration.series_notes import series_notes
from DeepRegistrationLib.scene.nodes.coordinates import parents_of, placement, require_node
from DeepRegistrationLib.scene.nodes.transaction import Record, reversible
from DeepRegistrationLib.scene.nodes.transforms import converting, set_transform
from DeepRegistrationLib.scene.nodes.volumes import (
    check_volume_node,
    ijk_to_lps,
    placed_volume,
    voxels_of,
)
from DeepRegistrationLib.scene.runs.requests import EngineQuestion, SceneRequest, Work


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
            f"{sequence.GetName()!r} has {count} frames; there is no frame {frame + 1}."
        )
    node = sequence.GetNthDataNode(frame)
    role = f"frame {frame + 1} of {sequence.GetName()!r}"
    check_volume_node(node, role)
    proxy = None if browser is None else browser.GetProxyNode(sequence)
    to_world = vtk.vtkGeneralTransform() if proxy is None else placement(proxy)
    return placed_volume(voxels_of(node), ijk_to_lps(node), to_world, role, labels=False)


@dataclass(frozen=True, eq=False)
class SequenceResult:
    """Transforms over time in the scene.

    Attributes:
        transforms: vtkMRMLSequenceNode of transforms, with the index values of the sequence.
        record: ``record.undo()`` takes them out of the scene again.
        notes: Sentences about the registrations, with the numbers of their frames, from 1.
    """

    transforms: Any
    record: Record
    notes: list[str]


@dataclass(frozen=True, eq=False)
class SequenceRequest(SceneRequest):
    """A sequence whose frames are registered to one of them, one after the other.

    Attributes:
        scene: Where the results go.
        sequence: vtkMRMLSequenceNode of volumes.
        fixed_frame: The frame to which the others are registered, from 0.
        browser: The sequence browser node that plays it, which will play the transforms too, with
            the volume under them; or None.
        options: How to register; no output besides the transforms is made.
    """

    scene: Any
    sequence: Any
    fixed_frame: int = 0
    browser: Any = None
    options: RegistrationOptions = RegistrationOptions()

    activity: ClassVar[str] = "the registration of the 4D image"

    def work(self) -> Work:
        """Ask for one frame after the other.

        Returns:
            The transform of each frame, and what the engine said of each.

        Raises:
            RegistrationError: Fewer than two frames, or a frame is no scalar volume.
        """
        fixed = frame_volume(self.sequence, self.fixed_frame, self.browser)
        count = self.sequence.GetNumberOfDataNodes()
        todo = [frame for frame in range(count) if frame != self.fixed_frame]
        if not todo:
            raise RegistrationError(
                f"{self.sequence.GetName()!r} has one frame only; give a sequence of several."
            )
        for frame in todo:
            frame_volume(self.sequence, frame, self.browser)  # refuse early
        found: dict[int, vtk.vtkAbstractTransform] = {self.fixed_frame: vtk.vtkTransform()}
        said: dict[int, list[str]] = {}
        for done, frame in enumerate(todo):  # named as the sequence browser does, from 1
            moving = frame_volume(self.sequence, frame, self.browser)
            outcome = yield EngineQuestion(
                "register",
                {"task": Task(fixed, moving, self.options)},
                begin=0.99 * done / len(todo),
                end=0.99 * (done + 1) / len(todo),
                stage=f"Frame {frame + 1} of {count}: ",
                failure=f"Frame {frame + 1}: ",
            )
            found[frame] = yield from converting(outcome.transform)
            said[frame + 1] = outcome.notes
        return found, series_notes("frame", said)

    def commit(
        self, found: dict[int, vtk.vtkAbstractTransform], notes: list[str]
    ) -> SequenceResult:
        """Add the transforms, and let the browser play them."""
        proxy = None if self.browser is None else self.browser.GetProxyNode(self.sequence)
        with reversible(self.scene, parents=[] if proxy is None else [proxy]) as record:
            transforms = self._transform_sequence(found)
            if proxy is not None:
                record.before_undo(lambda: self._stop_playing(transforms))
                self._play(transforms, proxy)
        return SequenceResult(transforms, record, notes)

    def needed(self) -> list[tuple[str, Any]]:
        return [("sequence", self.sequence)]

    def _transform_sequence(self, found: dict[int, vtk.vtkAbstractTransform]):
        """The node; every item is of the general class, which holds affines and fields alike."""
        name = self.scene.GenerateUniqueName(f"{self.sequence.GetName()} transforms")
        result = self.scene.AddNewNodeByClass("vtkMRMLSequenceNode", name)
        result.SetIndexName(self.sequence.GetIndexName())
        result.SetIndexUnit(self.sequence.GetIndexUnit())
        result.SetIndexType(self.sequence.GetIndexType())
        item = self.scene.CreateNodeByClass("vtkMRMLTransformNode")
        item.UnRegister(None)
        for frame in sorted(found):
            set_transform(item, found[frame])
            result.SetDataNodeAtValue(item, self.sequence.GetNthIndexValue(frame))
        return result

    def _play(self, transforms, proxy) -> None:
        """Let the browser play the transforms, with the volume under them."""
        self.browser.AddSynchronizedSequenceNode(transforms)
        player = self.browser.GetProxyNode(transforms)
        if not parents_of(proxy):
            proxy.SetAndObserveTransformNodeID(player.GetID())

    def _stop_playing(self, transforms) -> None:
        """Else the sequences' logic would make a new proxy for the one that is removed."""
        if self.scene.IsNodePresent(self.browser):
            self.browser.RemoveSynchronizedSequenceNode(transforms.GetID())


def transform_at(transforms, frame: int):
    """The transform node of a frame, inside its sequence."""
    return transforms.GetNthDataNode(frame)


def frame_times(sequence) -> tuple[str, list[float]]:
    """What a sequence's frames are ordered by, as ``time (s)``, and its value for each."""
    name, unit = sequence.GetIndexName() or "frame", sequence.GetIndexUnit()
    return f"{name} ({unit})" if unit else name, index_values(sequence).tolist()


def index_values(sequence) -> np.ndarray:
    """The sequence's index values as numbers: the frames' numbers, from 1, where they are texts."""
    values = [sequence.GetNthIndexValue(k) for k in range(sequence.GetNumberOfDataNodes())]
    try:
        return np.array([float(value) for value in values])
    except ValueError:
        return np.arange(1.0, len(values) + 1)
