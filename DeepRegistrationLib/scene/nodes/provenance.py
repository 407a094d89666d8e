"""What a transform's node remembers of itself: how it was made, and what was decided about it.

All are attributes of the node: they are saved with the scene, and an undo of what changed the node
brings the earlier ones back.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from DeepRegistrationLib.reports.decision import Decision, decision_of
from DeepRegistrationLib.scene.nodes.placement import IMPORTED, METHOD

_MADE = "DeepRegistration.Provenance"
_INITIAL = "DeepRegistration.Initial"
_DECISION = "DeepRegistration.Decision"
IMPROVED = "improved"
"""Key of how a transform was made: so many steps have corrected it."""


def remember_made(node, provenance: Mapping[str, Any], seconds: Mapping[str, float]) -> None:
    """Keep how a registration made the transform."""
    _keep(node, {**provenance, "seconds": dict(seconds)})


def remember_improvement(node) -> None:
    """Keep that a step has corrected the transform around landmarks."""
    made = made_of(node)
    _keep(node, {**made, IMPROVED: int(made.get(IMPROVED, 0)) + 1})


def forget_improvements(node) -> None:
    """All steps were taken back."""
    _keep(node, {key: value for key, value in made_of(node).items() if key != IMPROVED})


def remember_initial(node, places: list[float] | None) -> None:
    """Keep what a registration started from.

    Args:
        places: ``transforms.places_under`` of the initial transform; None where there was none.
    """
    node.SetAttribute(_INITIAL, json.dumps(places))


def initial_of(node, unknown: list[float] | None) -> list[float] | None:
    """What :func:`remember_initial` kept; ``unknown`` where nothing was, in earlier versions."""
    kept = node.GetAttribute(_INITIAL)
    return unknown if kept is None else json.loads(kept)


def made_of(node) -> dict[str, Any]:
    """What is known of how the transform was made; empty where nothing is."""
    try:
        found = json.loads(node.GetAttribute(_MADE) or "{}")
    except ValueError:
        return {}
    return found if isinstance(found, dict) else {}


def origin_in_words(node) -> str:
    """Where a transform came from, as a page says it; no names."""
    made, text = made_of(node), "from another program or module; how it was made is not known"
    if node.GetAttribute(IMPORTED) is not None:
        text = f"read from a file of another program. {node.GetAttribute(IMPORTED)}".rstrip(".")
    elif node.GetAttribute(METHOD) is not None:
        version = made.get("deepregistration")
        text = f"registered by DeepRegistration {version or 'of an earlier version'}, method "
        text += made.get("method") or node.GetAttribute(METHOD)
        text += f", quality {made['quality']}" if made.get("quality") else ""
        text += f", {made['date']}" if made.get("date") else ""
    steps = made.get(IMPROVED)
    return f"{text}; then corrected around landmarks, {steps} steps" if steps else text


def keep_decision(node, decision: Decision | None) -> None:
    """Keep a decision about the transform, or that there is none."""
    if decision is None:
        node.RemoveAttribute(_DECISION)
    else:
        node.SetAttribute(_DECISION, decision.text())


def decision_about(node) -> Decision | None:
    """The decision about a transform, or None."""
    return decision_of(node.GetAttribute(_DECISION))


def _keep(node, values: Mapping[str, Any]) -> None:
    node.SetAttribute(_MADE, json.dumps(values, default=str))
