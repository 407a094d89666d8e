"""Linear interpolation between voxels, on all threads, and its gradient."""

from __future__ import annotations

import torch
import torch.nn.functional as F

_BATCH = 16  # parts of a list of places, for the threads
_FEW = 4096  # places that are not worth it


def looked_up(values: torch.Tensor, places: torch.Tensor) -> torch.Tensor:
    """Linear interpolation, the border repeated; differentiable.

    On a CPU PyTorch gives each thread volumes of a batch, and a single volume to one thread. So
    the places are made a batch, all of it in the same volume; each is computed as before.

    Args:
        values: [C, z, y, x].
        places: From -1 to 1 between the outermost centers, (x, y, z), in the type of ``values``:
            [..., 3].

    Returns:
        [C, ...].
    """
    shape = places.shape[:-1]
    parts = [_sampled(values, part).reshape(len(values), -1) for part in _batches(values, places)]
    found = parts[0] if len(parts) == 1 else torch.cat(parts, dim=1)
    return found.reshape(len(values), *shape)


def gradient_of_places(
    values: torch.Tensor, places: torch.Tensor, upstream: torch.Tensor
) -> torch.Tensor:
    """What :func:`looked_up` passes back to its places: [..., 3].

    Args:
        values, places: That were given to it.
        upstream: Gradient of its result: [C, ...].
    """
    parts, first = [], 0
    rows = upstream.reshape(len(values), -1)
    for part in _batches(values, places):
        count = part.numel() // 3
        given = rows[:, first : first + count].reshape(len(values), *part.shape[:-1])
        volumes = values.expand(len(part), *values.shape)
        found = torch.ops.aten.grid_sampler_3d_backward(
            given.transpose(0, 1), volumes, part, 0, 1, True, (False, True)
        )
        parts.append(found[1].reshape(-1, 3))
        first += count
    return (
        torch.cat(parts).reshape(places.shape) if len(parts) > 1 else parts[0].reshape(places.shape)
    )


def _batches(values: torch.Tensor, places: torch.Tensor) -> list[torch.Tensor]:
    """All places as one or two batches [B, 1, 1, n, 3]; see :func:`looked_up`."""
    shape = places.shape[:-1]
    single = values.device.type != "cpu" or values.requires_grad  # its gradient would be one each
    if single or not shape or places.numel() < 3 * _FEW:
        return [places.reshape(1, 1, 1, -1, 3)]
    if len(shape) > 1:
        return [places.reshape(shape[0], 1, 1, -1, 3)]
    even = shape[0] - shape[0] % _BATCH
    halves = ((places[:even], _BATCH), (places[even:], 1))
    return [part.reshape(count, 1, 1, -1, 3) for part, count in halves if len(part)]


def _sampled(values: torch.Tensor, places: torch.Tensor) -> torch.Tensor:
    """``grid_sample`` of one volume [C, z, y, x] at a batch of places [B, ..., 3]: [C, B, ...]."""
    found = F.grid_sample(
        values.expand(len(places), *values.shape),
        places,
        padding_mode="border",
        align_corners=True,
    )
    return found.transpose(0, 1)
