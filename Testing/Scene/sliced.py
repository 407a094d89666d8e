"""Slice views without a window, and volumes with known content, for the tests of visual control."""

from __future__ import annotations

import numpy as np
import slicer
import torch
from scenery import bump, centered_grid, image_on

from DeepRegistrationLib.images.geometry import Grid
from DeepRegistrationLib.images.image import Image
from DeepRegistrationLib.scene.nodes.coordinates import matrix_to_numpy
from DeepRegistrationLib.scene.nodes.transforms import transform_node_from
from DeepRegistrationLib.scene.nodes.volumes import volume_node_from_image


class Views:
    """Slice nodes with their composites and logics, as the application has them."""

    def __init__(self, application) -> None:
        self._application = application
        self._logics: list = []  # own the nodes' connections

    def add(self, name: str, orientation: str = "Axial", size=(96, 80), center=(0, 0, 20)):
        logic = slicer.vtkMRMLSliceLogic()
        logic.SetMRMLApplicationLogic(self._application.logic)
        self._application.logic.GetSliceLogics().AddItem(logic)
        logic.SetMRMLScene(self._application.scene)
        node = logic.AddSliceNode(name)
        node.SetOrientation(orientation)
        logic.ResizeSliceNode(*size)
        node.SetFieldOfView(size[0] * 0.9, size[1] * 0.9, 1.0)
        node.JumpSliceByCentering(*center)
        node.UpdateMatrices()
        self._logics.append(logic)
        return node


def pixel_positions(slice_node) -> np.ndarray:
    """RAS of a view's pixels: [height, width, 3]."""
    width, height = slice_node.GetDimensions()[:2]
    x, y = np.meshgrid(np.arange(width), np.arange(height))
    pixels = np.stack([x, y, np.zeros_like(x), np.ones_like(x)], -1)
    return (pixels @ matrix_to_numpy(slice_node.GetXYToRAS()).T)[..., :3]


def smooth_node(scene, name: str):
    """The scenery's smooth content on an oblique grid."""
    grid = centered_grid((60, 56, 50), (1.5, 1.6, 1.7), (0, 0, 20), (8, -12, 15))
    return volume_node_from_image(image_on(grid, name), scene)


def bump_node(scene, strength: float = 4.0):
    """A transform node of the scenery's smooth displacement field, and the field."""
    field = bump(Grid((40, 40, 40), (4.0,) * 3, (-80, -80, -60)), strength)
    return transform_node_from(field, scene, "bump"), field


def cube_image(half: float, value: float = 40.0, name: str = "cube") -> Image:
    """A cube about the origin in air, 1 mm voxels."""
    grid = centered_grid((61, 61, 41), (1.0, 1.0, 1.0), (0, 0, 0))
    inside = np.abs(grid.points().numpy()).max(-1) <= half
    values = np.where(inside, value, -1000.0)
    return Image(torch.from_numpy(values).float(), grid, name)
