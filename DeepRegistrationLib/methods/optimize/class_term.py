"""Class probabilities of both images as one more term of the optimization's loss."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch

from DeepRegistrationLib.images.extents import mask_box
from DeepRegistrationLib.images.lookup import looked_up

FAINT = 0.05
"""Probability of any class, below which a voxel shows none."""


class ClassTerm:
    """Squared differences of class probabilities, summed over the classes, averaged with weights.

    As of the one-hot labels of a segmentation network in Siebert, Hansen & Heinrich, Learn2Reg
    2021; probabilities let what the network doubts count less. They are compared in a box around
    the fixed image's classes, which saves most of the time.

    Args:
        fixed: Of each class, [z, y, x].
        moving: Of each class, over the box of the moving image's values.
        weight: Where differences count, [z, y, x].
        counted: What the average is over: the sum of weights of the fixed image.
        around: Voxels (x, y, z) of the box around the classes: as far as they may move.
    """

    def __init__(
        self,
        fixed: Sequence[torch.Tensor],
        moving: Sequence[torch.Tensor],
        weight: torch.Tensor,
        counted: torch.Tensor,
        around: Sequence[float],
    ) -> None:
        classes = torch.stack(list(fixed))
        first, last = mask_box(classes.sum(0) > FAINT)
        margin = np.ceil(around)
        low = np.maximum(first - margin, 0).astype(int)
        high = (last + margin + 1).astype(int)
        x, y, z = (slice(int(a), int(b)) for a, b in zip(low, high, strict=True))
        self.part = (..., z, y, x)
        self.fixed = classes[self.part]
        self.moving = torch.stack(list(moving))
        self.weight = weight[self.part] / counted.to(weight)

    def __call__(self, points: torch.Tensor) -> torch.Tensor:
        """The loss, a scalar.

        Args:
            points: Where the moving image is looked up, in ``grid_sample``'s units: [3, z, y, x].
        """
        warped = looked_up(self.moving, points[self.part].movedim(0, -1))
        return ((warped - self.fixed).square().sum(0) * self.weight).sum()
