"""Which volumes and which transform of the scene a report or a decision is about."""

from __future__ import annotations

from collections.abc import Generator, Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import slicer

from DeepRegistrationLib.images.geometry import Grid
from DeepRegistrationLib.images.plain_data import GivenMap
from DeepRegistrationLib.reports.identity import (
    ImageIdentity,
    TransformIdentity,
    field_grid,
    hashing_map,
    hashing_voxels,
    kind_of,
    subject_checksum,
)
from DeepRegistrationLib.scene.landmarks.pairs import taken_as_identity
from DeepRegistrationLib.scene.nodes.coordinates import linear_matrix, placement
from DeepRegistrationLib.scene.nodes.provenance import origin_in_words
from DeepRegistrationLib.scene.nodes.transforms import map_from_node, sampled_map
from DeepRegistrationLib.scene.nodes.volumes import check_volume_node, grid_of, voxels_of

_PATIENT = {
    "patient": "DICOM.PatientName",
    "patient ID": "DICOM.PatientID",
    "birth date": "DICOM.PatientBirthDate",
    "study": "DICOM.StudyDescription",
    "study date": "DICOM.StudyDate",
}
_FRAME = "DICOM.FrameOfReferenceUID"


@dataclass(frozen=True, eq=False)
class Subject:
    """Two volumes and a transform as they were at one moment; their checksums take some steps.

    Attributes:
        voxels: By ``fixed`` and ``moving``, views of the nodes' memory.
        images: Their identities, yet without checksums.
        bending: By side, the transform that bends a volume where it is under one.
        parts: The transform from fixed to moving points.
        transform: Its identity, yet without checksum.
    """

    voxels: Mapping[str, np.ndarray]
    images: Mapping[str, ImageIdentity]
    bending: Mapping[str, GivenMap]
    parts: tuple[GivenMap, ...]
    transform: TransformIdentity

    def hashing(
        self,
    ) -> Generator[None, None, tuple[dict[str, ImageIdentity], TransformIdentity]]:
        """The identities with checksums, in steps of milliseconds."""
        images = {}
        for side, image in self.images.items():
            images[side] = replace(image, checksum=(yield from hashing_voxels(self.voxels[side])))
            if side in self.bending:
                bending = yield from hashing_map([self.bending[side]])
                images[side] = replace(images[side], bending=bending)
        return images, replace(self.transform, checksum=(yield from hashing_map(self.parts)))


def subject_of(fixed, moving, transform, *, identified: bool = False) -> Subject:
    """What is judged: volumes as the scene shows them without the transform.

    Args:
        fixed, moving: Volume nodes.
        transform: Transform node.
        identified: Names of nodes, and what the scene knows of patient and study, are wanted.

    Raises:
        RegistrationError: A node without voxels, or of the wrong kind.
    """
    sides = {"fixed": fixed, "moving": moving}
    for side, node in sides.items():
        check_volume_node(node, f"the {side} volume")
    images = {
        side: ImageIdentity(
            _grid(node, taken_as_identity(node, transform)),
            "",
            _uids(node),
            {"name": node.GetName(), **_patient(node)} if identified else {},
        )
        for side, node in sides.items()
    }
    part = map_from_node(transform, images["fixed"].grid)
    described = TransformIdentity(
        kind_of([part]),
        "",
        field_grid([part]),
        origin_in_words(transform),
        {"node": transform.GetName()} if identified else {},
    )
    voxels = {side: voxels_of(node) for side, node in sides.items()}
    bending = {}
    for side, node in sides.items():
        above = placement(node, taken_as_identity(node, transform))
        if linear_matrix(above) is None:
            bending[side] = sampled_map(above, images[side].grid, node.GetName())
    return Subject(voxels, images, bending, (part,), described)


def hashed_subject(fixed, moving, transform) -> Generator[None, None, str]:
    """The checksum of two volumes and a transform as they are now, in steps of milliseconds."""
    return _hashed(subject_of(fixed, moving, transform))


def _hashed(subject: Subject) -> Generator[None, None, str]:
    images, transform = yield from subject.hashing()
    return subject_checksum(images["fixed"], images["moving"], transform)


def patient_words(*nodes) -> set[str]:
    """Words by which the nodes' patient could be known: of their names, and of the patient's."""
    texts = [text for node in nodes for text in (node.GetName() or "", *_patient(node).values())]
    words = {word for text in texts for word in _words(text) if len(word) > 2}
    return {word.lower() for word in words}


def names_a_patient(text: str, words: set[str]) -> bool:
    """Whether a text holds one of the words."""
    return any(word.lower() in words for word in _words(text))


def _words(text: str) -> list[str]:
    return "".join(c if c.isalnum() else " " for c in text).split()


def _grid(node, ignoring) -> Grid:
    """Where the scene shows a volume; where it is bent, its own place before that."""
    grid = grid_of(node, ignoring) or grid_of(node, node.GetParentTransformNode())
    assert grid is not None  # the second one ignores all above the node
    return grid


def _item(node) -> tuple[Any, int]:
    hierarchy = slicer.vtkMRMLSubjectHierarchyNode.GetSubjectHierarchyNode(node.GetScene())
    return hierarchy, 0 if hierarchy is None else hierarchy.GetItemByDataNode(node)


def _uids(node) -> dict[str, str]:
    """The UIDs that Slicer keeps of a volume that it has loaded from DICOM."""
    hierarchy, item = _item(node)
    if not item:
        return {}
    names = slicer.vtkMRMLSubjectHierarchyConstants
    study = hierarchy.GetItemAncestorAtLevel(item, names.GetDICOMLevelStudy())
    found = {
        "series": hierarchy.GetItemUID(item, names.GetDICOMUIDName()),
        "study": hierarchy.GetItemUID(study, names.GetDICOMUIDName()) if study else "",
        "frame of reference": hierarchy.GetItemAttribute(item, _FRAME),
    }
    return {name: uid for name, uid in found.items() if uid}


def _patient(node) -> dict[str, str]:
    hierarchy, item = _item(node)
    if not item:
        return {}
    found = {
        name: hierarchy.GetAttributeFromItemAncestor(item, attribute, "")
        for name, attribute in _PATIENT.items()
    }
    return {name: value for name, value in found.items() if value}
