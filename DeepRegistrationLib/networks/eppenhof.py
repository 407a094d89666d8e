"""The 3D U-Net of Eppenhof & Pluim (IEEE TMI 2019): two images in, displacements out."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import nn

WIDTHS = {"full": 32, "lite": 16, "compact": 10}
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
    """

    def __init__(self, base: int = 32) -> None:
        super().__init__()
        self.base = base
        self.down = nn.ModuleList([_Level(2, base, 2 * base)])
        for level in range(1, 5):
            inner = base << level
            self.down.append(_Level(inner, inner, 2 * inner))
        self.rise = nn.ModuleList()
        self.up = nn.ModuleList()
        for level in range(4, 0, -1):
            wide, narrow = base << (level + 1), base << level
            self.rise.append(nn.ConvTranspose3d(wide, wide, 2, stride=2))
            self.up.append(_Level(wide + narrow, narrow, narrow))
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


class _Level(nn.Sequential):
    """Two convolutions at one resolution."""

    def __init__(self, channels: int, inner: int, outer: int) -> None:
        super().__init__(
            nn.Conv3d(channels, inner, 3, padding=1),
            nn.BatchNorm3d(inner),
            nn.LeakyReLU(_SLOPE, inplace=True),
            nn.Conv3d(inner, outer, 3, padding=1),
            nn.BatchNorm3d(outer),
            nn.LeakyReLU(_SLOPE, inplace=True),
        )
