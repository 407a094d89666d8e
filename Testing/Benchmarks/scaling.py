"""Time and peak memory of each stage and method against the size of the image, beside others'.

    python -m Testing.Benchmarks.scaling [--device cuda] [--sizes 64 128] [--threads 1]
        [--only optimize-fast ...] [--limit SECONDS] [--once] [--add | --missing]

Each figure comes from a process of its own: cold is the first call in it, warm the second. The
images are the chest phantom in a box of 350 x 350 x 282 mm. Writes SCALING.md, scaling.json and
scaling.png (with ``cuda`` SCALING_GPU.md ...), row by row. With ``--add`` other rows of earlier
runs stay and the same rows are replaced; with ``--missing`` only rows that are not there are
measured. A row keeps the machine, the number of threads and the load that it was measured with.
"""

from __future__ import annotations

import argparse
import importlib.util
import json
import math
import re
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import SimpleITK as sitk
import torch

import DeepRegistrationLib.studies.benchmark.peers  # noqa: F401  (makes them known by name)
from DeepRegistrationLib.data.phantoms import thorax
from DeepRegistrationLib.devices import keep_freed_memory
from DeepRegistrationLib.evaluation.landmarks import target_registration_error
from DeepRegistrationLib.images.image import Image, write_image
from DeepRegistrationLib.methods.weights import weight_cards
from DeepRegistrationLib.registration.engine import register
from Testing.Benchmarks.machine import load, machine, measured, peak_mb
from Testing.Benchmarks.processes import in_a_process
from Testing.Benchmarks.scaling_tables import picture, table
from Testing.Benchmarks.stages import STAGES, Task, inputs

HERE = Path(__file__).parent
SIZES = {
    "64": (64, 64, 64),
    "128": (128, 128, 128),
    "256": (256, 256, 160),
    "512": (512, 512, 141),
    "512x300": (512, 512, 300),
}
_LARGEST = "512x300"  # the tools of others only when they are named
_BOX = (350.0, 350.0, 282.0)  # mm
_PACKAGES = {
    "elastix": "itk",
    "convexadam": "convexAdam",
    "greedy": "picsl_greedy",
}  # what a method needs
Row = dict[str, Any]

METHODS = {  # name: method, quality
    "affine": ("affine", "default"),
    "optimize-fast": ("optimize", "fast"),
    "optimize-default": ("optimize", "default"),
    "corrnet": ("corrnet", "default"),
    "mlvirnet": ("mlvirnet", "default"),
    "eppenhof": ("eppenhof", "default"),
    "regnet": ("regnet", "default"),
    "lcc-demons": ("lcc-demons", "default"),
    "symmetric-demons": ("symmetric-demons", "default"),
    "convexadam": ("convexadam", "default"),
    "greedy": ("greedy", "default"),
    "elastix": ("elastix", "default"),
}
_NETWORKS = ("corrnet", "mlvirnet", "eppenhof", "regnet")  # measured where there are weights
_PEERS = ("symmetric-demons", "convexadam", "greedy", "elastix")  # compute on the CPU always
_COLD_ONLY = (*_PEERS, "lcc-demons")  # take so long that a second call says nothing new


def _method(name: str, folder: Path, device: str, row: Row) -> Task:
    """A whole ``register()``; puts the landmark error and the stages' seconds into the row."""
    method, quality = METHODS[name]
    fixed, moving = inputs(folder)
    points = np.load(folder / "landmarks.npy")

    def run() -> None:
        options: dict[str, Any] = {"method": method, "quality": quality}
        result = register(fixed, moving, device=device, **options)
        row["stages"] = result.seconds
        row["tre"] = round(target_registration_error(result.transform, *points)["after"]["mean"], 3)

    return run


def measure(name: str, folder: Path, device: str, threads: int, repeat: bool) -> Row:
    """Cold and warm figures of one stage or method, in this process, which is made like ours."""
    keep_freed_memory()
    _use(threads)
    row: Row = {}
    task = STAGES[name](folder, device) if name in STAGES else _method(name, folder, device, row)
    with torch.set_grad_enabled(name not in STAGES):  # tools of others count on it
        for when in ("cold", "warm") if repeat else ("cold",):
            row[when] = {}
            with measured(row[when], device):
                task()
    row["peak_mb"] = peak_mb(device)
    return row


def _use(threads: int) -> None:
    torch.set_num_threads(threads)
    sitk.ProcessObject.SetGlobalDefaultNumberOfThreads(threads)


def _conditions(threads: int) -> Row:
    """Where a row is measured: the machine with its versions, and the threads."""
    return {"machine": re.sub(r", \d+ threads?(?=,)", "", machine()), "threads": threads}


def _make_pair(size: tuple[int, int, int], folder: Path) -> None:
    """The phantom's images and landmarks as files: int16, compressed and plain."""
    spacing = tuple(extent / n for extent, n in zip(_BOX, size, strict=True))
    pair = thorax(size, spacing)  # type: ignore[arg-type]
    for image, name in ((pair.fixed, "fixed"), (pair.moving, "moving")):
        whole = Image(image.data.round().to(torch.int16), image.grid)
        write_image(whole, folder / f"{name}.nii.gz")
        write_image(whole, folder / f"{name}.nii")
    np.save(folder / "landmarks.npy", np.stack([pair.fixed_landmarks, pair.moving_landmarks]))


def _known(rows: list[Row], what: str, size: tuple[int, ...], limit: float) -> Row | None:
    """The row that is there already; one that ended at a shorter limit does not count."""
    for row in rows:
        if (row["what"], row["size"]) == (what, list(size)):
            return row if "failed" not in row or row.get("limit", 0.0) >= limit else None
    return None


def _place(row: Row) -> tuple[int, int]:
    """Where a row stands in the tables."""
    return [*STAGES, *METHODS].index(row["what"]), math.prod(row["size"])


def _wanted(options: argparse.Namespace, key: str) -> Iterator[str]:
    """The stages and methods to measure at a size."""
    for what in options.only or (*STAGES, *METHODS):
        if options.only or not (
            (what in _PEERS and key == _LARGEST) or (what in _NETWORKS and not weight_cards(what))
        ):
            yield what


def _row(what: str, size: tuple[int, ...], folder: Path, options: argparse.Namespace) -> Row:
    """Measure one stage or method; the images are made in the folder at their first use."""
    package = _PACKAGES.get(what)
    if package and importlib.util.find_spec(package) is None:
        return {"failed": f"{package} is not installed"}
    if not any(folder.iterdir()):
        _or_stop(in_a_process(3600.0, options.spare, _make_pair, size, folder))
    place = "cpu" if what in _PEERS else options.device
    repeat = not options.once and what not in _COLD_ONLY
    arguments = (what, folder, place, options.threads, repeat)
    row = in_a_process(options.limit, options.spare, measure, *arguments)
    return {**row, "load": round(load(), 1)}


def _or_stop(result: Any) -> Any:
    if isinstance(result, dict) and "failed" in result:
        raise SystemExit(f"The measurement cannot begin: {result['failed']}.")
    return result


def _run(options: argparse.Namespace, rows: list[Row], record: Callable[[Row], None]) -> None:
    conditions = _or_stop(in_a_process(600.0, options.spare, _conditions, options.threads))
    too_slow: dict[str, str] = {}  # and at which size
    for key in options.sizes or SIZES:
        size = SIZES[key]
        with tempfile.TemporaryDirectory() as folder:
            for what in _wanted(options, key):
                row = _known(rows, what, size, options.limit) if options.missing else None
                if row is None:
                    kind = "method" if what in METHODS else "stage"
                    row = {"what": what, "size": list(size), "kind": kind, **conditions}
                    if what in too_slow:
                        row["failed"] = f"not tried: over {options.limit:g} s at {too_slow[what]}"
                    else:
                        row.update(_row(what, size, Path(folder), options))
                    record(row)
                if "limit" in row:
                    too_slow.setdefault(what, " x ".join(map(str, size)))


def main(arguments: list[str] | None = None) -> None:
    """Measure and write the tables."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])  # type: ignore[union-attr]
    parser.add_argument("--device", choices=("cpu", "cuda"), default="cpu")
    parser.add_argument("--sizes", nargs="+", choices=SIZES)
    parser.add_argument("--only", nargs="+", choices=[*STAGES, *METHODS])
    parser.add_argument("--limit", type=float, default=600.0, help="seconds a row may take")
    parser.add_argument("--spare", type=float, default=2.0, help="GB of memory to leave free")
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    parser.add_argument("--once", action="store_true", help="cold only")
    parser.add_argument("--add", action="store_true", help="keep the other rows of earlier runs")
    parser.add_argument("--missing", action="store_true", help="add only rows that are not there")
    parser.add_argument("--output", type=Path, default=HERE, help="folder of the tables")
    options = parser.parse_args(arguments)
    stem = "scaling" if options.device == "cpu" else "scaling_gpu"
    stored = options.output / f"{stem}.json"
    kept = (options.add or options.missing) and stored.is_file()
    rows: list[Row] = json.loads(stored.read_text())["rows"] if kept else []
    started = time.perf_counter()

    def record(row: Row) -> None:
        key = (row["what"], row["size"])
        others = [other for other in rows if (other["what"], other["size"]) != key]
        rows[:] = sorted([*others, row], key=_place)
        print(f"{time.perf_counter() - started:6.0f} s", json.dumps(row), flush=True)
        stored.write_text(json.dumps({"rows": rows}, indent=1) + "\n")

    try:
        _run(options, rows, record)
    finally:
        write(rows, options.output, stem)


def write(rows: list[Row], folder: Path, stem: str) -> None:
    """Page and picture."""
    (folder / f"{stem.upper()}.md").write_text(table(rows, stem), encoding="utf-8")
    picture(rows, folder / f"{stem}.png", "cpu" if stem == "scaling" else "seconds")


if __name__ == "__main__":
    main()
