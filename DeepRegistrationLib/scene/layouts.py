"""Layouts for visual control: the fixed image's views beside the moving image's."""

from __future__ import annotations

from xml.sax.saxutils import quoteattr

from DeepRegistrationLib.scene.slice_views import composite_of, show_in

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
