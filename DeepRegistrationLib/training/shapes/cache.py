"""References of many cases: computed once, in parallel over pairs, and kept in a folder.

Every file is named by what it was made from (SHA-256 of the label maps and the settings), so a
corrected contour is seen, and an interrupted run goes on where it stopped.
"""

from __future__ import annotations

import hashlib
import itertools
import multiprocessing
import os
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch

from DeepRegistrationLib.errors import RegistrationError
from DeepRegistrationLib.images.atomic_output import atomic_file
from DeepRegistrationLib.images.image import Image
from DeepRegistrationLib.progress import Progress, part, silent
from DeepRegistrationLib.training.shapes.matching import match
from DeepRegistrationLib.training.shapes.reference import (
    ReferenceSettings,
    check_matching,
    reference_velocity,
)
from DeepRegistrationLib.training.shapes.surfaces import Surface
from DeepRegistrationLib.training.shapes.template import STRUCTURES, Shape, mean_shape, shape_of

_VERSION = 2  # of the computation; raise it when results change
_BATCH = 6  # cases matched at once: about 1 GB


@dataclass(frozen=True, eq=False)
class References:
    """The references among some cases.

    Attributes:
        shapes: One a case, in the order of the cases.
        points: Corresponding points of each case in the standard frame, in mm: [cases, n, 3].
        pairs: Case numbers (i, j), i < j, of the accepted pairs.
        velocities: v of these pairs, i fixed, j moving, in voxels of the frame (see
            :func:`on_frame`): float16 [pairs, 3, 16, 32, 32], rounded by at most 0.01 voxel; -v is
            that of (j, i).
        rejects: A sentence for every case and pair that was left out.
    """

    shapes: tuple[Shape, ...]
    points: np.ndarray
    pairs: tuple[tuple[int, int], ...]
    velocities: torch.Tensor
    rejects: tuple[str, ...]


def make_references(
    labels: Sequence[Image],
    folder: str | Path,
    settings: ReferenceSettings | None = None,
    *,
    workers: int = 1,
    limit: int = 0,
    device: torch.device | str = "cpu",
    progress: Progress = silent,
) -> References:
    """Make or read the references among segmented hearts.

    Args:
        labels: RV 1, myocardium 2, LV 3; two or more.
        folder: Where the results are kept.
        settings: How.
        workers: Processes for the pairs.
        limit: At most so many pairs, drawn evenly; 0 is all.
        device: For the matching.
        progress: May raise ``Cancelled``; what is done is kept.

    Raises:
        RegistrationError: A label map lacks a structure, or no pair is left.
    """
    settings = settings or ReferenceSettings()
    names = [_digest(image) for image in labels]
    key = _key(sorted(names), settings)
    place = Path(folder) / key
    place.mkdir(parents=True, exist_ok=True)
    shapes = []
    for number, image in enumerate(labels):
        shapes.append(shape_of(image, settings.cell))
        progress(0.05 * (number + 1) / len(labels), "Surfaces of the label maps")
    template = mean_shape(shapes, settings.cell)
    points, unmatched = _matched(
        template, shapes, names, place, settings, device, part(progress, 0.05, 0.3)
    )
    rejects = []
    good = []
    for number, image in enumerate(labels):
        reason = check_matching(unmatched[number], list(STRUCTURES), settings.unmatched)
        if reason is None:
            good.append(number)
        else:
            rejects.append(f"{image.name}: {reason}")
    pairs = _drawn(list(itertools.combinations(good, 2)), limit)
    files = [place / f"pair-{names[i]}-{names[j]}.npz" for i, j in pairs]
    missing = [
        (file, points[i], points[j], settings)
        for file, (i, j) in zip(files, pairs, strict=True)
        if not file.exists()
    ]
    _run(missing, workers, part(progress, 0.3, 1.0))
    accepted, velocities = [], []
    for file, (i, j) in zip(files, pairs, strict=True):
        with np.load(file) as stored:
            if "velocity" in stored:
                accepted.append((i, j))
                velocities.append(torch.from_numpy(stored["velocity"]))
            else:
                rejects.append(f"{labels[i].name} and {labels[j].name}: {stored['reason']}")
    if not accepted:
        raise RegistrationError(
            f"No pair of label maps gives a reference ({'; '.join(rejects[:3])}); give more cases."
        )
    return References(
        tuple(shapes), points, tuple(accepted), torch.stack(velocities), tuple(rejects)
    )


def _digest(image: Image) -> str:
    """What a label map holds, and where, as 16 hexadecimal digits."""
    values = image.data.round().to(torch.int16).cpu().numpy()
    content = hashlib.sha256(np.ascontiguousarray(values).tobytes())
    content.update(repr(image.grid).encode())
    return content.hexdigest()[:16]


def _key(names: Sequence[str], settings: ReferenceSettings) -> str:
    text = f"{_VERSION} {settings!r} {' '.join(names)}"
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def _drawn(pairs: list[tuple[int, int]], limit: int) -> list[tuple[int, int]]:
    """All pairs, or ``limit`` of them, in a random order that is the same every time.

    So a smaller number is a part of a larger one, and a run that was interrupted has a fair sample.
    """
    order = np.random.default_rng(0).permutation(len(pairs))[: limit or len(pairs)]
    return [pairs[k] for k in order]


def _matched(
    template: Sequence[Surface],
    shapes: Sequence[Shape],
    names: Sequence[str],
    place: Path,
    settings: ReferenceSettings,
    device: torch.device | str,
    progress: Progress,
) -> tuple[np.ndarray, np.ndarray]:
    """The template's vertices in every case, and what was left unmatched; new ones are kept."""
    files = [place / f"case-{name}.npz" for name in names]
    missing = [number for number, file in enumerate(files) if not file.exists()]
    for begin in range(0, len(missing), _BATCH):
        chosen = missing[begin : begin + _BATCH]
        report = part(progress, begin / len(missing), (begin + len(chosen)) / len(missing))
        surfaces = [shapes[number].surfaces for number in chosen]
        points, left = match(template, surfaces, settings.matching, device=device, progress=report)
        for k, number in enumerate(chosen):
            _store(files[number], points=points[k], unmatched=left[k])
    stored = [np.load(file) for file in files]
    return np.stack([s["points"] for s in stored]), np.stack([s["unmatched"] for s in stored])


_Job = tuple[Path, np.ndarray, np.ndarray, ReferenceSettings]


def _run(jobs: Sequence[_Job], workers: int, progress: Progress) -> None:
    """Make the references of the pairs, each in a file of its own."""
    message = "Reference velocity fields"
    if workers <= 1:
        for done, job in enumerate(jobs, start=1):
            _make_pair(job)
            progress(done / len(jobs), message)
        return
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(min(workers, os.cpu_count() or 1), context, _single) as pool:
        waiting = [pool.submit(_make_pair, job) for job in jobs]
        try:
            for done, future in enumerate(as_completed(waiting), start=1):
                future.result()
                progress(done / len(jobs), message)
        except BaseException:
            pool.shutdown(wait=False, cancel_futures=True)
            raise


def _single() -> None:
    torch.set_num_threads(1)


def _make_pair(job: _Job) -> None:
    file, fixed, moving, settings = job
    try:
        with torch.no_grad():
            velocity = reference_velocity(fixed, moving, settings)
    except RegistrationError as error:
        _store(file, reason=np.array(str(error)))
    else:
        _store(file, velocity=velocity.half().numpy())


def _store(file: Path, **arrays: np.ndarray) -> None:
    with atomic_file(file) as path, open(path, "wb") as stream:
        np.savez(stream, **arrays)  # type: ignore[arg-type]
