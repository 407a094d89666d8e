"""Subject hierarchy items follow the nodes; in Slicer its plugins do that."""

from __future__ import annotations

import slicer
import vtk


class SubjectHierarchy:
    """Adds an item for every data node that is added to the scene."""

    def __init__(self, scene) -> None:
        self._scene = scene
        event = slicer.vtkMRMLScene.NodeAddedEvent
        self._tag = scene.AddObserver(event, self._on_node_added)

    @vtk.calldata_type(vtk.VTK_OBJECT)
    def _on_node_added(self, caller, event, node) -> None:
        if not node.IsA("vtkMRMLStorableNode") and not node.IsA("vtkMRMLTransformNode"):
            return
        if node.GetHideFromEditors() or node.IsA("vtkMRMLColorNode"):
            return
        tree = slicer.vtkMRMLSubjectHierarchyNode.GetSubjectHierarchyNode(self._scene)
        if tree is not None and not tree.GetItemByDataNode(node):
            tree.CreateItem(tree.GetSceneItemID(), node)

    def close(self) -> None:
        self._scene.RemoveObserver(self._tag)
