"""A transform without its rigid part: what deforms, where a table shift would hide it."""

from __future__ import annotations

import numpy as np
import slicer
import vtk

from DeepRegistrationLib.errors import RegistrationError
from DeepRegistrationLib.evaluation.rigid import Rigid, fit_rigid
from DeepRegistrationLib.scene.nodes.coordinates import between, flipped, map_points, matrix_to_vtk
from DeepRegistrationLib.scene.nodes.masks import mask_from_node
from DeepRegistrationLib.scene.nodes.volumes import grid_of
from DeepRegistrationLib.scene.views.crosshair import towards
from DeepRegistrationLib.scene.views.slice_views import Observers, unlisted

_LATTICE = 24  # points a side of the whole image
_MOST = 20_000  # points of a mask


class Deformation:
    """R^-1 after T as a hidden transform node, until :meth:`close`; R is the rigid part of T.

    As R keeps distances, |R^-1(T(x)) - x| is |T(x) - R(x)|. The node follows T.

    Args:
        transform: Transform node.
        volume: The fixed volume: R fits T over its grid.
        mask: Label map, scalar volume or segmentation in the fixed image: then R fits T inside it.

    Attributes:
        node: The transform node.
        rigid: R, RAS mm.
        region: Where it was fitted, to end a sentence: "in ..." or "over ...".
    """

    def __init__(self, transform, volume, mask=None) -> None:
        self._transform = transform
        self._points, self.region = _sample(volume, mask)
        self.node = transform.GetScene().AddNode(
            unlisted("vtkMRMLTransformNode", f"{transform.GetName()}, without its rigid part")
        )
        self._observers = Observers()
        changed = slicer.vtkMRMLTransformableNode.TransformModifiedEvent
        self._observers.add(transform, changed, self._update)
        self._observers.add(
            transform.GetScene(), slicer.vtkMRMLScene.StartCloseEvent, self._observers.clear
        )
        self._update()

    @property
    def text(self) -> str:
        """What was taken away, as one sentence."""
        rigid = self.rigid
        return (
            f"Without the rigid part, a shift of {np.linalg.norm(rigid.shift):.1f} mm "
            f"({towards(rigid.shift)}) and a rotation of {rigid.degrees:.1f}°, fitted "
            f"{self.region}."
        )

    def close(self) -> None:
        """Take the node out of the scene."""
        self._observers.clear()
        if self.node.GetScene() is not None:
            self.node.GetScene().RemoveNode(self.node)

    def _update(self) -> None:
        whole = between(None, self._transform)
        mapped = map_points(whole, self._points)
        known = np.isfinite(mapped).all(axis=1)
        self.rigid: Rigid = fit_rigid(self._points[known], mapped[known])
        matrix = np.eye(4)
        matrix[:3, :3] = self.rigid.rotation.T
        matrix[:3, 3] = -self.rigid.rotation.T @ self.rigid.translation
        back = vtk.vtkTransform()
        back.SetMatrix(matrix_to_vtk(matrix))
        rest = vtk.vtkGeneralTransform()
        rest.PostMultiply()
        rest.Concatenate(whole)
        rest.Concatenate(back)
        self.node.SetAndObserveTransformFromParent(rest)


def _sample(volume, mask) -> tuple[np.ndarray, str]:
    """Points of the fixed image, RAS mm, [n, 3], and where they are."""
    try:
        found = mask_from_node(mask, "the fixed mask")
    except RegistrationError:
        found = None
    if found is not None and found.data.any():
        index = np.argwhere(found.data)[:, ::-1]
        chosen = np.linspace(0, len(index) - 1, min(len(index), _MOST)).astype(int)
        return flipped(found.grid.to_physical(index[chosen])), f"in {mask.GetName()}"
    grid = grid_of(volume)
    if grid is None:
        raise RegistrationError(
            f"{volume.GetName()!r} is bent by a transform or without voxels; the rigid part cannot "
            "be taken over its grid."
        )
    axes = [np.linspace(0, n - 1, min(n, _LATTICE)) for n in grid.size]
    index = np.stack(np.meshgrid(*axes, indexing="ij"), -1).reshape(-1, 3)
    return flipped(grid.to_physical(index)), "over the whole image"
