"""A report, and a decision, as something that the panel can have done."""

from __future__ import annotations

from collections.abc import Generator
from dataclasses import dataclass
from itertools import count
from typing import Any, ClassVar

import slicer
import vtk

from DeepRegistrationLib.reports.content import ReportContent
from DeepRegistrationLib.reports.decision import Decision, check_decision, decided
from DeepRegistrationLib.reports.html_comparison import write_comparison
from DeepRegistrationLib.reports.html_report import write_html
from DeepRegistrationLib.reports.worst_places import WorstPlace, places_of_both
from DeepRegistrationLib.scene.landmarks.state import LandmarkState
from DeepRegistrationLib.scene.nodes.outputs import outputs_of
from DeepRegistrationLib.scene.nodes.provenance import keep_decision
from DeepRegistrationLib.scene.nodes.volumes import copying, update_volume_node
from DeepRegistrationLib.scene.report.identity import hashed_subject
from DeepRegistrationLib.scene.report.page import drawn_report, places_in_scene
from DeepRegistrationLib.scene.runs.derived import DerivedRequest
from DeepRegistrationLib.scene.runs.quality import quality_request
from DeepRegistrationLib.scene.runs.requests import EngineQuestion, SceneRequest, Work
from DeepRegistrationLib.scene.views.offscreen_views import rendering_problem

_ENGINE_SHARE = 0.6  # of the progress: what the engine measures and computes, where it has to
_HASH_STEPS = 30  # after which the checksums count as half done


@dataclass(frozen=True, eq=False)
class Judged:
    """A transform that a report is about.

    Attributes:
        transform: Node.
        landmarks: Errors with it, or None.
        quality: What was measured of it, all there is to be measured; None where it was not.
        to_measure: Arguments of ``quality_request``, with which it is measured where it was not;
            None to leave that out.
        notes: Of its registration.
    """

    transform: Any
    landmarks: LandmarkState | None = None
    quality: dict[str, Any] | None = None
    to_measure: dict[str, Any] | None = None
    notes: tuple[str, ...] = ()


@dataclass(frozen=True)
class SavedReport:
    """A page on disk.

    Attributes:
        path: Of the page.
        measures: Of the judged transform, all there is to be measured; or None.
    """

    path: str
    measures: dict[str, Any] | None


@dataclass(frozen=True, eq=False)
class ReportRequest(SceneRequest):
    """A page to be drawn in this process, of the scene as it is now.

    What was not measured yet is measured first, and where the transform has no Jacobian map, the
    engine makes one for the picture; neither is added to the scene.

    Attributes:
        scene: The nodes' scene.
        path: The page; an earlier one is replaced when all is drawn.
        fixed, moving: Volume nodes.
        judged: What the page is about.
        compared: Another transform of the same pair, shown beside it; or None.
        identified: The user wants names and patient data in the page.
        no_map: Why no map can be made; the page says it in place of the picture.
    """

    scene: Any
    path: str
    fixed: Any
    moving: Any
    judged: Judged
    compared: Judged | None = None
    identified: bool = False
    no_map: str = ""

    activity: ClassVar[str] = "the report"
    changes_scene: ClassVar[bool] = False
    stage: ClassVar[str] = "Drawing the pictures"

    @property
    def uses_engine(self) -> bool:  # type: ignore[override]
        """Whether something has yet to be measured or computed."""
        return any(_measures(one) or self._needs_map(one) for one in self._all())

    def work(self) -> Work:
        """Measure, then draw; what happens to the scene meanwhile does no harm."""
        pages = [_Page(self, one, self._needs_map(one)) for one in self._all()]
        questions = sum(len(page.questions) for page in pages)
        share = _ENGINE_SHARE / max(1, questions)
        begin = 0.0
        for page in pages:
            for question in page.questions:
                answer = yield EngineQuestion(*question, begin, begin + share)
                yield from page.take(answer)
                begin += share
        if len(pages) == 2:
            for names in places_of_both(*(page.worst_places() for page in pages)):
                for page, place in zip(pages, names, strict=True):
                    page.places.append(place)
        contents = []
        for page in pages:
            end = begin + (1 - begin) / (len(pages) - len(contents))
            contents.append((yield from _within(begin, end, page.drawing)))
            begin = end
        return contents, pages[0].measures

    def commit(self, contents: list[ReportContent], measures: dict[str, Any]) -> SavedReport:
        """Write the page.

        Raises:
            RegistrationError: It cannot be written.
        """
        if len(contents) == 2:
            write_comparison(*contents, self.path)
        else:
            write_html(contents[0], self.path)
        return SavedReport(self.path, measures or None)

    def canceled(self, part: dict[str, Any] | None) -> str:
        return "Canceled; no file was written."

    def _all(self) -> list[Judged]:
        return [self.judged, *([] if self.compared is None else [self.compared])]

    def _needs_map(self, one: Judged) -> bool:
        there = "jacobian" in outputs_of(one.transform)
        return not (there or self.no_map or rendering_problem())


class _Page:
    """What the page says of one transform: taken from the scene at once, drawn in steps later.

    Attributes:
        questions: Command and payload of what the engine is asked.
        measures: Filled in when it has answered.
        places: To be pictured, where two transforms are compared; to be filled in.
        drawing: Steps that give the content.
    """

    def __init__(self, request: ReportRequest, one: Judged, needs_map: bool) -> None:
        pair = request.fixed, request.moving
        self.measures: dict[str, Any] = dict(one.quality or {})
        self.questions: list[tuple[str, dict[str, Any]]] = []
        self.places: list[WorstPlace] = []
        self._named = request.identified
        self._known = *pair, one.landmarks
        self._voxels = None
        if _measures(one):
            payload = quality_request(*pair, one.transform, **(one.to_measure or {}))
            self.questions.append(("quality", payload))
        jacobian = outputs_of(one.transform).get("jacobian")
        if needs_map:
            derived = DerivedRequest(request.scene, one.transform, *pair, "jacobian")
            payload = derived.payload()
            self.questions.append((derived.command, payload))
            jacobian, self._voxels = slicer.vtkMRMLScalarVolumeNode(), vtk.vtkImageData()
            update_volume_node(jacobian, self._voxels, payload["grid"])
        self.drawing = drawn_report(
            *pair,
            one.transform,
            landmarks=one.landmarks,
            jacobian=jacobian,
            no_jacobian=request.no_map,
            quality=self.measures,
            notes=one.notes,
            identified=request.identified,
            places=None if request.compared is None else self.places,
        )

    def worst_places(self) -> list[WorstPlace]:
        """Of this transform, by what was measured."""
        return places_in_scene(*self._known, self.measures, self._named)

    def take(self, answer: dict[str, Any]) -> Generator[None, None, None]:
        """An answer of the engine, in the order of the questions."""
        if "volume" in answer:
            assert self._voxels is not None
            self._voxels.ShallowCopy((yield from copying(answer["volume"])))
        else:
            self.measures.update(answer)


def _measures(one: Judged) -> bool:
    return one.quality is None and one.to_measure is not None


def _within(
    begin: float, end: float, steps: Generator[float, None, ReportContent]
) -> Generator[float, None, ReportContent]:
    """Steps whose fraction done goes from ``begin`` to ``end``."""
    while True:
        try:
            fraction = next(steps)
        except StopIteration as stop:
            return stop.value
        yield begin + (end - begin) * fraction


@dataclass(frozen=True, eq=False)
class DecisionRequest(SceneRequest):
    """A decision about a transform, as its node remembers it; the result is the decision.

    It is about the voxels, the geometry and the transform of the moment when it is asked for.

    Attributes:
        scene: The nodes' scene.
        fixed, moving, transform: Nodes.
        choice, reviewer, comment: See :class:`DeepRegistrationLib.reports.decision.Decision`.
    """

    scene: Any
    fixed: Any
    moving: Any
    transform: Any
    choice: str
    reviewer: str
    comment: str = ""

    activity: ClassVar[str] = "the decision"
    uses_engine: ClassVar[bool] = False
    changes_scene: ClassVar[bool] = False
    stage: ClassVar[str] = "Computing the checksums"

    def work(self) -> Work:
        check_decision(self.choice, self.reviewer, self.comment)
        hashing = hashed_subject(self.fixed, self.moving, self.transform)
        for turn in count(1):
            try:
                next(hashing)
            except StopIteration as end:
                return (end.value,)
            yield turn / (turn + _HASH_STEPS)
        raise AssertionError("not reached")

    def commit(self, subject: str) -> Decision:
        """Keep it with the transform."""
        decision = decided(self.choice, self.reviewer, self.comment, subject)
        keep_decision(self.transform, decision)
        return decision

    def needed(self) -> list[tuple[str, Any]]:
        return [
            ("fixed volume", self.fixed),
            ("moving volume", self.moving),
            ("transform", self.transform),
        ]

    def canceled(self, part: dict[str, Any] | None) -> str:
        return "Canceled; nothing was decided."
