"""The moving volume with a part of the deformation, 0 to 100 %, to see what the warp does.

A stand-in that shares the moving volume's voxels is placed under a transform of its own, which
shares the displacement field and scales it: nothing large is copied, and neither the moving volume
nor the registration's transform is touched, so there is nothing to restore.
"""

from __future__ import annotations

import numpy as np
import slicer
import vtk

from DeepRegistrationLib.errors import RegistrationError
from DeepRegistrationLib.scene.landmarks.pairs import taken_as_identity
from DeepRegistrationLib.scene.nodes.coordinates import (
    between,
    linear_matrix,
    matrix_to_numpy,
    matrix_to_vtk,
    require_node,
    set_map_from_parent,
)
from DeepRegistrationLib.scene.views.slice_views import Observers, unlisted


class WarpSlider:
    """A stand-in for the moving volume under a part of a registration, until :meth:`close`.

    Args:
        moving: Scalar volume node; under the transform or not.
        transform: Transform node of the registration.
        percent: 0 shows the moving volume as it was, 100 as registered.

    Attributes:
        volume: The stand-in, to be shown in views. It is hidden from selectors, not saved, and
            shares the moving volume's voxels, display node and parents below the transform.

    Raises:
        RegistrationError: The transform holds a part that cannot be scaled, and ``percent`` is not
            0, which needs none.
    """

    def __init__(self, moving, transform, percent: float = 100.0) -> None:
        require_node(moving, "vtkMRMLScalarVolumeNode", "the moving volume")
        require_node(transform, "vtkMRMLTransformNode", "the transform")
        self._moving, self._transform = moving, transform
        if percent > 0:
            scaled_transform(between(None, transform), 0.5)  # refuses before anything is added
        scene = moving.GetScene()
        moving.CreateDefaultDisplayNodes()
        self._node = scene.AddNode(
            unlisted("vtkMRMLTransformNode", f"{transform.GetName()}, a part of it")
        )
        self.volume = scene.AddNode(unlisted(moving.GetClassName(), moving.GetName()))
        self.volume.SetAndObserveTransformNodeID(self._node.GetID())
        self._observers = Observers()
        self._observe(scene)
        self._copy_volume()
        self.percent = percent

    @property
    def percent(self) -> float:
        """How much of the registration is applied, 0 to 100."""
        return self._percent

    @percent.setter
    def percent(self, percent: float) -> None:
        self._percent = min(max(float(percent), 0.0), 100.0)
        below = taken_as_identity(self._moving, self._transform)
        mapping = vtk.vtkGeneralTransform()
        mapping.PostMultiply()
        mapping.Concatenate(scaled_transform(between(None, self._transform), self._percent / 100))
        mapping.Concatenate(between(below, self._moving.GetParentTransformNode()))
        set_map_from_parent(self._node, mapping)

    def close(self) -> None:
        """Remove the stand-in and its transform."""
        self._observers.clear()
        for node in (self.volume, self._node):
            if node.GetScene() is not None:
                node.GetScene().RemoveNode(node)

    def _observe(self, scene) -> None:
        add = self._observers.add
        changed = slicer.vtkMRMLTransformableNode.TransformModifiedEvent
        add(self._moving, slicer.vtkMRMLVolumeNode.ImageDataModifiedEvent, self._copy_volume)
        add(self._moving, changed, self._copy_transform)
        add(self._transform, changed, self._copy_transform)
        add(scene, slicer.vtkMRMLScene.StartCloseEvent, self.close)
        add(scene, slicer.vtkMRMLScene.NodeRemovedEvent, self._close_if_orphaned)

    def _copy_volume(self) -> None:
        """Share voxels and display; copy the geometry."""
        matrix = vtk.vtkMatrix4x4()
        self._moving.GetIJKToRASMatrix(matrix)
        before = self.volume.StartModify()
        self.volume.SetIJKToRASMatrix(matrix)
        self.volume.SetAndObserveImageData(self._moving.GetImageData())
        self.volume.SetAndObserveDisplayNodeID(self._moving.GetDisplayNodeID())
        self.volume.EndModify(before)

    def _copy_transform(self) -> None:
        self.percent = self._percent

    def _close_if_orphaned(self) -> None:
        if self._moving.GetScene() is None or self._transform.GetScene() is None:
            self.close()


def parts_of(transform: vtk.vtkAbstractTransform) -> list[vtk.vtkAbstractTransform]:
    """The simple transforms of a chain, the one that is applied first first."""
    transform.Update()  # an inverse takes over its original's state only now
    if not transform.IsA("vtkGeneralTransform"):
        return [transform]
    count = transform.GetNumberOfConcatenatedTransforms()
    members = [transform.GetConcatenatedTransform(k) for k in range(count)]
    return [part for member in members for part in parts_of(member)]


def scaled_transform(transform: vtk.vtkAbstractTransform, share: float) -> vtk.vtkAbstractTransform:
    """A part of a transform: the identity at 0, the transform itself at 1, continuous between.

    Between, each member of a chain is scaled: an affine x -> A x + t to I + s (A - I) and s t, a
    displacement field to s u. Fields are shared, not copied.

    Raises:
        RegistrationError: A member is of a kind that cannot be scaled.
    """
    if share == 0:
        return vtk.vtkTransform()
    if share == 1:
        return transform
    result = vtk.vtkGeneralTransform()
    result.PostMultiply()
    for part in parts_of(transform):
        result.Concatenate(_scaled_part(part, share))
    return result


def _scaled_part(part: vtk.vtkAbstractTransform, share: float) -> vtk.vtkAbstractTransform:
    matrix = linear_matrix(part)
    if matrix is not None:
        result = vtk.vtkTransform()
        result.SetMatrix(matrix_to_vtk(_scaled_matrix(matrix, share)))
        return result
    result = part.NewInstance()
    result.DeepCopy(part)
    if part.IsA("vtkGridTransform"):
        result.SetDisplacementScale(part.GetDisplacementScale() * share)
        result.SetDisplacementShift(part.GetDisplacementShift() * share)
    elif part.IsA("vtkBSplineTransform"):
        result.SetDisplacementScale(part.GetDisplacementScale() * share)
        if part.IsA("vtkOrientedBSplineTransform") and part.GetBulkTransformMatrix() is not None:
            bulk = matrix_to_numpy(part.GetBulkTransformMatrix())
            result.SetBulkTransformMatrix(matrix_to_vtk(_scaled_matrix(bulk, share)))
    else:
        raise RegistrationError(
            f"A transform of the kind {part.GetClassName().removeprefix('vtk')} cannot be applied "
            "partially; convert it to a displacement field in the Transforms module."
        )
    return result


def _scaled_matrix(matrix: np.ndarray, share: float) -> np.ndarray:
    return np.eye(4) + share * (matrix - np.eye(4))
