"""What a transform was before it was improved: kept in the scene, hidden, and saved with it.

From there a pair's error can be measured without it, and all improvements can be taken back, also
after the scene was loaded again.
"""

from __future__ import annotations

from DeepRegistrationLib.scene.landmarks import driving

_ROLE = "DeepRegistration.BeforeImproving"


def start_of(transform):
    """The transform node as it was before the first improvement, or None."""
    return None if transform is None else transform.GetNodeReference(_ROLE)


def keep_start(transform) -> None:
    """Keep what a transform node holds, and what drove that, unless an earlier state is kept."""
    if start_of(transform) is not None:
        return
    scene, name = transform.GetScene(), f"{transform.GetName()}, before it was improved"
    start = scene.CreateNodeByClass(transform.GetClassName())
    start.UnRegister(None)
    start.SetName(scene.GenerateUniqueName(name))
    start.SetHideFromEditors(True)
    start.SetAndObserveTransformFromParent(transform.GetTransformFromParent())  # never written into
    scene.AddNode(start)
    driving.inherit(start, transform)
    transform.SetNodeReferenceID(_ROLE, start.GetID())


def return_to_start(transform) -> None:
    """Give a transform node back what is kept of it, and drop that."""
    start = start_of(transform)
    transform.SetAndObserveTransformFromParent(start.GetTransformFromParent())
    driving.inherit(transform, start)
    drop_start(transform)


def drop_start(transform) -> None:
    """The transform is another one now: what is kept was of the one before."""
    start = start_of(transform)
    if start is not None:
        transform.GetScene().RemoveNode(start)
        transform.RemoveNodeReferenceIDs(_ROLE)


def take_out_start(record, transform) -> None:
    """:func:`drop_start`, as a part of a change that can be undone."""
    record.take_out(transform, _ROLE)
