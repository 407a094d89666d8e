"""``deepreg weights``: which trained weights there are, and the table of their model cards."""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Any

from DeepRegistrationLib.errors import RegistrationError
from DeepRegistrationLib.images.atomic_output import atomic_file
from DeepRegistrationLib.methods.expected_accuracy import accuracy_text
from DeepRegistrationLib.methods.model_card import measurement_text
from DeepRegistrationLib.methods.weights import (
    ModelCard,
    case_path,
    curves_path,
    read_card,
    weight_cards,
    why_first,
)
from DeepRegistrationLib.progress import shown_progress

_HEAD = """# Trained weights

Written by `deepreg weights --readme FOLDER` from the model cards (`<name>.json`), which also list
citations, recipe values and hashes. Weights load only if their SHA-256 matches the card's.
*Preview* means: trained only briefly, to show that the method works; not to be relied on.

If no weights are named for a method, final weights come before previews, those in the user's own
folders before these, then the newest, then the first by name; weights whose cards have figures for
other anatomy only come last, with a warning. The result says which were used and why.
"""


def list_weights(arguments: argparse.Namespace) -> None:
    """``deepreg weights``."""
    if arguments.picture is not None:
        _draw(arguments)
        return
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
    for method in sorted({card.method for card in cards}):
        own = [card for card in cards if card.method == method]
        for number, card in enumerate(own):
            state = ", preview" if card.preview else ""
            taken = f"; used if you name none: {why_first(own)}" if number == 0 else ""
            print(f"{card.name}: for {card.method}{state}{taken}")
            print(f"    {card.title}; {card.licence}")
            print(f"    {card.path.parent}")
            print(f"    measured: {_accuracy(card) or 'nothing on held-out data'}")
    if not cards:
        print("There are no weights; train them with 'deepreg train' and 'deepreg export'.")


def _draw(arguments: argparse.Namespace) -> None:
    """``--picture NAME``: beside the weights, of the given pair or of a phantom."""
    from DeepRegistrationLib.cli.inputs import (
        check_landmark_options,
        landmark_arguments,
        load_image,
        load_landmarks,
    )
    from DeepRegistrationLib.training.pictures import PicturedPair, draw_case, phantom_case

    name = arguments.picture
    cards = {card.name: card for card in weight_cards()}
    if name not in cards:
        known = ", ".join(cards) or "none yet"
        raise RegistrationError(f"There are no weights called {name!r}; there are {known}.")
    card = cards[name]
    check_landmark_options(arguments)
    if arguments.fixed_landmarks is not None and arguments.pair is None:
        raise RegistrationError("Landmarks belong to a pair; give it with --pair FIXED MOVING.")
    with shown_progress(False) as progress:
        if arguments.pair is None:
            case = phantom_case(card.method)
        else:
            fixed, moving = (load_image(path) for path in arguments.pair)
            landmarks = load_landmarks(arguments, fixed, moving)
            case = PicturedPair(
                f"{fixed.name} and {moving.name}",
                fixed,
                moving,
                **landmark_arguments(landmarks),
            )
        draw_case(card, case, case_path(card), progress)
    print(case_path(card))


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
        results = _accuracy(card) or "-"
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
            f"- Recipe `{recipe.get('name')}`, weights of step {recipe.get('step')}; "
            f"`{card.command}`.",
            f"- Validation: {_named(card.metrics.get('validation', {})) or 'none'}.",
            *(
                f"- Accuracy used by `--method auto`: {each.text} on "
                f"{each.data}{', refined' if each.refined else ''}."
                for each in card.expected
            ),
            *(f"- Measured: {measurement_text(e)}." for e in card.metrics.get("held_out", [])),
            *(f"- Limitation: {failure}" for failure in card.failures),
            f"- Terms: {card.licence}",
            f"- Cite: {card.citation}",
        ]
        pictures = {"A case before and after": case_path, "Learning curves": curves_path}
        for title, path in pictures.items():
            if path(card).is_file():
                lines += ["", f"![{title}, {card.name}]({path(card).name})"]
    return "\n".join(lines) + "\n"


def _accuracy(card: ModelCard) -> str:
    """What was measured on held-out data: the accuracy, else the first of the other figures."""
    others = [measurement_text(entry) for entry in card.metrics.get("held_out", [])]
    return accuracy_text(card.expected) or ", ".join(others[:2])


def _named(metrics: dict[str, Any]) -> str:
    return ", ".join(
        f"{name} {value:.3g}" if isinstance(value, float) else f"{name} {value}"
        for name, value in metrics.items()
    )
