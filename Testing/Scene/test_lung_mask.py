"""The lungs of a volume node as a label map, through the engine's command."""

import numpy as np
import pytest
from scenery import image_on

from DeepRegistrationLib.data.phantoms import thorax
from DeepRegistrationLib.errors import RegistrationError
from DeepRegistrationLib.progress import silent
from DeepRegistrationLib.scene.nodes.masks import mask_from_node
from DeepRegistrationLib.scene.nodes.volumes import exhausted, volume_node_from_image
from DeepRegistrationLib.scene.runs.lung_mask import LungMaskRequest
from DeepRegistrationLib.worker.commands import command_named


def found(scene, node):
    """What the run does: ask, compute, copy, commit."""
    request = LungMaskRequest(scene, node)
    result = command_named(request.command)(request.payload(), silent)
    return request.commit(exhausted(request.preparing(result)), result)


@pytest.fixture(scope="module")
def chest():
    return thorax((80, 64, 72), (4.0, 4.0, 4.0))


def test_the_mask_of_a_volume_lies_on_the_lungs_and_serves_as_a_mask(scene, chest):
    node = volume_node_from_image(chest.fixed, scene, "chest")
    mask = mask_from_node(found(scene, node).node, "the fixed mask")
    assert mask.grid.same_as(chest.fixed.grid)
    ours, truth = mask.data != 0, chest.fixed_lungs.data.numpy() != 0
    assert 2 * np.sum(ours & truth) / (ours.sum() + truth.sum()) > 0.93


def test_undo_leaves_the_scene_as_it_was(scene, chest):
    node = volume_node_from_image(chest.fixed, scene, "chest")
    before = scene.GetNumberOfNodes()
    result = found(scene, node)
    assert result.node.GetName() == "chest lungs"
    assert scene.GetNumberOfNodes() > before
    result.record.undo()
    assert scene.GetNumberOfNodes() == before


def test_a_volume_without_lungs_is_refused(scene, chest):
    plain = image_on(chest.fixed.grid, "plain")
    with pytest.raises(RegistrationError, match="No lungs were found in plain.*chest CT"):
        found(scene, volume_node_from_image(plain, scene, "plain"))


def test_a_missing_volume_is_named(scene):
    with pytest.raises(RegistrationError, match="the volume"):
        LungMaskRequest(scene, None).payload()
