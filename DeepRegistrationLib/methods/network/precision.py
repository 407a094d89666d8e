"""Networks made ready for inference: batch norm folded in, memory layout and precision chosen."""

from __future__ import annotations

import copy

import torch
from torch import nn
from torch.nn.utils.fusion import fuse_conv_bn_eval

LAYOUT = torch.channels_last_3d


def ready(network: nn.Module, device: torch.device, dtype: torch.dtype | None = None) -> nn.Module:
    """A copy in evaluation mode whose convolutions include their batch norms.

    Args:
        dtype: Of the convolutions; None: the fastest that the device has, see
            :func:`fastest_dtype`.
    """
    result = copy.deepcopy(network).eval()
    for module in result.modules():
        if isinstance(module, nn.Sequential):
            _fold(module)
    dtype = dtype or fastest_dtype(device)
    return result.to(device=device, dtype=dtype).to(memory_format=LAYOUT)  # type: ignore[call-overload]


def fastest_dtype(device: torch.device) -> torch.dtype:
    """bfloat16 where the processor multiplies it (GPUs from Ampere on; AVX512-BF16, AMX)."""
    if device.type == "cuda":
        return torch.bfloat16 if torch.cuda.is_bf16_supported() else torch.float16
    capable = getattr(torch.cpu, "_is_avx512_bf16_supported", lambda: False)()
    return torch.bfloat16 if capable else torch.float32


def _fold(layers: nn.Sequential) -> None:
    names = list(layers._modules)
    for name, following in zip(names[:-1], names[1:], strict=True):
        convolution, norm = layers._modules[name], layers._modules[following]
        if isinstance(convolution, nn.Conv3d) and isinstance(norm, nn.BatchNorm3d):
            layers._modules[name] = fuse_conv_bn_eval(convolution, norm)
            layers._modules[following] = nn.Identity()
