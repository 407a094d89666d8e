"""The report of a registration in a few lines, for a terminal."""

from __future__ import annotations

from typing import Any

from DeepRegistrationLib.reports.heart_findings import heart_findings
from DeepRegistrationLib.reports.report import STANDING_NOTES
from DeepRegistrationLib.reports.uncertainty_findings import uncertainty_findings


def summary_lines(report: dict[str, Any]) -> list[str]:
    """What the report notes of this registration alone, and its main numbers, for a terminal."""
    return [note for note in report["notes"] if note not in STANDING_NOTES] + summary(report)


def summary(report: dict[str, Any]) -> list[str]:
    """The report's main numbers as lines for a terminal."""
    lines = []
    if tre := report["tre"]:
        before, after = tre["before"], tre["after"]
        lines.append(
            f"Target registration error over {tre['n']} landmarks: {before['mean']:.2f} mm before, "
            f"{after['mean']:.2f} mm after (median {after['median']:.2f}, 95 % {after['p95']:.2f}, "
            f"max {after['max']:.2f})"
        )
    if driven := report.get("driving"):
        lines += _driving(driven)
    if similar := report["similarity"]:
        before, after = similar["before"]["local_ncc"], similar["after"]["local_ncc"]
        if before is not None and after is not None:
            where = f"in the {report['region']['name']}"
            lines.append(f"Local correlation {where}: {before:.3f} before, {after:.3f} after")
    for label, overlap in (report["overlap"] or {}).items():
        what = "the masks" if label == "mask" else f"label {label}"
        if not any(
            o and o["hausdorff95"] is not None for o in (overlap["before"], overlap["after"])
        ):
            lines.append(f"Dice of {what}: unknown, as one of the two images has none")
            continue
        dice = [overlap[when]["dice"] if overlap[when] else 0.0 for when in ("before", "after")]
        apart = " (it drove the registration: no proof)" if overlap.get("drove") else ""
        lines.append(f"Dice of {what}: {dice[0]:.3f} before, {dice[1]:.3f} after{apart}")
    lines += [finding.text for finding in heart_findings(report["hearts"])]
    if volume := report["jacobian"]:
        text = f"Jacobian {volume['min']:.2f} to {volume['max']:.2f}, "
        text += f"folding in {volume['percent_nonpositive']:.3f} % of the image"
        if inside := volume["in_mask"]:
            text += f", {inside['percent_nonpositive']:.3f} % of the {report['region']['name']}"
        lines.append(text)
    lines += [finding.text for finding in uncertainty_findings(report.get("uncertainty"))]
    if consistency := report["inverse_consistency"]:
        lines.append(
            f"Inverse consistency: {consistency['mean']:.3f} mm mean, {consistency['p95']:.3f} mm "
            f"at 95 %, {consistency['max']:.3f} mm max"
        )
    if residual := report["inverse_residual_mm"]:
        lines.append(
            f"Inverse: residual {residual['mean']:.3f} mm mean, {residual['max']:.3f} mm max"
        )
    return lines


def _driving(driven: dict[str, Any]) -> list[str]:
    """What is left at the landmarks that drove the registration: no target registration error."""
    left = driven["residual_mm"]
    mean, most = sum(left) / len(left), max(left)
    lines = [
        f"Left at the {len(left)} driving landmark(s), no proof: {mean:.2f} mm mean, {most:.2f} max"
    ]
    out = [error for error in driven["left_out_mm"] or () if error is not None]
    if out:
        mean, most = sum(out) / len(out), max(out)
        lines.append(
            f"Error at driving landmarks when each is left out: {mean:.2f} mm mean, {most:.2f} max"
        )
    return lines
