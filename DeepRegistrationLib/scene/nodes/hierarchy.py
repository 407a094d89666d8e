"""Where results stand in the subject hierarchy: beside what they were made from."""

from __future__ import annotations


def put_beside(node, sibling) -> None:
    """Move a node's item into the folder (study, patient) of another node's item.

    Slicer's subject hierarchy plugins make the items; where there are none, nothing is done.
    """
    tree = node.GetScene().GetFirstNodeByClass("vtkMRMLSubjectHierarchyNode")
    if tree is None:
        return
    item, example = tree.GetItemByDataNode(node), tree.GetItemByDataNode(sibling)
    if item and example:
        tree.SetItemParent(item, tree.GetItemParent(example))
