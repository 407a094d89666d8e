"""A transform of the scene as a DICOM registration object, for volumes loaded from DICOM."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

import slicer

from DeepRegistrationLib.errors import RegistrationError
from DeepRegistrationLib.scene.landmarks.pairs import taken_as_identity
from DeepRegistrationLib.scene.nodes.transforms import map_from_node
from DeepRegistrationLib.scene.nodes.volumes import check_volume_node, grid_of
from DeepRegistrationLib.scene.runs.requests import EngineRequest

_INSTANCES = "DICOM.instanceUIDs"  # attribute of a volume that Slicer has loaded from DICOM


@dataclass(frozen=True, eq=False)
class DicomExportRequest(EngineRequest):
    """A deformable (or, of an affine, plain) spatial registration object; the result is its path.

    Attributes:
        scene: The nodes' scene.
        path: Of the file; an earlier one is replaced.
        fixed, moving, transform: Nodes.
    """

    scene: Any
    path: str
    fixed: Any
    moving: Any
    transform: Any

    command: ClassVar[str] = "exported"
    activity: ClassVar[str] = "the export"
    changes_scene: ClassVar[bool] = False

    def payload(self) -> dict[str, Any]:
        """The engine's request.

        Raises:
            RegistrationError: A volume was not loaded from DICOM, or its files are gone.
        """
        request: dict[str, Any] = {"path": self.path}
        for side, node in (("fixed", self.fixed), ("moving", self.moving)):
            check_volume_node(node, f"the {side} volume")
            request[side] = _files_of(node, side)
            grid = grid_of(node, taken_as_identity(node, self.transform))
            if grid is None:
                raise RegistrationError(
                    f"The {side} volume lies under a nonlinear transform, so it is not where its "
                    "DICOM series is; take it out of that transform."
                )
            request[f"{side}_grid"] = grid
        request["transform"] = map_from_node(self.transform, request["fixed_grid"])
        return request

    def commit(self, _prepared: Any, answer: dict[str, Any]) -> str:
        return answer["path"]

    def needed(self) -> list[tuple[str, Any]]:
        return [
            ("fixed volume", self.fixed),
            ("moving volume", self.moving),
            ("transform", self.transform),
        ]

    def canceled(self, part: dict[str, Any] | None) -> str:
        return "Canceled; no file was written."


def _files_of(node, side: str) -> list[str]:
    """The files that a volume was loaded from, by Slicer's DICOM database."""
    instances = (node.GetAttribute(_INSTANCES) or "").split()
    if not instances:
        raise RegistrationError(
            f"The {side} volume was not loaded from DICOM, so no DICOM object can refer to it; "
            "save the transform as .h5, or give 'deepreg convert' the folders of both series."
        )
    database = getattr(slicer, "dicomDatabase", None)
    files = [] if database is None else [database.fileForInstance(uid) for uid in instances]
    if not files or not all(files):
        raise RegistrationError(
            f"Slicer's DICOM database does not hold the series of the {side} volume any more; "
            "import it again in the DICOM module, and load it."
        )
    return files
