"""Copies of nodes that share what is large with them."""

from __future__ import annotations


def light_copy(node):
    """A node of the same class with the same content, in no scene.

    An image or a field is shared, as nodes get new ones and never write into them; a matrix, which
    MRML changes in place, is copied.
    """
    copy = node.CreateNodeInstance()
    copy.UnRegister(None)  # Python has a reference of its own; else it would never leave the memory
    copy.CopyContent(node, node.IsA("vtkMRMLLinearTransformNode"))
    return copy
