"""A scene of its own in which a picture is rendered: the user's scene takes no part in it.

Its nodes share voxels and displacement fields with those of the user's scene and are made at once.
So a picture may be rendered in steps, between which the user does anything, and stays the same.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Sequence
from dataclasses import dataclass

import numpy as np
import slicer
import vtk

from DeepRegistrationLib.images.body import body_box
from DeepRegistrationLib.scene.nodes.coordinates import between, flipped, map_points
from DeepRegistrationLib.scene.nodes.copies import light_copy
from DeepRegistrationLib.scene.nodes.volumes import ijk_to_lps, voxels_of
from DeepRegistrationLib.scene.views.offscreen_views import SliceView

PANEL = 520
"""Width and height of a slice's picture, pixels."""

_NEAR = 90.0  # mm: the width of a picture of one place

ORIENTATIONS = {"Axial": 2, "Coronal": 1, "Sagittal": 0}
"""The three slices, and the axis that each lies across."""


@dataclass(frozen=True)
class ViewPosition:
    """Where the three slices look.

    Attributes:
        slices: RAS mm; the three slices meet here.
        middle: RAS mm; in the middle of the pictures.
        widths: Of the slices across R, A and S, mm.
        marked: Whether a cross is drawn where the slices meet.
    """

    slices: np.ndarray
    middle: np.ndarray
    widths: tuple[float, float, float]
    marked: bool = False


def view_position_of(volume, slices: np.ndarray | None = None) -> ViewPosition:
    """A place that the body fills, in slices through its middle or a given RAS point."""
    box = body_box(voxels_of(volume), volume.GetSpacing())
    ends = [(part.start - 0.5, part.stop - 0.5) for part in reversed(box)]
    corners = np.stack(np.meshgrid(*ends, indexing="ij"), -1).reshape(-1, 3)
    lps = ijk_to_lps(volume)
    own = flipped(corners @ lps[:3, :3].T + lps[:3, 3])
    world = map_points(between(volume.GetParentTransformNode(), None), own)
    low, high = world.min(axis=0), world.max(axis=0)
    middle, extent = (low + high) / 2, 1.04 * (high - low)
    right, front, up = (float(mm) for mm in extent)
    widths = (max(front, up), max(right, up), max(right, front))
    return ViewPosition(middle if slices is None else slices, middle, widths)


def near(point: np.ndarray) -> ViewPosition:
    """Some centimeters around a RAS point, which is marked."""
    return ViewPosition(point, point, (_NEAR, _NEAR, _NEAR), marked=True)


class PrivateScene:
    """What a picture shows, and a slice view of it.

    Attributes:
        scene, logic: Not the application's.
    """

    def __init__(self) -> None:
        self.scene = slicer.vtkMRMLScene()
        self.logic = slicer.vtkMRMLApplicationLogic()
        self.logic.SetMRMLScene(self.scene)
        self.logic.SetSliceLogics(vtk.vtkCollection())
        self.logic.SetViewLogics(vtk.vtkCollection())
        slicer.vtkMRMLSliceNode.AddDefaultSliceOrientationPresets(self.scene, True)

    def volume(self, node, parents: Sequence, color_node, limits: tuple[float, float]):
        """A stand-in for a volume node, that shares its voxels.

        Args:
            node: Of the user's scene.
            parents: Transform nodes of the user's scene to show it under, the nearest first.
            color_node: Of this scene.
            limits: Values of the first and the last color.
        """
        result = slicer.vtkMRMLScalarVolumeNode()
        matrix = vtk.vtkMatrix4x4()
        node.GetIJKToRASMatrix(matrix)
        result.SetIJKToRASMatrix(matrix)
        result.SetAndObserveImageData(node.GetImageData())
        display = slicer.vtkMRMLScalarVolumeDisplayNode()
        display.AutoWindowLevelOff()
        display.SetWindowLevelMinMax(*limits)
        self.scene.AddNode(display)
        display.SetAndObserveColorNodeID(color_node.GetID())
        self.scene.AddNode(result)
        result.SetAndObserveDisplayNodeID(display.GetID())
        above = self.transform(parents)
        result.SetAndObserveTransformNodeID(None if above is None else above.GetID())
        return result

    def transform(self, nodes: Sequence):
        """Stand-ins for transform nodes, the nearest first, each under the next one.

        Returns:
            The nearest one's, or None without any.
        """
        result = None
        for node in reversed(nodes):
            copy = light_copy(node)
            self.scene.AddNode(copy)
            copy.SetAndObserveTransformNodeID(None if result is None else result.GetID())
            result = copy
        return result

    def color(self, name: str):
        """One of Slicer's own color nodes: ``Grey``, ``Green`` or ``Magenta``."""
        node = slicer.vtkMRMLColorTableNode()
        getattr(node, f"SetTypeTo{name}")()
        return self.scene.AddNode(node)

    def shots(
        self,
        place: ViewPosition,
        volumes: Sequence,
        region=None,
        margin: float = 0.0,
        draw: Callable[[], None] = lambda: None,
    ) -> Generator[None, None, list[list[np.ndarray]]]:
        """Each of the volumes in three slices, in steps.

        Args:
            place: Where to look.
            volumes: Nodes of this scene.
            region: Volume node of this scene outside of which the pictures are left black.
            margin: Share of the width that is rendered on every side, and cut off.
            draw: Adds to the scene what is costly at every move of the view: it is called when the
                view, which moves most at its start, looks at the first slice.

        Returns:
            For each volume the three pictures: uint8 [PANEL, PANEL, 3].
        """
        edge = round(PANEL * margin)
        size = PANEL + 2 * edge
        view = SliceView(self, "Picture", "Axial", (size, size))
        result: list[list[np.ndarray]] = [[] for _ in volumes]
        try:
            yield
            view.pixels()  # the first rendering prepares OpenGL
            yield
            for orientation, axis in ORIENTATIONS.items():
                center = place.middle.copy()
                center[axis] = place.slices[axis]
                view.look_at(center, place.widths[axis] * size / PANEL, orientation)
                yield
                if not result[0]:
                    draw()
                    yield
                outside = None if region is None else ~view.covered_by(region)
                yield
                for volume, panels in zip(volumes, result, strict=True):
                    view.show(volume)
                    pixels = view.pixels()
                    if outside is not None:
                        pixels[outside] = 0
                    panels.append(pixels[edge : edge + PANEL, edge : edge + PANEL].copy())
                    yield
        finally:
            view.close()
        return result
