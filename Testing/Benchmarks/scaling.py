"""Time and peak memory of each stage and method against the size of the image, beside others'.

    python -m Testing.Benchmarks.scaling [--device cuda] [--largest] [--sizes 64 128]
        [--only optimize-fast ...] [--limit SECONDS] [--add]

Each figure comes from a process of its own: cold is the first call in it, warm the second. The
images are the chest phantom in a box of 350 x 350 x 282 mm. Writes SCALING.md, scaling.json and
scaling.png (with ``cuda`` SCALING_GPU.md ...), row by row; with ``--add`` earlier rows stay.
"""

from __future__ import annotations

import argparse
import importlib.util
import json
import multiprocessing
import tempfile
import time
from collections.abc import Callable
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

import numpy as np
import torch

from DeepRegistrationLib.cli.register import write_results
from DeepRegistrationLib.engine import Registration, find_masks, register
from DeepRegistrationLib.evaluation.landmarks import target_registration_error
from DeepRegistrationLib.evaluation.report import build_report
from DeepRegistrationLib.image import Image, read_image, write_image
from DeepRegistrationLib.optimization.affine import align
from DeepRegistrationLib.phantoms import thorax
from DeepRegistrationLib.progress import silent
from DeepRegistrationLib.pyramid import smoothed
from DeepRegistrationLib.transforms import jacobian, warp
from DeepRegistrationLib.validation import finite
from Testing.Benchmarks import peers  # noqa: F401  (offers the methods of others)
from Testing.Benchmarks.machine import load, machine, measured, peak_mb
from Testing.Benchmarks.memory import make_transform
from Testing.Benchmarks.scaling_tables import picture, table

HERE = Path(__file__).parent
SIZES = {"64": (64, 64, 64), "128": (128, 128, 128), "256": (256, 256, 160), "512": (512, 512, 141)}
LARGEST = {"512x300": (512, 512, 300)}
_BOX = (350.0, 350.0, 282.0)  # mm
_PACKAGES = {"elastix": "itk", "convexadam": "convexAdam"}  # what a method needs
Row = dict[str, Any]
Task = Callable[[], object]

METHODS = {  # name, quality, parameters
    "optimize-fast": ("optimize", "fast", {}),
    "optimize-default": ("optimize", "default", {}),
    "symmetric-demons": ("symmetric-demons", "default", {}),
    "convexadam": ("convexadam", "default", {}),
    "elastix": ("elastix", "default", {}),
}
_PEERS = ("symmetric-demons", "convexadam", "elastix")  # compute on the CPU always


def _inputs(folder: Path) -> tuple[Image, Image]:
    return read_image(folder / "fixed.nii"), read_image(folder / "moving.nii")


def _stage_read(folder: Path, device: str) -> Task:
    return lambda: read_image(folder / "fixed.nii.gz")


def _stage_lungs(folder: Path, device: str) -> Task:
    pair = [finite(image) for image in _inputs(folder)]
    return lambda: find_masks(*pair, None, None, [])  # type: ignore[call-arg]


def _stage_levels(folder: Path, device: str) -> Task:
    pair = [finite(image).to(device) for image in _inputs(folder)]
    return lambda: [smoothed(image, h) for image in pair for h in (8.0, 4.0, 2.0)]


def _stage_affine(folder: Path, device: str) -> Task:
    pair = [finite(image) for image in _inputs(folder)]
    masks = find_masks(*pair, None, None, [])  # type: ignore[call-arg]
    here = [None if image is None else image.to(device) for image in (*pair, *masks)]
    return lambda: align(*here, progress=silent)  # type: ignore[arg-type]


def _stage_warp(folder: Path, device: str) -> Task:
    fixed, moving = _inputs(folder)
    transform, moving = make_transform(fixed.grid).to(device), moving.to(device)
    return lambda: warp(moving, transform, fixed.grid, fill=-1000.0)


def _stage_jacobian(folder: Path, device: str) -> Task:
    fixed, _ = _inputs(folder)
    transform = make_transform(fixed.grid).to(device)
    return lambda: jacobian(transform, fixed.grid)


def _finished(folder: Path) -> tuple[Registration, Image, Image]:
    fixed, moving = _inputs(folder)
    transform = make_transform(fixed.grid)
    warped = warp(moving, transform, fixed.grid, fill=-1000.0)
    return Registration(transform, warped, jacobian(transform, fixed.grid)), fixed, moving


def _stage_report(folder: Path, device: str) -> Task:
    result, fixed, moving = _finished(folder)
    mask = find_masks(finite(fixed), finite(moving), None, None, [])[0]
    return lambda: build_report(result, fixed, moving, fixed_mask=mask)


def _stage_write(folder: Path, device: str) -> Task:
    result = _finished(folder)[0]

    def write() -> None:
        with tempfile.TemporaryDirectory() as target:
            write_results(result, {}, Path(target))

    return write


STAGES = {
    "read (.nii.gz)": _stage_read,
    "find the lungs": _stage_lungs,
    "images of 8, 4, 2 mm": _stage_levels,
    "affine start": _stage_affine,
    "warp": _stage_warp,
    "Jacobian": _stage_jacobian,
    "report": _stage_report,
    "write": _stage_write,
}


def _method(name: str, folder: Path, device: str, row: Row) -> Task:
    """A whole ``register()``; puts the landmark error and the stages' seconds into the row."""
    method, quality, parameters = METHODS[name]
    fixed, moving = _inputs(folder)
    points = np.load(folder / "landmarks.npy")

    def run() -> None:
        options: dict[str, Any] = {"method": method, "quality": quality, "parameters": parameters}
        result = register(fixed, moving, device=device, **options)
        row["stages"] = result.seconds
        row["tre"] = round(target_registration_error(result.transform, *points)["after"]["mean"], 3)

    return run


def measure(name: str, folder: Path, device: str, repeat: bool) -> Row:
    """Cold and warm figures of one stage or method, in this process."""
    row: Row = {}
    task = STAGES[name](folder, device) if name in STAGES else _method(name, folder, device, row)
    with torch.set_grad_enabled(name not in STAGES):  # tools of others count on it
        for when in ("cold", "warm") if repeat else ("cold",):
            row[when] = {}
            with measured(row[when], device):
                task()
    row["peak_mb"] = peak_mb(device)
    return row


def _in_a_process(limit: float, work: Callable[..., Any], *arguments: Any) -> Any:
    """What ``work`` returns in a process of its own, or a row that says why there is nothing.

    Forked where the system can: then imports do not count and cost nothing.
    """
    forks = "fork" in multiprocessing.get_all_start_methods()
    context = multiprocessing.get_context("fork" if forks else "spawn")
    receiver, sender = context.Pipe(duplex=False)
    child = context.Process(target=_send, args=(sender, work, arguments))
    child.start()
    sender.close()
    try:
        if not receiver.poll(limit):
            return {"failed": f"over {limit:.0f} s"}
        return receiver.recv()
    except EOFError:
        return {"failed": "the process died"}
    finally:
        child.kill()
        child.join()


def _send(sender: Connection, work: Callable[..., Any], arguments: tuple[Any, ...]) -> None:
    try:
        sender.send(work(*arguments))
    except Exception as error:  # becomes a line of the table
        sender.send({"failed": str(error)[:80]})


def _make_pair(size: tuple[int, int, int], folder: Path) -> None:
    """The phantom's images and landmarks as files: int16, compressed and plain."""
    spacing = tuple(extent / n for extent, n in zip(_BOX, size, strict=True))
    pair = thorax(size, spacing)  # type: ignore[arg-type]
    for image, name in ((pair.fixed, "fixed"), (pair.moving, "moving")):
        whole = Image(image.data.round().to(torch.int16), image.grid)
        write_image(whole, folder / f"{name}.nii.gz")
        write_image(whole, folder / f"{name}.nii")
    np.save(folder / "landmarks.npy", np.stack([pair.fixed_landmarks, pair.moving_landmarks]))


def _run(options: argparse.Namespace, record: Callable[[Row], None]) -> None:
    sizes = {**SIZES, **(LARGEST if options.largest else {})}
    too_slow: set[str] = set()
    for key in options.sizes or sizes:
        size = {**SIZES, **LARGEST}[key]
        with tempfile.TemporaryDirectory() as name:
            folder = Path(name)
            _in_a_process(3600.0, _make_pair, size, folder)
            for what in options.only or (*STAGES, *METHODS):
                package = _PACKAGES.get(what)
                kind = "method" if what in METHODS else "stage"
                row: Row = {"what": what, "size": list(size), "kind": kind}
                if package and importlib.util.find_spec(package) is None:
                    row["failed"] = f"{package} is not installed"
                elif what in too_slow:
                    row["failed"] = f"over {options.limit:.0f} s"
                else:
                    place = "cpu" if what in _PEERS else options.device
                    repeat = not options.once and what not in _PEERS
                    row.update(_in_a_process(options.limit, measure, what, folder, place, repeat))
                    row["load"] = round(load(), 1)
                if str(row.get("failed", "")).startswith("over"):
                    too_slow.add(what)  # nothing larger is tried
                record(row)


def main() -> None:
    """Measure and write the tables."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])  # type: ignore[union-attr]
    parser.add_argument("--device", choices=("cpu", "cuda"), default="cpu")
    parser.add_argument("--sizes", nargs="*", choices=[*SIZES, *LARGEST])
    parser.add_argument("--largest", action="store_true", help="also 512 x 512 x 300")
    parser.add_argument("--only", nargs="*", choices=[*STAGES, *METHODS])
    parser.add_argument("--limit", type=float, default=600.0, help="seconds a figure may take")
    parser.add_argument("--once", action="store_true", help="cold only")
    parser.add_argument("--add", action="store_true", help="keep the other rows of earlier runs")
    parser.add_argument("--output", type=Path, default=HERE, help="folder of the tables")
    options = parser.parse_args()
    stem = "scaling" if options.device == "cpu" else "scaling_gpu"
    stored = options.output / f"{stem}.json"
    rows: list[Row] = json.loads(stored.read_text())["rows"] if options.add else []
    started = time.perf_counter()

    def record(row: Row) -> None:
        key = (row["what"], row["size"])
        rows[:] = [other for other in rows if (other["what"], other["size"]) != key] + [row]
        print(f"{time.perf_counter() - started:6.0f} s", json.dumps(row), flush=True)
        where = machine()
        stored.write_text(json.dumps({"machine": where, "rows": rows}, indent=1) + "\n")
        (options.output / f"{stem.upper()}.md").write_text(table(rows, where, stem))
        picture(rows, options.output / f"{stem}.png")

    _run(options, record)


if __name__ == "__main__":
    main()
