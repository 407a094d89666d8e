"""elastix from outside: hands over the images, watches, stops it on request, reads the result."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import numpy as np
import torch

import DeepRegistrationLib
from DeepRegistrationLib.errors import RegistrationError
from DeepRegistrationLib.images.geometry import Grid
from DeepRegistrationLib.images.image import Image
from DeepRegistrationLib.methods.elastix.parameter_sets import ElastixStage
from DeepRegistrationLib.progress import Progress
from DeepRegistrationLib.transforms import Affine, Composite, DisplacementField, Transform

PACKAGE = "itk-elastix"
_POLL = 0.1  # seconds
_SEED = 121212  # elastix's own, that of our seed 0


@dataclass(frozen=True)
class ElastixResult:
    """What elastix found.

    Attributes:
        transform: Fixed to moving; an affine, or a displacement field on the grid asked for,
            before the affine.
        seconds: Of elastix alone, without handing over the images and sampling the field.
    """

    transform: Transform
    seconds: float


def require_elastix() -> None:
    """Raise a RegistrationError where itk-elastix is missing."""
    try:
        version(PACKAGE)
    except PackageNotFoundError:
        raise RegistrationError(
            "elastix is not installed; run `pip install itk-elastix`, or choose the method "
            "optimize, whose B-spline does the same job."
        ) from None


def run_elastix(
    fixed: Image,
    moving: Image,
    masks: tuple[Image | None, Image | None],
    stages: Sequence[ElastixStage],
    grid: Grid,
    *,
    threads: int,
    seed: int,
    progress: Progress,
) -> ElastixResult:
    """Run elastix's stages, one on top of the other.

    elastix works in a process of its own. Its progress is the number of lines in the tables of
    iterations that it writes; a cancel ends the process at once.

    Args:
        masks: Where fixed and moving count, each on its image's grid; stages take what they use.
        grid: Where a deformation is sampled.
        threads: For elastix.
        seed: Of the random samples.

    Raises:
        RegistrationError: elastix is missing, or gave up (with its reason).
    """
    require_elastix()
    images = {"fixed": fixed, "moving": moving}
    given = dict(zip(("fixed", "moving"), masks, strict=True))
    images |= {f"{side}_mask": mask for side, mask in given.items() if mask is not None}
    deformable = not all(stage.affine for stage in stages)
    request = {
        "images": {name: _geometry(image.grid) for name, image in images.items()},
        "stages": [_stage_request(stage, given, seed) for stage in stages],
        "field": _geometry(grid) if deformable else None,
        "threads": threads,
    }
    with tempfile.TemporaryDirectory(prefix="elastix") as name:
        folder = Path(name)
        for role, image in images.items():
            np.save(folder / f"{role}.npy", _values(image, mask=role.endswith("_mask")))
        (folder / "request.json").write_text(json.dumps(request))
        _watch(folder, sum(stage.iterations for stage in stages), progress)
        result = json.loads((folder / "result.json").read_text())
        if "error" in result:
            raise RegistrationError(f"elastix failed: {_reason(result['error'])}")
        field = torch.from_numpy(np.load(folder / "field.npy")) if deformable else None
    return ElastixResult(_transform(result, field, grid, fixed.data.device), result["seconds"])


def _stage_request(
    stage: ElastixStage, masks: dict[str, Image | None], seed: int
) -> dict[str, Any]:
    used = {"given": ("fixed", "moving"), "fixed": ("fixed",), "none": ()}[stage.mask]
    return {
        "parameters": stage.parameters | {"RandomSeed": [str(_SEED + seed)]},
        "masks": [side for side in used if masks[side] is not None],
    }


def _geometry(grid: Grid) -> dict[str, Any]:
    return {
        "size": grid.size,
        "spacing": grid.spacing,
        "origin": grid.origin,
        "direction": grid.direction,
    }


def _values(image: Image, *, mask: bool) -> np.ndarray:
    values = image.data.detach().cpu().numpy()
    return (values != 0).astype(np.uint8) if mask else values.astype(np.float32)


def _watch(folder: Path, iterations: int, progress: Progress) -> None:
    """Run the child to its end; what ``progress`` raises ends it at once."""
    library = Path(DeepRegistrationLib.__file__).parent.parent
    path = os.pathsep.join(filter(None, [str(library), os.environ.get("PYTHONPATH", "")]))
    with open(folder / "stderr", "wb") as errors:
        process = subprocess.Popen(
            [sys.executable, "-m", "DeepRegistrationLib.methods.elastix.child", str(folder)],
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            stderr=errors,
            env={**os.environ, "PYTHONPATH": path},
        )
        try:
            while process.poll() is None:
                done = _lines(folder)
                title = "Running elastix" if done else "Loading elastix"
                progress(min(done / iterations, 0.99), title)
                time.sleep(_POLL)
        finally:
            process.kill()
            process.communicate()
    if not (folder / "result.json").exists():
        text = (folder / "stderr").read_text(errors="replace")
        raise RegistrationError(
            f"elastix ended without a result (exit code {process.returncode}): {_reason(text)}"
        )


def _lines(folder: Path) -> int:
    """Iterations so far."""
    return sum(file.read_bytes().count(b"\n") for file in folder.glob("stage*/IterationInfo*"))


def _reason(text: str) -> str:
    """The last words of an error, in one line."""
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    words = lines[-1] if lines else "no reason was given"
    return f"{words[-300:].rstrip('.')}; check the images and masks."


def _transform(
    result: dict[str, Any], vectors: torch.Tensor | None, grid: Grid, device: torch.device
) -> Transform:
    """The affine; or the field before it, since what lies outside the field keeps the affine."""
    affine = Affine(device=device)
    if "affine" in result:
        matrix = np.reshape(result["affine"][:9], (3, 3))
        center = np.array(result["center"])
        affine = Affine(matrix, center + result["affine"][9:] - matrix @ center, device=device)
    if vectors is None:
        return affine
    total = DisplacementField(vectors.to(device), grid)
    if "affine" not in result:
        return total
    return Composite([DisplacementField.of(Composite([total, affine.inverse()]), grid), affine])
