"""From a training run to weights with a model card."""

from __future__ import annotations

import re
from collections.abc import Sequence
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

from DeepRegistrationLib.errors import RegistrationError
from DeepRegistrationLib.methods.expected_accuracy import ExpectedAccuracy
from DeepRegistrationLib.methods.weights import ModelCard, curves_path, save_weights
from DeepRegistrationLib.training.recipes import make_recipe
from DeepRegistrationLib.training.run_folder import RunFolder
from DeepRegistrationLib.training.small_png import write_small


def rounded(metrics: dict[str, float]) -> dict[str, float]:
    """Validation metrics to four significant digits; more says nothing."""
    return {name: float(f"{value:.4g}") for name, value in metrics.items()}


def export(
    run: Path,
    name: str,
    folder: Path,
    *,
    data: Sequence[str],
    licence: str,
    held_out: Sequence[str] = (),
    metrics: Sequence[dict[str, Any]] = (),
    expected: Sequence[ExpectedAccuracy] = (),
    failures: Sequence[str] = (),
    preview: bool = False,
) -> ModelCard:
    """Write ``folder/<name>.safetensors`` (float16), its card and, where the run has drawn its
    learning curves, ``<name>.curves.png``.

    Args:
        run: Folder of a training run.
        name: Letters, digits, ``.``, ``_`` and ``-``.
        folder: Made when it does not exist.
        data: Data sets, one sentence each.
        licence: Terms of the weights.
        held_out: Patients that training never saw, besides the list's split ``test``.
        metrics: Measured on held-out data, each with ``metric`` and ``value``
            (:class:`DeepRegistrationLib.methods.model_card.ModelCard`).
        expected: Accuracy on held-out data, by which ``auto`` chooses.
        failures: Where it is known to fail, a sentence each.
        preview: Trained for a short time only.

    Raises:
        RegistrationError: A wrong name, no weights in the run, a folder that cannot be written.
    """
    if not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9._-]*", name):
        raise RegistrationError(
            f"{name!r} is not a valid name for weights; use letters, digits, '.', '_' and '-'."
        )
    state, record = RunFolder(run).kept()
    recipe = make_recipe(record["recipe"], record["values"])
    card = ModelCard(
        name=name,
        method=recipe.method,
        title=recipe.title,
        architecture=record["architecture"],
        data=list(data),
        licence=licence,
        citation=recipe.citation,
        recipe={"name": recipe.name, "values": record["values"], "step": record["step"]},
        commit=record.get("commit", "unknown"),
        metrics={"validation": rounded(record["metrics"]), "held_out": list(metrics)},
        held_out=sorted({*record.get("held_out", []), *held_out}),
        command=record.get("command", ""),
        preview=preview,
        sha256="",
        expected=list(expected),
        failures=list(failures),
        date=datetime.now(timezone.utc).strftime("%Y-%m-%dT%H:%M:%SZ"),
    )
    card = save_weights(state, card, folder)
    curves = run / "curves.png"
    if curves.is_file():
        write_small(curves.read_bytes(), curves_path(card))
    return card
