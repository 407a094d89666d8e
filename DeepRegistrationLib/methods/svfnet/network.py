"""SVF-Net: two images in, one stationary velocity field out (Rohe et al., MICCAI 2017).

A fully convolutional network on 64 x 64 x 16 voxels. While the slices are thicker than the pixels,
convolutions stay in the plane; after two poolings the features are a cube of 16^3.

==========  ==========================================  ============  ========
level       layers                                      size (x,y,z)  channels
==========  ==========================================  ============  ========
input       fixed, moving                               64 x 64 x 16  2
1           2 conv 3x3x1; max pool 2x2x1                64 x 64 x 16  32
2           2 conv 3x3x1; max pool 2x2x1                32 x 32 x 16  64
3           2 conv 3x3x3; max pool 2x2x2                16 x 16 x 16  128
4           2 conv 3x3x3                                8 x 8 x 8     256
up 3        transposed conv 2x2x2, skip, 2 conv 3x3x3   16 x 16 x 16  128
up 2        transposed conv 2x2x1, skip, 2 conv 3x3x1   32 x 32 x 16  64
up 1        transposed conv 2x2x1, skip, 2 conv 3x3x1   64 x 64 x 16  32
output      conv 3x3x1, linear                          64 x 64 x 16  3
==========  ==========================================  ============  ========

Every convolution but the last is followed by batch norm and ReLU, with zero padding. 5,155,203
trained weights at width 32. The paper gives the kinds of layers; the widths are our choice.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

_KERNELS = ((1, 3, 3), (1, 3, 3), (3, 3, 3), (3, 3, 3))  # (z, y, x)
_POOLS = ((1, 2, 2), (1, 2, 2), (2, 2, 2))


class SVFNet(nn.Module):
    """The network.

    Args:
        width: Channels of the first level; they double at each level.
    """

    def __init__(self, width: int = 32) -> None:
        super().__init__()
        widths = [width * 2**level for level in range(4)]
        before = [2, *widths[:3]]
        self.down = nn.ModuleList(map(_two_convolutions, before, widths, _KERNELS))
        self.up = nn.ModuleList(
            nn.ConvTranspose3d(widths[k + 1], widths[k], _POOLS[k], _POOLS[k]) for k in range(3)
        )
        self.merge = nn.ModuleList(
            _two_convolutions(2 * widths[k], widths[k], _KERNELS[k]) for k in range(3)
        )
        self.output = nn.Conv3d(width, 3, (1, 3, 3), padding=(0, 1, 1))
        self.to(memory_format=torch.channels_last_3d)  # type: ignore[call-overload]
        nn.init.normal_(self.output.weight, std=1e-3)  # training starts from the identity
        nn.init.zeros_(self.output.bias)  # type: ignore[arg-type]
        # Earlier weights bring along a mean heart, which hearts were looked for with.
        self.register_load_state_dict_pre_hook(lambda _, state, *__: state.pop("mean_heart", None))

    def forward(self, images: Tensor) -> Tensor:
        """The velocity field of a batch.

        Args:
            images: Fixed and moving image in the heart's frame: [batch, 2, 16, 64, 64]. Other
                sizes are possible when x and y divide by 8 and z by 2.

        Returns:
            v in voxels of the frame, (x, y, z): float32 [batch, 3, 16, 64, 64]; exp(v) maps fixed
            to moving voxels.
        """
        features = images.to(self.output.weight.dtype)
        features = features.contiguous(memory_format=torch.channels_last_3d)
        skips = []
        for level, block in enumerate(self.down):
            features = block(features)
            if level < len(_POOLS):
                skips.append(features)
                features = F.max_pool3d(features, _POOLS[level])
        for level in (2, 1, 0):
            features = torch.cat([self.up[level](features), skips[level]], dim=1)
            features = self.merge[level](features)
        return self.output(features).float()


def _two_convolutions(channels: int, width: int, kernel: tuple[int, int, int]) -> nn.Sequential:
    padding = (kernel[0] // 2, kernel[1] // 2, kernel[2] // 2)
    layers: list[nn.Module] = []
    for inputs in (channels, width):
        layers += [
            nn.Conv3d(inputs, width, kernel, padding=padding, bias=False),
            nn.BatchNorm3d(width),
            nn.ReLU(inplace=True),
        ]
    return nn.Sequential(*layers)
