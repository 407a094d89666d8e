"""Requests and results between two processes: JSON, with the arrays as files beside it.

A payload is any nesting of dicts, lists, plain values, numpy arrays, :class:`ChunkedArray` (at the
other end an array) and the dataclasses of :mod:`DeepRegistrationLib.images.plain_data` and
:mod:`DeepRegistrationLib.options`. Arrays are written as ``.npy``.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import fields
from pathlib import Path
from typing import Any

import numpy as np

from DeepRegistrationLib.images.geometry import Grid
from DeepRegistrationLib.images.plain_data import (
    AffineMap,
    ChunkedArray,
    FieldMap,
    LabelPair,
    PointPairs,
    RegistrationOutcome,
    StoredField,
    Task,
    Volume,
)
from DeepRegistrationLib.options import Outputs, RegistrationOptions

_KINDS = (
    Grid,
    Volume,
    AffineMap,
    FieldMap,
    StoredField,
    RegistrationOptions,
    Outputs,
    PointPairs,
    LabelPair,
    Task,
    RegistrationOutcome,
)
_TYPES = {kind.__name__: kind for kind in _KINDS}
_TYPE, _ARRAY = "$type", "$array"
_BLOCK = 4 << 20  # bytes written at once: a few milliseconds


def pack(value: Any, arrays: list[np.ndarray | ChunkedArray]) -> Any:
    """The payload as JSON can hold it; its arrays are appended to ``arrays``.

    Raises:
        TypeError: Something that a payload cannot hold.
    """
    if value is None or isinstance(value, bool | int | float | str):
        return value
    if isinstance(value, np.generic):
        return value.item()
    if isinstance(value, np.ndarray | ChunkedArray):
        arrays.append(value)
        return {_ARRAY: file_name(len(arrays) - 1)}
    if isinstance(value, dict):
        return {str(key): pack(entry, arrays) for key, entry in value.items()}
    if isinstance(value, list | tuple):
        return [pack(entry, arrays) for entry in value]
    name = type(value).__name__
    if _TYPES.get(name) is not type(value):
        raise TypeError(f"a payload cannot hold a {name}")
    members = {f.name: pack(getattr(value, f.name), arrays) for f in fields(value)}
    return {_TYPE: name, **members}


def unpack(value: Any, folder: Path, *, mapped: bool = True) -> Any:
    """The payload again.

    Args:
        value: From :func:`pack`.
        folder: Where its arrays are.
        mapped: Whether these are memory-mapped, read-only views of their files, or in memory.
    """
    if isinstance(value, list):
        return [unpack(entry, folder, mapped=mapped) for entry in value]
    if not isinstance(value, dict):
        return value
    if _ARRAY in value:
        path = folder / Path(value[_ARRAY]).name
        return _mapped(path) if mapped else np.load(path, allow_pickle=False)
    members = {k: unpack(entry, folder, mapped=mapped) for k, entry in value.items() if k != _TYPE}
    return _TYPES[value[_TYPE]](**members) if _TYPE in value else members


def file_name(number: int) -> str:
    """The file of a payload's n-th array."""
    return f"{number}.npy"


def write_arrays(arrays: list[np.ndarray | ChunkedArray], folder: Path) -> Iterator[int]:
    """Write the arrays of a payload, block by block; yields the bytes written so far.

    They are written, not mapped: a full disk is then an ``OSError``, where writing to mapped
    memory would end the process.
    """
    done = 0
    for number, array in enumerate(arrays):
        with open(folder / file_name(number), "xb") as file:
            header = {
                "descr": np.lib.format.dtype_to_descr(array.dtype),
                "fortran_order": False,
                "shape": array.shape,
            }
            np.lib.format.write_array_header_2_0(file, header)  # type: ignore[arg-type]
            for block in array.make() if isinstance(array, ChunkedArray) else _blocks(array):
                file.write(np.ascontiguousarray(block).data)
                done += block.nbytes
                yield done


def _blocks(array: np.ndarray) -> Iterator[np.ndarray]:
    """The array in its order in memory, in pieces of at most about ``_BLOCK`` bytes."""
    if array.nbytes <= _BLOCK or array.ndim == 0:
        yield array
    elif array[0].nbytes > _BLOCK:
        for part in array:
            yield from _blocks(part)
    else:
        count = max(1, _BLOCK // array[0].nbytes)
        for begin in range(0, len(array), count):
            yield array[begin : begin + count]


def _mapped(path: Path) -> np.ndarray:
    array = np.load(path, mmap_mode="r", allow_pickle=False)
    # A plain view: a few numbers are read at once, so that no file stays open for them.
    return np.array(array) if array.nbytes < 4096 else array.view(np.ndarray)
