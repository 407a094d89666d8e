"""What the file of a transform says of the landmarks and segments that drove it, in the scene."""

from __future__ import annotations

from DeepRegistrationLib.errors import RegistrationError
from DeepRegistrationLib.evaluation.driving_record import Drove
from DeepRegistrationLib.reports.driving_files import what_drove
from DeepRegistrationLib.scene.landmarks import driving
from DeepRegistrationLib.scene.nodes.coordinates import parents_of
from DeepRegistrationLib.scene.nodes.placement import IMPORTED, METHOD

_ASKED = "DeepRegistration.DroveAsked"
"""Attribute of a transform node whose file was asked."""

_DAMAGED = (
    "The transform's file is damaged where it says which landmarks and segments drove the "
    "registration: those may count as proof here. Save the transform anew where it was made."
)


def remember_record(transform, record: Drove) -> None:
    """Let a transform node remember what a file says; of points, only the places are known."""
    if record.pairs is not None:
        sides = record.pairs.fixed, record.pairs.moving
        points = tuple([driving.DrivingPoint("", tuple(place)) for place in side] for side in sides)
        driving.add(transform, driving.Drivers((None, None), points))
    driving.remember_segments(transform, record.labels)


def learn_from_files(transform) -> None:
    """Let a transform node and its parents, which Slicer has read, remember what their files say.

    Each file is asked once; those of transforms that were registered or imported here never.
    """
    for node in () if transform is None else (transform, *parents_of(transform)):
        storage = node.GetStorageNode()
        path = None if storage is None else storage.GetFileName()
        known = (_ASKED, METHOD, IMPORTED)
        if not path or any(node.GetAttribute(name) is not None for name in known):
            continue
        node.SetAttribute(_ASKED, "1")
        try:
            remember_record(node, what_drove(path, None))
        except RegistrationError:
            driving.remember_unknown(node)


def caution_about(transform) -> str:
    """A sentence where what drove a transform cannot be read any more; else nothing."""
    learn_from_files(transform)
    return _DAMAGED if transform is not None and driving.is_unknown(transform) else ""
