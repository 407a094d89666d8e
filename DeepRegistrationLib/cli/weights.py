"""``deepreg weights``: which trained weights there are, and the table of their model cards."""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Any

from DeepRegistrationLib.output import atomic_file
from DeepRegistrationLib.weights import ModelCard, read_card, weight_cards

_HEAD = """# Trained weights

Made by `deepreg weights --readme FOLDER` from the model cards (`<name>.json`), which also state
citations, recipe values and hashes. Weights load only when their SHA-256 is the card's. *Preview*
means: trained for a short time, to show that the method works, not to be relied on.
"""


def list_weights(arguments: argparse.Namespace) -> None:
    """``deepreg weights``."""
    if arguments.readme is not None:
        folder = Path(arguments.readme)
        cards = [read_card(path) for path in sorted(folder.glob("*.json"))]
        with atomic_file(folder / "README.md") as partial:
            partial.write_text(readme(cards), encoding="utf-8")
        return
    cards = weight_cards()
    if arguments.json:
        print(json.dumps([json.loads(card.to_json()) for card in cards], indent=2))
        return
    for card in cards:
        print(f"{card.name}: for {card.method}{', preview' if card.preview else ''}")
        print(f"    {card.title}; {card.licence}")
    if not cards:
        print("There are no weights; train them with 'deepreg train' and 'deepreg export'.")


def readme(cards: list[ModelCard]) -> str:
    """The table of all cards, then a part for each, as Markdown."""
    lines = [
        _HEAD,
        "| weights | method | state | size | held-out results |",
        "|---|---|---|---|---|",
    ]
    for card in cards:
        size = f"{card.path.stat().st_size / 1e6:.1f} MB"
        state = "preview" if card.preview else "trained"
        results = _figures(card.metrics.get("held_out", {})) or "-"
        lines.append(f"| `{card.name}` | `{card.method}` | {state} | {size} | {results} |")
    for card in cards:
        recipe = card.recipe
        lines += [
            "",
            f"## {card.name}",
            "",
            f"{card.title}.",
            "",
            *(f"- Data: {entry}" for entry in card.data),
            f"- Held out: {', '.join(card.held_out) or 'nothing'}.",
            f"- Recipe `{recipe['name']}`, weights of step {recipe['step']}; `{card.command}`.",
            f"- Validation: {_figures(card.metrics.get('validation', {})) or 'none'}.",
            f"- Terms: {card.licence}",
            f"- Cite: {card.citation}",
        ]
        picture = card.path.with_suffix(".png")
        if picture.is_file():
            lines += ["", f"![Learning curves of {card.name}]({picture.name})"]
    return "\n".join(lines) + "\n"


def _figures(metrics: dict[str, Any]) -> str:
    return ", ".join(
        f"{name} {value:.3g}" if isinstance(value, float) else f"{name} {value}"
        for name, value in metrics.items()
    )
