"""A report as something that the panel can have done."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

from DeepRegistrationLib.reports.html_report import ReportContent, write_html
from DeepRegistrationLib.scene.report.page import drawn_report
from DeepRegistrationLib.scene.runs.requests import SceneRequest, Work


@dataclass(frozen=True, eq=False)
class ReportRequest(SceneRequest):
    """A page to be drawn in this process, of the scene as it is now; the result is its path.

    Attributes:
        scene: The nodes' scene.
        path: The page; an earlier one is replaced when all is drawn.
        fixed, moving, transform: Nodes, as ``drawn_report`` takes them.
        options: Its other arguments.
    """

    scene: Any
    path: str
    fixed: Any
    moving: Any
    transform: Any
    options: dict[str, Any]

    activity: ClassVar[str] = "the report"
    uses_engine: ClassVar[bool] = False
    changes_scene: ClassVar[bool] = False
    stage: ClassVar[str] = "Drawing the pictures"

    def work(self) -> Work:
        """Draw the pictures; closing the scene harms nothing once they have been begun."""
        drawing = drawn_report(self.fixed, self.moving, self.transform, **self.options)
        yield 0.0
        return ((yield from drawing),)

    def commit(self, content: ReportContent) -> str:
        """Write the page.

        Raises:
            RegistrationError: It cannot be written.
        """
        write_html(content, self.path)
        return self.path

    def canceled(self, part: dict[str, Any] | None) -> str:
        return "Canceled; no file was written."
