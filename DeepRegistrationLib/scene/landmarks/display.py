"""Landmarks in the views: a ball at each, colored by its error, and a needle for what remains.

The ball is at the fixed landmark. The needle lies under the transform, so it is seen on the
registered image: thick at the fixed landmark, it ends in a point where the moving landmark appears
there. In a slice view a ball shows as a ring, and a needle where the slice cuts it.
"""

from __future__ import annotations

import numpy as np
import slicer
import vtk
from vtk.util import numpy_support

from DeepRegistrationLib.scene.landmarks.state import LandmarkState
from DeepRegistrationLib.scene.nodes import colors
from DeepRegistrationLib.scene.nodes.coordinates import flipped
from DeepRegistrationLib.scene.views.slice_views import remove_with_displays, unlisted

BALL_RADIUS = 3.0
"""In mm: a ball cuts every slice less than this away from its landmark."""

NEEDLE_RADIUS = 1.0
"""In mm, at the needle's thick end."""

_ERROR = "TRE, mm"


class LandmarkDisplay:
    """Model nodes that show a :class:`LandmarkState`; hidden from lists and not saved.

    Pairs that do not count are not drawn. The scale is :data:`colors.ERROR_RANGE`, always.

    Args:
        scene: Where the nodes are added, at the first :meth:`update`.
    """

    def __init__(self, scene) -> None:
        self._scene = scene
        self._balls = _Instances(*_ball())
        self._needles = _Instances(*_needle())
        self._models: dict[str, object] = {}
        self._projected = False

    def project(self, projected: bool) -> None:
        """Draw all landmarks in every slice as discs, for an overview, or only those it cuts."""
        self._projected = projected
        for node in self.nodes:
            self._set_mode(node.GetDisplayNode())

    @property
    def nodes(self) -> list:
        """The model nodes that are in the scene."""
        return [node for node in self._models.values() if node.GetScene() is not None]

    def update(self, state: LandmarkState, transform=None) -> None:
        """Show a state; only instances that differ are computed.

        Args:
            transform: The transform node that is evaluated.
        """
        shown = state.counted
        errors = np.where(shown, state.after, 0.0)
        if not np.isfinite(errors).all():  # no transform yet: color by the distance before
            errors = np.where(shown, state.before, 0.0)
        fixed = flipped(_anywhere(state.fixed, shown))
        self._balls.place(_translations(fixed, shown), errors)
        start = np.where(np.isfinite(state.mapped), state.mapped, state.fixed)
        start, tip = (flipped(_anywhere(points, shown)) for points in (start, state.moving))
        self._needles.place(_along(start, tip, shown), errors)
        self._show("Landmark errors", self._balls)
        needles = self._show("Landmark residuals", self._needles)
        needles.SetAndObserveTransformNodeID(None if transform is None else transform.GetID())

    def remove(self) -> None:
        """Take the model nodes out of the scene."""
        for node in self.nodes:
            remove_with_displays(node)
        self._models = {}

    def _show(self, name: str, instances: _Instances):
        node = self._models.get(name)
        if node is None or node.GetScene() is None:
            node = self._models[name] = self._add(name, instances)
        return node

    def _add(self, name: str, instances: _Instances):
        node = self._scene.AddNode(unlisted("vtkMRMLModelNode", name))
        display = self._scene.AddNode(unlisted("vtkMRMLModelDisplayNode", name))
        node.SetSelectable(False)
        node.SetAndObservePolyData(instances.mesh)
        node.SetAndObserveDisplayNodeID(display.GetID())
        display.SetAndObserveColorNodeID(colors.error_color_node(self._scene).GetID())
        display.SetActiveScalar(_ERROR, vtk.vtkAssignAttribute.POINT_DATA)
        display.SetScalarRangeFlag(slicer.vtkMRMLDisplayNode.UseManualScalarRange)
        display.SetScalarRange(*colors.ERROR_RANGE)
        display.SetScalarVisibility(True)
        display.SetVisibility(True)
        display.SetVisibility2D(True)
        display.SetSliceIntersectionThickness(3)
        self._set_mode(display)
        return node

    def _set_mode(self, display) -> None:
        if self._projected:
            display.SetSliceDisplayModeToProjection()
        else:
            display.SetSliceDisplayModeToIntersection()


class _Instances:
    """Copies of one small mesh, each with its own place and value, in one vtkPolyData.

    Args:
        points: Of the mesh, [m, 3].
        triangles: int [t, 3].
    """

    def __init__(self, points: np.ndarray, triangles: np.ndarray) -> None:
        self._template = np.column_stack([points, np.ones(len(points))])
        self._triangles = triangles
        self._matrices = np.empty((0, 3, 4))
        self._values = np.empty(0)
        self.mesh = vtk.vtkPolyData()

    def place(self, matrices: np.ndarray, values: np.ndarray) -> None:
        """Place a copy by each matrix, [n, 3, 4], and give it a value, [n]."""
        if len(matrices) != len(self._matrices):
            self._build(len(matrices))
        moved = (matrices != self._matrices).any(axis=(1, 2))
        if moved.any():
            self._points[moved] = np.einsum("nij,mj->nmi", matrices[moved], self._template)
            self.mesh.GetPoints().Modified()
        recolored = values != self._values
        if recolored.any():
            self._scalars[recolored] = values[recolored, None]
            self.mesh.GetPointData().GetScalars().Modified()
        if moved.any() or recolored.any():
            self.mesh.Modified()
        self._matrices, self._values = matrices, values

    def _build(self, count: int) -> None:
        """Meshes of ``count`` copies; the arrays are vtk's own memory."""
        size = len(self._template)
        self._points = np.zeros((count, size, 3), dtype=np.float32)
        self._scalars = np.zeros((count, size), dtype=np.float32)
        self._matrices = np.full((count, 3, 4), np.nan)
        self._values = np.full(count, np.nan)
        points = vtk.vtkPoints()
        points.SetData(numpy_support.numpy_to_vtk(self._points.reshape(-1, 3)))
        scalars = numpy_support.numpy_to_vtk(self._scalars.reshape(-1))
        scalars.SetName(_ERROR)
        triangles = (self._triangles + size * np.arange(count)[:, None, None]).reshape(-1, 3)
        cells = vtk.vtkCellArray()
        offsets = np.arange(len(triangles) + 1, dtype=np.int64) * 3
        cells.SetData(
            numpy_support.numpy_to_vtkIdTypeArray(offsets, deep=True),
            numpy_support.numpy_to_vtkIdTypeArray(triangles.ravel().astype(np.int64), deep=True),
        )
        self.mesh.SetPoints(points)
        self.mesh.SetPolys(cells)
        self.mesh.GetPointData().SetScalars(scalars)


def _ball() -> tuple[np.ndarray, np.ndarray]:
    """A sphere about 0: points [m, 3] and triangles [t, 3]."""
    source = vtk.vtkSphereSource()
    source.SetRadius(BALL_RADIUS)
    source.SetThetaResolution(12)
    source.SetPhiResolution(7)
    source.Update()
    mesh = source.GetOutput()
    triangles = numpy_support.vtk_to_numpy(mesh.GetPolys().GetConnectivityArray())
    return numpy_support.vtk_to_numpy(mesh.GetPoints().GetData()), triangles.reshape(-1, 3)


def _needle(sides: int = 5) -> tuple[np.ndarray, np.ndarray]:
    """A cone from 0 to (0, 0, 1)."""
    angle = 2 * np.pi * np.arange(sides) / sides
    ring = np.column_stack([np.cos(angle), np.sin(angle), np.zeros(sides)]) * NEEDLE_RADIUS
    first, second = np.arange(sides), np.roll(np.arange(sides), -1)
    mantle = np.column_stack([first, second, np.full(sides, sides)])
    base = np.column_stack([second, first, np.full(sides, sides + 1)])
    return np.vstack([ring, [[0, 0, 1], [0, 0, 0]]]), np.vstack([mantle, base])


def _anywhere(points: np.ndarray, shown: np.ndarray) -> np.ndarray:
    """Points [n, 3] with those that are not shown put on one that is: bounds stay tight."""
    place = points[shown][0] if shown.any() else np.zeros(3)
    return np.where(shown[:, None], points, place)


def _translations(points: np.ndarray, shown: np.ndarray) -> np.ndarray:
    """Matrices [n, 3, 4] to the points; what is not shown shrinks to nothing."""
    matrices = np.zeros((len(points), 3, 4))
    matrices[:, :, :3] = np.eye(3) * shown[:, None, None]
    matrices[:, :, 3] = points
    return matrices


def _along(start: np.ndarray, tip: np.ndarray, shown: np.ndarray) -> np.ndarray:
    """Matrices [n, 3, 4] that lay the template's z axis from start to tip."""
    axis = (tip - start) * shown[:, None]
    length = np.linalg.norm(axis, axis=1, keepdims=True)
    direction = np.divide(axis, length, out=np.zeros_like(axis), where=length > 0)
    helper = np.where(np.abs(direction[:, :1]) < 0.9, [[1.0, 0, 0]], [[0, 1.0, 0]])
    across = np.cross(direction, helper)
    norm = np.linalg.norm(across, axis=1, keepdims=True)
    across = np.divide(across, norm, out=np.zeros_like(across), where=norm > 0)
    return np.stack([across, np.cross(direction, across), axis, start], axis=-1)
