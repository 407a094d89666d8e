"""A report as JSON can hold it, without positions in the image and without NaN."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import numpy as np
import torch

from DeepRegistrationLib.errors import RegistrationError
from DeepRegistrationLib.images.image import Image


def without_places(measured: dict[str, Any]) -> dict[str, Any]:
    """Measures without positions in the image; every report has the same keys."""
    hearts = measured.get("hearts")
    if hearts:
        hearts = {**hearts, "overlap": _overlap(hearts["overlap"])}
    aligned = measured.get("alignment")
    if aligned:
        area = {key: value for key, value in aligned["area"].items() if key != "point"}
        aligned = {**aligned, "area": area}
    consistency = measured.get("inverse_consistency")
    return {
        **measured,
        "overlap": _overlap(measured["overlap"]),
        "hearts": hearts,
        "alignment": aligned,
        "inverse_consistency": consistency,
    }


def _overlap(overlap: dict[str, Any] | None) -> dict[str, Any] | None:
    """By label, without the places where surfaces are farthest apart."""
    return {
        label: {
            **pair,
            **{
                when: {key: v for key, v in pair[when].items() if key != "farthest"}
                for when in ("before", "after")
                if pair.get(when)
            },
        }
        for label, pair in (overlap or {}).items()
    } or None


def describe(image: Image | None) -> dict[str, Any] | None:
    """Base name, size (x, y, z) and spacing (mm) of an image."""
    if image is None:
        return None
    name = image.name.replace("\\", "/").rsplit("/", 1)[-1]
    return {"name": name, "size": list(image.grid.size), "spacing": list(image.grid.spacing)}


def json_safe(value: Any) -> Any:
    """Plain Python types for JSON; NaN and infinity, which JSON lacks, become None."""
    if isinstance(value, dict):
        return {str(key): json_safe(entry) for key, entry in value.items()}
    if isinstance(value, (list, tuple)):
        return [json_safe(entry) for entry in value]
    if isinstance(value, (bool, str, int)) or value is None:
        return value
    if isinstance(value, (np.ndarray, torch.Tensor)):
        return json_safe(value.tolist())
    if isinstance(value, np.generic):
        return json_safe(value.item())
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    return str(value)


def report_text(report: dict[str, Any]) -> str:
    """The report as JSON."""
    return json.dumps(report, indent=2, allow_nan=False) + "\n"


def write_report(report: dict[str, Any], path: str | Path) -> None:
    """Write the report as a JSON file.

    Raises:
        RegistrationError: The file cannot be written.
    """
    try:
        Path(path).write_text(report_text(report), encoding="utf-8")
    except OSError as error:
        raise RegistrationError(f"{path} cannot be written ({error.strerror}).") from error
