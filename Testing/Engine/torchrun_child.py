"""What ``torchrun`` starts in a test: trains the toy recipe, then leaves what this process saw.

Usage: torchrun_child.py FOLDER. Writes FOLDER/run and FOLDER/<rank>.pt.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path

import torch
from toy_recipe import CASES, ToyRecipe

from DeepRegistrationLib.training import curves
from DeepRegistrationLib.training.loop import train

STEPS = 9  # the toy's second stage begins at step 8


class Watched(ToyRecipe):
    """Keeps the gradients of every step and the network."""

    def optimizer(self, network):
        optimizer = super().optimizer(network)
        optimizer.register_step_pre_hook(lambda *_: GRADIENTS.append(gradients(network)))
        NETWORKS.append(network)
        return optimizer


GRADIENTS: list[dict[str, torch.Tensor]] = []
NETWORKS: list[torch.nn.Module] = []


def gradients(network: torch.nn.Module) -> dict[str, torch.Tensor]:
    """Of the parameters that are trained."""
    named = network.named_parameters()
    return {name: p.grad.clone() for name, p in named if p.requires_grad and p.grad is not None}


def main(folder: Path) -> None:
    recipe = Watched(batches=2, iterations=STEPS, dropout=0.0)
    train(recipe, CASES, folder / "run", device="cpu")
    seen = {"gradients": GRADIENTS, "weights": NETWORKS[-1].state_dict()}
    torch.save(seen, folder / f"{os.environ.get('RANK', 'alone')}.pt")


if __name__ == "__main__":
    curves._installed = lambda package: False  # drawing takes seconds
    main(Path(sys.argv[1]))
