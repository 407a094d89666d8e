"""Counts of what PyTorch computes, which do not depend on the machine."""

from __future__ import annotations

import math
from collections import Counter
from typing import Any

import torch
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_flatten


class OperationCounter(TorchDispatchMode):
    """Counts the operations inside a ``with`` block and the bytes that they touch.

    An operation is one call of a computing kernel (on a GPU: a launch); views and bare allocations
    do not count.

    Attributes:
        calls: How often each operation was called, by its name.
        traffic: Bytes of all tensors read and written by operations, each operand once.
        allocated: Bytes of all new tensors.
        largest: Bytes of the largest new tensor, by its dtype.
        shapes: Dtype and shape of every new tensor.
    """

    def __init__(self) -> None:
        super().__init__()
        self.calls: Counter[str] = Counter()
        self.traffic = 0
        self.allocated = 0
        self.largest: dict[torch.dtype, int] = {}
        self.shapes: set[tuple[torch.dtype, tuple[int, ...]]] = set()

    @property
    def operations(self) -> int:
        """Number of operations of all kinds."""
        return self.calls.total()

    def __torch_dispatch__(
        self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: Any = None
    ) -> Any:
        result = func(*args, **(kwargs or {}))
        inputs, outputs = _tensors((args, kwargs)), _tensors(result)
        known = {t.untyped_storage().data_ptr() for t in inputs}
        new = [t for t in outputs if t.untyped_storage().data_ptr() not in known]
        name = func.overloadpacket.__name__
        if new or func._schema.is_mutable or not outputs:
            for tensor in new:
                size = _bytes(tensor)
                self.allocated += size
                self.shapes.add((tensor.dtype, tuple(tensor.shape)))
                self.largest[tensor.dtype] = max(self.largest.get(tensor.dtype, 0), size)
            if not name.startswith(("empty", "new_empty")):
                self.calls[name] += 1
                self.traffic += sum(_bytes(t) for t in (*inputs, *new))
        return result


def _bytes(tensor: torch.Tensor) -> int:
    """Of a tensor; what is repeated along an axis (expanded) counts once."""
    repeated = [n for n, step in zip(tensor.shape, tensor.stride(), strict=True) if step == 0]
    return tensor.numel() * tensor.element_size() // math.prod(n or 1 for n in repeated)


def _tensors(nested: Any) -> list[torch.Tensor]:
    return [leaf for leaf in tree_flatten(nested)[0] if isinstance(leaf, torch.Tensor)]
