"""A GPU that is only pretended: the engine's path on a GPU, run and judged without one.

Inside ``with PretendedGPU() as gpu:`` PyTorch seems to have CUDA. Tensors that go to ``cuda`` say
that they are there, are computed on the CPU with real numbers and gradients, and refuse to meet
tensors of the CPU, as a GPU's do. What a GPU would have to wait for is counted with its place.

What it shows is where data lies and when the host waits. It says nothing about time, about a
GPU's own rounding, or about kernels that only a GPU has. PyTorch sees the device as a backend of
Python (``PrivateUse1``, in use for such ends since 2.10), the library as ``cuda:0``.
"""

from __future__ import annotations

import functools
import sys
import weakref
from collections import Counter
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from unittest import mock

import numpy as np
import torch
from torch.overrides import TorchFunctionMode
from torch.utils import backend_registration
from torch.utils._python_dispatch import TorchDispatchMode

_CUDA = torch.device("cuda", 0)
_LIBRARY = "DeepRegistrationLib"
_SCALARS_WELCOME = ("masked_fill", "index_put")  # take a CPU tensor of no dimension, on CUDA too
_LOWERED = {  # what autocast runs in the lower precision (the part of its list that is used here)
    *("conv1d", "conv2d", "conv3d", "conv_transpose1d", "conv_transpose2d", "conv_transpose3d"),
    *("linear", "matmul", "__matmul__", "__rmatmul__", "mm", "bmm", "addmm", "baddbmm", "einsum"),
}


class GPUTensor(torch.Tensor):
    """A tensor that lies on the pretended GPU; its numbers are in ``inner``, on the CPU."""

    inner: torch.Tensor
    __torch_function__ = torch._C._disabled_torch_function_impl
    device = property(lambda self: _CUDA)  # type: ignore[assignment]
    is_cuda = property(lambda self: True)  # type: ignore[assignment]

    @staticmethod
    def __new__(cls, inner: torch.Tensor) -> GPUTensor:
        made = torch.Tensor._make_wrapper_subclass(
            cls,
            inner.size(),
            strides=inner.stride(),
            storage_offset=inner.storage_offset(),
            dtype=inner.dtype,
            device=_backend(),
        )
        made.inner = inner
        return made  # type: ignore[no-any-return]

    @classmethod
    def __torch_dispatch__(cls, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        raise RuntimeError(f"{func}: a tensor of the pretended GPU outlived it, at {place()}")

    def __reduce_ex__(self, protocol: Any) -> Any:  # as on a GPU, files get a copy on the host
        return self.detach().cpu().__reduce_ex__(protocol)

    def __repr__(self) -> str:  # type: ignore[override]
        return f"GPUTensor({list(self.shape)}, {self.dtype})"


class PretendedGPU(TorchDispatchMode):
    """The GPU inside a ``with`` block; nothing of it may be used after.

    Args:
        memory: Bytes of its tensors at most; with more, ``torch.OutOfMemoryError`` as on a GPU.
        bfloat16: Whether it multiplies in bfloat16; networks take float16 otherwise.

    Attributes:
        reads: Where the host waited for the GPU and how often: ``kind file:line (function)``, of
            the kinds ``value`` (float(), bool(), item()), ``copy`` (to the CPU) and ``size``
            (results whose size depends on the numbers, as nonzero and masks as indices).
        uploads: Where tensors were copied to the GPU; those wait for it as well.
        operations: Number of operations on it.
        used, peak: Bytes of the tensors that live, and the most so far.
    """

    def __init__(self, memory: int = 16 * 1024**3, bfloat16: bool = True) -> None:
        super().__init__()
        self.memory = memory
        self.bfloat16 = bfloat16
        self.reads: Counter[str] = Counter()
        self.uploads: Counter[str] = Counter()
        self.operations = self.used = self.peak = 0
        self._holders: Counter[int] = Counter()  # tensors by the storage they share
        self._stack = ExitStack()

    def __enter__(self) -> PretendedGPU:
        _backend()
        for name, value in self._cuda().items():
            self._stack.enter_context(mock.patch.object(torch.cuda, name, value))
        self._stack.enter_context(mock.patch.object(torch, "Generator", _Generator))
        # The threads of backward passes were made for the devices of the process's first one.
        self._stack.enter_context(torch.autograd.set_multithreading_enabled(False))
        self._stack.enter_context(_Names())
        super().__enter__()
        return self

    def __exit__(self, *error: Any) -> None:
        super().__exit__(*error)
        self._stack.close()

    def read(self, *parts: str) -> int:
        """Host reads in files, or of kinds, whose text holds one of ``parts``; all when none."""
        every = self.reads.items()
        return sum(n for where, n in every if not parts or any(p in where for p in parts))

    def _cuda(self) -> dict[str, Callable[..., Any]]:
        """What of ``torch.cuda`` the library, and PyTorch for it, ask."""
        return {
            "is_available": lambda: True,
            "device_count": lambda: 1,
            "current_device": lambda: 0,
            "get_device_name": lambda device=None: "pretended GPU",
            "is_bf16_supported": lambda including_emulation=True: self.bfloat16,
            "mem_get_info": lambda device=None: (self.memory - self.used, self.memory),
            "max_memory_allocated": lambda device=None: self.peak,
            "synchronize": lambda device=None: None,
            "empty_cache": lambda: None,
            "manual_seed_all": lambda seed: None,  # its numbers are drawn by the CPU's generator
        }

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs = dict(kwargs or {})
        tensors = list(_tensors((args, kwargs)))
        ours = [t for t in tensors if isinstance(t, GPUTensor)]
        target = kwargs.get("device")
        here = ours if target is None else target.type == _backend().type
        if not ours and not here:
            return func(*args, **kwargs)
        self.operations += 1
        self._check_and_count(func, args, tensors, bool(here))
        if target is not None:
            kwargs["device"] = torch.device("cpu")
        wrappers = {id(t.inner): t for t in ours}  # what works in place returns what it was given
        result = func(*_mapped(_bare, args), **_mapped(_bare, kwargs))
        if not here or _reaches_host(func, args):
            return args[0] if _reaches_host(func, args) else result
        return _mapped(lambda t: wrappers[id(t)] if id(t) in wrappers else self._new(t), result)

    def _check_and_count(
        self, func: Any, args: Any, tensors: list[torch.Tensor], here: bool
    ) -> None:
        """Refuse CPU tensors among the GPU's, and count what the host waits for."""
        name = func._schema.name.split("::")[1]
        strangers = [t for t in tensors if not isinstance(t, GPUTensor)]
        if name in ("copy_", "_to_copy"):
            if strangers and here and not _reaches_host(func, args):
                self.uploads[place()] += 1
            elif not here or strangers:
                self.reads[f"copy {place()}"] += 1
            return
        scalars = torch.Tag.pointwise in func.tags or name.startswith(_SCALARS_WELCOME)
        if any(t.dim() > 0 or not scalars for t in strangers):
            raise RuntimeError(f"{name}: a tensor of the CPU meets one of the GPU at {place()}")
        masks = any(t.dtype in (torch.bool, torch.uint8) for t in _tensors(args[1:2]))
        if torch.Tag.data_dependent_output in func.tags:
            self.reads[f"value {place()}"] += 1
        elif name in ("index", "index_put", "index_put_", "_index_put_impl_"):
            # A mask that gets one number is filled, which needs no size.
            if masks and (name == "index" or args[2].numel() > 1):
                self.reads[f"size {place()}"] += 1
        elif torch.Tag.dynamic_output_shape in func.tags:
            self.reads[f"size {place()}"] += 1

    def _new(self, inner: torch.Tensor) -> GPUTensor:
        """A result on the GPU; its memory counts until the last tensor that shares it is gone."""
        storage = inner.untyped_storage()
        key, size = storage._cdata, storage.nbytes()
        if not self._holders[key] and self.used + size > self.memory:
            free = self.memory - self.used
            raise torch.OutOfMemoryError(f"CUDA out of memory. Tried {size} of {free} bytes left.")
        if not self._holders[key]:
            self.used += size
            self.peak = max(self.peak, self.used)
        self._holders[key] += 1
        made = GPUTensor(inner)
        weakref.finalize(made, self._gone, key, size)
        return made

    def _gone(self, key: int, size: int) -> None:
        self._holders[key] -= 1
        if not self._holders[key]:
            del self._holders[key]
            self.used -= size


class _Names(TorchFunctionMode):
    """Lets PyTorch find the backend under the name ``cuda``, and casts as autocast would."""

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs, name = kwargs or {}, getattr(func, "__name__", "")
        if func is torch.device or "autocast" in name:
            return func(*args, **kwargs)
        if name == "tolist" and isinstance(args[0], GPUTensor):
            return torch.Tensor.cpu(args[0]).tolist()  # which PyTorch refuses to subclasses
        if name in ("tensor", "as_tensor") and _is_cuda(kwargs.get("device")):
            here = func(*args, **{**kwargs, "device": "cpu"})
            return here.to(_backend())  # what PyTorch does as well, but past all modes
        if name == "new_tensor" and isinstance(args[0], GPUTensor):
            return torch.tensor(*args[1:], **{"dtype": args[0].dtype, **kwargs}).to(_backend())
        if name in ("__getitem__", "__setitem__") and isinstance(args[0], GPUTensor):
            args = (args[0], _placed(args[1]), *args[2:])
        drawn = kwargs.get("generator")
        if isinstance(drawn, _Generator) and _is_cuda(kwargs.get("device")) != drawn.on_gpu:
            raise RuntimeError(f"{name}: a generator of another device at {place()}")
        if name in _LOWERED and torch.is_autocast_enabled("cuda"):
            dtype = torch.get_autocast_dtype("cuda")
            args, kwargs = _mapped(lambda t: _lowered(t, dtype), (args, kwargs))
        named = {k: _backend() if _is_cuda(v) else v for k, v in kwargs.items()}
        return func(*[_backend() if _is_cuda(a) else a for a in args], **named)


class _Generator(torch.Generator):
    """A generator of the GPU or of the CPU; both draw what the CPU's draws."""

    def __new__(cls, device: Any = "cpu") -> _Generator:
        made: _Generator = super().__new__(cls, "cpu")  # type: ignore[assignment]
        made.on_gpu = _is_cuda(device)  # type: ignore[attr-defined]
        return made


@functools.cache
def _backend() -> torch.device:
    """The device that PyTorch's own code sees; registered at the first use."""
    module = SimpleNamespace(  # what PyTorch asks of it when numbers are seeded, or Adam steps
        _is_in_bad_fork=lambda: False,
        manual_seed_all=lambda seed: None,
        is_available=lambda: False,
        device_count=lambda: 1,
    )
    backend_registration._setup_privateuseone_for_python_backend("pretended", module)
    return torch.device("pretended", 0)


def place() -> str:
    """The innermost line of the library that is running: ``file:line (function)``."""
    frame = sys._getframe(1)
    while frame is not None:
        path = frame.f_code.co_filename
        if f"/{_LIBRARY}/" in path:
            inner = Path(path).as_posix().split(f"/{_LIBRARY}/")[-1]
            return f"{inner}:{frame.f_lineno} ({frame.f_code.co_name})"
        frame = frame.f_back  # type: ignore[assignment]
    return "outside the library"


def _reaches_host(func: Any, args: Any) -> bool:
    """Whether an operation writes into a tensor of the CPU."""
    return func._schema.name == "aten::copy_" and not isinstance(args[0], GPUTensor)


def _is_cuda(value: Any) -> bool:
    if isinstance(value, torch.device):
        return value.type == "cuda"
    return isinstance(value, str) and value.split(":")[0] == "cuda"


def _bare(tensor: torch.Tensor) -> torch.Tensor:
    return tensor.inner if isinstance(tensor, GPUTensor) else tensor


def _lowered(tensor: torch.Tensor, dtype: torch.dtype) -> torch.Tensor:
    return tensor.to(dtype) if tensor.dtype == torch.float32 else tensor


def _placed(index: Any) -> Any:
    """An index with its lists of numbers on the GPU, where PyTorch brings them past all modes."""
    if isinstance(index, tuple):
        return tuple(_placed(part) for part in index)
    if isinstance(index, list | np.ndarray):
        return torch.as_tensor(index, dtype=None if len(index) else torch.long).to(_backend())
    return index


def _mapped(change: Callable[[torch.Tensor], Any], nested: Any) -> Any:
    """``change`` of every tensor in lists, tuples and dictionaries."""
    if isinstance(nested, torch.Tensor):
        return change(nested)
    if isinstance(nested, list | tuple):
        return type(nested)(_mapped(change, value) for value in nested)
    if isinstance(nested, dict):
        return {name: _mapped(change, value) for name, value in nested.items()}
    return nested


def _tensors(nested: Any) -> list[torch.Tensor]:
    found: list[torch.Tensor] = []
    _mapped(found.append, nested)
    return found
