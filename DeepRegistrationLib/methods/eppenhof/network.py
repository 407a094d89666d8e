"""The 3D U-Net of Eppenhof & Pluim (IEEE TMI 2019): two images in, displacements out."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import nn

MULTIPLE = 16  # four poolings: sizes that it takes are multiples of this
_SLOPE = 0.01


class EppenhofNet(nn.Module):
    """Five resolutions, two padded 3^3 convolutions at each, batch norm, leaky ReLU 0.01.

    With base width b, at an image of 128^3 (the skips are joined before the decoder's first
    convolution of each level):

    ======  ======  ===================  ======================================
    level   size    encoder              decoder
    ======  ======  ===================  ======================================
    1       128^3   2 -> b -> 2b         (4b up + 2b) = 6b -> 2b -> 2b -> 3
    2       64^3    2b -> 2b -> 4b       (8b up + 4b) = 12b -> 4b -> 4b
    3       32^3    4b -> 4b -> 8b       (16b up + 8b) = 24b -> 8b -> 8b
    4       16^3    8b -> 8b -> 16b      (32b up + 16b) = 48b -> 16b -> 16b
    5       8^3     16b -> 16b -> 32b
    ======  ======  ===================  ======================================

    Down by max pooling of 2^3, up by transposed convolutions of 2^3 that keep the channels
    (Cicek et al. 2016), without batch norm; the output is linear, 1^3.

    The paper does not print the widths. ``full`` (b = 32) has 77.0 million weights and needs 4.2
    TFLOP, ``lite`` (16) 19.3 million and 1.05 TFLOP, ``compact`` (10) 7.5 million.

    Args:
        base: b, any positive number.
        norm: ``running`` normalizes by the running mean and variance in training too, as in the
            paper (:class:`RunningBatchNorm`); ``batch`` by those of the batch, as is usual. Both
            use the running ones afterwards.

    Raises:
        ValueError: Another ``norm``.
    """

    def __init__(self, base: int = 32, norm: str = "batch") -> None:
        super().__init__()
        if norm not in _NORMS:
            raise ValueError(f"norm is {norm!r}; it can be {' or '.join(_NORMS)}.")
        self.base, self.norm = base, norm
        self.down = nn.ModuleList([_ConvBlock(2, base, 2 * base, norm)])
        for level in range(1, 5):
            inner = base << level
            self.down.append(_ConvBlock(inner, inner, 2 * inner, norm))
        self.rise = nn.ModuleList()
        self.up = nn.ModuleList()
        for level in range(4, 0, -1):
            wide, narrow = base << (level + 1), base << level
            self.rise.append(nn.ConvTranspose3d(wide, wide, 2, stride=2))
            self.up.append(_ConvBlock(wide + narrow, narrow, narrow, norm))
        self.output = nn.Conv3d(2 * base, 3, 1)

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        """Displacements in voxels, components (x, y, z).

        Args:
            images: Fixed and moving image in [0, 1]: [batch, 2, z, y, x], each a multiple of 16.

        Returns:
            [batch, 3, z, y, x].
        """
        values = self.down[0](images)
        skips = []
        for level in list(self.down)[1:]:
            skips.append(values)
            values = level(F.max_pool3d(values, 2))
        for rise, level in zip(self.rise, self.up, strict=True):
            values = level(torch.cat([rise(values), skips.pop()], dim=1))
        return self.output(values)


class RunningBatchNorm(nn.BatchNorm3d):
    """Normalizes by the running mean and variance, in training too (Eppenhof & Pluim 2019).

    With one pair a batch, statistics of the batch are those of the pair, and differ from the
    running ones that are used afterwards. alpha = 0.1 and eps = 1e-4 are the paper's. The running
    values take part in no gradient.
    """

    def __init__(self, channels: int) -> None:
        super().__init__(channels, eps=1e-4, momentum=0.1)

    def forward(self, input: torch.Tensor) -> torch.Tensor:
        assert self.running_mean is not None
        assert self.running_var is not None
        if self.training:
            with torch.no_grad(), torch.autocast(input.device.type, enabled=False):
                self._follow(input.float())
        return F.batch_norm(
            input,
            self.running_mean.clone(),
            self.running_var.clone(),
            self.weight,
            self.bias,
            training=False,
            eps=self.eps,
        )

    def _follow(self, values: torch.Tensor) -> None:
        """Move the running values towards the batch's, as :class:`torch.nn.BatchNorm3d` does."""
        assert self.running_mean is not None
        assert self.running_var is not None
        assert self.num_batches_tracked is not None
        self.num_batches_tracked += 1
        share = self.momentum
        if share is None:  # a plain mean
            share = 1.0 / float(self.num_batches_tracked)
        variance, mean = torch.var_mean(values, dim=(0, 2, 3, 4))
        self.running_mean.lerp_(mean, share)
        self.running_var.lerp_(variance, share)


_NORMS: dict[str, type[nn.BatchNorm3d]] = {"running": RunningBatchNorm, "batch": nn.BatchNorm3d}


class _ConvBlock(nn.Sequential):
    """Two convolutions at one resolution."""

    def __init__(self, channels: int, inner: int, outer: int, norm: str) -> None:
        kind = _NORMS[norm]
        super().__init__(
            nn.Conv3d(channels, inner, 3, padding=1),
            kind(inner),
            nn.LeakyReLU(_SLOPE, inplace=True),
            nn.Conv3d(inner, outer, 3, padding=1),
            kind(outer),
            nn.LeakyReLU(_SLOPE, inplace=True),
        )
