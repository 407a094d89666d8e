"""Which method suits the chosen volumes, told before the engine is loaded."""

from __future__ import annotations

from DeepRegistrationLib.errors import RegistrationError
from DeepRegistrationLib.images.hounsfield import hounsfield_offset
from DeepRegistrationLib.methods.anatomy import CARDIAC_MRI, Anatomy, anatomy_of, look_at
from DeepRegistrationLib.registration.method_choice import Choice, choose_method
from DeepRegistrationLib.scene.nodes.masks import mask_from_node
from DeepRegistrationLib.scene.nodes.volumes import volume_from_node
from DeepRegistrationLib.scene.runs.results import result_above


def choice_for(fixedNode, movingNode, fixedMaskNode=None, anatomy: str = "auto") -> Choice:
    """What ``auto`` would take for two volume nodes, from a cheap look at their voxels.

    Args:
        fixedMaskNode: Label map, volume or segmentation of where the fixed image counts, or None.
        anatomy: Of the method's parameters; ``auto`` looks at the images.

    Raises:
        RegistrationError: A node without voxels, or a wrong one.
    """
    if anatomy != "auto":
        return choose_method(Anatomy(anatomy, "your choice"))
    above = result_above(fixedNode, movingNode)
    fixed = volume_from_node(fixedNode, "the fixed volume")
    moving = volume_from_node(movingNode, "the moving volume", ignoring=above)
    return choose_method(look_at(fixed, moving, mask_from_node(fixedMaskNode, "the fixed mask")))


def may_be_one_heart(fixedNode, movingNode) -> bool:
    """Whether two volume nodes look like frames of one cine series, by a cheap look."""
    above = result_above(fixedNode, movingNode)
    try:
        fixed = volume_from_node(fixedNode, "the fixed volume")
        moving = volume_from_node(movingNode, "the moving volume", ignoring=above)
    except RegistrationError:
        return False
    ct = all(hounsfield_offset(volume.data) is not None for volume in (fixed, moving))
    return anatomy_of(fixed, moving, ct=ct, density=None).name == CARDIAC_MRI
