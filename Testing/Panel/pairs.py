"""Small pairs of volumes for the tests of the panel."""

from __future__ import annotations

import functools

import slicer

from DeepRegistrationLib.data.phantoms import PhantomPair, thorax
from DeepRegistrationLib.scene.landmarks.pairs import point_list_from
from DeepRegistrationLib.scene.nodes.transforms import transform_node_from
from DeepRegistrationLib.scene.nodes.volumes import volume_node_from_image


@functools.cache
def phantom() -> PhantomPair:
    """A chest of 40 x 32 x 36 voxels of 8 mm."""
    return thorax((40, 32, 36), (8.0, 8.0, 8.0))


def add_pair(parameters) -> tuple:
    """Put the phantom into the scene and choose it; the nodes of fixed and moving volume."""
    pair = phantom()
    parameters.fixedVolume = volume_node_from_image(pair.fixed, slicer.mrmlScene, "inhale")
    parameters.movingVolume = volume_node_from_image(pair.moving, slicer.mrmlScene, "exhale")
    return parameters.fixedVolume, parameters.movingVolume


def add_landmarks(parameters) -> None:
    """Point lists at the phantom's landmarks."""
    pair, scene = phantom(), slicer.mrmlScene
    parameters.fixedLandmarks = point_list_from(pair.fixed_landmarks, scene, "fixed", (0, 1, 0))
    parameters.movingLandmarks = point_list_from(pair.moving_landmarks, scene, "moving", (1, 0, 1))


def add_true_transform(parameters):
    """A transform node with the phantom's true motion, chosen as the one to evaluate."""
    pair = phantom()
    node = transform_node_from(pair.transform, slicer.mrmlScene, "truth", pair.fixed.grid)
    parameters.transform = node
    return node


def contents() -> dict:
    """Every node of the scene, and what transforms it."""
    scene = slicer.mrmlScene
    nodes = [scene.GetNthNode(k) for k in range(scene.GetNumberOfNodes())]
    return {
        node.GetID(): node.GetTransformNodeID() if node.IsA("vtkMRMLTransformableNode") else None
        for node in nodes
    }
