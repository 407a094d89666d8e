"""Results stand in the subject hierarchy beside the moving volume, where there is a hierarchy."""

from __future__ import annotations

import pytest
import slicer
import vtk

from DeepRegistrationLib.options import Outputs, RegistrationOptions
from DeepRegistrationLib.scene.logic import RegistrationLogic
from DeepRegistrationLib.scene.nodes.hierarchy import put_beside
from DeepRegistrationLib.scene.nodes.volumes import volume_node_from_image


@pytest.fixture
def tree(scene):
    """A hierarchy that gets an item for every volume and transform, as Slicer's plugins make."""
    node = slicer.vtkMRMLSubjectHierarchyNode.GetSubjectHierarchyNode(scene)

    @vtk.calldata_type(vtk.VTK_OBJECT)
    def make_item(caller, event, added):
        if added.IsA("vtkMRMLVolumeNode") or added.IsA("vtkMRMLTransformNode"):
            node.CreateItem(node.GetSceneItemID(), added)

    tag = scene.AddObserver(slicer.vtkMRMLScene.NodeAddedEvent, make_item)
    yield node
    scene.RemoveObserver(tag)


def folder_of(tree, node) -> int:
    return tree.GetItemParent(tree.GetItemByDataNode(node))


def test_all_results_stand_in_the_study_of_the_moving_volume(
    scene, tree, fixed_image, moving_image, field, method_returning
):
    fixed = volume_node_from_image(fixed_image, scene, "fixed")
    moving = volume_node_from_image(moving_image, scene, "moving")
    study = tree.CreateStudyItem(tree.GetSceneItemID(), "follow-up")
    tree.SetItemParent(tree.GetItemByDataNode(moving), study)
    result = RegistrationLogic(scene).register(
        fixed,
        moving,
        RegistrationOptions(method_returning(field)),
        Outputs(warped=True, jacobian=True, displacement=True, inverse=True),
    )
    nodes = result.nodes
    made = (nodes.transform, nodes.jacobian, nodes.displacement, nodes.warped, nodes.inverse)
    assert [folder_of(tree, node) for node in made] == [study] * 5
    assert folder_of(tree, fixed) == tree.GetSceneItemID()


def test_without_items_nothing_is_made(scene, fixed_image):
    one = volume_node_from_image(fixed_image, scene, "one")
    other = volume_node_from_image(fixed_image, scene, "other")
    put_beside(one, other)
    tree = slicer.vtkMRMLSubjectHierarchyNode.GetSubjectHierarchyNode(scene)
    assert not tree.GetItemByDataNode(one)
