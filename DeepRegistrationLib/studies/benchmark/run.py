"""Register and measure every pair by every method, a row each; failures are rows too."""

from __future__ import annotations

import hashlib
import os
import re
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from DeepRegistrationLib import __version__
from DeepRegistrationLib.devices import choose_device
from DeepRegistrationLib.errors import Cancelled, RegistrationError, correctable, unexpected
from DeepRegistrationLib.evaluation.region import Region, region_of
from DeepRegistrationLib.images.atomic_output import atomic_file, check_folder
from DeepRegistrationLib.images.image import Image
from DeepRegistrationLib.progress import Progress, part, silent
from DeepRegistrationLib.registration.engine import Registration, register
from DeepRegistrationLib.reports.overlays import overlay_png
from DeepRegistrationLib.reports.plain_report import json_safe
from DeepRegistrationLib.reports.report import REPORTED
from DeepRegistrationLib.studies.benchmark.input_cache import Reader, require_finder, require_labels
from DeepRegistrationLib.studies.benchmark.journal import NAME, Journal, Row, row_text
from DeepRegistrationLib.studies.benchmark.loading import PairImages, everywhere, load_pair
from DeepRegistrationLib.studies.benchmark.measuring import measure_row, region_for
from DeepRegistrationLib.studies.benchmark.protocol import (
    ALIGNMENTS,
    BEFORE,
    BenchmarkPair,
    Protocol,
)
from DeepRegistrationLib.studies.benchmark.variants import Variant, check_available
from DeepRegistrationLib.transforms import Affine, Transform, jacobian, warp_labels
from DeepRegistrationLib.transforms.warping import warped_image

OVERLAYS = "overlays"


@dataclass(frozen=True)
class Options:
    """How to run.

    Attributes:
        alignment: One of ``ALIGNMENTS``, before every method.
        resume: Go on with the rows that are there; failed ones are tried again.
        device: ``auto``, ``cpu`` or ``cuda``.
        seed: Of every method.
        spacing: Voxel size that images are resampled to, mm; None: as they are.
        pictures: Of how many pairs overlays are drawn.
        progress: May raise ``Cancelled``; rows so far are kept.
        report: Called with a line a row.
    """

    alignment: str = "none"
    resume: bool = False
    device: str = "auto"
    seed: int = 0
    spacing: float | None = None
    pictures: int = 3
    progress: Progress = silent
    report: Callable[[str], None] = field(default=lambda line: None)


def run(
    protocol: Protocol,
    pairs: Sequence[BenchmarkPair],
    variants: Sequence[Variant],
    folder: str | Path,
    options: Options,
) -> list[Row]:
    """All rows of the pairs and methods asked for, those of earlier runs included.

    Raises:
        RegistrationError: The folder cannot be used, no heart can be looked for, a case has no
            labels to align by, or a method has no weights or is not installed. What goes wrong
            with one pair becomes a row with ``status`` ``failed`` and the sentence.
        Cancelled: The user stopped; the rows so far are in the journal.
    """
    folder = Path(folder)
    if options.alignment not in ALIGNMENTS:
        raise RegistrationError(
            f"There is no alignment {options.alignment!r}; choose one of {', '.join(ALIGNMENTS)}."
        )
    if options.alignment == "hearts" and not all(
        c.mask for pair in pairs for c in (pair.fixed, pair.moving)
    ):
        require_finder()
    if options.alignment == "segmentations":
        for case in (c for pair in pairs for c in (pair.fixed, pair.moving)):
            require_labels(case)
    choose_device(options.device)
    check_available(variants)
    check_folder(folder)
    settings = {
        "protocol": protocol.name,
        "alignment": options.alignment,
        "seed": options.seed,
        "spacing": options.spacing,
        "version": __version__,
    }
    journal = Journal(folder, settings, resume=options.resume)
    done = journal.done()
    labels = [BEFORE, *(v.label for v in variants)]
    digests = {pair.name: fingerprint(pair) for pair in pairs}
    _check_same(journal.rows, digests)
    todo = sum((pair.name, label) not in done for pair in pairs for label in labels)
    count, reader = 0, Reader()
    for number, pair in enumerate(pairs):
        missing = [v for v in (None, *variants) if (pair.name, _label(v)) not in done]
        if not missing:
            continue
        progress = part(options.progress, count / todo, (count + len(missing)) / todo)
        picture = folder / OVERLAYS / f"{number + 1:03d}" if number < options.pictures else None
        for row in _pair_rows(pair, missing, picture, options, reader, progress):
            count += 1
            row["files"] = digests[pair.name]
            journal.add(json_safe(row))
            options.report(f"{count}/{todo} {row_text(row)}")
    wanted = {(pair.name, label) for pair in pairs for label in labels}
    order = {pair.name: k for k, pair in enumerate(pairs)}
    rows = [r for r in journal.rows if (r["pair"], r["method"]) in wanted]
    return sorted(rows, key=lambda r: (order[r["pair"]], labels.index(r["method"])))


def fingerprint(pair: BenchmarkPair) -> str:
    """A short hash of the names and sizes of a pair's files."""
    text = []
    for case in (pair.fixed, pair.moving):
        for file in (case.image, case.mask, case.labels, case.landmarks):
            text.append("-" if file is None else f"{file.name} {file.stat().st_size}")
    return hashlib.sha256("\n".join(text).encode()).hexdigest()[:12]


def _check_same(rows: Iterable[Row], digests: dict[str, str]) -> None:
    for row in rows:
        if row["pair"] in digests and row.get("files") != digests[row["pair"]]:
            raise RegistrationError(
                f"The files of the pair {row['pair']} have changed since its row was made; choose "
                f"another --output, or delete {NAME}."
            )


def _label(variant: Variant | None) -> str:
    return BEFORE if variant is None else variant.label


def _pair_rows(
    pair: BenchmarkPair,
    variants: Sequence[Variant | None],
    picture: Path | None,
    options: Options,
    reader: Reader,
    progress: Progress,
) -> Iterable[Row]:
    """The rows of one pair; None stands for the pair before any method."""
    images, kept = None, Region()
    problem = ""
    try:
        images = load_pair(pair, options.alignment, reader, options.spacing)
        kept = region_of(
            images.fixed,
            images.moving,
            fixed_mask=images.fixed_mask,
            moving_mask=images.moving_mask,
        )
    except Exception as error:  # noqa: BLE001 - the other pairs shall go on
        problem = explained(error)
    for k, variant in enumerate(variants):
        row: Row = {
            "pair": pair.name,
            "patient": pair.fixed.patient,
            "moving_patient": pair.moving.patient,
            "method": _label(variant),
            "name": "" if variant is None else variant.options.method,
            "status": "failed",
            "error": problem,
        }
        if images is not None:
            here = part(progress, k / len(variants), (k + 1) / len(variants))
            try:
                row.update(_one(pair, images, kept, variant, picture, options, reader, here))
                row.update(status="ok", error="")
            except Exception as error:  # noqa: BLE001
                row["error"] = explained(error)
        yield row


def explained(error: Exception) -> str:
    """A sentence for a row; Cancelled goes on.

    Raises:
        Cancelled: It is one.
    """
    if isinstance(error, Cancelled):
        raise error
    sentence = correctable(error) or unexpected(error)
    return sentence.replace(str(Path.home()), "~")  # it may name a person


def _one(
    pair: BenchmarkPair,
    images: PairImages,
    kept: Region,
    variant: Variant | None,
    picture: Path | None,
    options: Options,
    reader: Reader,
    progress: Progress,
) -> Row:
    """Register and measure; what a method gets is all in the call of ``register`` here."""
    row: Row = {}
    if variant is None:
        transform: Transform = images.initial or Affine()
        warped: Image | None = warped_image(images.moving, transform, images.fixed.grid)
        determinant: Image | None = jacobian(transform, images.fixed.grid)
    else:
        masks = [images.fixed_mask, images.moving_mask]
        if not variant.masked:
            masks = [everywhere(images.fixed), everywhere(images.moving)]
        begin, processor = time.perf_counter(), _processor_seconds()
        result: Registration = register(
            images.fixed,
            images.moving,
            replace(variant.options, device=options.device, seed=options.seed),
            REPORTED,
            fixed_mask=masks[0],
            moving_mask=masks[1],
            initial=images.initial,
            progress=progress,
        )
        row["seconds"] = round(time.perf_counter() - begin, 3)
        row["cpu_seconds"] = round(_processor_seconds() - processor, 3)
        row.update(_seconds_apart(result))
        row["notes"] = result.notes
        for name in ("device", "peak_memory_mb", "quality", "parameters"):
            row[name] = result.provenance.get(name)
        transform, warped, determinant = result.transform, result.warped, result.jacobian
    assert warped is not None and determinant is not None  # both were asked for
    region = region_for(pair, images, kept, reader)
    row.update(measure_row(pair, images, region, transform, warped, determinant, reader))
    if picture is not None:
        name = f"{picture.name}-{re.sub(r'[^A-Za-z0-9.=-]+', '_', _label(variant))}.png"
        with atomic_file(picture.parent / name) as partial:
            partial.write_bytes(_picture(pair, images.fixed, warped, region, transform, reader))
        row["overlay"] = f"{OVERLAYS}/{name}"
    return row


def _seconds_apart(result: Registration) -> Row:
    """Of the method and, where it began with an affine alignment, of that and of what follows."""
    own, affine = result.seconds["register"], result.method_seconds.get("affine")
    apart: Row = {"seconds_method": own}
    if affine is not None:
        later = own - affine + result.seconds.get("refine", 0.0)
        apart |= {"seconds_affine": round(affine, 3), "seconds_deformable": round(later, 3)}
    return apart


def _processor_seconds() -> float:
    """Of this process and of those that it started and that have ended (elastix), all threads."""
    return sum(os.times()[:4])


def _picture(
    pair: BenchmarkPair,
    fixed: Image,
    warped: Image,
    region: Region,
    transform: Transform,
    reader: Reader,
) -> bytes:
    """Both images after the registration, outlined where the pair has labels."""
    inside = None if region.mask is None else region.mask.data.numpy()
    labels = []
    if pair.fixed.labels is not None and pair.moving.labels is not None and not pair.family:
        own = reader.image(pair.fixed.labels).resampled(fixed.grid, interpolation="nearest")
        other = warp_labels(reader.image(pair.moving.labels), transform, fixed.grid)
        labels = [own.data.numpy(), other.data.numpy()]
    return overlay_png(fixed.data.numpy(), warped.data.numpy(), fixed.grid, inside, labels)
