"""Color nodes of the module's own: slicer-core and Slicer share no diverging table."""

from __future__ import annotations

import numpy as np
import slicer

JACOBIAN = "Jacobian determinant (DeepRegistration)"
DISPLACEMENT = "Displacement (DeepRegistration)"

_COLORS = 256
_STEP = 2.0 / (_COLORS - 1)

JACOBIAN_RANGE = (-_STEP, 2.0)
"""Fixed display range of Jacobian maps: the table's first color is all J < 0, its middle J = 1."""

DISPLACEMENT_RANGE = (0.0, 20.0)
"""Fixed display range of displacement magnitudes, in mm."""

FOLDING = (1.0, 0.93, 0.0)
"""Signal color of J <= 0: yellow, which neither branch of the diverging table comes near."""

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

# Share of the range, red, green, blue: black over red to light yellow.
_HEAT = (
    (0.00, 0.00, 0.00, 0.05),
    (0.25, 0.34, 0.06, 0.43),
    (0.50, 0.74, 0.22, 0.33),
    (0.75, 0.98, 0.55, 0.04),
    (1.00, 0.99, 1.00, 0.64),
)


def jacobian_color_node(scene):
    """The scene's color node for Jacobian maps, made on first use.

    Yellow where the transform folds, dark blue to white below J = 1, white to dark red above.
    """
    values = np.linspace(0.0, 2.0, _COLORS)
    table = _interpolated(_DIVERGING, values)
    table[0] = FOLDING
    names = [f"J = {value:.2f}" for value in values]
    names[0] = "folding (J <= 0)"
    return _color_node(scene, JACOBIAN, table, names)


def displacement_color_node(scene):
    """The scene's color node for displacement magnitudes, made on first use."""
    low, high = DISPLACEMENT_RANGE
    shares = np.linspace(0.0, 1.0, _COLORS)
    names = [f"{low + share * (high - low):.1f} mm" for share in shares]
    return _color_node(scene, DISPLACEMENT, _interpolated(_HEAT, shares), names)


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
    if not volume_node.GetScene().IsNodeClassRegistered("vtkMRMLColorLegendDisplayNode"):
        return  # a scene without Slicer's Colors module
    legend = slicer.vtkSlicerColorLogic.AddDefaultColorLegendDisplayNode(volume_node)
    legend.SetTitleText(title)
    legend.SetLabelFormat("%.1f")
