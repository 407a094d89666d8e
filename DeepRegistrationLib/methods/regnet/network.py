"""RegNet (Sokooti et al., MICCAI 2017): the displacement of a patch's center, from two scales."""

from __future__ import annotations

from typing import Literal

import torch
import torch.nn.functional as F
from torch import nn

Variant = Literal["late", "early", "single"]
VARIANTS: tuple[Variant, ...] = ("late", "early", "single")

PATCH = 55  # voxels of 1 mm a sample needs along each axis: the point and 27 on either side


class RegNet(nn.Module):
    """Two branches that meet: 29 voxels at 1 mm and 27 block means of 2 mm.

    Every convolution is 3^3 without padding, followed by batch norm and ReLU; the last is linear.

    ===================  =======================  ==================  =========
    part                 input                    channels            output
    ===================  =======================  ==================  =========
    fine, each image     29^3 (1 mm)              16, 16, 16          23^3
    fine, both           23^3 x 32                25, 30, max pool 2  9^3 x 30
    coarse, each image   27^3 (2 mm)              16, 16, 16          21^3
    coarse, both         21^3 x 32                25 x 3, 30 x 3      9^3 x 30
    merged               9^3 x 60                 60, 70, 75, 150     1^3
    head (1^3)           1^3 x 150                150, 3 (linear)     1^3 x 3
    ===================  =======================  ==================  =========

    902,124 kernel weights, 904,878 with biases and batch norm. The pooling drops the last of 19
    voxels, so of the fine patch's 29 voxels 28 count: both branches are centered half a voxel
    before the point c, on c - 0.5, seeing [c - 14, c + 13] and [c - 27, c + 26].

    On inputs larger than these the result is dense, one vector for every second voxel; that of
    every voxel is :meth:`DeepRegistrationLib.methods.regnet.inference.dense`.

    Args:
        variant: ``late`` is the paper's; ``early`` joins the images before the first convolution
            (32 channels then stand for twice 16; the paper gives no widths); ``single`` has the
            fine branch alone.
    """

    def __init__(self, variant: Variant = "late") -> None:
        super().__init__()
        if variant not in VARIANTS:
            raise ValueError(f"variant is {variant!r}; choose one of {', '.join(VARIANTS)}")
        self.variant = variant
        self.fine = _Branch(variant, (25, 30))
        self.coarse = None if variant == "single" else _Branch(variant, (25, 25, 25, 30, 30, 30))
        scales = 1 if variant == "single" else 2
        self.merged = _convolutions(30 * scales, (60, 70, 75, 150))
        self.head = nn.Sequential(*_layer(150, 150, kernel=1), nn.Conv3d(150, 3, 1))

    def forward(self, fine: torch.Tensor, coarse: torch.Tensor | None) -> torch.Tensor:
        """Displacements in voxels of 1 mm, components (x, y, z).

        Args:
            fine: Fixed and moving image at 1 mm: [batch, 2, 29, 29, 29], or larger by 2 (n - 1)
                along an axis for n vectors along it.
            coarse: Block means of 2^3 voxels: [batch, 2, 27, 27, 27], or larger by n - 1; unused
                by the single scale.

        Returns:
            [batch, 3, 1, 1, 1], or n along the axes.
        """
        return self.join(self.features(fine), coarse)

    def features(self, fine: torch.Tensor) -> torch.Tensor:
        """What the fine branch finds before its pooling, voxel by voxel: 10 less along an axis."""
        return self.fine(fine)

    def join(self, features: torch.Tensor, coarse: torch.Tensor | None) -> torch.Tensor:
        """The displacements from the fine branch's features and the coarse images."""
        parts = [F.max_pool3d(features, 2)]
        if self.coarse is not None:
            parts.append(self.coarse(coarse))
        return self.head(self.merged(torch.cat(parts, dim=1)))


class _Branch(nn.Module):
    """One scale: the images apart (``late``) or joined at once, then the trunk."""

    def __init__(self, variant: Variant, trunk: tuple[int, ...]) -> None:
        super().__init__()
        self.joined = variant == "early"
        if self.joined:
            self.both = _convolutions(2, (32, 32, 32))
        else:
            self.fixed = _convolutions(1, (16, 16, 16))
            self.moving = _convolutions(1, (16, 16, 16))
        self.trunk = _convolutions(32, trunk)

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        if self.joined:
            return self.trunk(self.both(images))
        apart = [self.fixed(images[:, :1]), self.moving(images[:, 1:])]
        return self.trunk(torch.cat(apart, dim=1))


def _convolutions(channels: int, widths: tuple[int, ...]) -> nn.Sequential:
    layers: list[nn.Module] = []
    for width in widths:
        layers += _layer(channels, width)
        channels = width
    return nn.Sequential(*layers)


def _layer(channels: int, width: int, kernel: int = 3) -> list[nn.Module]:
    return [nn.Conv3d(channels, width, kernel), nn.BatchNorm3d(width), nn.ReLU(inplace=True)]


def split_scales(patch: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """The two inputs of the network, centered on the same point.

    Args:
        patch: Fixed and moving image around the points: [batch, 2, 55, 55, 55] for one point in
            the middle, or larger by 2 (n - 1) along an axis for n points, each 2 voxels on.

    Returns:
        The fine input, 26 voxels smaller, and the block means of the coarse one.
    """
    fine = patch[..., 13:-13, 13:-13, 13:-13]
    return fine, F.avg_pool3d(patch, 2)  # which drops the last voxel of an odd length
