"""The folder of a training run: checkpoint, best weights, and what is known about the run.

``checkpoint.pt`` continues it, ``weights.safetensors`` holds the weights to keep, ``run.json`` the
recipe with its values and the metrics of those weights.
"""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path
from typing import Any

import safetensors.torch
import torch
from safetensors import SafetensorError
from torch import Tensor, nn
from torch.torch_version import TorchVersion

from DeepRegistrationLib.errors import RegistrationError
from DeepRegistrationLib.images.atomic_output import atomic_file, check_folder
from DeepRegistrationLib.images.guard.text import read_json
from DeepRegistrationLib.methods.parameters import with_present_names
from DeepRegistrationLib.training.recipe import Recipe

CHECKPOINT, WEIGHTS, RECORD = "checkpoint.pt", "weights.safetensors", "run.json"
_ENTRIES = {  # of a checkpoint, besides network and values
    "recipe",
    "step",
    "entered",
    "seconds",
    "optimizer",
    "best",
    "average",
    "averaged",
    "curves",
    "terms",
}
_FREE = ("iterations", "validate_every")  # values that may change when a run is continued


class RunFolder:
    """Reads and writes one folder; every file appears whole or not at all."""

    def __init__(self, folder: str | Path) -> None:
        self.folder = Path(folder)

    def begin(self) -> None:
        """Check that a new run can be written here.

        Raises:
            RegistrationError: There is a run already, or the folder cannot be written to.
        """
        if (self.folder / CHECKPOINT).exists():
            raise RegistrationError(
                f"{self.folder} already holds a run; continue it with --resume or choose another "
                "folder."
            )
        check_folder(self.folder)
        self.folder.mkdir(parents=True, exist_ok=True)

    def save_checkpoint(self, state: dict[str, Any]) -> None:
        with atomic_file(self.folder / CHECKPOINT) as path:
            torch.save(state, path)

    def load_checkpoint(self, recipe: Recipe, network: nn.Module) -> dict[str, Any]:
        """The state to continue from; ``network`` gets its weights.

        Raises:
            RegistrationError: No checkpoint, a damaged one, another recipe or architecture.
        """
        path = self.folder / CHECKPOINT
        if not path.is_file():
            raise RegistrationError(
                f"There is no run in {self.folder} to continue; leave --resume out."
            )
        if torch.__version__ < TorchVersion("2.6"):  # CVE-2025-32434: older ones run its code
            raise RegistrationError(
                f"Continuing a run needs PyTorch 2.6 or newer (this is {torch.__version__}), which "
                "loads checkpoints safely; install it."
            )
        try:
            state = torch.load(path, map_location="cpu", weights_only=True)
            shapes = {name: tuple(value.shape) for name, value in state["network"].items()}
            before = with_present_names(type(recipe), state["values"])
            if missing := _ENTRIES - state.keys():
                raise ValueError(f"without {', '.join(sorted(missing))}")
        except Exception as error:  # whatever unpickling a damaged file raises
            raise RegistrationError(
                f"The checkpoint {path} cannot be read; it is damaged: start again in another "
                "folder."
            ) from error
        if state["recipe"] != recipe.name or shapes != _shapes(network):
            raise RegistrationError(
                f"The checkpoint {path} is of another architecture ({state['recipe']}: "
                f"{_count(shapes)} weights; {recipe.name}: {_count(_shapes(network))}); "
                "continue it with its own recipe and values."
            )
        # A value that the recipe did not have yet counts as its default.
        before = {f.name: f.default for f in dataclasses.fields(recipe)} | before
        changed = [n for n, v in recipe.values().items() if n not in _FREE and before[n] != v]
        if changed:
            raise RegistrationError(
                f"The run in {self.folder} was started with other values of {', '.join(changed)}; "
                "continue it with the same --set options."
            )
        network.load_state_dict(state["network"])
        return state

    def keep(self, network: nn.Module, record: dict[str, Any]) -> None:
        """Make these the weights of the run."""
        state = {k: v.detach().cpu().contiguous() for k, v in network.state_dict().items()}
        with atomic_file(self.folder / WEIGHTS) as path:
            safetensors.torch.save_file(state, path)
        with atomic_file(self.folder / RECORD) as path:
            path.write_text(json.dumps(record, indent=2) + "\n", encoding="utf-8")

    def kept(self) -> tuple[dict[str, Tensor], dict[str, Any]]:
        """Weights and record of the run.

        Raises:
            RegistrationError: There are none yet.
        """
        try:
            record = read_json(self.folder / RECORD)
            if not {"recipe", "values", "architecture", "step", "metrics"} <= record.keys():
                raise ValueError("incomplete")
            return safetensors.torch.load_file(self.folder / WEIGHTS), record
        except (RegistrationError, OSError, ValueError, AttributeError, SafetensorError) as error:
            raise RegistrationError(
                f"{self.folder} holds no trained weights; train until the first validation."
            ) from error


def _shapes(network: nn.Module) -> dict[str, tuple[int, ...]]:
    return {name: tuple(value.shape) for name, value in network.state_dict().items()}


def _count(shapes: dict[str, tuple[int, ...]]) -> str:
    return f"{sum(torch.Size(shape).numel() for shape in shapes.values()):,}"
