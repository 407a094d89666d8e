"""Node combo boxes and nodes, for the tests of what is chosen and what is listed."""

from __future__ import annotations

VOLUME = "vtkMRMLScalarVolumeNode"
CHANGED = "currentNodeChanged(vtkMRMLNode*)"


def selector_of_volumes(widgets, scene):
    """A node combo box for volumes that may be empty, in the scene."""
    selector = widgets["qMRMLNodeComboBox"]()
    selector.nodeTypes = [VOLUME]
    selector.noneEnabled = True
    selector.setMRMLScene(scene)
    return selector


def add(scene, name="ct", kind=VOLUME):
    """A new node in the scene."""
    return scene.AddNewNodeByClass(kind, name)


def changes(selector) -> list:
    """What the selector says is current, from now on."""
    got: list = []
    selector.connect(CHANGED, got.append)
    return got
