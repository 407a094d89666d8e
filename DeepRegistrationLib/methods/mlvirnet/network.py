"""mlVIRNET: one small U-Net a resolution level (Hering et al., MICCAI 2019).

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

from DeepRegistrationLib.images.sampling import displaced

Window = tuple[tuple[int, int, int], tuple[int, ...]]


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
        self.apply(_xavier)

    def forward(self, fixed: Tensor, warped: Tensor) -> Tensor:
        """Two [B, 1, z, y, x], sizes divisible by 4, to float32 [B, 3, z, y, x] in voxels."""
        pair = torch.cat([fixed, warped], 1).to(self.up_fine.weight.dtype)
        fine = self.fine(pair.contiguous(memory_format=_LAYOUT))
        middle = self.middle(_halved(fine))
        coarse = self.coarse(_halved(middle))
        middle = self.out_middle(torch.cat([middle, self.up_middle(coarse)], 1))
        fine = self.out_fine(torch.cat([fine, self.up_fine(middle)], 1))
        with torch.autocast(fine.device.type, enabled=False):  # fields stay float32
            assert self.head.bias is not None
            return F.conv3d(fine.float(), self.head.weight.float(), self.head.bias.float())


class MultilevelVirnet(nn.Module):
    """Levels from coarse to fine; each corrects the total displacement of those before.

    Args:
        levels: 3 in the paper (40^3, 80^3, 160^3); 1 is its single-level VIRNET.
        width: Channels of the finest part of each U-Net.

    Attributes:
        active: How many levels are in use. Only the last active one is trained (and is in training
            mode); the images are given at its resolution.
        trained: ``active`` as a tensor, kept with the weights.
    """

    trained: Tensor

    def __init__(self, levels: int = 3, width: int = 16) -> None:
        super().__init__()
        self.levels = nn.ModuleList(Virnet(width) for _ in range(levels))
        self.active = levels
        self.register_buffer("trained", torch.tensor(levels))
        self.to(memory_format=_LAYOUT)  # type: ignore[call-overload]

    def activate(self, active: int) -> None:
        """Use the first ``active`` levels and train only the last of them."""
        self.active = active
        self.trained.fill_(active)
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
        window: Window | None = None,
    ) -> list[Tensor]:
        """The total displacement after each active level.

        Args:
            fixed, moving: [B, 1, z, y, x] at the resolution of the last active level.
            window: First voxel (x, y, z) and size of the block in which the last active level
                works (training on crops); everywhere when omitted.

        Returns:
            [B, 3, z, y, x] a level, float32, in voxels of that level.
        """
        totals: list[Tensor] = []
        for level, images in enumerate(self.pyramid(fixed, moving, self.active)):
            last = level == self.active - 1
            total = totals[-1] if totals else None
            totals.append(self.step(level, *images, total, window if last else None))
        return totals

    def step(
        self,
        level: int,
        fixed: Tensor,
        moving: Tensor,
        total: Tensor | None,
        window: Window | None = None,
    ) -> Tensor:
        """One level: the total displacement of the level before to this one's.

        Args:
            fixed, moving: At this level's resolution.
            total: In voxels of the level before; None at the coarsest.
            window: As in :meth:`forward`.
        """
        first, size = window or ((0, 0, 0), tuple(fixed.shape[:1:-1]))
        if total is None:
            return self.levels[level](block(fixed, first, size), block(moving, first, size))
        total = doubled(total)
        warped = displaced(moving, block(total, first, size), first)
        return composed(total, self.levels[level](block(fixed, first, size), warped), first)

    @staticmethod
    def pyramid(fixed: Tensor, moving: Tensor, levels: int) -> list[tuple[Tensor, Tensor]]:
        """Both images at every resolution, coarse to fine; each halves the voxels' number."""
        images = [(fixed, moving)]
        for _ in range(levels - 1):
            images.insert(0, (F.avg_pool3d(images[0][0], 2), F.avg_pool3d(images[0][1], 2)))
        return images


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


def _xavier(part: nn.Module) -> None:
    """The paper's initialization; biases begin at zero."""
    if isinstance(part, nn.Conv3d | nn.ConvTranspose3d):
        nn.init.xavier_uniform_(part.weight)
        if part.bias is not None:
            nn.init.zeros_(part.bias)


def _halved(features: Tensor) -> Tensor:
    """Average pooling, in float32: PyTorch has no bfloat16 one on CPUs."""
    return F.avg_pool3d(features.float(), 2).to(features.dtype)
