"""Ventilation and strain as HTML pages that need nothing else, and as tables."""

from __future__ import annotations

import base64
import csv
from collections.abc import Sequence
from html import escape
from pathlib import Path

import numpy as np

from DeepRegistrationLib.function.phases import PhaseCurves
from DeepRegistrationLib.function.segment_names import SEGMENT_NAMES
from DeepRegistrationLib.function.strain_result import Strain, shown_directions
from DeepRegistrationLib.function.ventilation import Ventilation
from DeepRegistrationLib.function.ventilation_amounts import MEASURES
from DeepRegistrationLib.images.image import Image
from DeepRegistrationLib.images.intensity import finite
from DeepRegistrationLib.reports.bulls_eye import LIMITS, bulls_eye_svg
from DeepRegistrationLib.reports.curves_svg import curves_svg
from DeepRegistrationLib.reports.html_parts import page, section, table
from DeepRegistrationLib.reports.map_pictures import gradient_css, map_png

_SPREAD = (2.0, 98.0)  # percent of the map's values inside, for the limits of the picture


def ventilation_page(found: Ventilation, fixed: Image) -> str:
    """The page of ventilation between two scans."""
    return page("Ventilation", _ventilation_body(found, fixed))


def map_limits(found: Ventilation) -> tuple[float, float]:
    """The shares at the ends of the map's colors."""
    inside = (found.lungs.data != 0) & (found.reliable.data != 0)
    shown = found.maps["volume"].data[inside if bool(inside.any()) else found.lungs.data != 0]
    low, high = (float(v) for v in np.percentile(shown.cpu().numpy(), _SPREAD))
    return round(low, 2) + 0.0, round(max(high, low + 2 * found.noise_floor), 2)


def map_picture(found: Ventilation, fixed: Image, limits: tuple[float, float]) -> bytes:
    """The specific volume change over the CT as PNG, with colors between two shares."""
    return map_png(found.maps["volume"], finite(fixed), found.lungs, found.reliable, limits)


def _ventilation_body(found: Ventilation, fixed: Image) -> str:
    low, high = map_limits(found)
    png = map_picture(found, fixed, (low, high))
    legend = (
        '<p><span style="display:inline-block;width:14rem;height:.8rem;'
        f'background:{gradient_css()}"></span><br>'
        f"{low:+.0%} to {high:+.0%} of the volume at exhale. Lines: not reliable.</p>"
    )
    rows = [
        [
            name,
            f"{region.exhale_ml:.0f}",
            *(f"{100 * region.values[key]:.1f}" for key in MEASURES),
            f"{region.relative['volume']:.2f}",
            f"{region.reliable_percent:.0f}{'' if region.reliable else ' (too little)'}",
        ]
        for name, region in {"both lungs": found.whole, **found.regions}.items()
    ]
    head = ["", "ml at exhale", "volume, %", "gas, %", "density, %", "mass, %", "relative to the "
            "lungs", "reliable, %"]  # fmt: skip
    doubts = [[name, f"{share:.1f}"] for name, share in found.unreliable.items() if share >= 0.05]
    return (
        section("What was found", notes_html(found.notes))
        + section(
            "Specific volume change",
            f'<figure><img alt="Map of the specific volume change over the CT" '
            f'src="data:image/png;base64,{base64.b64encode(png).decode("ascii")}"><figcaption>'
            "Coronal slices from front to back, the patient's right at the left.</figcaption>"
            f"</figure>{legend}",
        )
        + section(
            "Regions",
            table(head, rows, "Change from exhale to inhale, per amount at exhale")
            + "<p>Volume: by the Jacobian. Gas: by Jacobian and density. Density: by density "
            "alone. Mass: change of tissue, near 0 where both agree.</p>",
        )
        + section(
            "Reliability",
            table(["", "% of the lungs"], doubts, "Where the correspondence is weak")
            + f"<p>Noise floor at {found.resolution:g} mm: {found.noise_floor:.1%} (standard "
            "deviation, of one scan in two kernels).</p>",
        )
    )


def curves_page(found: PhaseCurves) -> str:
    """The page of a 4D-CT."""
    curves = {name: 100 * values for name, values in found.ventilation().items()}
    rows = [[name, *(f"{value:.1f}" for value in values)] for name, values in curves.items()]
    rows.append(["reliable, % of the lungs", *(f"{v:.0f}" for v in found.reliable_percent)])
    head = ["phase", *(str(k + 1) for k in range(len(found.reliable_percent)))]
    body = section("What was found", notes_html(found.notes)) + section(
        "Volume over the breath",
        f"<figure>{curves_svg(curves, 'phase', 'volume change, %', 'Volume over the breath', 1)}"
        "</figure>" + table(head, rows, "Volume change since exhale, % of the volume at exhale"),
    )
    return page("Ventilation over a 4D-CT", body)


def strain_page(found: Strain) -> str:
    """The page of strain over a cine series."""
    drawn = shown_directions(found)
    eyes = "".join(
        f"<figure>{strain_svg(found, name)}<figcaption>{escape(name.capitalize())} strain at "
        "end-systole, %</figcaption></figure>"
        for name in drawn
    )
    curves = {name: 100 * found.whole[name] for name in drawn}
    volumes = {"by the deformation": found.volumes_ml, "by segmentation": found.segmented_ml}
    plots = "".join(
        f"<figure>{svg}</figure>"
        for svg in (
            curves_svg(curves, "frame after end-diastole", "strain, %", "Strain over the beat"),
            curves_svg(volumes, "frame after end-diastole", "cavity, ml", "Volume over the beat"),
        )
    )
    k = int(np.flatnonzero(found.order == found.end_systole)[0])
    rows = [
        [f"{n} {name}", *(_percent(found.segments[d][n - 1, k]) for d in drawn)]
        for n, name in SEGMENT_NAMES.items()
    ]
    rows.append(["whole", *(_percent(found.whole[d][k]) for d in drawn)])
    text = (
        f"<p>Cavity {found.volumes_ml[0]:.0f} ml at end-diastole. The muscle's volume at "
        f"end-systole is {found.muscle[k]:.0%} of that at end-diastole (it should be 100 %).</p>"
    )
    return page(
        "Strain of the left ventricle",
        section("What was found", notes_html([found.trust, *found.notes]) + text)
        + section("Segments", f'<div class="plots">{eyes}</div>')
        + section("Over the beat", f'<div class="plots">{plots}</div>')
        + section("Table", table(["", *drawn], rows, "Strain at end-systole, %")),
    )


def strain_svg(found: Strain, direction: str) -> str:
    """The bull's eye at end-systole."""
    values = found.at(direction, found.end_systole)
    return bulls_eye_svg(list(values), f"{direction} strain", LIMITS[direction])


def write_table(path: Path, head: Sequence[str], rows: Sequence[Sequence[object]]) -> None:
    """A CSV file."""
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(head)
        writer.writerows(rows)


def notes_html(notes: Sequence[str]) -> str:
    """Sentences, one a paragraph."""
    return "".join(f"<p>{escape(note)}</p>" for note in notes)


def _percent(value: float) -> str:
    return "–" if not np.isfinite(value) else f"{100 * value:.1f}"
