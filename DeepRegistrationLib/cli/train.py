"""``deepreg train`` and ``deepreg export``."""

from __future__ import annotations

import argparse
import os
import shlex
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from DeepRegistrationLib import __version__
from DeepRegistrationLib.cli.inputs import assignments
from DeepRegistrationLib.cli.parser import PROGRAM
from DeepRegistrationLib.data.cases import read_cases
from DeepRegistrationLib.devices import choose_device
from DeepRegistrationLib.errors import RegistrationError
from DeepRegistrationLib.methods.expected_accuracy import parse_expected
from DeepRegistrationLib.progress import shown_progress
from DeepRegistrationLib.training.export import export
from DeepRegistrationLib.training.loop import train
from DeepRegistrationLib.training.recipes import make_recipe


def train_recipe(arguments: argparse.Namespace) -> None:
    """``deepreg train``."""
    values = assignments(arguments.parameters)
    if arguments.iterations is not None:
        values["iterations"] = str(arguments.iterations)
    recipe = make_recipe(arguments.recipe, values)
    if arguments.time_limit is not None and arguments.time_limit <= 0:
        raise RegistrationError(f"--time-limit {arguments.time_limit:g} is not positive.")
    choose_device(arguments.device)
    cases = read_cases(arguments.data)
    command = shlex.join([PROGRAM, "train", arguments.recipe, "--data", Path(arguments.data).name])
    command += f" --start {arguments.start}" if arguments.start else ""
    command += "".join(f" --set {name}={shlex.quote(v)}" for name, v in values.items())
    quiet = arguments.quiet or int(os.environ.get("RANK", 0)) > 0  # under torchrun, one speaks
    with shown_progress(quiet) as progress:
        outcome = train(
            recipe,
            cases,
            arguments.output,
            resume=arguments.resume,
            start=arguments.start,
            time_limit=arguments.time_limit,
            device=arguments.device,
            details={"command": command, "commit": _commit(), "data": Path(arguments.data).name},
            progress=progress,
            report=lambda line: None if quiet else print(line, flush=True),
        )
    if outcome.stopped == "interrupted":
        raise RegistrationError(
            f"Interrupted after step {outcome.step}; continue with --resume (a checkpoint was "
            f"written to {arguments.output})."
        )
    if not quiet:
        measured = ", ".join(f"{k} {v:.4g}" for k, v in outcome.metrics.items()) or "none yet"
        print(f"Stopped ({outcome.stopped}) after step {outcome.step}; kept weights: {measured}.")


def export_run(arguments: argparse.Namespace) -> None:
    """``deepreg export``."""
    card = export(
        Path(arguments.run),
        arguments.name,
        Path(arguments.output),
        data=arguments.data,
        licence=arguments.licence,
        held_out=arguments.held_out,
        metrics=_measurements(arguments.metrics),
        expected=[parse_expected(text) for text in arguments.expected],
        failures=arguments.failures,
        preview=arguments.preview,
    )
    size = card.path.stat().st_size / 1e6
    print(f"{card.path} ({size:.1f} MB) and {card.path.with_suffix('.json').name}")


def _measurements(texts: Sequence[str]) -> list[dict[str, Any]]:
    """``--metric NAME=VALUE`` as a card holds them.

    Raises:
        RegistrationError: A value that is not a number.
    """
    found = []
    for text in texts:
        name, _, value = text.partition("=")
        try:
            found.append({"metric": name.strip(), "value": float(value)})
        except ValueError:
            raise RegistrationError(
                f"--metric {text!r} is not NAME=NUMBER; write, for example, 'TRE=1.85'."
            ) from None
    return found


def _commit() -> str:
    """The checkout's commit, or the package's version outside one."""
    folder = Path(sys.modules["DeepRegistrationLib"].__file__ or "").parent
    try:
        found = subprocess.run(
            ["git", "-C", str(folder), "describe", "--always", "--dirty", "--abbrev=12"],
            capture_output=True,
            text=True,
            timeout=10,
            check=True,
        )
    except (OSError, subprocess.SubprocessError):
        return f"version {__version__}"
    return found.stdout.strip()
