"""Pictures of a registration, rendered by Slicer's slice views: before, after, Jacobian, grid.

Each shows an axial, a coronal and a sagittal slice. The scene is left as it was: volumes are shown
through stand-ins with a display of their own.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from vtk.util import numpy_support

from DeepRegistrationLib.scene import colors
from DeepRegistrationLib.scene.canvas import (
    GRAY,
    Color,
    blank,
    color_bar,
    draw_key,
    draw_text,
)
from DeepRegistrationLib.scene.space import between, flipped, map_points
from DeepRegistrationLib.scene.stand_ins import (
    displacement_colors,
    grid_display,
    stand_in,
    without_transform,
)
from DeepRegistrationLib.scene.transaction import visiting
from DeepRegistrationLib.scene.views import SliceView, require_rendering, write_png
from DeepRegistrationLib.scene.volumes import image_from_node

_PANEL = 520  # pixels
_GAP = 6
_TITLE = 48  # height of the band above the panels

# Orientation, and what lies left, right, above and below in Slicer's slice views.
_VIEWS = (("Axial", "RLAP"), ("Coronal", "RLSI"), ("Sagittal", "APSI"))
_ACROSS = {"Axial": (2, "S"), "Coronal": (1, "A"), "Sagittal": (0, "R")}  # axis of the position

_GREEN: Color = (0.1, 0.9, 0.1)
_MAGENTA: Color = (0.95, 0.1, 0.95)
_AGREE: Color = (0.75, 0.75, 0.75)

_GRID_MM = 10.0  # distance of the lines
_GRID_MARGIN = 0.3  # rendered around the picture: lines move in from there

_LUNG_WINDOW = (-1100.0, 300.0)  # HU: vessels, fissures and the chest wall all show


@dataclass(frozen=True)
class Place:
    """Where the three views look.

    Attributes:
        slices: RAS mm; the three slices meet here.
        middle: RAS mm; in the middle of the pictures.
        width: Of each picture, mm.
    """

    slices: np.ndarray
    middle: np.ndarray
    width: float


def place_of(volume, slices: np.ndarray | None = None) -> Place:
    """A place that shows the whole volume, in slices through its middle or a given RAS point."""
    bounds = [0.0] * 6
    volume.GetSliceBounds(bounds, None)
    low, high = np.array(bounds[::2]), np.array(bounds[1::2])
    middle = (low + high) / 2
    return Place(middle if slices is None else slices, middle, float((high - low).max()) * 1.04)


def picture_overlay(application, fixed, moving, title: str, place: Place) -> np.ndarray:
    """Fixed in green and moving in magenta, added: gray where they agree.

    Args:
        fixed, moving: Volume nodes; the moving one is shown where its transform puts it.

    Returns:
        uint8 [height, width, 3].
    """
    limits = display_window(fixed)
    with visiting(application.scene):
        green = stand_in(fixed, "vtkMRMLColorTableNodeGreen", limits)
        magenta = stand_in(moving, "vtkMRMLColorTableNodeMagenta", limits)
        # A slice view's own addition shows tissue of one volume gray where the other one ends.
        one = _slices(application, place, lambda view: view.show(green), fixed)
        other = _slices(application, place, lambda view: view.show(magenta), fixed)
    panels = [
        np.minimum(a.astype(int) + b, 255).astype(np.uint8) for a, b in zip(one, other, strict=True)
    ]
    _label(panels, place)
    picture = framed(panels, title)
    key = [(_GREEN, "fixed only"), (_MAGENTA, "moving only"), (_AGREE, "both agree")]
    draw_key(picture, key, picture.shape[1] - 16, _TITLE // 2)
    return picture


def picture_jacobian(application, fixed, jacobian, title: str, place: Place) -> np.ndarray:
    """The Jacobian determinant in color over the fixed volume, with its scale.

    Where the volume does not change (J near 1) the anatomy shows through.
    """
    table = colors.jacobian_color_node(application.scene)
    with visiting(application.scene):
        gray = stand_in(fixed, "vtkMRMLColorTableNodeGrey", display_window(fixed))
        color = stand_in(jacobian, table.GetID(), colors.JACOBIAN_RANGE)
        below = _slices(application, place, lambda view: view.show(gray))
        above = _slices(application, place, lambda view: view.show(color))
    panels = [_blended(*pair) for pair in zip(below, above, strict=True)]
    _label(panels, place)
    ticks = [
        (2.0, "2.0  twice as large in the moving image"),
        (1.5, "1.5"),
        (1.0, "1.0  same volume (not colored)"),
        (0.5, "0.5  half as large in the moving image"),
        (0.0, "0 and less: folding"),
    ]
    bar = color_bar(_PANEL, colors_of(table), colors.JACOBIAN_RANGE, ticks, "Jacobian determinant")
    bar[-38:-28, 12:32] = np.round(np.array(colors.FOLDING) * 255)  # one row would not be seen
    return framed([*panels, bar], title)


def _blended(anatomy: np.ndarray, map_: np.ndarray) -> np.ndarray:
    """Color over gray, the more opaque the more saturated: white (J = 1) does not show.

    A slice view blends a volume with one opacity only.
    """
    colored = map_.astype(np.float32)
    saturation = colored.max(-1, keepdims=True) - colored.min(-1, keepdims=True)
    opacity = np.clip(saturation / 110, 0, 0.8)
    return (anatomy * (1 - opacity) + colored * opacity).astype(np.uint8)


def picture_grid(application, moving, transform, title: str, place: Place, region) -> np.ndarray:
    """The registered moving volume with its own regular grid, bent by the transform.

    Args:
        moving: Volume node under ``transform``.
        transform: Transform node.
        region: Volume node over which the grid is drawn; usually the fixed volume.
    """
    top = _largest_displacement(transform, region)
    scale = displacement_colors(top)
    with visiting(application.scene):
        gray = stand_in(moving, "vtkMRMLColorTableNodeGrey", display_window(moving))
        grid_display(transform, region, _GRID_MM, scale)
        panels = _slices(application, place, lambda view: view.show(gray), region, _GRID_MARGIN)
        # The grid's display node leaves the scene with the rest, and by that the transform node.
        # Taking the reference away first ends the process in views that show the grid, too.
    _label(panels, place)
    table = np.array([scale.GetColor(mm) for mm in np.linspace(0, top, 256)])
    ticks = [(share * top, f"{share * top:g} mm") for share in (0, 0.25, 0.5, 0.75)]
    ticks.append((top, f"{top:g} mm or more"))
    bar = color_bar(_PANEL, table, (0.0, top), ticks, "Displacement")
    draw_text(bar, f"one line every {_GRID_MM:g} mm", (12, _PANEL - 10), size=11, color=GRAY)
    return framed([*panels, bar], title)


def _largest_displacement(transform, region) -> float:
    """Top of the color scale, mm: what 98 % of the region stays below, in steps of 4 mm."""
    grid = image_from_node(region).grid
    points = flipped(grid.with_spacing(tuple(grid.extent / 16 + 1e-3)).points().numpy())
    moved = map_points(between(None, transform), points) - points
    return float(4 * np.ceil(max(np.percentile(np.linalg.norm(moved, axis=-1), 98), 1.0) / 4))


def write_pictures(
    application, nodes, fixed, moving, folder: Path, *, slices=None, captions: dict | None = None
) -> list[Path]:
    """Write before.png, after.png, jacobian.png and grid.png.

    Args:
        nodes: ``ResultNodes`` of a registration that placed the moving volume under its transform.
        fixed, moving: Volume nodes.
        slices: RAS point where the slices meet; the middle of the fixed volume when omitted.
        captions: What to add to a picture's title, by the file's name without suffix.

    Raises:
        RegistrationError: Nothing can be rendered on this machine, or a file cannot be written.
    """
    require_rendering()
    captions = captions or {}
    place = place_of(fixed, slices)

    def title(key: str, text: str) -> str:
        return f"{text}: {captions[key]}" if key in captions else text

    with without_transform(moving, nodes.transform):
        before = picture_overlay(
            application, fixed, moving, title("before", "Before registration"), place
        )
    pictures = {
        "before": before,
        "after": picture_overlay(
            application, fixed, moving, title("after", "After registration"), place
        ),
        "jacobian": picture_jacobian(
            application,
            fixed,
            nodes.jacobian,
            title("jacobian", "Volume change on the fixed image"),
            place,
        ),
        "grid": picture_grid(
            application,
            moving,
            nodes.transform,
            title("grid", "Deformation of the registered image"),
            place,
            fixed,
        ),
    }
    paths = []
    for name, pixels in pictures.items():
        paths.append(Path(folder) / f"{name}.png")
        write_png(pixels, paths[-1])
    return paths


def display_window(volume) -> tuple[float, float]:
    """Lower and upper gray value to show: a lung window for CT, else percentiles 1 and 99.5."""
    scalars = volume.GetImageData().GetPointData().GetScalars()
    values = numpy_support.vtk_to_numpy(scalars)
    if values.min() <= -900:  # HU
        return _LUNG_WINDOW
    low, high = np.percentile(values[:: max(1, len(values) // 500_000)], (1, 99.5))
    return float(low), float(max(high, low + 1e-3))


def labeled_slices(application, place: Place, show, region=None) -> list[np.ndarray]:
    """The three slices, each with its name, position and the body's directions."""
    panels = _slices(application, place, show, region)
    _label(panels, place)
    return panels


def _slices(application, place: Place, show, region=None, margin: float = 0.0) -> list[np.ndarray]:
    """The three slices; ``show`` gets each view and chooses its volumes.

    Args:
        region: Volume node outside of which the pictures are left black.
        margin: Share of the width that is rendered on every side, and cut off.
    """
    panels = []
    edge = round(_PANEL * margin)
    size = _PANEL + 2 * edge
    for orientation, _ in _VIEWS:
        axis, _ = _ACROSS[orientation]
        center = place.middle.copy()
        center[axis] = place.slices[axis]
        with visiting(application.scene):
            view = SliceView(application, f"Picture{orientation}", orientation, (size, size))
            try:
                show(view)
                view.look_at(center, place.width * size / _PANEL)
                pixels = view.pixels()
                if region is not None:
                    pixels[~view.covered_by(region)] = 0
                panels.append(pixels[edge : edge + _PANEL, edge : edge + _PANEL].copy())
            finally:
                view.close()
    return panels


def _label(panels: list[np.ndarray], place: Place) -> None:
    middle, end = _PANEL / 2, _PANEL - 8
    anchors = ((8, middle), (end, middle), (middle, 16), (middle, _PANEL - 16))
    for pixels, (orientation, letters) in zip(panels, _VIEWS, strict=True):
        axis, name = _ACROSS[orientation]
        text = f"{orientation}, {name} {place.slices[axis]:.0f} mm"
        draw_text(pixels, text, (10, 18), size=12)
        for letter, anchor, align in zip(letters, anchors, (0, 1, 0.5, 0.5), strict=True):
            draw_text(pixels, letter, anchor, size=15, color=GRAY, align=(align, 0.5), bold=True)


def framed(panels: list[np.ndarray], title: str) -> np.ndarray:
    """The panels side by side under a title."""
    width = sum(panel.shape[1] for panel in panels) + _GAP * (len(panels) - 1)
    picture = blank(width, _PANEL + _TITLE)
    left = 0
    for panel in panels:
        picture[_TITLE:, left : left + panel.shape[1]] = panel
        left += panel.shape[1] + _GAP
    draw_text(picture, title, (16, _TITLE // 2), size=17, bold=True)
    return picture


def colors_of(table) -> np.ndarray:
    """The colors of a color table node, from its first to its last: [n, 3] in [0, 1]."""
    lookup = table.GetLookupTable()
    return np.array([lookup.GetTableValue(k)[:3] for k in range(lookup.GetNumberOfTableValues())])
