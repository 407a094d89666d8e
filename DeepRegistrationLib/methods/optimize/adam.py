"""Adam (Kingma & Ba, ICLR 2015, algorithm 1) of one tensor."""

from __future__ import annotations

import torch


class Adam:
    """Moves ``values`` in place.

    PyTorch's own loads its compiler when the first one is made, a second of every first fit.

    Args:
        values: Any shape.
        betas: Of the means of the gradient and of its square.
        epsilon: Added to the root of the latter.
    """

    def __init__(
        self, values: torch.Tensor, betas: tuple[float, float], epsilon: float = 1e-8
    ) -> None:
        self._values, self._betas, self._epsilon = values, betas, epsilon
        self._mean, self._square = torch.zeros_like(values), torch.zeros_like(values)
        self._steps = 0

    @torch.no_grad()
    def step(self, gradient: torch.Tensor, rate: float) -> None:
        """Move the values against the gradient, each by about ``rate`` at first."""
        first, second = self._betas
        self._steps += 1
        self._mean.lerp_(gradient, 1 - first)
        self._square.mul_(second).addcmul_(gradient, gradient, value=1 - second)
        root = self._square.sqrt().div_((1 - second**self._steps) ** 0.5).add_(self._epsilon)
        self._values.addcdiv_(self._mean, root, value=-rate / (1 - first**self._steps))
