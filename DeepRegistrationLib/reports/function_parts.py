"""Ventilation and strain as parts of a registration's report; nothing here loads PyTorch."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from math import isfinite, nan
from typing import Any

from DeepRegistrationLib.function.segment_names import SEGMENT_NAMES
from DeepRegistrationLib.reports.bulls_eye import LIMITS, bulls_eye_svg
from DeepRegistrationLib.reports.content import FunctionPart, Picture

VENTILATION, STRAIN = "Ventilation", "Heart strain"
"""The parts' titles."""

_MEASURES = {"volume": "volume, %", "gas": "gas, %", "density": "gas by density, %"}


def ventilation_part(
    rows: Sequence[Mapping[str, Any]], notes: Sequence[str], pictures: Sequence[Picture] = ()
) -> FunctionPart:
    """The part about the lungs.

    Args:
        rows, notes: See ``function.numpy_interface.ventilation_of``.
        pictures: Of the map.
    """
    head = ["", "ml at exhale", *_MEASURES.values(), "relative to the lungs", "reliable, %"]
    cells = [
        [
            row["name"],
            f"{row['exhale_ml']:.0f}",
            *(_percent(row[key]) for key in _MEASURES),
            f"{row['relative']:.2f}" if isfinite(row["relative"]) else "–",
            f"{row['reliable_percent']:.0f}",
        ]
        for row in rows
    ]
    title = "Change from exhale to inhale, per amount at exhale"
    return FunctionPart(VENTILATION, notes, head, cells, title, pictures)


def strain_part(measured: Mapping[str, Any]) -> FunctionPart:
    """The part about the heart.

    Args:
        measured: See ``function.numpy_interface.strain_of``.
    """
    last, directions = measured["end_systole"], measured["segments"]
    values = {d: [nan if v is None else v for v in own] for d, own in directions.items()}
    plots = {
        f"{name.capitalize()} strain, %": bulls_eye_svg(own, f"{name} strain", LIMITS[name])
        for name, own in values.items()
    }
    rows = [
        [f"{number} {name}", *(_percent(own[number - 1]) for own in values.values())]
        for number, name in SEGMENT_NAMES.items()
    ]
    rows.append(["whole", *(_percent(measured["curves"][d][last]) for d in values)])
    notes = [
        f"Ejection fraction {measured['ejection_fraction']:.0%}. {measured['trust']}",
        *measured["notes"],
    ]
    title = "Strain from the fixed image, end-diastole, to the moving one, %"
    return FunctionPart(STRAIN, notes, ["", *values], rows, title, plots=plots)


def not_measured(title: str, why: str) -> FunctionPart:
    """The part where measuring was asked for and could not be done."""
    return FunctionPart(title, [f"Not measured: {why}"])


def _percent(share: float) -> str:
    return f"{100 * share:.1f}" if isfinite(share) else "–"
