"""The model card of trained weights: what a user must know, and what loading them needs."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path
from typing import Any

from DeepRegistrationLib.errors import RegistrationError
from DeepRegistrationLib.images.guard.text import read_json
from DeepRegistrationLib.methods.expected_accuracy import ExpectedAccuracy

_LIMIT = 4 << 20  # bytes


@dataclass(frozen=True)
class ModelCard:
    """What a user must know about weights, and what the engine needs to load them.

    Attributes:
        name: File name without suffix.
        method: Registration method that uses them.
        title: One line.
        architecture: Keyword arguments of the network's class.
        data: What they were trained on, one sentence a data set.
        licence: Terms of the weights, the data's included.
        citation: Papers of the method and of the data.
        recipe: Name and values of the recipe.
        commit: Of the code that trained them.
        metrics: ``validation``: numbers by name; ``held_out``: further measurements on held-out
            data, each with ``metric`` and ``value``, and where known ``unit``, ``data``,
            ``quality``, ``refine``, ``spread`` and what was ``chosen`` on these data.
        held_out: Patients that training never saw.
        command: Reproduces them.
        preview: Trained for a short time, only to show that the method works.
        sha256: Of the .safetensors file.
        expected: Measured on held-out data, for the choice of a method.
        failures: Where it is known to fail, a sentence each.
        date: When the weights were exported, ISO 8601 in UTC; empty in older cards.
        path: The .safetensors file; not stored.
    """

    name: str
    method: str
    title: str
    architecture: dict[str, Any]
    data: list[str]
    licence: str
    citation: str
    recipe: dict[str, Any]
    commit: str
    metrics: dict[str, Any]
    held_out: list[str]
    command: str
    preview: bool
    sha256: str
    expected: list[ExpectedAccuracy] = field(default_factory=list)
    failures: list[str] = field(default_factory=list)
    date: str = ""
    path: Path = field(default=Path(), compare=False)

    def to_json(self) -> str:
        """The card as it is stored."""
        values = asdict(self)
        del values["path"]
        return json.dumps(values, indent=2, ensure_ascii=False) + "\n"


def read_card(path: Path) -> ModelCard:
    """Read a model card.

    Raises:
        RegistrationError: It is not one.
    """
    try:
        values = read_json(path, _LIMIT)
        values["expected"] = [ExpectedAccuracy(**entry) for entry in values.get("expected", [])]
        _separate_measurements(values["metrics"])
        card = ModelCard(**values, path=path.with_suffix(".safetensors"))
        _check_types(card)
    except (ValueError, TypeError, AttributeError, LookupError) as error:
        words = " ".join(str(error).split())[:200]
        raise RegistrationError(
            f"The model card {path} cannot be read ({words}); get the weights again."
        ) from error
    if card.name != path.stem:
        raise RegistrationError(f"The model card {path} describes {card.name}; rename it back.")
    return card


def _check_types(card: ModelCard) -> None:
    """Refuse entries that are not what :class:`ModelCard` says.

    Raises:
        ValueError: One is not.
    """
    kinds = {"str": str, "bool": bool, "dict[str, Any]": dict, "list[str]": list}
    for entry in fields(card):
        value = getattr(card, entry.name)
        kind = kinds.get(str(entry.type))
        words = value if entry.type == "list[str]" and isinstance(value, list) else []
        if kind and (type(value) is not kind or not all(isinstance(w, str) for w in words)):
            raise ValueError(f"its {entry.name} is {repr(value)[:60]}")
    if not isinstance(card.metrics.get("validation", {}), dict):
        raise ValueError("its validation metrics are not numbers by name")
    for entry in card.metrics.get("held_out", []):
        if not (isinstance(entry, dict) and {"metric", "value"} <= entry.keys()):
            raise ValueError("its held_out metrics are not measurements")


def _separate_measurements(metrics: dict[str, Any]) -> None:
    """Turn values by name, as cards held them before, into measurements, in place."""
    old = metrics.get("held_out", [])
    if isinstance(old, dict):
        metrics["held_out"] = [{"metric": name, "value": value} for name, value in old.items()]


def measurement_text(entry: dict[str, Any]) -> str:
    """A held-out measurement in words: ``TRE median 0.91 mm on 4D-CT T00/T50, refined``."""
    value = entry["value"]
    number = f"{value:.3g}" if isinstance(value, float) else f"{value}"
    words = [entry["metric"], number, entry.get("unit", "")]
    text = " ".join(word for word in words if word)
    if entry.get("data"):
        text += f" on {entry['data']}"
    if entry.get("quality"):
        text += f", quality {entry['quality']}"
    return text + (", refined" if entry.get("refine") else "")
