"""Mutated files through every reader: a result or a RegistrationError, nothing else."""

from __future__ import annotations

import os
import re
import shutil
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np

from DeepRegistrationLib.data.cases import read_cases
from DeepRegistrationLib.errors import RegistrationError
from DeepRegistrationLib.files.foreign_transforms import read_foreign
from DeepRegistrationLib.files.landmark_files import read_landmark_list
from DeepRegistrationLib.images.geometry import Grid
from DeepRegistrationLib.images.image import read_image
from DeepRegistrationLib.methods.model_card import read_card
from DeepRegistrationLib.methods.weights import ModelCard, load_weights
from DeepRegistrationLib.studies.benchmark.journal import Journal
from DeepRegistrationLib.transforms import read_transform
from Testing.Benchmarks.damage import good, good_dicom
from Testing.Benchmarks.damage.running import Answer

GRID = Grid(good.SIZE, good.SPACING, (-10.0, 5.0, 30.0))
_WORDS = (
    "-1 0 1 3 255 256 65535 65536 2147483647 2147483648 4294967295 9223372036854775807 1e308 "
    "1e-308 nan inf -inf 1000000 99999999999999999999 -2147483648 0x10 1.5 1,5"
).split() + ["", "none", "\0", "%s%n", "true", "[", "{", '"']
_VALUES = (0, 1, 2, 127, 128, 254, 255)


def readers() -> dict[str, tuple[str, Callable[[Path], Any]]]:
    """Name of the reader to its good file and the function."""
    images = ("a.nii", "b.nii", "a.nii.gz", "a.nrrd", "z.nrrd", "a.mha", "z.mha", "a.gipl", "a.vtk")
    fields = ("f.nii", "f.nii.gz", "f.nrrd", "f.mha")
    itk = ("affine.tfm", "affine.h5", "affine.mat", "field.h5", "spline.tfm", "chain.h5")
    table: dict[str, tuple[str, Callable[[Path], Any]]] = {}
    table |= {f"image {n}": (n, read_image) for n in images}
    table |= {f"transform {n}": (n, lambda p: read_transform(p, GRID)) for n in (*fields, *itk)}
    for tool, name in (("elastix", "elastix.txt"), ("plastimatch", "spline.txt"),
                       ("niftyreg", "aladin.txt"), ("niftyreg", "f.nii"), ("ants", "affine.mat"),
                       (None, "elastix.txt"), (None, "f.nii.gz")):  # fmt: skip
        table[f"convert {tool} {name}"] = (
            name,
            lambda p, t=tool: read_foreign([p], t, GRID),  # type: ignore[misc]
        )
    table |= {f"landmarks {n}": (n, read_landmark_list) for n in ("p.csv", "p.fcsv", "p.mrk.json")}
    table |= {f"cases {n}": (n, read_cases) for n in ("list.csv", "list.json")}
    table["card"] = ("card.json", read_card)
    table["weights"] = ("w.safetensors", _weights)
    table["journal"] = ("rows.jsonl", lambda p: Journal(p.parent, {"a": 1}, resume=True))
    return table | good_dicom.readers()


def trial(number: int, seed: int, place: Path) -> Answer:
    """Mutate the reader's good file and read it."""
    table = readers()
    names = sorted(table)
    name = names[number % len(names)]
    kind, read = table[name]
    source = _good(place.parent / f"good{os.getpid()}")[kind]
    random = np.random.default_rng([seed, number])
    content = mutated(source.read_bytes(), random, text=_is_text(source))
    for path in source.parent.iterdir():  # lists name files beside them
        if kind.startswith("list"):
            (place / path.name).symlink_to(path.resolve())
    target = place / source.name
    target.unlink(missing_ok=True)
    target.write_bytes(content)
    label = f"mutant {number} ({name})"
    try:
        result = read(target)
    except RegistrationError as error:
        return Answer(label, _sentence(str(error)))
    except BaseException as error:  # noqa: BLE001 - which ones come is the question
        words = " ".join(str(error).split())[:120]
        kept = Path("/tmp") / "damage-wrong" / f"{number}-{source.name}"
        kept.parent.mkdir(exist_ok=True)
        shutil.copy(target, kept)
        return Answer(label, f"{type(error).__name__}: {words}")
    return Answer(label, _not_finite(result))


def mutated(content: bytes, random: np.random.Generator, *, text: bool) -> bytes:
    """One to four changes: bits, bytes, blocks, lengths; in text also numbers and lines."""
    data = bytearray(content)
    ways = [_bit, _byte, _run, _cut, _grow, _swap, _header_word]
    if text or b"\n" in content[:200]:
        ways += [_number, _number, _number, _line, _repeat]
    for _ in range(int(random.integers(1, 5))):
        if data:
            data = ways[int(random.integers(len(ways)))](data, random)
    return bytes(data)


def _place(data: bytearray, random: np.random.Generator) -> int:
    """Where to change something: half of the time in the first kilobyte, where headers are."""
    limit = len(data) if random.random() < 0.5 else min(len(data), 1024)
    return int(random.integers(limit))


def _bit(data: bytearray, random: np.random.Generator) -> bytearray:
    data[_place(data, random)] ^= 1 << int(random.integers(8))
    return data


def _byte(data: bytearray, random: np.random.Generator) -> bytearray:
    data[_place(data, random)] = int(random.choice(_VALUES))
    return data


def _run(data: bytearray, random: np.random.Generator) -> bytearray:
    begin, count = _place(data, random), int(random.integers(2, 17))
    data[begin : begin + count] = bytes([int(random.choice(_VALUES))]) * count
    return data


def _cut(data: bytearray, random: np.random.Generator) -> bytearray:
    begin = _place(data, random)
    if random.random() < 0.5:
        return data[:begin]
    del data[begin : begin + int(random.integers(1, 200))]
    return data


def _grow(data: bytearray, random: np.random.Generator) -> bytearray:
    begin = _place(data, random)
    data[begin:begin] = random.bytes(int(random.integers(1, 64)))
    return data


def _swap(data: bytearray, random: np.random.Generator) -> bytearray:
    a, b, count = _place(data, random), _place(data, random), int(random.integers(1, 64))
    data[a : a + count], data[b : b + count] = data[b : b + count], data[a : a + count]
    return data


def _header_word(data: bytearray, random: np.random.Generator) -> bytearray:
    """A whole number of 2, 4 or 8 bytes set to an extreme."""
    size = int(random.choice([2, 4, 8]))
    begin = _place(data, random) & ~1
    extremes = (0, 1, -1, 2 ** (8 * size - 1) - 1, -(2 ** (8 * size - 1)), 2 ** (8 * size - 2))
    value = extremes[int(random.integers(len(extremes)))]
    data[begin : begin + size] = value.to_bytes(size, "little", signed=True)
    return data


def _number(data: bytearray, random: np.random.Generator) -> bytearray:
    """A number or word of the text replaced."""
    found = list(re.finditer(rb"[\w.+-]+", bytes(data[:100_000])))
    if not found:
        return data
    early = found[: max(1, len(found) // 10)] if random.random() < 0.7 else found
    match = early[int(random.integers(len(early)))]
    word = _WORDS[int(random.integers(len(_WORDS)))]
    return data[: match.start()] + word.encode() + data[match.end() :]


def _line(data: bytearray, random: np.random.Generator) -> bytearray:
    """A line removed or doubled."""
    lines = bytes(data).split(b"\n")
    k = int(random.integers(len(lines)))
    lines[k : k + 1] = [lines[k]] * int(random.choice([0, 2]))
    return bytearray(b"\n".join(lines))


def _repeat(data: bytearray, random: np.random.Generator) -> bytearray:
    """A bit of text many times."""
    begin = _place(data, random)
    part = bytes(data[begin : begin + int(random.integers(1, 8))])
    return data[:begin] + part * int(random.choice([10, 1000, 50_000])) + data[begin:]


@cache
def _good(folder: Path) -> dict[str, Path]:
    import safetensors.torch
    import torch

    files = good.write_good(folder) | good_dicom.write_good(folder / "dicom")
    safetensors.torch.save_file({"w": torch.ones(4, 4)}, folder / "w.safetensors")
    rows = '{"settings":{"a":1}}\n{"pair":"p","method":"m","status":"ok"}\n'
    (folder / "rows.jsonl").write_text(rows)
    return files | {n: folder / n for n in ("w.safetensors", "rows.jsonl")}


def _weights(path: Path) -> Any:
    import hashlib
    from dataclasses import fields

    values: dict[str, Any] = {f.name: "" for f in fields(ModelCard)}
    digest = hashlib.sha256(path.read_bytes()).hexdigest()
    return load_weights(ModelCard(**values | {"path": path, "sha256": digest}))


def _is_text(path: Path) -> bool:
    return path.suffix in (".csv", ".fcsv", ".json", ".jsonl", ".txt", ".tfm")


def _sentence(text: str) -> str:
    """What is wrong with an error's sentence."""
    if not text.strip() or len(text) > 1500:
        return f"a sentence of {len(text)} characters"
    return ""


def _not_finite(result: Any) -> str:
    """A transform that is not finite must not come out of a reader."""
    transform = getattr(result, "transform", result)
    for member in getattr(transform, "transforms", [transform]):
        vectors = getattr(member, "vectors", None)
        if vectors is not None and not bool(vectors.isfinite().all()):
            return "a transform that is not finite"
    return ""
