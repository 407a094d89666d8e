"""A recipe of milliseconds: two small convolutions learn a known one; for tests of the loop."""

from __future__ import annotations

import os
import signal
from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import nn

from DeepRegistrationLib.data.cases import Case
from DeepRegistrationLib.methods.parameters import parameter
from DeepRegistrationLib.training.recipe import RECIPES, Recipe


@dataclass(frozen=True)
class ToyRecipe(Recipe):
    """Two stages: first the first convolution, then the second, which begins as a copy."""

    name = "toy"
    title = "Toy"
    method = "invented"
    citation = "none"
    criterion: ClassVar[str] = "error"

    iterations: int = parameter(20, "steps", minimum=1)
    validate_every: int = parameter(5, "steps", minimum=1)
    precision: str = parameter("float32", "of convolutions", choices=("bfloat16", "float32"))
    width: int = parameter(2, "channels", minimum=1)
    dropout: float = parameter(0.1, "share", minimum=0.0, former="drop")
    interrupt_at: int = parameter(-1, "step that gets Ctrl-C")

    def architecture(self):
        return {"width": self.width}

    def build(self):
        return nn.Sequential(
            nn.Conv3d(1, self.width, 3, padding=1),
            nn.Conv3d(self.width, 1, 3, padding=1),
            nn.Dropout(self.dropout),
        )

    def prepare(self, cases, device, progress):
        assert len({case.split for case in cases}) == 1
        return {"split": cases[0].split, "patients": [case.patient for case in cases]}

    def batch(self, prepared, step, generator):
        assert prepared["split"] == "train"
        if step == self.interrupt_at:
            os.kill(os.getpid(), signal.SIGINT)
        image = torch.rand(2, 1, 6, 6, 6, generator=generator)
        return image, 2 * image - 0.5

    def loss(self, network, batch):
        image, target = batch
        value = (network(image) - target).square().mean()
        return value, {"squares": float(value.detach())}

    def validate(self, network, prepared, device, progress):
        assert prepared["split"] == "validation" and not network.training
        image = torch.linspace(0, 1, 216).reshape(1, 1, 6, 6, 6)
        return {"error": float((network(image) - 2 * image + 0.5).abs().mean())}

    def optimizer(self, network):
        return torch.optim.Adam([p for p in network.parameters() if p.requires_grad], lr=0.02)

    def learning_rate_at(self, step):
        return 0.05 / (1 + 0.1 * step)

    def stages(self):
        return (0, 8)

    def enter_stage(self, network, stage, resumed):
        if stage == 1 and not resumed:
            with torch.no_grad():
                network[1].weight.copy_(network[0].weight.movedim(0, 1))
        network[0].requires_grad_(stage == 0)

    def finish(self, network, prepared):
        network[1].bias.data.fill_(0.125)


CASES = [
    Case("one", "train", None),  # type: ignore[arg-type]
    Case("two", "validation", None),  # type: ignore[arg-type]
    Case("three", "test", None),  # type: ignore[arg-type]
]


def install(monkeypatch):
    """List the recipe as ``toy`` for one test."""
    monkeypatch.setitem(RECIPES, "toy", ToyRecipe)
