"""HeartNet: where the ventricles are in slices of short-axis cardiac MRI.

A small 2D U-Net (Ronneberger et al., MICCAI 2015) on each slice alone, so that the number, order
and distance of the slices do not matter. Four levels with two 3x3 convolutions each, batch norm and
ReLU; the widths are our choice.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

LEVELS = 4
MULTIPLE = 2 ** (LEVELS - 1)
"""Height and width of what the network is given divide by this."""


class HeartNet(nn.Module):
    """The network.

    Args:
        width: Channels of the first level; they double at the next ones, up to eight times.
        channels: Slices that are seen at once, to segment the middle one.
    """

    def __init__(self, width: int = 12, channels: int = 1) -> None:
        super().__init__()
        widths = [width * 2**level for level in range(LEVELS)]
        self.down = nn.ModuleList(map(_two_convolutions, [channels, *widths[:-1]], widths))
        self.up = nn.ModuleList(
            nn.ConvTranspose2d(wide, narrow, 2, stride=2)
            for narrow, wide in zip(widths, widths[1:], strict=False)
        )
        self.merge = nn.ModuleList(_two_convolutions(2 * each, each) for each in widths[:-1])
        self.output = nn.Conv2d(width, 4, 1)

    def forward(self, slices: Tensor) -> Tensor:
        """Logits of surroundings, right ventricle, myocardium and left ventricle.

        Args:
            slices: As :func:`DeepRegistrationLib.methods.heart.slices.slices_of` gives them:
                [n, channels, y, x], y and x divisible by ``MULTIPLE``.

        Returns:
            float32 [n, 4, y, x].
        """
        features, skips = slices.to(self.output.weight.dtype), []
        for level, block in enumerate(self.down):
            if level:
                skips.append(features)
                features = F.max_pool2d(features, 2)
            features = block(features)
        for level in reversed(range(LEVELS - 1)):
            features = torch.cat([self.up[level](features), skips[level]], dim=1)
            features = self.merge[level](features)
        return self.output(features).float()


def _two_convolutions(channels: int, width: int) -> nn.Sequential:
    layers: list[nn.Module] = []
    for inputs in (channels, width):
        layers += [
            nn.Conv2d(inputs, width, 3, padding=1, bias=False),
            nn.BatchNorm2d(width),
            nn.ReLU(inplace=True),
        ]
    return nn.Sequential(*layers)
