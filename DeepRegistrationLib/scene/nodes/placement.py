"""Placing a volume under a transform without disturbing what it already lies under."""

from __future__ import annotations

from DeepRegistrationLib.scene.nodes.coordinates import parents_of

METHOD = "DeepRegistration.Method"
"""Attribute of a result's transform node: the name of the method that made it."""

IMPORTED = "DeepRegistration.Imported"
"""Attribute of an imported transform's node: which direction its files store, and what was done."""

PASSING = "DeepRegistration.Passing"
"""Attribute of a hidden transform node that stands in for a registration for a while."""

_COPY = "DeepRegistration.CopyOf"


def place_under(volume, transform, replacing=None) -> None:
    """Put a volume under ``transform``, below its present parents.

    A volume that has parents was registered where they place it, so they have to stay between it
    and the new transform. They may also hold other nodes, which must not move: so the volume gets
    copies of them.

    Args:
        volume: The moving volume.
        transform: Transform node, in the world.
        replacing: The earlier result above the volume, which ``transform`` replaces.
    """
    parents = parents_of(volume)
    if replacing in parents:
        parents = parents[: parents.index(replacing)]
    if parents and parents[-1].GetParentTransformNode() is transform:
        return
    if not parents:
        volume.SetAndObserveTransformNodeID(transform.GetID())
        return
    if all(parent.GetAttribute(_COPY) is not None for parent in parents):
        parents[-1].SetAndObserveTransformNodeID(transform.GetID())
        return
    above = transform
    for parent in reversed(parents):
        above = _copy(parent, above)
    volume.SetAndObserveTransformNodeID(above.GetID())


def _copy(parent, above):
    """A copy of one transform node, under ``above``."""
    scene = parent.GetScene()
    name = f"{parent.GetName()} under {above.GetName()}"
    node = scene.AddNewNodeByClass(parent.GetClassName(), scene.GenerateUniqueName(name))
    node.CopyContent(parent)
    node.SetAttribute(_COPY, parent.GetName())
    node.SetAndObserveTransformNodeID(above.GetID())
    return node
