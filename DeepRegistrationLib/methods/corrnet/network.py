"""The correlation network, of our own design: learned features, compared around each voxel.

One encoder, width w = 16, looks at both images; every convolution 3^3 with padding, batch norm and
ReLU:

| resolution | channels | compared |
|---|---|---|
| n^3 | 1, w | |
| (n/2)^3, by stride | w, 2w, 2w | 16 features, at 57 displacements up to 2 voxels |
| (n/4)^3 | 2w, 3w, 3w | the same |
| (n/8)^3 | 3w, 3w, 3w | the same |

From coarse to fine, the moving image's features are warped by the displacement so far; their
correlation with the fixed image's at each small displacement, smoothed and corrected by a few
convolutions that also see the fixed image's features, becomes a probability of that displacement;
the mean over the probabilities is the correction. So a level cannot answer with more than its
radius, all three together reach 28 voxels of the images, and nothing has to be learned of how far
things move: only what to compare, and where that is reliable. The finest level is applied twice:
the second time it sees what the first left. A Gaussian of one of its voxels smooths the result.

What it takes from others: correlation and warping of features (PWC-Net: Sun et al., CVPR 2018), the
mean over probabilities of displacements (Heinrich, MICCAI 2019), composition level by level
(mlVIRNET: Hering et al., MICCAI 2019).
"""

from __future__ import annotations

import itertools
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from DeepRegistrationLib.images.gaussian import gaussian_mean
from DeepRegistrationLib.images.sampling import displaced
from DeepRegistrationLib.methods.mlvirnet.network import composed, doubled

_RADIUS = 2  # voxels
# (z, y, x) in a ball that holds (0, 1, 2) and not the corners: half the work of the cube's 125.
OFFSETS = tuple(
    offset
    for offset in itertools.product(range(-_RADIUS, _RADIUS + 1), repeat=3)
    if sum(step * step for step in offset) <= 5
)
_COMPARED = 16  # features
_PASSES = (1, 1, 2)  # coarse to fine
# Voxels of the finest level. Each voxel answers for itself, and that noise would fold. Chosen on
# validation images: errors of 0.288, 0.272 and 0.321 voxels with 0, 1 and 1.5.
_SMOOTHING = 1.0
_LAYOUT = torch.channels_last_3d


class CorrelationNet(nn.Module):
    """Fixed and moving image to a displacement in voxels.

    Args:
        width: Channels of the encoder's finest part.
    """

    def __init__(self, width: int = 16) -> None:
        super().__init__()
        channels = (2 * width, 3 * width, 3 * width)
        before = (width, *channels)
        self.first = nn.Sequential(*_layer(1, width))
        self.encoder = nn.ModuleList(
            nn.Sequential(*_layer(before[k], each, stride=2), *_layer(each, each))
            for k, each in enumerate(channels)
        )
        self.features = nn.ModuleList(
            nn.Sequential(nn.Conv3d(each, _COMPARED, 1, bias=False), nn.BatchNorm3d(_COMPARED))
            for each in channels
        )
        self.heads = nn.ModuleList(_Head(2 * width) for _ in channels)
        self.register_load_state_dict_pre_hook(_rename_heads)
        self.to(memory_format=_LAYOUT)  # type: ignore[call-overload]

    def forward(self, images: Tensor, *, levels: bool = False) -> Any:
        """The displacement, or that of every level.

        Args:
            images: [B, 2, z, y, x], fixed and moving in [0, 1]; sizes divisible by 8.
            levels: Return that of every level and pass, coarse to fine, for training.

        Returns:
            float32 [B, 3, z, y, x], components (x, y, z), in voxels; of the levels in voxels of
            their own grids: an eighth, a quarter and (twice) half of the image's.
        """
        count = len(images)
        dtype = next(self.parameters()).dtype
        both = torch.cat([images[:, :1], images[:, 1:]]).to(dtype)
        part = self.first(both.contiguous(memory_format=_LAYOUT))
        pyramid = []
        for encode, project in zip(self.encoder, self.features, strict=True):
            part = encode(part)
            found = F.normalize(project(part).float(), dim=1, eps=1e-3).contiguous()
            pyramid.append((found[:count], found[count:]))
        totals: list[Tensor] = []
        stages = zip(_PASSES, reversed(self.heads), reversed(pyramid), strict=True)
        for passes, head, (fixed, moving) in stages:
            for number in range(passes):
                if not totals:
                    totals.append(head(fixed, moving))
                    continue
                before = totals[-1].detach()
                before = doubled(before) if number == 0 else before
                totals.append(composed(before, head(fixed, displaced(moving, before))))
        return totals if levels else doubled(gaussian_mean(totals[-1], (_SMOOTHING,) * 3))


class _Head(nn.Module):
    """One level: the features of both images to the mean displacement.

    The convolutions add what neighbors and the fixed image say to the correlations, and begin at
    nothing. ``sharpness`` is the factor on the correlations of features of length 1.
    """

    def __init__(self, width: int) -> None:
        super().__init__()
        count = len(OFFSETS)
        self.sharpness = nn.Parameter(torch.tensor(10.0))
        self.narrow = nn.Sequential(*_layer(count + _COMPARED, width, kernel=1))
        self.near = nn.Sequential(*_layer(width, width))
        self.far = nn.Sequential(*_layer(width, width, dilation=2))
        self.head = nn.Conv3d(width, count, 1)
        nn.init.zeros_(self.head.weight)
        nn.init.zeros_(self.head.bias)  # type: ignore[arg-type]

    def forward(self, fixed: Tensor, moving: Tensor) -> Tensor:
        scores = correlation(self.sharpness.float() * fixed, moving)
        seen = torch.cat([scores, fixed], 1).to(self.head.weight.dtype)
        seen = self.narrow(seen.contiguous(memory_format=_LAYOUT))
        correction = self.head(self.far(self.near(seen)))
        with torch.autocast(scores.device.type, enabled=False):  # fields stay float32
            probabilities = torch.softmax(scores + correction, 1)
            places = torch.tensor(OFFSETS, dtype=torch.float32, device=scores.device)
            means = places.flip(1).T @ probabilities.flatten(2)
            return means.unflatten(2, scores.shape[2:])


def _rename_heads(module: nn.Module, state: dict[str, Any], *_: Any) -> None:
    """Let weights from before the heads had this name load."""
    for name in [name for name in state if name.startswith("trust.")]:
        state["heads." + name.removeprefix("trust.")] = state.pop(name)


def correlation(fixed: Tensor, moving: Tensor) -> Tensor:
    """Products of ``fixed`` at x and ``moving`` at x + d, summed over the channels.

    Args:
        fixed, moving: [B, C, z, y, x], float32; zeros count outside.

    Returns:
        [B, 57, z, y, x], in the order of :data:`OFFSETS`.
    """
    return _Correlation.apply(fixed, moving)  # type: ignore[no-untyped-call, no-any-return]


class _Correlation(torch.autograd.Function):
    """Displacement after displacement: autograd's own way would keep a padded copy of each."""

    @staticmethod
    def forward(ctx: Any, fixed: Tensor, moving: Tensor) -> Tensor:
        ctx.save_for_backward(fixed, moving)
        result = fixed.new_empty(fixed.shape[0], len(OFFSETS), *fixed.shape[2:])
        products = torch.empty_like(fixed)
        for number, window in enumerate(_windows(_padded(moving))):
            torch.mul(fixed, window, out=products)
            torch.sum(products, 1, out=result[:, number])
        return result

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, Tensor]:  # type: ignore[override]
        fixed, moving = ctx.saved_tensors
        padded = _padded(moving)
        to_fixed, to_padded = torch.zeros_like(fixed), torch.zeros_like(padded)
        windows = zip(_windows(padded), _windows(to_padded), strict=True)
        for number, (window, target) in enumerate(windows):
            part = gradient[:, number : number + 1]
            to_fixed.addcmul_(part, window)
            target.addcmul_(part, fixed)
        inside = (slice(_RADIUS, _RADIUS + n) for n in moving.shape[2:])
        return to_fixed, to_padded[(slice(None), slice(None), *inside)]


def _padded(values: Tensor) -> Tensor:
    return F.pad(values, (_RADIUS,) * 6)


def _windows(padded: Tensor) -> list[Tensor]:
    """Views of a tensor from :func:`_padded`, one a displacement."""
    z, y, x = (n - 2 * _RADIUS for n in padded.shape[2:])
    starts = [[_RADIUS + step for step in offset] for offset in OFFSETS]
    return [padded[:, :, k : k + z, j : j + y, i : i + x] for k, j, i in starts]


def _layer(
    channels_in: int, channels: int, *, kernel: int = 3, stride: int = 1, dilation: int = 1
) -> list[nn.Module]:
    return [
        nn.Conv3d(
            channels_in,
            channels,
            kernel,
            stride=stride,
            padding=dilation * (kernel // 2),
            dilation=dilation,
            bias=False,
        ),
        nn.BatchNorm3d(channels),
        nn.ReLU(inplace=True),
    ]
