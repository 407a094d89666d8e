"""Layouts for visual control: the fixed image's views beside the moving image's."""

from __future__ import annotations

from xml.sax.saxutils import quoteattr

import slicer

from DeepRegistrationLib.scene.views.slice_views import Observers, composite_of, show_in

SIDE_BY_SIDE = 26501
"""Layout with three fixed views above the three moving views."""

SIDE_BY_SIDE_AXIAL = 26502
"""Layout with the axial fixed view on the left and the axial moving view on the right."""

_ORIENTATIONS = ("Axial", "Coronal", "Sagittal")
_COLORS = {"Axial": "#F34A33", "Coronal": "#6EB04B", "Sagittal": "#EDD54C"}  # as Slicer has them
_GROUPS = {"Fixed": 41, "Moving": 42}  # view groups: linking stays within a side


def register_layouts(layout_node) -> None:
    """Describe the module's layouts to a vtkMRMLLayoutNode; a second call changes nothing."""
    for number, description in _descriptions().items():
        if not layout_node.IsLayoutDescription(number):
            layout_node.AddLayoutDescription(number, description)


def view_name(side: str, orientation: str) -> str:
    """Layout name of a view: side is ``Fixed`` or ``Moving``."""
    return f"{side}{orientation}"


def side_views(scene, side: str) -> list:
    """The slice nodes of one side (``Fixed`` or ``Moving``) that exist, axial first."""
    names = [view_name(side, orientation) for orientation in _ORIENTATIONS]
    count = scene.GetNumberOfNodesByClass("vtkMRMLSliceNode")
    nodes = [scene.GetNthNodeByClass(k, "vtkMRMLSliceNode") for k in range(count)]
    by_name = {node.GetLayoutName(): node for node in nodes}
    return [by_name[name] for name in names if name in by_name]


def keep_to_side(display, own: list, other: list) -> None:
    """Keep what a display node shows off the other side's views.

    Every other view stays among its own: Slicer tells nobody that it is about to save a scene, so
    what is saved meanwhile must be seen in the ordinary views of any Slicer.

    Args:
        own, other: The slice nodes of its side and of the other one.
    """
    wanted = _view_ids(display)
    if not wanted:
        wanted = [node.GetID() for node in _views_of(display.GetScene()) if node not in other]
    names = [node.GetID() for node in own]
    display.SetViewNodeIDs([*wanted, *(name for name in names if name not in wanted)])


class SavedLayouts:
    """Makes the layouts known, and leaves them where a scene comes that was saved in them.

    The panel is not linked to such a scene's views, and its moving image was not saved.

    Args:
        scene: The application's.
        layout_node: Of the application's layout manager.
    """

    def __init__(self, scene, layout_node) -> None:
        self._scene, self._node = scene, layout_node
        self._in_use = False
        register_layouts(layout_node)
        self._observers = Observers()
        self._observers.add(scene, scene.StartImportEvent, self._before)
        self._observers.add(scene, scene.EndImportEvent, self._after)

    def _before(self) -> None:
        self._in_use = self._is_ours()

    def _after(self) -> None:
        if self._in_use:  # something is added to the scene that is looked at
            return
        if self._is_ours():
            self._node.SetViewArrangement(self._node.SlicerLayoutFourUpView)
        for k in range(self._scene.GetNumberOfNodesByClass("vtkMRMLMarkupsDisplayNode")):
            self._show_everywhere(self._scene.GetNthNodeByClass(k, "vtkMRMLMarkupsDisplayNode"))

    def _is_ours(self) -> bool:
        return self._node.GetViewArrangement() in _descriptions()

    def _show_everywhere(self, display) -> None:
        """Take the sides' views from a list of views; the whole list where all others are in it."""
        sides = {n.GetID() for side in _GROUPS for n in side_views(self._scene, side)}
        named = _view_ids(display)
        if not sides.intersection(named):
            return
        kept = [name for name in named if name not in sides]
        others = {node.GetID() for node in _views_of(self._scene)} - sides
        display.SetViewNodeIDs([] if others <= set(kept) else kept)


def _view_ids(display) -> list[str]:
    """IDs of the views in which a display node shows something; empty for all views."""
    return [display.GetNthViewNodeID(k) for k in range(display.GetNumberOfViewNodeIDs())]


def _views_of(scene) -> list:
    """The slice and 3D view nodes."""
    kinds = ("vtkMRMLSliceNode", "vtkMRMLViewNode")
    return [node for kind in kinds for node in slicer.util.getNodesByClass(kind, scene)]


def show_sides(scene, fixed, moving) -> None:
    """Show the fixed volume in the fixed views and the moving one in the moving views, linked.

    Args:
        fixed: Volume node.
        moving: Volume node as it is to be seen there; usually ``WarpSlider.volume`` at 0 %, the
            moving image in its own space.
    """
    for side, volume in (("Fixed", fixed), ("Moving", moving)):
        for node in side_views(scene, side):
            node.SetViewGroup(_GROUPS[side])
            composite_of(node).SetLinkedControl(True)
            show_in(node, volume)


def _descriptions() -> dict[int, str]:
    rows = "".join(
        f'<item><layout type="horizontal">{_views(side, _ORIENTATIONS)}</layout></item>'
        for side in _GROUPS
    )
    pair = "".join(_views(side, ("Axial",)) for side in _GROUPS)
    return {
        SIDE_BY_SIDE: f'<layout type="vertical" split="true">{rows}</layout>',
        SIDE_BY_SIDE_AXIAL: f'<layout type="horizontal" split="true">{pair}</layout>',
    }


def _views(side: str, orientations: tuple[str, ...]) -> str:
    return "".join(_view(side, orientation) for orientation in orientations)


def _view(side: str, orientation: str) -> str:
    properties = {
        "orientation": orientation,
        "viewlabel": f"{side[0]}-{orientation[0]}",
        "viewcolor": _COLORS[orientation],
        "viewgroup": str(_GROUPS[side]),
    }
    lines = "".join(
        f'<property name="{name}" action="default">{value}</property>'
        for name, value in properties.items()
    )
    tag = quoteattr(view_name(side, orientation))
    return f'<item><view class="vtkMRMLSliceNode" singletontag={tag}>{lines}</view></item>'
