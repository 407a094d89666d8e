"""An outcome becomes nodes: all of it is made ready first, then the scene is changed at once."""

from __future__ import annotations

from collections.abc import Generator
from dataclasses import dataclass, field

import slicer
import vtk

from DeepRegistrationLib.images.geometry import Grid
from DeepRegistrationLib.images.plain_data import RegistrationOutcome, Volume
from DeepRegistrationLib.scene.landmarks import driving
from DeepRegistrationLib.scene.landmarks.tre_tables import tables_of
from DeepRegistrationLib.scene.nodes import colors, hierarchy
from DeepRegistrationLib.scene.nodes.coordinates import parents_of
from DeepRegistrationLib.scene.nodes.outputs import ROLES, outputs_of
from DeepRegistrationLib.scene.nodes.placement import IMPORTED, METHOD, place_under
from DeepRegistrationLib.scene.nodes.transforms import converting, node_class, set_transform
from DeepRegistrationLib.scene.nodes.volumes import copying, exhausted, update_volume_node

MASK_SOURCE = "DeepRegistration.MaskSource"  # attribute of a transform node, see plain.GIVEN

ERROR_MAPS = {
    "predicted": "Error estimate",
    "consistency": "Inverse-consistency error",
    "spread": "Spread of estimates",
    "misalignment": "Misalignment",
}
"""Maps in mm that a registration makes when asked, and how their nodes are called."""

_ERROR_SCALE = (colors.estimate_color_node, colors.ESTIMATE_RANGE)
_SCALES = {  # color node, range, title of the legend
    "jacobian": (colors.jacobian_color_node, colors.JACOBIAN_RANGE, "Jacobian"),
    "displacement": (colors.displacement_color_node, colors.DISPLACEMENT_RANGE, "Displacement, mm"),
    **{key: (*_ERROR_SCALE, f"{title}, mm") for key, title in ERROR_MAPS.items()},
}


@dataclass(frozen=True, eq=False)
class PreparedNodes:
    """Everything that will be put into the scene, in VTK's own memory.

    Attributes:
        grid: The fixed image's, on which the volumes lie.
        mapping: Fixed RAS to moving RAS.
        jacobian, displacement, warped: The maps, and the moving image on that grid; each None
            where it was not asked for.
        inverse: Moving RAS to fixed RAS, or None.
        errors: By the keys of ``ERROR_MAPS``; those that there are.
        mask, mask_source: Of the fixed image, that was used, and where it came from; or None.
    """

    grid: Grid
    mapping: vtk.vtkAbstractTransform
    jacobian: vtk.vtkImageData | None = None
    displacement: vtk.vtkImageData | None = None
    warped: vtk.vtkImageData | None = None
    inverse: vtk.vtkAbstractTransform | None = None
    errors: dict[str, vtk.vtkImageData] = field(default_factory=dict)
    mask: vtk.vtkImageData | None = None
    mask_source: str | None = None


@dataclass(frozen=True, eq=False)
class ResultNodes:
    """The nodes of a registration.

    Attributes:
        transform: Its transform from parent maps fixed points to moving points.
        jacobian: det(dT/dx), with the module's color node, when asked for.
        displacement: |T(x) - x| in mm, when asked for.
        warped: The moving volume resampled on the fixed one's grid, when asked for.
        inverse: Transform node of the inverse, when asked for.
        errors: Volumes by the keys of ``ERROR_MAPS``, when asked for.
        mask: Label map of the mask that was used, if any; the result is judged in it.
    """

    transform: slicer.vtkMRMLTransformNode
    jacobian: slicer.vtkMRMLScalarVolumeNode | None = None
    displacement: slicer.vtkMRMLScalarVolumeNode | None = None
    warped: slicer.vtkMRMLScalarVolumeNode | None = None
    inverse: slicer.vtkMRMLTransformNode | None = None
    errors: dict[str, slicer.vtkMRMLScalarVolumeNode] = field(default_factory=dict)
    mask: slicer.vtkMRMLLabelMapVolumeNode | None = None


def prepare(outcome: RegistrationOutcome) -> PreparedNodes:
    """Copy all that :func:`commit` needs; touches no scene."""
    return exhausted(preparing(outcome))


def preparing(outcome: RegistrationOutcome) -> Generator[None, None, PreparedNodes]:
    """:func:`prepare` in steps of milliseconds, so that the panel stays responsive."""
    errors = {}
    for key, volume in outcome.error_maps.items():
        errors[key] = yield from copying(volume)
    return PreparedNodes(
        errors=errors,
        mask=(yield from _copying_any(outcome.fixed_mask)),
        mask_source=outcome.provenance.get("mask"),
        grid=outcome.grid,
        mapping=(yield from converting(outcome.transform)),
        jacobian=(yield from _copying_any(outcome.jacobian)),
        displacement=(yield from _copying_any(outcome.displacement)),
        warped=(yield from _copying_any(outcome.warped)),
        inverse=None if outcome.inverse is None else (yield from converting(outcome.inverse)),
    )


def _copying_any(volume: Volume | None) -> Generator[None, None, vtk.vtkImageData | None]:
    return None if volume is None else (yield from copying(volume))


def earlier_result(scene, fixed, moving, method: str):
    """The transform node that an earlier run of a method made for this pair, or None."""
    for k in range(scene.GetNumberOfNodesByClass("vtkMRMLTransformNode")):
        node = scene.GetNthNodeByClass(k, "vtkMRMLTransformNode")
        if node.GetAttribute(METHOD) == method and refers_to_pair(node, fixed, moving):
            return node
    return None


def result_above(fixed, moving):
    """The nearest transform above the moving volume that was made, or imported, for this pair."""
    for node in parents_of(moving):
        known = any(node.GetAttribute(mark) is not None for mark in (METHOD, IMPORTED))
        if known and refers_to_pair(node, fixed, moving):
            return node
    return None


def source_volumes(scene) -> list:
    """Visible scalar volumes with voxels that no transform node has as its output."""
    transforms = slicer.util.getNodesByClass("vtkMRMLTransformNode", scene)
    made = {node.GetID() for transform in transforms for node in outputs_of(transform).values()}
    return [
        node
        for node in slicer.util.getNodesByClass("vtkMRMLScalarVolumeNode", scene)
        if node.GetClassName() == "vtkMRMLScalarVolumeNode"
        and node.GetImageData() is not None
        and not node.GetHideFromEditors()
        and node.GetID() not in made
    ]


def changed_by_commit(scene, fixed, moving, method: str) -> tuple[list, list]:
    """The nodes that an earlier run left and :func:`commit` changes: whose content, whose parent.

    What a new run adds is not among them.
    """
    earlier = earlier_result(scene, fixed, moving, method)
    contents = []
    if earlier is not None:
        contents = [earlier, *outputs_of(earlier).values(), *tables_of(earlier)]
    return contents, [moving, *parents_of(moving)]


def outdated_roles(prepared: PreparedNodes) -> list[str]:
    """Roles of what an earlier run may have left and this one did not make again."""
    made = {**vars(prepared), **prepared.errors}
    return [role for key, role in ROLES.items() if made.get(key) is None]


def commit(
    prepared: PreparedNodes, scene, fixed, moving, *, method: str, place_moving: bool, start=None
) -> ResultNodes:
    """Put a registration into the scene.

    The nodes that an earlier run of the same method made for this pair are updated.

    Args:
        fixed, moving: Volume nodes.
        place_moving: Put the moving volume under the transform.
        start: Transform node that the registration started from, or None.
    """
    title = f"{moving.GetName()} to {fixed.GetName()} ({method})"
    grid = prepared.grid
    earlier = result_above(fixed, moving)
    node = _transform_node(scene, fixed, moving, method, prepared.mapping, title, start)
    nodes = ResultNodes(
        transform=node,
        jacobian=_map(node, "jacobian", prepared.jacobian, grid, f"Jacobian, {title}"),
        displacement=_map(
            node, "displacement", prepared.displacement, grid, f"Displacement, {title}"
        ),
        warped=_warped(node, prepared.warped, grid, moving, f"Warped, {title}"),
        inverse=_inverse(node, prepared.inverse, fixed, moving, f"Inverse, {title}"),
        errors={
            key: _map(node, key, data, grid, f"{ERROR_MAPS[key]}, {title}")
            for key, data in prepared.errors.items()
        },
        mask=_mask(node, prepared.mask, prepared.mask_source, grid, f"Mask, {title}"),
    )
    if place_moving:
        place_under(moving, node, replacing=earlier)
    volumes = (nodes.jacobian, nodes.displacement, nodes.warped, *nodes.errors.values())
    for made in (nodes.transform, nodes.inverse, *volumes, nodes.mask):
        if made is not None:
            hierarchy.put_beside(made, moving)
    return nodes


def _transform_node(scene, fixed, moving, method: str, mapping, title: str, start):
    """The node for T, with the references that DICOM spatial registration export looks for."""
    node = earlier_result(scene, fixed, moving, method)
    wanted = node_class(mapping)
    if node is None or not node.IsA(wanted):
        node = scene.AddNewNodeByClass(wanted, scene.GenerateUniqueName(title))
    set_transform(node, mapping)
    driving.forget(node) if start is None else driving.inherit(node, start)
    refer_to_pair(node, fixed, moving)
    node.SetAttribute(METHOD, method)
    return node


def refer_to_pair(node, fixed, moving) -> None:
    """Let a transform node refer to the volumes that it registers, where both are known."""
    if fixed is None or moving is None:  # a transform of unknown origin
        return
    node.SetNodeReferenceID(node.GetFixedNodeReferenceRole(), fixed.GetID())
    node.SetNodeReferenceID(node.GetMovingNodeReferenceRole(), moving.GetID())


def refers_to_pair(node, fixed, moving) -> bool:
    """Whether a transform node is known to register two volumes."""
    sides = (node.GetFixedNodeReferenceRole(), fixed), (node.GetMovingNodeReferenceRole(), moving)
    return all(node.GetNodeReference(role) is volume for role, volume in sides)


def _output(transform_node, key: str, class_name: str, name: str):
    """The output node that the transform node refers to, made on first use."""
    scene = transform_node.GetScene()
    node = transform_node.GetNodeReference(ROLES[key])
    if node is None or not node.IsA(class_name):
        node = scene.AddNewNodeByClass(class_name, scene.GenerateUniqueName(name))
        transform_node.SetNodeReferenceID(ROLES[key], node.GetID())
    return node


# Volumes are shown before they get their voxels: a display node that sees voxels computes a window
# from their histogram, which takes a second for a clinical CT and is not wanted here.


def _map(transform_node, key: str, data: vtk.vtkImageData | None, grid: Grid, name: str):
    """A map with its fixed color scale."""
    if data is None:
        return None
    node = _output(transform_node, key, "vtkMRMLScalarVolumeNode", name)
    make_table, limits, title = _SCALES[key]
    colors.show_with_range(node, make_table(node.GetScene()), limits, title)
    update_volume_node(node, data, grid)
    return node


def _mask(transform_node, data: vtk.vtkImageData | None, source: str | None, grid, name: str):
    """The mask that was used, as a label map that is not shown by itself."""
    if data is None:
        transform_node.RemoveAttribute(MASK_SOURCE)
        return None
    node = _output(transform_node, "mask", "vtkMRMLLabelMapVolumeNode", name)
    node.CreateDefaultDisplayNodes()
    update_volume_node(node, data, grid)
    transform_node.SetAttribute(MASK_SOURCE, source)
    return node


def _warped(transform_node, data: vtk.vtkImageData | None, grid: Grid, moving, name: str):
    """The warped volume, which is first shown with the moving one's colors and window."""
    if data is None:
        return None
    node = _output(transform_node, "warped", "vtkMRMLScalarVolumeNode", name)
    if node.GetDisplayNode() is None:
        node.CreateDefaultDisplayNodes()
        display, example = node.GetDisplayNode(), moving.GetDisplayNode()
        if example is not None:
            display.CopyContent(example)
            display.AutoWindowLevelOff()
            display.SetWindowLevelMinMax(example.GetWindowLevelMin(), example.GetWindowLevelMax())
    update_volume_node(node, data, grid)
    return node


def _inverse(transform_node, mapping, fixed, moving, name: str):
    if mapping is None:
        return None
    node = _output(transform_node, "inverse", node_class(mapping), name)
    set_transform(node, mapping)
    driving.inherit(node, transform_node, swapped=True)
    # Seen from the inverse, the moving image is the fixed one and vice versa.
    refer_to_pair(node, moving, fixed)
    return node


def add_volume(transform_node, kind: str, data: vtk.vtkImageData, grid: Grid, moving):
    """Put a volume made of any transform into the scene, or update the one that is there.

    Args:
        kind: ``warped``, ``jacobian`` or ``displacement``.
        moving: The volume that was resampled, for ``warped``.
    """
    name = f"{kind.capitalize()}, {transform_node.GetName()}"
    if kind == "warped":
        return _warped(transform_node, data, grid, moving, name)
    return _map(transform_node, kind, data, grid, name)


def add_inverse(transform_node, mapping: vtk.vtkAbstractTransform, fixed, moving):
    """Put the inverse of a result into the scene, or update the one that is there."""
    name = f"Inverse, {transform_node.GetName()}"
    return _inverse(transform_node, mapping, fixed, moving, name)
