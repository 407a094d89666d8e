"""What a training recipe is: the paper's values and steps; :mod:`.loop` does the rest."""

from __future__ import annotations

import dataclasses
from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, TypeVar

import torch
from torch import Tensor, nn

from DeepRegistrationLib.data.cases import Case
from DeepRegistrationLib.methods.parameters import parameter
from DeepRegistrationLib.progress import Progress

R = TypeVar("R", bound="type[Recipe]")


@dataclass(frozen=True)
class Recipe(ABC):
    """A network and how it is trained; subclasses are frozen dataclasses of plain values.

    Every value is a field built with :func:`~DeepRegistrationLib.methods.parameters.parameter`,
    whose help names its source (paper, code or our choice); ``deepreg train --set name=value``
    changes it. Subclasses redeclare the fields below where their paper says otherwise.

    Class attributes:
        name: For the command line.
        title: One line.
        method: Name of the registration method that uses the weights.
        citation: The paper.
        criterion: Key of the metric of :meth:`validate` that chooses the best snapshot; lower is
            better.
    """

    name: ClassVar[str]
    title: ClassVar[str]
    method: ClassVar[str]
    citation: ClassVar[str]
    criterion: ClassVar[str]

    iterations: int = parameter(1000, "Steps of the optimizer.", minimum=1)
    batches: int = parameter(
        1, "Batches per step, whose gradients are averaged; shared by the processes.", minimum=1
    )
    validate_every: int = parameter(100, "Steps between validations.", minimum=1)
    clip: float = parameter(0.0, "Maximum norm of the gradient; 0: not clipped.", minimum=0.0)
    precision: str = parameter(
        "bfloat16",
        "Number format of the convolutions; fields stay float32.",
        choices=("bfloat16", "float32"),
    )
    snapshots: int = parameter(0, "Snapshots to average at the end; 0: the best one.", minimum=0)
    snapshot_every: int = parameter(50, "Steps between snapshots to average.", minimum=1)
    seed: int = parameter(0, "Seed of every random choice.")

    @abstractmethod
    def architecture(self) -> dict[str, Any]:
        """Keyword arguments of the network's class, plain values; they go into the model card."""

    @abstractmethod
    def build(self) -> nn.Module:
        """The network with fresh weights (the loop has seeded torch), on the CPU."""

    @abstractmethod
    def prepare(self, cases: Sequence[Case], device: torch.device, progress: Progress) -> Any:
        """All data of one split, in memory, as :meth:`batch` and :meth:`validate` want it.

        Called once with the training cases and once with the validation cases (``case.split``).

        Raises:
            RegistrationError: The recipe cannot use these cases; says what they lack.
        """

    @abstractmethod
    def batch(self, prepared: Any, step: int, generator: torch.Generator) -> Any:
        """One batch on the device.

        Every random choice must come from ``generator``, a CPU generator seeded by the recipe's
        seed, the step and the number of the batch: so a resumed run sees the same batches.
        """

    @abstractmethod
    def loss(self, network: nn.Module, batch: Any) -> tuple[Tensor, dict[str, float]]:
        """The scalar loss and its terms for the curves; runs under autocast in ``precision``.

        Call ``network(...)`` itself, not its parts: it may be wrapped for several processes.
        """

    @abstractmethod
    def validate(
        self, network: nn.Module, prepared: Any, device: torch.device, progress: Progress
    ) -> dict[str, float]:
        """Metrics of the validation split, :attr:`criterion` among them; under autocast and
        without gradients, the network in evaluation mode."""

    @abstractmethod
    def optimizer(self, network: nn.Module) -> torch.optim.Optimizer:
        """A fresh optimizer of the parameters that are trained in the current stage."""

    def learning_rate_at(self, step: int) -> float | None:
        """The learning rate at a step; None leaves the optimizer's own."""
        return None

    def stages(self) -> tuple[int, ...]:
        """The steps at which stages of a progressive training begin; the first is 0."""
        return (0,)

    def enter_stage(  # noqa: B027 - most recipes have one stage
        self, network: nn.Module, stage: int, resumed: bool
    ) -> None:
        """Freeze and warm-start for a stage; the loop then asks for a new optimizer.

        Args:
            network: Not wrapped.
            stage: Index in :meth:`stages`.
            resumed: The weights come from a checkpoint in this stage, or the run began with
                trained ones: change none of them.
        """

    def finish(self, network: nn.Module, prepared: Any) -> None:  # noqa: B027 - as above
        """Last changes to the weights to keep, for example batch-norm statistics computed anew.

        Called without gradients, with the training data, for averaged snapshots only.
        """

    def values(self) -> dict[str, Any]:
        """Name and value of every field."""
        return dataclasses.asdict(self)


RECIPES: dict[str, type[Recipe]] = {}
"""The recipes whose modules were imported, by name; :mod:`.recipes` imports all."""


def register_recipe(recipe: R) -> R:
    """Class decorator: list the recipe under its name."""
    RECIPES[recipe.name] = recipe
    return recipe
