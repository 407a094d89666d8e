"""Bad files and paths in every place of the command line: one sentence, exit code 2, no output."""

from __future__ import annotations

import gzip
import os
import pickle
import socket
from collections.abc import Callable
from functools import cache
from pathlib import Path

import numpy as np

from Testing.Benchmarks.damage import good
from Testing.Benchmarks.damage.commands import answer, fault
from Testing.Benchmarks.damage.running import Answer

_RANDOM = np.random.default_rng(0).bytes(4096)

CONTENTS: dict[str, bytes] = {
    "nothing": b"",
    "a byte": b"\0",
    "random": _RANDOM,
    "zeros": bytes(1 << 20),
    "ones": b"\xff" * 4096,
    "words": b"hello, this is no such file\n",
    "brackets": b"[" * 100_000,
    "nested": b'{"markups":' * 50_000,
    "a mark": b"\xff\xfe",
    "half UTF-16": "x,y,z\n1,2,3\n".encode("utf-16")[:-1],
    "gzip of nothing": gzip.compress(b""),
    "gzip of zeros": gzip.compress(bytes(10 << 20)),
    "gzip cut": gzip.compress(_RANDOM)[:2000],
    "gzip of random": gzip.compress(_RANDOM),
    "zip": b"PK\x03\x04" + _RANDOM,
    "PDF": b"%PDF-1.7\n" + _RANDOM,
    "HDF5": b"\x89HDF\r\n\x1a\n" + _RANDOM,
    "HDF5 alone": b"\x89HDF\r\n\x1a\n",
    "DICOM": bytes(128) + b"DICM" + _RANDOM,
    "DICOM alone": bytes(128) + b"DICM",
    "NIfTI header": (348).to_bytes(4, "little") + bytes(340) + b"n+1\0",
    "NIfTI of random": (348).to_bytes(4, "little") + _RANDOM[:340] + b"n+1\0" + _RANDOM,
    "NRRD alone": b"NRRD0004\n\n",
    "NRRD without type": b"NRRD0004\ndimension: 3\nsizes: 4 4 4\nencoding: raw\n\n" + bytes(128),
    "MetaImage alone": b"ObjectType = Image\nNDims = 3\n",
    "ITK alone": b"#Insight Transform File V1.0\n",
    "ITK unknown": b"#Insight Transform File V1.0\n#Transform 0\nTransform: No_double_3_3\n",
    "elastix alone": b'(Transform "BSplineTransform")\n',
    "Plastimatch alone": b"MGH_GPUIT_BSP <experimental>\n",
    "XML": b"<?xml version='1.0'?><a>" + b"<b>" * 10_000,
    "a long line": b"a" * (2 << 20),
    "many lines": b"\n" * 100_000,
    "commas": b"," * 100_000,
    "an open quote": b'"' + b"a" * 1000,
    "numbers": b"nan,nan,nan\n",
    "pickle": pickle.dumps({"a": [1, 2, 3]}),
}


def _socket(path: Path) -> None:
    here = os.getcwd()
    os.chdir(path.parent)  # its path may be no longer than 107 characters
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(path.name)
    os.chdir(here)


def _not_utf8(path: Path) -> Path:
    other = path.with_name("\udcff\udcfe" + path.name)
    other.write_bytes(b"x")
    return other


def _named(prefix: str) -> Callable[[Path], Path]:
    return lambda path: path.parent / (prefix + path.name)


PATHS: dict[str, Callable[[Path], Path | None]] = {
    "missing": lambda path: None,
    "folder": lambda path: path.mkdir(),
    "pipe": lambda path: os.mkfifo(path),
    "socket": lambda path: _socket(path),
    "loop": lambda path: path.symlink_to(path.name),
    "dangling": lambda path: path.symlink_to("gone"),
    "device": lambda path: path.symlink_to("/dev/zero"),
    "too long": _named("n" * 300),
    "too deep": _named("d/" * 3000),
    "control characters": _named("\x1b]0;x\x07\u202e"),
    "NUL": _named("a\0b"),
    "not UTF-8": _not_utf8,
}

PLACES: dict[str, tuple[str, ...]] = {  # {bad}, {out} and good files by name
    "fixed.nii.gz": ("register", "{bad}", "{a.nii}", "-o", "{out}"),
    "fixed.nrrd": ("register", "{bad}", "{a.nii}", "-o", "{out}"),
    "moving.mha": ("register", "{a.nii}", "{bad}", "-o", "{out}"),
    "moving.nii": ("register", "{a.nii}", "{bad}", "-o", "{out}"),
    "mask.nii.gz": ("register", "{a.nii}", "{a.nrrd}", "-o", "{out}", "--fixed-mask", "{bad}"),
    "initial.h5": ("register", "{a.nii}", "{a.nrrd}", "-o", "{out}", "--initial", "{bad}"),
    "marks.mrk.json": ("register", "{a.nii}", "{a.nrrd}", "-o", "{out}", "--fixed-landmarks",
                       "{bad}", "--moving-landmarks", "{p.csv}"),
    "map.tfm": ("apply", "{bad}", "{a.nii}", "--reference", "{a.nii}", "-o", "{out}.nii"),
    "map.nii.gz": ("apply", "{bad}", "{a.nii}", "--reference", "{a.nii}", "-o", "{out}.nii"),
    "map.mat": ("apply", "{bad}", "{p.csv}", "-o", "{out}.csv"),
    "in.nii.gz": ("apply", "{affine.tfm}", "{bad}", "--reference", "{a.nii}", "-o", "{out}.nii"),
    "in.csv": ("apply", "{affine.tfm}", "{bad}", "-o", "{out}.csv"),
    "in.fcsv": ("apply", "{affine.tfm}", "{bad}", "-o", "{out}.fcsv"),
    "ref.nrrd": ("apply", "{affine.tfm}", "{a.nii}", "--reference", "{bad}", "-o", "{out}.nii"),
    "measured.h5": ("evaluate", "{bad}", "--fixed", "{a.nii}", "-o", "{out}.json"),
    "marks.csv": ("evaluate", "{affine.tfm}", "--fixed-landmarks", "{bad}", "--moving-landmarks",
                  "{p.csv}", "-o", "{out}.json"),
    "chest.gipl": ("lungs", "{bad}", "-o", "{out}.nii"),
    "foreign.txt": ("convert", "{bad}", "{out}.h5"),
    "foreign.toml": ("convert", "{bad}", "{out}.h5"),
    "foreign.dcm": ("convert", "{bad}", "{out}.h5"),
    "cpp.nii": ("convert", "{bad}", "{out}.h5", "--from", "niftyreg"),
    "list.csv": ("benchmark", "{bad}", "--methods", "affine", "-o", "{out}"),
    "list.json": ("train", "svfnet", "--data", "{bad}", "-o", "{out}"),
}  # fmt: skip

_BAD = [*CONTENTS, *PATHS]
COUNT = len(PLACES) * len(_BAD)


def trial(number: int, seed: int, place: Path) -> Answer:
    """One bad file or path in one place; the seed changes nothing."""
    name, bad = [*PLACES][number // len(_BAD)], _BAD[number % len(_BAD)]
    path = place / name
    label = f"input {number} ({bad} as {name})"
    try:
        if bad in CONTENTS:
            path.write_bytes(CONTENTS[bad])
        else:
            path = PATHS[bad](path) or path
    except (OSError, AttributeError):
        return Answer(label)  # the system has no such thing
    files = {n: str(p) for n, p in _good(place.parent / f"good{os.getpid()}").items()}
    out = place / "out"
    words = {"bad": str(path), "out": str(out), **files}
    arguments = [_filled(word, words) for word in PLACES[name]]
    wrong = fault(*answer(arguments))
    left = [str(p.name) for p in place.iterdir() if p.name.startswith(("out", "."))]
    return Answer(label, wrong or (f"left {left}" if left else ""))


def _filled(word: str, words: dict[str, str]) -> str:
    for name, value in words.items():
        word = word.replace(f"{{{name}}}", value)
    return word


@cache
def _good(folder: Path) -> dict[str, Path]:
    return good.write_good(folder)
