"""The panel's visual control of a registered pair, and what the views show."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import slicer
import vtk
from pairs import add_pair, add_true_transform

from DeepRegistrationLib.scene.views.layouts import SIDE_BY_SIDE, register_layouts
from DeepRegistrationLib.scene.views.slice_views import composite_of

MODULE = Path(__file__).resolve().parents[2] / "DeepRegistration" / "DeepRegistration.py"
FOUR_UP = slicer.vtkMRMLLayoutNode.SlicerLayoutFourUpView
COLORS = ("Red", "Green", "Yellow")


def open_registered_pair(slicer_host):
    """The panel with the phantom and its true transform chosen, and all views made."""
    panel = slicer_host.load_module(MODULE).panel
    fixed, _moving = add_pair(panel.parameters)
    add_true_transform(panel.parameters)
    slicer.util.setSliceViewerLayers(background=fixed, foreground=None, fit=True)
    manager = slicer.app.layoutManager()
    register_layouts(manager.layoutLogic().GetLayoutNode())
    for layout in (SIDE_BY_SIDE, FOUR_UP):  # views come with their first layout, and stay
        manager.setLayout(layout)
    slicer_host.process_events()
    return panel


def open_inspection(slicer_host, panel):
    """The section of visual control, unfolded."""
    from DeepRegistrationPanel.inspection import InspectionSection

    found = panel.section(InspectionSection)
    found.ui.inspectionButton.collapsed = False
    slicer_host.process_events(0.05)
    return found


def red():
    """The axial one of the four views."""
    return slicer.util.getNode("vtkMRMLSliceNodeRed")


def volumes_shown(view) -> tuple:
    """Background and foreground of a slice view."""
    composite = composite_of(view)
    scene = slicer.mrmlScene
    return tuple(
        scene.GetNodeByID(name) if name else None
        for name in (composite.GetBackgroundVolumeID(), composite.GetForegroundVolumeID())
    )


def contents() -> tuple:
    """All that the user would find changed: nodes, what views show, and the layout."""
    scene = slicer.mrmlScene
    nodes = {scene.GetNthNode(k).GetID() for k in range(scene.GetNumberOfNodes())}
    lasting = {  # color tables are made once and stay, as Slicer's own do
        node for node in nodes if not node.startswith("vtkMRMLColorTable")
    }
    shown = [volumes_shown(slicer.util.getNode(f"vtkMRMLSliceNode{n}")) for n in COLORS]
    return lasting, shown, slicer.app.layoutManager().layout


def hover(crosshair, view, point) -> None:
    """Put the mouse on an LPS point in a slice view."""
    ras = [float(v) for v in np.array(point) * (-1, -1, 1)]
    view.JumpSliceByOffsetting(*ras)
    to_pixel = vtk.vtkMatrix4x4()
    vtk.vtkMatrix4x4.Invert(view.GetXYToRAS(), to_pixel)
    crosshair.SetCursorPositionXYZ(list(to_pixel.MultiplyPoint([*ras, 1.0])[:3]), view)


def displacement_read(section) -> float:
    """The length under the cursor that the panel says, in mm."""
    return float(section.ui.cursorText.text.partition("|u| ")[2].split()[0])
