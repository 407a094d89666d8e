"""What a transform's node remembers of ventilation and strain that were measured by it."""

from __future__ import annotations

import json
from typing import Any

from DeepRegistrationLib.reports.content import FunctionPart
from DeepRegistrationLib.reports.function_parts import (
    STRAIN,
    VENTILATION,
    strain_part,
    ventilation_part,
)
from DeepRegistrationLib.scene.nodes.transaction import Record

_MAP = "DeepRegistration.VentilationMap"
_KEPT = {VENTILATION: "DeepRegistration.Ventilation", STRAIN: "DeepRegistration.Strain"}


def remember_function(
    transform, title: str, subject: str, measured: dict[str, Any], record: Record, node=None
) -> None:
    """Keep what was measured, until the record is undone.

    Args:
        transform: Transform node.
        title: ``VENTILATION`` or ``STRAIN``.
        subject: Checksum of the pair and the transform that it is of.
        measured: Plain data, as the engine gives it.
        record: Of the nodes that were added with it.
        node: Volume of the map, or None.
    """
    name = _KEPT[title]
    before = transform.GetAttribute(name), transform.GetNodeReferenceID(_MAP)

    def put_back() -> None:
        transform.SetAttribute(name, before[0])
        if node is not None:
            transform.SetNodeReferenceID(_MAP, before[1])

    record.before_undo(put_back)
    transform.SetAttribute(name, json.dumps({"subject": subject, "measured": measured}))
    if node is not None:
        transform.SetNodeReferenceID(_MAP, node.GetID())


def function_of(transform) -> list[tuple[str, FunctionPart]]:
    """The checksum of what each measurement is of, and its part of the report."""
    found = []
    for title, name in _KEPT.items():
        try:
            kept = json.loads(transform.GetAttribute(name) or "{}")
            measured, subject = kept["measured"], kept["subject"]
            part = (
                ventilation_part(measured["rows"], measured["notes"])
                if title == VENTILATION
                else strain_part(measured)
            )
        except (ValueError, KeyError, TypeError):
            continue
        found.append((subject, part))
    return found


def ventilation_map_of(transform):
    """The volume of the map that was made with it, or None."""
    return transform.GetNodeReference(_MAP)
