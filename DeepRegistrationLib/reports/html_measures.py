"""Blocks of the page about the deformation and the images: one function each."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from DeepRegistrationLib.evaluation.finding import region_in_words
from DeepRegistrationLib.reports.content import ReportContent
from DeepRegistrationLib.reports.html_parts import (
    error_estimate,
    images_and_segments,
    section,
    table,
)

_JACOBIAN = {"min": "min", "max": "max", "mean": "mean", "std_log": "std of log J"}
_DISPLACEMENT = {"mean": "mean", "p95": "95 %", "max": "max"}
_VOLUME = {"volume_ml": "fixed", "moving_volume_ml": "moving"}


def deformation_block(content: ReportContent) -> str:
    """Volume change, folding and displacement: whole image, region, each segment."""
    quality = content.quality
    places = regions(quality)
    if not places:
        return ""
    head = ["J", *_JACOBIAN.values(), "folding, %"]
    rows = [
        [name, *(j.get(key) for key in _JACOBIAN), f"{j['percent_nonpositive']:.4f}"]
        for name, (j, _) in places.items()
    ]
    text = table(head, rows, "Jacobian determinant J, by region")
    moved = {name: d for name, (_, d) in places.items() if d}
    if moved:
        rows = [[name, *(d.get(key) for key in _DISPLACEMENT)] for name, d in moved.items()]
        text += table(["mm", *_DISPLACEMENT.values()], rows, "Displacement |T(x) - x|, by region")
    segments = quality.get("segments") or {}
    if segments:
        rows = [[name, *(values.get(key) for key in _VOLUME)] for name, values in segments.items()]
        text += table(["ml", *_VOLUME.values()], rows, "Volume of the segments")
    consistency = quality.get("inverse_consistency")
    if consistency:
        text += (
            f"<p>Inverse consistency |T⁻¹(T(x)) - x| over {consistency['n']} points: mean "
            f"{consistency['mean']:.3f}, 95 % {consistency['p95']:.3f}, max "
            f"{consistency['max']:.3f} mm.</p>"
        )
    return section("Volume change, folding and displacement", text)


def regions(quality: Mapping[str, Any]) -> dict[str, tuple[Mapping[str, Any], Mapping[str, Any]]]:
    """By region, its statistics of J and, where they were measured, of the displacement in mm."""
    whole, moved = quality.get("jacobian"), quality.get("displacement") or {}
    if not whole:
        return {}
    places = {"whole image": (whole, moved)}
    if whole.get("in_mask"):
        name = region_in_words(quality).removeprefix("the ")
        places[name] = (whole["in_mask"], moved.get("in_mask") or {})
    for name, segment in (quality.get("segments") or {}).items():
        places[name] = (segment["jacobian"], segment.get("displacement_mm") or {})
    return places


def uncertainty_block(content: ReportContent) -> str:
    """The error estimate, where there is one."""
    return error_estimate(content.quality.get("uncertainty"))


def images_block(content: ReportContent) -> str:
    """Similarity and overlap."""
    return images_and_segments(content.quality)
