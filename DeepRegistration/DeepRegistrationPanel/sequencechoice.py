"""Sequences that a section can be about."""

import slicer
from slicer.i18n import tr as _


def browserOf(sequence):
    """The sequence browser that plays a sequence, or None."""
    if sequence is None:
        return None
    return slicer.modules.sequences.logic().GetFirstBrowserNodeForSequenceNode(sequence)


def volumeSequences():
    """The scene's sequences of volumes, and those that are still empty."""
    nodes = slicer.util.getNodesByClass("vtkMRMLSequenceNode")
    return [node for node in nodes if _holdsVolumes(node)]


def frameProblem(sequence):
    """Why the frames of a chosen sequence cannot be measured, or ""."""
    count = sequence.GetNumberOfDataNodes()
    if count and not _holdsVolumes(sequence):
        return _("This sequence holds no volumes; choose another.")
    if count < 2:
        return _("This sequence has fewer than two frames; choose another.")
    return ""


def _holdsVolumes(sequence):
    kind = sequence.GetDataNodeClassName()
    return not kind or kind.endswith("VolumeNode")
