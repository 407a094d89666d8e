"""mlVIRNET: one small U-Net a resolution level (Hering et al., BVM 2019).

Each level, width w = 16, convolutions 3^3 with padding, each with batch norm and ReLU:

| part | channels | weights |
|---|---|---|
| fine, n^3 | 2, w, w | 864 + 6,912 |
| average pool, (n/2)^3 | w, 2w, 2w | 13,824 + 27,648 |
| average pool, (n/4)^3 | 2w, 4w, 4w | 55,296 + 110,592 |
| transposed 2^3, with the skip, (n/2)^3 | 4w, 2w + 2w, 2w, 2w | 16,384 + 55,296 + 27,648 |
| transposed 2^3, with the skip, n^3 | 2w, w + w, w, w | 4,096 + 13,824 + 6,912 |
| head 1^3 | w, 3 | 48 |

339,344 kernel weights a level (340,035 with biases and batch norm). Convolutions followed by batch
norm have no bias of their own.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from DeepRegistrationLib.sampling import displaced


class Virnet(nn.Module):
    """The network of one level: fixed and warped moving image to a displacement in voxels."""

    def __init__(self, width: int = 16) -> None:
        super().__init__()
        w = width
        self.fine = _block(2, w)
        self.middle = _block(w, 2 * w)
        self.coarse = _block(2 * w, 4 * w)
        self.up_middle = nn.ConvTranspose3d(4 * w, 2 * w, 2, 2)
        self.out_middle = _block(4 * w, 2 * w)
        self.up_fine = nn.ConvTranspose3d(2 * w, w, 2, 2)
        self.out_fine = _block(2 * w, w)
        self.head = nn.Conv3d(w, 3, 1)
        nn.init.normal_(self.head.weight, std=1e-3)  # starts near the identity (our choice)
        nn.init.zeros_(self.head.bias)  # type: ignore[arg-type]

    def forward(self, fixed: Tensor, warped: Tensor) -> Tensor:
        """Two [B, 1, z, y, x], sizes divisible by 4, to float32 [B, 3, z, y, x] in voxels."""
        fine = self.fine(torch.cat([fixed, warped], 1).contiguous(memory_format=_LAYOUT))
        middle = self.middle(F.avg_pool3d(fine, 2))
        coarse = self.coarse(F.avg_pool3d(middle, 2))
        middle = self.out_middle(torch.cat([middle, self.up_middle(coarse)], 1))
        fine = self.out_fine(torch.cat([fine, self.up_fine(middle)], 1))
        with torch.autocast(fine.device.type, enabled=False):  # fields stay float32
            return self.head(fine.float())


class MultilevelVirnet(nn.Module):
    """Levels from coarse to fine; each corrects the total displacement of those before.

    Args:
        levels: 3 in the paper (40^3, 80^3, 160^3); 1 is its single-level VIRNET.
        width: Channels of the finest part of each U-Net.

    Attributes:
        active: How many levels are in use. Only the last active one is trained (and is in training
            mode); the images are given at its resolution.
    """

    def __init__(self, levels: int = 3, width: int = 16) -> None:
        super().__init__()
        self.levels = nn.ModuleList(Virnet(width) for _ in range(levels))
        self.active = levels
        self.register_buffer("trained", torch.tensor(levels))  # kept with the weights
        self.to(memory_format=_LAYOUT)  # type: ignore[call-overload]

    def activate(self, active: int) -> None:
        """Use the first ``active`` levels and train only the last of them."""
        self.active = active
        self.trained.fill_(active)  # type: ignore[operator]
        for number, level in enumerate(self.levels):
            level.requires_grad_(number == active - 1)
        self.train(self.training)

    def train(self, mode: bool = True) -> MultilevelVirnet:
        """Frozen levels stay in evaluation mode: their batch norms must not drift."""
        super().train(False)
        self.training = mode
        self.levels[self.active - 1].train(mode)
        return self

    def forward(
        self,
        fixed: Tensor,
        moving: Tensor,
        window: tuple[tuple[int, int, int], tuple[int, int, int]] | None = None,
    ) -> list[Tensor]:
        """The total displacement after each active level.

        Args:
            fixed, moving: [B, 1, z, y, x] at the resolution of the last active level.
            window: First voxel (x, y, z) and size of the block in which the last active level
                works (training on crops); everywhere when omitted.

        Returns:
            [B, 3, z, y, x] a level, float32, in voxels of that level.
        """
        pyramid = [(fixed, moving)]
        for _ in range(self.active - 1):
            pyramid.append((F.avg_pool3d(pyramid[-1][0], 2), F.avg_pool3d(pyramid[-1][1], 2)))
        totals: list[Tensor] = []
        for number, (level_fixed, level_moving) in enumerate(reversed(pyramid)):
            total = doubled(totals[-1]) if totals else _zeros(level_fixed)
            first = (0, 0, 0)
            if window is not None and number == self.active - 1:
                first = window[0]
                level_fixed = block(level_fixed, *window)
                near = block(total, *window)
            else:
                near = total
            warped = (
                displaced(level_moving, near, first)
                if totals
                else block(level_moving, first, level_fixed.shape[:1:-1])
            )
            new = self.levels[number](level_fixed, warped)
            totals.append(composed(total, new, first) if totals else new)
        return totals


def doubled(displacement: Tensor) -> Tensor:
    """A displacement on the grid of half the voxel size, in its voxels.

    Cells are halved, so that index 2 i + 0.5 is the old i, and the values double.
    """
    with torch.autocast(displacement.device.type, enabled=False):
        return 2 * F.interpolate(
            displacement, scale_factor=2, mode="trilinear", align_corners=False
        )


def composed(total: Tensor, new: Tensor, first: tuple[int, int, int] = (0, 0, 0)) -> Tensor:
    """Y o y: with W = M(Y) and F like W(y), the new total applies y first, then Y.

    u(x) = u_y(x) + u_Y(x + u_y(x)); the paper prints the reverse order. Both in voxels, and ``new``
    may cover only a block of ``total`` that begins at the voxel ``first`` (x, y, z).
    """
    return new + displaced(total, new, first)


def block(values: Tensor, first: tuple[int, int, int], size: tuple[int, ...]) -> Tensor:
    """The block of [B, C, z, y, x] that begins at ``first`` with ``size``, both (x, y, z)."""
    (x, y, z), (nx, ny, nz) = first, size
    return values[:, :, z : z + nz, y : y + ny, x : x + nx]


_LAYOUT = torch.channels_last_3d  # a third faster in bfloat16 on CPUs and GPUs


def _block(channels_in: int, channels: int) -> nn.Sequential:
    return nn.Sequential(
        nn.Conv3d(channels_in, channels, 3, padding=1, bias=False),
        nn.BatchNorm3d(channels),
        nn.ReLU(inplace=True),
        nn.Conv3d(channels, channels, 3, padding=1, bias=False),
        nn.BatchNorm3d(channels),
        nn.ReLU(inplace=True),
    )


def _zeros(image: Tensor) -> Tensor:
    return image.new_zeros(image.shape[0], 3, *image.shape[2:])
