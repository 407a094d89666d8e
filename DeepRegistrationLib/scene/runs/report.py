"""A report as something that the panel can have done."""

from __future__ import annotations

from collections.abc import Generator
from dataclasses import dataclass
from typing import Any, ClassVar

import slicer
import vtk

from DeepRegistrationLib.reports.html_report import ReportContent, write_html
from DeepRegistrationLib.scene.nodes.outputs import outputs_of
from DeepRegistrationLib.scene.nodes.volumes import copying, update_volume_node
from DeepRegistrationLib.scene.report.page import drawn_report
from DeepRegistrationLib.scene.runs.derived import DerivedRequest
from DeepRegistrationLib.scene.runs.requests import EngineQuestion, SceneRequest, Work
from DeepRegistrationLib.scene.views.offscreen_views import rendering_problem

_MAP_SHARE = 0.3  # of the progress: the Jacobian map that the page's picture needs


@dataclass(frozen=True, eq=False)
class ReportRequest(SceneRequest):
    """A page to be drawn in this process, of the scene as it is now; the result is its path.

    Where the transform has no Jacobian map, the engine makes one for the picture; it is not added
    to the scene.

    Attributes:
        scene: The nodes' scene.
        path: The page; an earlier one is replaced when all is drawn.
        fixed, moving, transform: Nodes, as ``drawn_report`` takes them.
        options: Its other arguments.
        no_map: Why no map can be made; the page says it in place of the picture.
    """

    scene: Any
    path: str
    fixed: Any
    moving: Any
    transform: Any
    options: dict[str, Any]
    no_map: str = ""

    activity: ClassVar[str] = "the report"
    changes_scene: ClassVar[bool] = False
    stage: ClassVar[str] = "Drawing the pictures"

    @property
    def uses_engine(self) -> bool:  # type: ignore[override]
        """Whether the Jacobian map has yet to be made."""
        there = "jacobian" in outputs_of(self.transform)
        return not (there or self.no_map or rendering_problem())

    def work(self) -> Work:
        """Draw the pictures; what happens to the scene meanwhile does no harm."""
        if not self.uses_engine:
            drawing = self._drawing(outputs_of(self.transform).get("jacobian"))
            yield 0.0
            return ((yield from drawing),)
        pair = self.fixed, self.moving
        request = DerivedRequest(self.scene, self.transform, *pair, "jacobian")
        question = request.payload()
        node, voxels = slicer.vtkMRMLScalarVolumeNode(), vtk.vtkImageData()
        update_volume_node(node, voxels, question["grid"])
        drawing = self._drawing(node)  # shares the voxels, which come later
        answer = yield EngineQuestion(request.command, question, 0.0, _MAP_SHARE)
        voxels.ShallowCopy((yield from copying(answer["volume"])))
        return ((yield from _after(_MAP_SHARE, drawing)),)

    def _drawing(self, jacobian) -> Generator[float, None, ReportContent]:
        """Take all but voxels that are shared from the scene, at once; then draw in steps."""
        return drawn_report(
            self.fixed,
            self.moving,
            self.transform,
            jacobian=jacobian,
            no_jacobian=self.no_map,
            **self.options,
        )

    def commit(self, content: ReportContent) -> str:
        """Write the page.

        Raises:
            RegistrationError: It cannot be written.
        """
        write_html(content, self.path)
        return self.path

    def canceled(self, part: dict[str, Any] | None) -> str:
        return "Canceled; no file was written."


def _after(
    begin: float, steps: Generator[float, None, ReportContent]
) -> Generator[float, None, ReportContent]:
    """Steps whose fraction done goes from ``begin`` to 1."""
    while True:
        try:
            fraction = next(steps)
        except StopIteration as end:
            return end.value
        yield begin + (1 - begin) * fraction
