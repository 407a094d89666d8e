"""Subject hierarchy items follow the nodes; in Slicer its plugins do that."""

from __future__ import annotations

import slicer
import vtk


class SubjectHierarchy:
    """Adds an item for every data node that is added to the scene, and removes it with the node."""

    def __init__(self, scene) -> None:
        self._scene = scene
        event = slicer.vtkMRMLScene.NodeAddedEvent
        self._tags = [scene.AddObserver(event, self._on_node_added)]
        event = slicer.vtkMRMLScene.NodeAboutToBeRemovedEvent
        self._tags.append(scene.AddObserver(event, self._on_node_removed))

    @vtk.calldata_type(vtk.VTK_OBJECT)
    def _on_node_added(self, caller, event, node) -> None:
        if not node.IsA("vtkMRMLStorableNode") and not node.IsA("vtkMRMLTransformNode"):
            return
        if node.GetHideFromEditors() or node.IsA("vtkMRMLColorNode"):
            return
        tree = slicer.vtkMRMLSubjectHierarchyNode.GetSubjectHierarchyNode(self._scene)
        if tree is not None:  # MRML can take saved items back only with the plugins' help
            tree.SetSaveWithScene(False)
        if tree is not None and not tree.GetItemByDataNode(node):
            tree.CreateItem(tree.GetSceneItemID(), node)

    @vtk.calldata_type(vtk.VTK_OBJECT)
    def _on_node_removed(self, caller, event, node) -> None:
        # Not GetSubjectHierarchyNode, which would make a new one while the scene is closing.
        tree = self._scene.GetFirstNodeByClass("vtkMRMLSubjectHierarchyNode")
        item = 0 if tree is None or self._scene.IsClosing() else tree.GetItemByDataNode(node)
        if item:
            tree.RemoveItem(item, False, False)

    def close(self) -> None:
        for tag in self._tags:
            self._scene.RemoveObserver(tag)
