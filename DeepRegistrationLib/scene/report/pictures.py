"""Pictures of a registration, rendered by Slicer's slice views: before, after, Jacobian, grid.

Each shows an axial, a coronal and a sagittal slice. They are rendered in scenes of their own (see
:mod:`DeepRegistrationLib.scene.report.private_scene`), in steps.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Sequence
from functools import partial
from pathlib import Path

import numpy as np
import slicer
import vtk
from vtk.util import numpy_support

from DeepRegistrationLib.scene.nodes import colors
from DeepRegistrationLib.scene.nodes.annotations import (
    GRAY,
    Color,
    color_bar,
    draw_key,
    draw_text,
)
from DeepRegistrationLib.scene.nodes.coordinates import between, map_points, parents_of
from DeepRegistrationLib.scene.nodes.volumes import exhausted
from DeepRegistrationLib.scene.report.panels import TITLE_HEIGHT, framed, label
from DeepRegistrationLib.scene.report.private_scene import (
    PrivateScene,
    ViewPosition,
    view_position_of,
)
from DeepRegistrationLib.scene.views.offscreen_views import require_rendering, write_png

TITLES = {
    "before": "Before registration",
    "after": "After registration",
    "jacobian": "Volume change on the fixed image",
    "predicted": "Error estimate: where to look",
    "grid": "Deformation of the registered image",
}

_GREEN: Color = (0.1, 0.9, 0.1)
_MAGENTA: Color = (0.95, 0.1, 0.95)
_AGREE: Color = (0.75, 0.75, 0.75)

_GRID_MM = 10.0  # distance of the lines
_GRID_STEP = 2.5  # mm from point to point along a line
_LATTICE = 16  # points a side at which the displacement is looked up
_GRID_MARGIN = 0.3  # rendered around the picture: lines move in from there

_OVER = colors.overlay_color_node
_LUNG_WINDOW = (-1100.0, 300.0)  # HU: vessels, fissures and the chest wall all show


Steps = Generator[None, None, np.ndarray]
"""A picture in the making, a fraction of a second a step: uint8 [height, width, 3] at the end.

What it shows is taken from the scene when it is asked for, not in the steps.
"""


def overlay(fixed, moving, title: str, place: ViewPosition, above: Sequence | None = None) -> Steps:
    """Fixed in green and moving in magenta, added: gray where they agree.

    Args:
        fixed, moving: Volume nodes.
        title: Written above.
        place: Where to look.
        above: Transform nodes to show the moving volume under, the nearest first; its own when
            omitted.
    """
    return Overlay(fixed, moving, above).steps(title, place)


class Overlay:
    """The two volumes as they are now, to be pictured at any places later.

    Args:
        fixed, moving, above: As for :func:`overlay`.
    """

    def __init__(self, fixed, moving, above: Sequence | None = None) -> None:
        self._kept, self._limits = PrivateScene(), display_window(fixed)
        above = parents_of(moving) if above is None else above
        self._fixed = self._copy(self._kept, fixed, parents_of(fixed), "Green")
        self._moving = self._copy(self._kept, moving, above, "Magenta")

    def _copy(self, private: PrivateScene, node, above: Sequence, color: str):
        return private.volume(node, above, private.color(color), self._limits)

    def steps(self, title: str, place: ViewPosition) -> Steps:
        """The picture of one place."""
        private = PrivateScene()  # a scene has one view in its life
        pair = [
            self._copy(private, node, parents_of(node), color)
            for node, color in ((self._fixed, "Green"), (self._moving, "Magenta"))
        ]
        # A slice view's own addition shows tissue of one volume gray where the other one ends.
        layers = yield from private.shots(place, pair, pair[0])
        panels = [
            np.minimum(a.astype(int) + b, 255).astype(np.uint8)
            for a, b in zip(*layers, strict=True)
        ]
        label(panels, place)
        picture = framed(panels, title)
        key = [(_GREEN, "fixed only"), (_MAGENTA, "moving only"), (_AGREE, "both agree")]
        draw_key(picture, key, picture.shape[1] - 16, TITLE_HEIGHT // 2)
        return picture


def jacobian_map(fixed, jacobian, title: str, place: ViewPosition) -> Steps:
    """The Jacobian determinant in color over the fixed volume, with its scale.

    Where the volume does not change (J near 1) the anatomy shows through.
    """
    ticks = [
        (2.0, "2.0  twice as large in the moving image"),
        (1.5, "1.5"),
        (1.0, "1.0  same volume (not colored)"),
        (0.5, "0.5  half as large in the moving image"),
        (0.0, "0  below: folding"),
    ]
    scale = colors.JACOBIAN_RANGE, ticks, "Jacobian determinant"
    return _map(fixed, jacobian, colors.jacobian_color_node, scale, title, place)


def error_map(fixed, predicted, title: str, place: ViewPosition) -> Steps:
    """The predicted error in color over the fixed volume, where it is 0.5 mm and more."""
    ticks = [(3.0, "3 mm or more"), (2.0, "2 mm"), (1.0, "1 mm"), (0.5, "below: not colored")]
    scale = colors.ESTIMATE_RANGE, ticks, "Error estimate"
    return _map(fixed, predicted, partial(_OVER, kind="predicted"), scale, title, place)


def ventilation_map(fixed, volume, title: str, place: ViewPosition) -> Steps:
    """The specific volume change in color over the fixed volume, where it is reliable."""
    ticks = [(share, f"{share:.0%}") for share in (0.0, 0.1, 0.2, 0.3)] + [(0.4, "40% or more")]
    scale = colors.VENTILATION_RANGE, ticks, "Volume change"
    return _map(fixed, volume, partial(_OVER, kind="ventilation"), scale, title, place)


def _map(fixed, volume, table: Callable, scale: tuple, title: str, place: ViewPosition) -> Steps:
    """A map over gray; ``scale``: its range, marks and title."""
    private = PrivateScene()
    node = table(private.scene)
    gray = private.volume(fixed, parents_of(fixed), private.color("Grey"), display_window(fixed))
    color = private.volume(volume, parents_of(volume), node, scale[0])
    return _colored(private, (gray, color), colors_of(node), scale, title, place)


def _colored(private: PrivateScene, pair: tuple, shades: np.ndarray, scale, title, place) -> Steps:
    layers = yield from private.shots(place, pair)
    panels = [_blended(*two) for two in zip(*layers, strict=True)]
    label(panels, place)
    return framed([*panels, color_bar(len(panels[0]), shades, *scale)], title)


def _blended(anatomy: np.ndarray, map_: np.ndarray) -> np.ndarray:
    """Color over gray, the more opaque the more saturated: white (J = 1) does not show.

    A slice view blends a volume with one opacity only.
    """
    colored = map_.astype(np.float32)
    saturation = colored.max(-1, keepdims=True) - colored.min(-1, keepdims=True)
    opacity = np.clip(saturation / 110, 0, 0.8)
    return (anatomy * (1 - opacity) + colored * opacity).astype(np.uint8)


def deformed_grid(
    fixed, moving, transform, title: str, place: ViewPosition, above: Sequence | None = None
) -> Steps:
    """The registered moving volume with its own regular grid, bent by the transform.

    Args:
        fixed: Volume node over which the grid is drawn.
        moving: Volume node.
        transform: Transform node.
        title, place, above: As for :func:`overlay`.
    """
    private = PrivateScene()
    above = parents_of(moving) if above is None else above
    grey = private.color("Grey")
    gray = private.volume(moving, above, grey, display_window(moving))
    region = private.volume(fixed, parents_of(fixed), grey, (0.0, 1.0))
    bent = private.transform([transform, *parents_of(transform)])
    top = _largest_displacement(bent, region)
    scale = colors.displacement_colors(top)
    draw = partial(_draw_grid, private, bent, region, scale)
    return _deformed_grid(private, gray, region, draw, (top, scale), title, place)


def _deformed_grid(
    private: PrivateScene,
    gray,
    region,
    draw: Callable[[], None],
    scaled: tuple,
    title: str,
    place: ViewPosition,
) -> Steps:
    top, scale = scaled
    (panels,) = yield from private.shots(place, [gray], region, _GRID_MARGIN, draw)
    label(panels, place)
    table = np.array([scale.GetColor(mm) for mm in np.linspace(0, top, 256)])
    ticks = [(share * top, f"{share * top:g} mm") for share in (0, 0.25, 0.5, 0.75)]
    ticks.append((top, f"{top:g} mm or more"))
    height = len(panels[0])
    bar = color_bar(height, table, (0.0, top), ticks, "Displacement")
    draw_text(bar, f"one line every {_GRID_MM:g} mm", (12, height - 10), size=11, color=GRAY)
    return framed([*panels, bar], title)


def _draw_grid(
    private: PrivateScene, transform, region, scale: vtk.vtkColorTransferFunction
) -> None:
    """Let the slice views draw the transform's deformed grid, colored by displacement."""
    display = slicer.vtkMRMLTransformDisplayNode()
    private.scene.AddNode(display)
    display.SetVisualizationMode(display.VIS_MODE_GRID)
    display.SetAndObserveRegionNode(region)
    display.SetGridSpacingMm(_GRID_MM)
    display.SetGridResolutionMm(_GRID_STEP)
    display.SetGridScalePercent(100)
    display.SetColorMap(scale)
    display.SetVisibility2D(True)
    display.SetVisibility(False)
    transform.AddAndObserveDisplayNodeID(display.GetID())
    display.SetVisibility(True)  # last: the grid is computed at every change of what is seen


def _largest_displacement(transform, region) -> float:
    """Top of the color scale, mm: what 98 % of the region stays below, in steps of 4 mm."""
    ends = [np.linspace(0, n - 1, _LATTICE) for n in region.GetImageData().GetDimensions()]
    to_world = vtk.vtkGeneralTransform()
    to_world.PostMultiply()
    matrix = vtk.vtkMatrix4x4()
    region.GetIJKToRASMatrix(matrix)
    to_world.Concatenate(matrix)
    to_world.Concatenate(between(region.GetParentTransformNode(), None))
    points = map_points(to_world, np.stack(np.meshgrid(*ends, indexing="ij"), -1))
    moved = map_points(between(None, transform), points) - points
    return float(4 * np.ceil(max(np.percentile(np.linalg.norm(moved, axis=-1), 98), 1.0) / 4))


def write_pictures(
    nodes, fixed, moving, folder: Path, *, slices=None, captions: dict | None = None
) -> list[Path]:
    """Write before.png, after.png, jacobian.png and grid.png.

    Args:
        nodes: ``ResultNodes`` of a registration that placed the moving volume under its transform.
        fixed, moving: Volume nodes.
        folder: Where the files go.
        slices: RAS point where the slices meet; the middle of the fixed volume when omitted.
        captions: What to add to a picture's title, by the file's name without suffix.

    Raises:
        RegistrationError: Nothing can be rendered on this machine, or a file cannot be written.
    """
    require_rendering()
    place, transform = view_position_of(fixed, slices), nodes.transform
    titles = dict(TITLES)
    for key, text in (captions or {}).items():
        titles[key] += f": {text}"
    unregistered = parents_of(moving)[: parents_of(moving).index(transform)]
    pictures = {
        "before": overlay(fixed, moving, titles["before"], place, unregistered),
        "after": overlay(fixed, moving, titles["after"], place),
        "jacobian": jacobian_map(fixed, nodes.jacobian, titles["jacobian"], place),
        "grid": deformed_grid(fixed, moving, transform, titles["grid"], place),
    }
    paths = []
    for name, steps in pictures.items():
        paths.append(Path(folder) / f"{name}.png")
        write_png(exhausted(steps), paths[-1])
    return paths


def display_window(volume) -> tuple[float, float]:
    """Lower and upper gray value to show: a lung window for CT, else percentiles 1 and 99.5."""
    scalars = volume.GetImageData().GetPointData().GetScalars()
    values = numpy_support.vtk_to_numpy(scalars)
    values = values[:: max(1, len(values) // 500_000) | 1]  # odd: not a column of voxels
    if values.min() <= -900:  # HU
        return _LUNG_WINDOW
    low, high = np.percentile(values, (1, 99.5))
    return float(low), float(max(high, low + 1e-3))


def colors_of(table) -> np.ndarray:
    """The colors of a color table node, from its first to its last: [n, 3] in [0, 1]."""
    lookup = table.GetLookupTable()
    return np.array([lookup.GetTableValue(k)[:3] for k in range(lookup.GetNumberOfTableValues())])
