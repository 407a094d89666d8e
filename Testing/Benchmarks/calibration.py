"""How the predicted error goes with the true one, on phantoms and at landmarks of real pairs.

    python -m Testing.Benchmarks.calibration [--data FOLDER]
    python -m Testing.Benchmarks.calibration --method corrnet mlvirnet svfnet regnet \\
        --name networks [--data FOLDER] [--add]

Methods are named as for ``deepreg benchmark``: ``optimize:quality=best``. Writes CALIBRATION.md and
calibration.png beside this file; with a name, CALIBRATION-<name>.md and calibration-<name>.png. On
the phantoms, of which the motion is known, the error is that of random voxels: of the lungs (voxels
of 4 mm), for ``svfnet`` of the heart from end-diastole to end-systole. On real pairs it is that of
the landmarks; there are none in hearts. With ``--add`` other methods of earlier runs of the same
name stay (from build/benchmarks).
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import torch

from DeepRegistrationLib import register
from DeepRegistrationLib.data.phantoms import HeartPair, PhantomPair, heart, thorax
from DeepRegistrationLib.errors import RegistrationError
from DeepRegistrationLib.images.image import Image
from DeepRegistrationLib.methods.weights import find_weights
from DeepRegistrationLib.studies.benchmark.variants import Variant, check_available, variants_of
from Testing.Benchmarks.calibration_tables import Sample, draw, table
from Testing.Benchmarks.cases import lung_pairs

HERE = Path(__file__).parent
STORE = HERE.parent.parent / "build" / "benchmarks"
CHESTS = (  # motion in mm, sliding, noise in HU, seed
    (10.0, False, 20.0, 1),
    (20.0, False, 40.0, 2),
    (30.0, False, 20.0, 3),
    (15.0, True, 40.0, 4),
)
HEARTS = (1, 2, 3, 4)  # seeds
POINTS = 1000  # of each phantom
DEFAULT = ["optimize", "optimize:quality=best", "affine"]
_DIGITS = 4  # of mm: what is stored and what is shown is the same
_HEART_METHODS = ("svfnet",)


def pairs(method: str, data: Path | None) -> Iterator[tuple[str, dict[str, Any], Any, Any]]:
    """What a method is measured on: name, images and masks, points of both images, LPS mm."""
    if method in _HEART_METHODS:
        for seed in HEARTS:
            beat = heart(seed=seed)
            given = {"fixed_mask": beat.fixed_labels, "moving_mask": beat.moving_labels}
            points = voxels(beat, beat.fixed_labels, seed)
            yield f"phantom, heart {seed}", {**images(beat), **given}, *points
        return
    for motion, sliding, noise, seed in CHESTS:
        size, spacing = (80, 64, 72), (4.0, 4.0, 4.0)
        chest = thorax(size, spacing, motion=motion, sliding=sliding, noise=noise, seed=seed)
        name = f"phantom, {motion:g} mm{', sliding' if sliding else ''}, noise {noise:g} HU"
        yield name, images(chest), *voxels(chest, chest.fixed_lungs, seed)
    for pair in () if data is None else lung_pairs(data):
        given = {"fixed_mask": pair.fixed_mask, "moving_mask": pair.moving_mask}
        landmarks = (pair.fixed_landmarks, pair.moving_landmarks)
        yield pair.name, {"fixed": pair.fixed, "moving": pair.moving, **given}, *landmarks


def images(pair: PhantomPair | HeartPair) -> dict[str, Image]:
    """Fixed and moving image of a phantom."""
    return {"fixed": pair.fixed, "moving": pair.moving}


def voxels(pair: PhantomPair | HeartPair, mask: Image, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Random voxels of a mask and where the phantom's motion takes them, LPS mm: [n, 3] each."""
    inside = np.argwhere(mask.data.numpy() != 0)[:, ::-1]
    count = min(POINTS, len(inside))
    chosen = np.random.default_rng(seed).choice(len(inside), count, replace=False)
    points = mask.grid.to_physical(inside[chosen])
    return points, pair.transform(torch.from_numpy(points)).numpy()


def measured(given: str, variant: Variant, data: Path | None) -> Iterator[Sample]:
    """Register each pair and compare predicted with true errors at its points."""
    method = variant.options.method
    for name, inputs, points, truth in pairs(method, data):
        found = register(
            inputs["fixed"],
            inputs["moving"],
            variant.options,
            fixed_mask=inputs.get("fixed_mask"),
            moving_mask=inputs.get("moving_mask"),
            uncertainty=True,
            device="cpu",
        )
        assert found.uncertainty is not None
        where = torch.from_numpy(np.asarray(points, dtype=np.float64))
        distance = np.linalg.norm(found.transform(where).numpy() - truth, axis=1)
        error = distance.round(_DIGITS)
        predictions = found.uncertainty.maps().items()
        maps = {k: v.sample(where, fill=None).double().numpy() for k, v in predictions}
        maps = {k: v.round(_DIGITS) for k, v in maps.items()}
        weights = weights_of(method, found.provenance["parameters"])
        sample = Sample(variant.label, given, weights, name, error, maps)
        print(f"{sample.method}, {name}: {error.mean():.2f} mm, ", end="")
        print(f"predicted {maps['predicted'].mean():.2f} mm", flush=True)
        yield sample


def weights_of(method: str, parameters: dict[str, Any]) -> str:
    """Name and beginning of the hash of a network's weights; empty for other methods."""
    if "weights" not in parameters:
        return ""
    card = find_weights(method, parameters["weights"])
    return f"{card.name} (SHA-256 {card.sha256[:8]})"


def read(file: Path) -> list[Sample]:
    """The samples that :func:`save` wrote."""
    found = []
    for values in json.loads(file.read_text(encoding="utf-8")):
        values["error"] = np.array(values["error"])
        values["maps"] = {name: np.array(numbers) for name, numbers in values["maps"].items()}
        found.append(Sample(**values))
    return found


def save(samples: list[Sample], file: Path) -> None:
    """All points of all samples."""
    rows = []
    for sample in samples:
        maps = {name: values.tolist() for name, values in sample.maps.items()}
        rows.append({**asdict(sample), "error": sample.error.tolist(), "maps": maps})
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(json.dumps(rows), encoding="utf-8")


def write(samples: list[Sample], name: str, folder: Path) -> None:
    """Page and picture in a folder."""
    end = f"-{name}" if name else ""
    methods = dict.fromkeys(sample.given for sample in samples)
    data = any(sample.kind == "landmarks" for sample in samples)
    command = f"python -m Testing.Benchmarks.calibration{' --data FOLDER' * data} --method "
    command += " ".join(methods) + (f" --name {name}" if name else "")
    picture = f"calibration{end}.png"
    text = table(samples, command, picture)
    (folder / f"CALIBRATION{end}.md").write_text(text, encoding="utf-8")
    draw(samples, folder / picture)


def main(arguments: list[str] | None = None) -> None:
    """Command line."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--data", type=Path, help="folder with the real pairs")
    parser.add_argument("--method", default=DEFAULT, nargs="+")
    parser.add_argument("--name", default="", help="ending of the files' names")
    parser.add_argument("--add", action="store_true", help="keep other methods of earlier runs")
    parser.add_argument("--output", type=Path, default=HERE, help="folder of page and picture")
    options = parser.parse_args(arguments)
    try:
        variants = variants_of(options.method, ["default"], ["auto"])
        check_available(variants)
        if not all(variant.masked for variant in variants):
            raise RegistrationError("Without masks nothing is measured here; leave masks=none out.")
    except RegistrationError as error:
        parser.error(str(error))
    file = STORE / f"calibration{f'-{options.name}' if options.name else ''}.json"
    samples = read(file) if options.add and file.is_file() else []
    for given, variant in zip(options.method, variants, strict=True):
        found = list(measured(given, variant, options.data))
        samples = [sample for sample in samples if sample.method != variant.label] + found
        save(samples, file)
        write(samples, options.name, options.output)


if __name__ == "__main__":
    main()
