"""Predicted errors in words that say what they are worth; nothing here loads PyTorch."""

from __future__ import annotations

from typing import Any

from DeepRegistrationLib.evaluation.finding import OWN, Finding, figure, percent
from DeepRegistrationLib.evaluation.tolerance import tolerance

UNCERTAIN_SHARE = 5.0  # percent of the voxels with a large predicted error; own choice


def uncertainty_findings(values: dict[str, Any] | None) -> list[Finding]:
    """What maps of predicted errors say, of ``uncertainty.uncertainty_statistics``."""
    if not values:
        return []
    share, limit, region = values["percent_above"], values["limit"], values["region"]
    allowed = tolerance(values.get("voxel_mm"))
    text = f"Error estimate above {limit:g} mm in {percent(share)} of the {region}"
    text += f" (median {figure(values['median'])} mm, 95 % below {figure(values['p95'])} mm): "
    text += "this shows where to look; it is not an error bar. Errors where the images have no "
    text += "structure do not show, and errors of more than 8 mm look smaller."
    basis = f"{allowed.basis}; a caution from {UNCERTAIN_SHARE:g} %: {OWN}; true errors beside "
    basis += "estimated ones: docs/uncertainty-findings.md"
    found = [Finding("caution" if share >= UNCERTAIN_SHARE else "ok", text, basis)]
    if consistency := values.get("consistency"):
        text = f"Registered in both directions, 95 % of the {region} returns within "
        text += f"{figure(consistency['p95'])} mm (largest {figure(consistency['max'])} mm)."
        kept = consistency["p95"] <= allowed.limit
        basis = f"{allowed.basis}; for 95 %: {OWN}; both directions can share an error"
        found.append(Finding("ok" if kept else "caution", text, basis))
    return found
