"""Trained weights: <name>.safetensors with a model card <name>.json; found, verified, loaded.

Where nobody names weights, the first of their order are taken (:func:`weight_cards`): final ones
before previews; then by folder, the user's own before the shipped ones; then the newest; then the
first by name. :func:`DeepRegistrationLib.registration.method_choice.choose_weights` also looks at
what a pair shows.

Cards are read without PyTorch, so that a panel can show them before the engine is loaded.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from DeepRegistrationLib.errors import RegistrationError
from DeepRegistrationLib.images.guard.damage import damage_explained
from DeepRegistrationLib.images.guard.paths import require_readable
from DeepRegistrationLib.methods.model_card import ModelCard, read_card
from DeepRegistrationLib.methods.shipped_weights import SHIPPED

if TYPE_CHECKING:
    import torch

FOLDER = "DEEPREG_WEIGHTS"  # environment variable: a further folder, searched first


_USED: ContextVar[dict[str, str] | None] = ContextVar("weights in use", default=None)


@contextmanager
def recorded_use() -> Iterator[dict[str, str]]:
    """The weights that networks use inside this block: SHA-256 by name."""
    used: dict[str, str] = {}
    token = _USED.set(used)
    try:
        yield used
    finally:
        _USED.reset(token)


def record_use(card: ModelCard) -> None:
    """Note that a network uses these weights, where anybody wants to know."""
    used = _USED.get()
    if used is not None:
        used[card.name] = card.sha256


def folders() -> list[Path]:
    """Where weights are looked for: $DEEPREG_WEIGHTS, the user's folder, beside the package (a
    checkout, or an installed extension)."""
    named = os.environ.get(FOLDER)
    places = [Path(named)] if named else []
    return [*places, user_folder(), *_shipped_folders()]


def _shipped_folders() -> list[Path]:
    """Where the shipped weights lie: beside the package, or in it."""
    package = Path(__file__).resolve().parents[1]
    return [package.parent / "weights", package / "weights"]


def user_folder() -> Path:
    """Where a user keeps own weights."""
    base = os.environ.get("XDG_DATA_HOME") or Path.home() / ".local" / "share"
    return Path(base) / "deepreg" / "weights"


def weight_cards(method: str | None = None) -> list[ModelCard]:
    """All readable model cards, or those for one method, in the order in which they are taken.

    Of two with one name, that in the earlier folder hides the other. Damaged cards are left out
    here; :func:`find_weights` explains them.
    """
    cards: dict[str, ModelCard] = {}
    for path in _files(".json"):
        try:
            card = read_card(path)
        except RegistrationError:
            continue
        cards.setdefault(card.name, card)
    wanted = [card for card in cards.values() if method in (None, card.method)]
    wanted.sort(key=lambda card: card.name)
    wanted.sort(key=lambda card: card.date, reverse=True)
    return sorted(wanted, key=lambda card: (card.preview, _rank(card.path)))


def why_first(cards: list[ModelCard]) -> str:
    """A clause that says what put the first of the cards of a method before the next one.

    It names no path: reports shall hold none.
    """
    if len(cards) < 2:
        return "there are no others"
    first, second = cards[:2]
    if first.preview != second.preview:
        return "the others are previews"
    if _rank(first.path) != _rank(second.path):
        return f"those {_place(first)} come before those {_place(second)}"
    if first.date != second.date:
        return f"they are the newest of those {_place(first)}"
    return f"they are the first by name of those {_place(first)}"


def find_weights(method: str, name: str = "auto") -> ModelCard:
    """The card of the weights to use for a method; ``auto`` takes the first in their order.

    Raises:
        RegistrationError: None for the method (the sentence names the training command), none of
            this name, a card without weights, weights without a card, an unreadable card (with
            ``auto``: in a folder that comes before), weights of another method.
    """
    cards = weight_cards(method)
    if name == "auto":
        for path in _files(".json"):  # a damaged one may be what is missed
            earlier = cards and _rank(path) < _rank(cards[0].path)
            if not cards or (earlier and path.with_suffix(".safetensors").is_file()):
                read_card(path)
        if not cards:
            raise RegistrationError(
                f"There are no weights for {method}; train them with 'deepreg train' and 'deepreg "
                f"export', then put <name>.safetensors and <name>.json into {user_folder()}."
            )
        name = cards[0].name
    card_file = next((p for p in _files(".json") if p.stem == name), None)
    weights_file = next((p for p in _files(".safetensors") if p.stem == name), None)
    if card_file is None and weights_file is None:
        names = ", ".join(card.name for card in cards)
        known = f"there are {names}" if names else f"there are none for {method} yet"
        raise RegistrationError(f"There are no weights called {name!r}; {known}.")
    if card_file is None:
        raise RegistrationError(
            f"The weights {weights_file} have no model card; put {name}.json beside them."
        )
    card = read_card(card_file)
    if not card.path.is_file():
        raise RegistrationError(
            f"The model card {card_file} has no weights; put {name}.safetensors beside it."
        )
    if card.method != method:
        raise RegistrationError(f"The weights {name} are for {card.method}, not for {method}.")
    return card


def curves_path(card: ModelCard) -> Path:
    """Picture of the training's learning curves, which need not be there."""
    return card.path.with_suffix(".curves.png")


def case_path(card: ModelCard) -> Path:
    """Picture of a case before and after registration, which need not be there."""
    return card.path.with_suffix(".case.png")


def load_weights(card: ModelCard) -> dict[str, torch.Tensor]:
    """The state dictionary, float32, after its SHA-256 was checked against the card.

    Raises:
        RegistrationError: The file is missing, damaged or was changed (hash), is not one
            of the shipped weights though it lies among them, or holds numbers that are not finite.
    """
    import safetensors.torch

    with damage_explained(card.path, "weights"):
        content = require_readable(card.path).read_bytes()
    digest = hashlib.sha256(content).hexdigest()
    if digest != card.sha256:
        raise RegistrationError(
            f"The weights {card.path} are damaged or were changed (their SHA-256 does not match "
            "the model card's); get them again."
        )
    if card.path.parent in _shipped_folders() and SHIPPED.get(card.name) != digest:
        raise RegistrationError(
            f"The weights {card.path} are not those shipped under this name; get them "
            f"again, or move your own to {user_folder()}."
        )
    with damage_explained(card.path, "weights"):
        state = safetensors.torch.load(content)
    state = {k: v.float() if v.is_floating_point() else v for k, v in state.items()}
    if not all(_is_usable(k, v) for k, v in state.items()):
        raise RegistrationError(
            f"The weights {card.path} hold numbers that are not finite; their training failed: "
            "train again, or get others."
        )
    return state


def _is_usable(name: str, values: torch.Tensor) -> bool:
    """Whether all numbers are finite; a batch norm's variance may be infinite.

    One above float16's range was stored so; it turns its channel off, as when the weights were
    measured.
    """
    if name.endswith("running_var"):
        return not bool(values.isnan().any())
    return not values.is_floating_point() or bool(values.isfinite().all())


def save_weights(state: dict[str, torch.Tensor], card: ModelCard, folder: Path) -> ModelCard:
    """Write weights and card into a folder, both or none; returns the card with hash.

    Weights are stored as float16; those with numbers above its range as float32.

    Raises:
        RegistrationError: The folder cannot be written to.
    """
    import safetensors.torch

    from DeepRegistrationLib.images.atomic_output import atomic_folder

    stored = {k: _halved(v).detach().cpu().contiguous() for k, v in state.items()}
    content = safetensors.torch.save(stored)
    digest = hashlib.sha256(content).hexdigest()
    card = replace(card, sha256=digest, path=folder / f"{card.name}.safetensors")
    with atomic_folder(folder, needed=len(content)) as partial:
        (partial / card.path.name).write_bytes(content)
        (partial / f"{card.name}.json").write_text(card.to_json(), encoding="utf-8")
    return card


def _halved(values: torch.Tensor) -> torch.Tensor:
    if not values.is_floating_point():
        return values
    half = values.half()
    return values.float() if bool((half.isinf() & values.isfinite()).any()) else half


def _files(suffix: str) -> Iterator[Path]:
    """Files of a suffix in all folders, in the order in which they take precedence."""
    for folder in folders():
        if folder.is_dir():
            yield from sorted(folder.glob(f"*{suffix}"))


def _rank(path: Path) -> int:
    """Position of a file's folder among the :func:`folders`."""
    places = folders()
    return places.index(path.parent) if path.parent in places else len(places)


def _place(card: ModelCard) -> str:
    """Where weights are, without a path: for sentences that begin with ``those``."""
    folder, named = card.path.parent, os.environ.get(FOLDER)
    if named and folder == Path(named):
        return f"in the folder of {FOLDER}"
    return "in your own folder" if folder == user_folder() else "shipped with the program"
