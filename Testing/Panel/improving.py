"""A registration that is wrong at one landmark, and what a user does to correct it."""

from __future__ import annotations

import numpy as np
import slicer
import torch
from pairs import add_landmarks, add_pair, phantom

from DeepRegistrationLib.scene.nodes.placement import METHOD
from DeepRegistrationLib.scene.nodes.transforms import transform_node_from
from DeepRegistrationLib.scene.runs.results import refer_to_pair
from DeepRegistrationLib.transforms import DisplacementField

DRIVES = 6  # column of the table
WRONG = 7  # mm: what the deformation is off by at one place


def central_row() -> int:
    """The landmark deepest inside the image."""
    points = phantom().fixed_landmarks
    return int(np.linalg.norm(points - points.mean(axis=0), axis=1).argmin())


def nearly_true(row: int) -> DisplacementField:
    """The phantom's motion, but wrong around one landmark."""
    pair = phantom()
    grid = pair.fixed.grid
    field = DisplacementField.of(pair.transform, grid)
    points = grid.points(slice(None))
    away = (points - torch.as_tensor(pair.fixed_landmarks[row]).float()).norm(dim=-1)
    vectors = field.vectors.clone()
    vectors[0] += WRONG * torch.exp(-((away / 18) ** 2))
    return DisplacementField(vectors, grid)


def improving(opened):
    """The section of the landmarks, with what corrects unfolded."""
    from DeepRegistrationPanel.landmarks import LandmarksSection

    section = opened(LandmarksSection)
    section.ui.improveBox.collapsed = False
    return section


def add_wrong(panel):
    """A registration that is wrong at one landmark; its row."""
    row, p = central_row(), panel.parameters
    add_pair(p)
    add_landmarks(p)
    node = transform_node_from(nearly_true(row), slicer.mrmlScene, "result")
    refer_to_pair(node, p.fixedVolume, p.movingVolume)
    node.SetAttribute(METHOD, "optimize")
    p.movingVolume.SetAndObserveTransformNodeID(node.GetID())
    p.transform = node
    return row


def press(slicer_host, panel, section, button="improveButton") -> str:
    """Press, wait for the end, and read what is said."""
    slicer_host.click(getattr(section.ui, button))
    bar = section.improvement.bar
    assert bar.running, section.ui.improveText.text
    slicer_host.process_events(until=lambda: not bar.running, timeout=120)
    return section.ui.improveText.text


def texts(section, row: int) -> list[str]:
    table = section.ui.pointsTable
    return [table.item(row, column).text() for column in range(table.columnCount)]


def drag(node, row: int, vector) -> None:
    """Move a point by an LPS vector, as a mouse does: through the node."""
    place = np.array(node.GetNthControlPointPositionWorld(row)) + np.array(vector) * (-1, -1, 1)
    node.SetNthControlPointPositionWorld(row, *place)


def field_of(panel) -> object:
    """What the transform node holds."""
    return panel.parameters.transform.GetTransformFromParent()
