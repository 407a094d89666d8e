"""Color nodes of the module's own: slicer-core and Slicer share no diverging table."""

from __future__ import annotations

import numpy as np
import slicer
import vtk

JACOBIAN = "Jacobian determinant (DeepRegistration)"
DISPLACEMENT = "Displacement (DeepRegistration)"
ESTIMATE = "Error estimate (DeepRegistration)"
VENTILATION = "Volume change from exhale to inhale (DeepRegistration)"
DIFFERENCE = "Difference (DeepRegistration)"
EDGES = "Edges (DeepRegistration)"
_OVER = "{} over anatomy"

LANDMARK_ERROR = "Landmark error (DeepRegistration)"

_COLORS = 256

JACOBIAN_RANGE = (-0.5, 2.0)
"""Fixed display range of Jacobian maps: folding has a part of the scale that can be seen."""

DISPLACEMENT_RANGE = (0.0, 20.0)
"""Fixed display range of displacement magnitudes, in mm."""

ESTIMATE_RANGE = (0.0, 3.0)
"""Fixed display range of predicted errors and what they are made of, in mm."""

VENTILATION_RANGE = (0.0, 0.4)
"""Fixed display range of the specific volume change."""

_LABELS = {JACOBIAN_RANGE: 6, DISPLACEMENT_RANGE: 5, ESTIMATE_RANGE: 4, VENTILATION_RANGE: 5}
"""How many numbers a range's legend has, so that one decimal is enough for each."""

_CHARACTERS = 5
"""Of each number, padded: the legend's text is as large as they fit, and so is its title."""

_VISIBLE_VENTILATION = 0.01  # less is not shown over anatomy
_VISIBLE_ESTIMATE = 0.5  # mm; less is not shown over anatomy

ERROR_RANGE = (0.0, 5.0)
"""Fixed display range of errors at landmarks, in mm; larger ones have the last color."""

FOLDING = (1.0, 0.93, 0.0)
"""Signal color of J <= 0: yellow, which neither branch of the diverging table comes near."""

# Share of the range, red, green, blue: blue over yellow to red, apart for the color blind too.
_ERROR = (
    (0.00, 0.16, 0.50, 0.95),
    (0.25, 0.55, 0.80, 0.95),
    (0.50, 1.00, 0.90, 0.35),
    (0.75, 1.00, 0.50, 0.10),
    (1.00, 0.85, 0.05, 0.10),
)

# J, red, green, blue. Blue: the tissue is smaller in the moving image; red: larger.
_DIVERGING = (
    (0.0, 0.02, 0.10, 0.45),
    (0.5, 0.13, 0.44, 0.80),
    (0.8, 0.60, 0.79, 0.93),
    (1.0, 0.97, 0.97, 0.97),
    (1.2, 0.97, 0.72, 0.58),
    (1.5, 0.82, 0.26, 0.22),
    (2.0, 0.40, 0.00, 0.08),
)

# The same meaning, with a step at 10 % of volume change.
_STRONG = (
    (0.0, 0.02, 0.10, 0.45),
    (0.5, 0.05, 0.32, 0.85),
    (0.9, 0.35, 0.68, 0.98),
    (0.901, 1.00, 1.00, 1.00),
    (1.099, 1.00, 1.00, 1.00),
    (1.1, 1.00, 0.62, 0.42),
    (1.5, 0.85, 0.22, 0.18),
    (2.0, 0.40, 0.00, 0.08),
)

# Share of the range, red, green, blue: black over red to light yellow.
_HEAT = (
    (0.00, 0.00, 0.00, 0.05),
    (0.25, 0.34, 0.06, 0.43),
    (0.50, 0.74, 0.22, 0.33),
    (0.75, 0.98, 0.55, 0.04),
    (1.00, 0.99, 1.00, 0.64),
)

# Share of the range, red, green, blue: violet over green to yellow, rising in lightness, apart from
# the scales of displacement and Jacobian.
_RISING = (
    (0.00, 0.27, 0.00, 0.33),
    (0.25, 0.23, 0.32, 0.55),
    (0.50, 0.13, 0.57, 0.55),
    (0.75, 0.37, 0.79, 0.38),
    (1.00, 0.99, 0.91, 0.14),
)

# Share of the range, red, green, blue: light blue over black to light orange, dark where two
# images agree.
_DARK_MIDDLE = (
    (0.00, 0.55, 0.90, 1.00),
    (0.25, 0.05, 0.45, 0.90),
    (0.50, 0.04, 0.04, 0.04),
    (0.75, 0.90, 0.35, 0.05),
    (1.00, 1.00, 0.85, 0.50),
)

# Share of the range, red, green, blue.
_GRAY_TO_RED = (
    (0.00, 0.45, 0.45, 0.45),
    (0.20, 0.10, 0.85, 0.20),
    (0.55, 1.00, 0.90, 0.10),
    (1.00, 1.00, 0.10, 0.10),
)

_ALMOST_0 = -1e-6  # the color of the values from 0 on begins there: rounding

_EDGE = (1.0, 0.75, 0.0)


def jacobian_color_node(scene):
    """The scene's color node for Jacobian maps, made on first use.

    Yellow where the transform folds, dark blue to white below J = 1, white to dark red above.
    """
    values = np.linspace(*JACOBIAN_RANGE, _COLORS)
    names = [f"J = {v:.2f}" if v > _ALMOST_0 else "folding (J <= 0)" for v in values]
    return _color_node(scene, JACOBIAN, _jacobian_colors(_DIVERGING, values), names)


def _jacobian_colors(points: tuple, values: np.ndarray) -> np.ndarray:
    colors = _interpolated(points, values)
    colors[values <= _ALMOST_0] = FOLDING
    return colors


def displacement_color_node(scene):
    """The scene's color node for displacement magnitudes, made on first use."""
    low, high = DISPLACEMENT_RANGE
    shares = np.linspace(0.0, 1.0, _COLORS)
    names = [f"{low + share * (high - low):.1f} mm" for share in shares]
    return _color_node(scene, DISPLACEMENT, _interpolated(_HEAT, shares), names)


def estimate_color_node(scene):
    """The scene's color node for predicted errors, made on first use."""
    shares = np.linspace(0.0, 1.0, _COLORS)
    names = [f"{share * ESTIMATE_RANGE[1]:.1f} mm" for share in shares]
    names[-1] = f"{ESTIMATE_RANGE[1]:.1f} mm or more"
    return _color_node(scene, ESTIMATE, _interpolated(_RISING, shares), names)


def ventilation_color_node(scene):
    """The scene's color node for the specific volume change, made on first use."""
    shares = np.linspace(0.0, 1.0, _COLORS)
    names = [f"{100 * share * VENTILATION_RANGE[1]:.0f} %" for share in shares]
    return _color_node(scene, VENTILATION, _interpolated(_RISING, shares), names)


def error_color_node(scene):
    """The scene's color node for errors at landmarks, made on first use."""
    shares = np.linspace(0.0, 1.0, _COLORS)
    names = [f"{share * ERROR_RANGE[1]:.1f} mm" for share in shares]
    names[-1] = f"{ERROR_RANGE[1]:.1f} mm or more"
    return _color_node(scene, LANDMARK_ERROR, _interpolated(_ERROR, shares), names)


def error_rgb(errors: np.ndarray) -> np.ndarray:
    """The colors of errors in mm, [n], as :func:`error_color_node` has them: [n, 3] in [0, 1]."""
    return _interpolated(_ERROR, np.asarray(errors) / ERROR_RANGE[1])


def overlay_color_node(scene, kind: str):
    """A map's colors for showing it over anatomy, which is seen where little is.

    No color where the volume changes by less than 10 % (of ventilation 1 %), the displacement is
    below 1 mm, or an error map below 0.5 mm: slice views take a color as either opaque or not
    there. Elsewhere the Jacobian's colors are stronger than those of :func:`jacobian_color_node`,
    to be told from gray tissue below them.

    Args:
        kind: ``jacobian``, ``displacement``, ``ventilation``, or else a map of errors.
    """
    if kind == "jacobian":
        values = np.linspace(*JACOBIAN_RANGE, _COLORS)
        base, table = jacobian_color_node(scene), _jacobian_colors(_STRONG, values)
        visible = np.abs(values - 1) >= 0.1
    elif kind == "displacement":
        values = np.linspace(*DISPLACEMENT_RANGE, _COLORS)
        base, table = displacement_color_node(scene), _interpolated(_HEAT, values / values[-1])
        visible = values >= 1
    elif kind == "ventilation":
        values = np.linspace(*VENTILATION_RANGE, _COLORS)
        base, table = ventilation_color_node(scene), _interpolated(_RISING, values / values[-1])
        visible = values >= _VISIBLE_VENTILATION
    else:
        values = np.linspace(*ESTIMATE_RANGE, _COLORS)
        base, table = estimate_color_node(scene), _interpolated(_RISING, values / values[-1])
        visible = values >= _VISIBLE_ESTIMATE
    names = [base.GetColorName(k) for k in range(_COLORS)]
    node = _unsaved(_color_node(scene, _OVER.format(base.GetName()), table, names))
    for k in np.flatnonzero(~visible):
        node.SetOpacity(int(k), 0.0)
    return node


def displacement_colors(top: float) -> vtk.vtkColorTransferFunction:
    """Gray over green and yellow to red, from 0 to ``top`` mm: the lines of a deformed grid."""
    result = vtk.vtkColorTransferFunction()
    for share, *color in _GRAY_TO_RED:
        result.AddRGBPoint(share * top, *color)
    return result


def difference_color_node(scene):
    """The scene's color node for differences of images, made on first use.

    Orange where the moving image is brighter, blue where it is darker, dark where they agree.
    """
    shares = np.linspace(0.0, 1.0, _COLORS)
    names = [f"{200 * share - 100:+.0f} %" for share in shares]
    return _unsaved(_color_node(scene, DIFFERENCE, _interpolated(_DARK_MIDDLE, shares), names))


def edge_color_node(scene):
    """The scene's color node of one color for outlines, made on first use."""
    return _unsaved(_color_node(scene, EDGES, np.array([_EDGE, _EDGE]), ["none", "edge"]))


def _unsaved(node):
    """The color node of a passing display: not in selectors, not in the saved scene."""
    node.SetHideFromEditors(True)
    node.SetSaveWithScene(False)
    return node


def _interpolated(points: tuple, at: np.ndarray) -> np.ndarray:
    known = np.array(points)
    return np.stack([np.interp(at, known[:, 0], known[:, k]) for k in (1, 2, 3)], axis=-1)


def _color_node(scene, name: str, table: np.ndarray, names: list[str]):
    node = scene.GetFirstNodeByName(name)
    if node is not None and node.IsA("vtkMRMLColorTableNode"):
        return node
    node = slicer.vtkMRMLColorTableNode()
    node.SetName(name)
    node.SetTypeToUser()
    node.SetNumberOfColors(len(table))
    for k, (color, label) in enumerate(zip(table, names, strict=True)):
        node.SetColor(k, label, *(float(c) for c in color), 1.0)
    node.SetAttribute("Category", "DeepRegistration")
    return scene.AddNode(node)


def show_with_range(volume_node, color_node, limits: tuple[float, float], title: str) -> None:
    """Display a volume with a color node, a fixed range and a legend in the slice views."""
    volume_node.CreateDefaultDisplayNodes()
    display = volume_node.GetDisplayNode()
    display.SetAndObserveColorNodeID(color_node.GetID())
    display.AutoWindowLevelOff()
    display.SetWindowLevelMinMax(*limits)
    display.SetInterpolate(True)
    add_legend(volume_node, title, limits, _LABELS[limits])


def add_legend(volume_node, title: str, limits: tuple[float, float], labels: int = 5) -> None:
    """Let slice views that show a volume show its color scale, with numbers that tell it apart."""
    if not volume_node.GetScene().IsNodeClassRegistered("vtkMRMLColorLegendDisplayNode"):
        return  # a scene without Slicer's Colors module
    legend = slicer.vtkSlicerColorLogic.AddDefaultColorLegendDisplayNode(volume_node)
    legend.SetSaveWithScene(volume_node.GetSaveWithScene())
    legend.SetTitleText(title)
    legend.SetNumberOfLabels(labels)
    legend.SetLabelFormat(f"%{_CHARACTERS}.{_decimals(limits, labels)}f")


def _decimals(limits: tuple[float, float], labels: int) -> int:
    """As few as show evenly spaced numbers to 2 % of their distance; so none reads "-0"."""
    values = np.linspace(*limits, labels)
    allowed = 0.02 * abs(values[1] - values[0])
    enough = (k for k in range(7) if np.abs(values.round(k) - values).max() <= allowed)
    return next(enough, 7)
