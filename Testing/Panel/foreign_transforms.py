"""Transforms as other programs write them, over the phantom."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pydicom
import SimpleITK as sitk
from pairs import phantom
from pydicom.dataset import Dataset, FileMetaDataset

from DeepRegistrationLib.scene.nodes.coordinates import between, flipped, map_points

MATRIX = np.array([[1.05, 0.03, 0], [-0.02, 0.97, 0.01], [0, 0.02, 1.02]])
SHIFT = np.array([4.0, -3.0, 6.0])


def affine() -> sitk.AffineTransform:
    """x -> MATRIX x + SHIFT, LPS."""
    transform = sitk.AffineTransform(3)
    transform.SetMatrix(MATRIX.ravel().tolist())
    transform.SetTranslation(SHIFT.tolist())
    return transform


def fixed_image() -> sitk.Image:
    """The phantom's fixed image as SimpleITK holds it."""
    return as_itk(phantom().fixed)


def as_itk(image) -> sitk.Image:
    """An image of the engine as SimpleITK holds it."""
    result = sitk.GetImageFromArray(image.data.numpy())
    result.SetSpacing(image.grid.spacing)
    result.SetOrigin(image.grid.origin)
    result.SetDirection(image.grid.direction)
    return result


def wave_vectors(image: sitk.Image) -> np.ndarray:
    """Vectors in mm at the voxels of an image, up to 6 mm: [z, y, x, 3]."""
    z, y, x = np.meshgrid(*(np.linspace(0, np.pi, n) for n in image.GetSize()[::-1]), indexing="ij")
    return np.stack([6 * np.sin(y) * np.sin(z), 3 * np.sin(x), 4 * np.sin(x) * np.sin(y)], -1)


def wave_field() -> sitk.Image:
    """The wave over the fixed image, as ITK stores displacements."""
    fixed = fixed_image()
    field = sitk.GetImageFromArray(wave_vectors(fixed), isVector=True)
    field.CopyInformation(fixed)
    return field


def inner_points() -> np.ndarray:
    """LPS points well inside the fixed volume: [n, 3]."""
    points = phantom().fixed.grid.points().numpy().astype(float)
    return points[4:-4:3, 4:-4:3, 4:-4:3].reshape(-1, 3)


def by_itk(transform: sitk.Transform, points: np.ndarray) -> np.ndarray:
    """Where ITK takes LPS points: [n, 3]."""
    return np.array([transform.TransformPoint(p) for p in points.tolist()])


def by_node(node, points: np.ndarray) -> np.ndarray:
    """Where a transform node takes points from its parent, LPS."""
    return flipped(map_points(between(None, node), flipped(points)))


def save_dicom(dataset: Dataset, path: Path, sop_class: str) -> Path:
    dataset.SOPClassUID, dataset.SOPInstanceUID = sop_class, pydicom.uid.generate_uid()
    dataset.file_meta = FileMetaDataset()
    dataset.file_meta.MediaStorageSOPClassUID = dataset.SOPClassUID
    dataset.file_meta.MediaStorageSOPInstanceUID = dataset.SOPInstanceUID
    dataset.file_meta.TransferSyntaxUID = pydicom.uid.ExplicitVRLittleEndian
    dataset.save_as(path, enforce_file_format=True)
    return path


def spatial_registration(path: Path, fixed_from_moving: np.ndarray) -> Path:
    """A DICOM Spatial Registration (PS3.3, C.20.2): source points to registered points."""
    items = []
    for frame, matrix in (("1.2.1", np.eye(4)), ("1.2.2", fixed_from_moving)):
        entry = Dataset()
        entry.FrameOfReferenceTransformationMatrixType = "AFFINE"
        entry.FrameOfReferenceTransformationMatrix = [f"{v:.10g}" for v in matrix.ravel()]
        registration = Dataset()
        registration.MatrixSequence = [entry]
        item = Dataset()
        item.FrameOfReferenceUID, item.MatrixRegistrationSequence = frame, [registration]
        items.append(item)
    dataset = Dataset()
    dataset.FrameOfReferenceUID, dataset.RegistrationSequence = "1.2.1", items
    return save_dicom(dataset, path, "1.2.840.10008.5.1.4.1.1.66.1")


def deformable_registration(path: Path) -> Path:
    """A DICOM Deformable Spatial Registration (PS3.3, C.20.3) of the wave on an upright grid."""
    fixed = fixed_image()
    grid = Dataset()
    grid.ImageOrientationPatient = [1, 0, 0, 0, 1, 0]
    grid.ImagePositionPatient = [f"{v:.8g}" for v in fixed.GetOrigin()]
    grid.GridDimensions, grid.GridResolution = list(fixed.GetSize()), list(fixed.GetSpacing())
    grid.VectorGridData = wave_vectors(fixed).astype("<f4").tobytes()
    entry = Dataset()
    entry.FrameOfReferenceTransformationMatrixType = "RIGID"
    entry.FrameOfReferenceTransformationMatrix = np.eye(4).ravel().tolist()
    item = Dataset()
    item.SourceFrameOfReferenceUID = "1.2.2"
    item.DeformableRegistrationGridSequence = [grid]
    item.PreDeformationMatrixRegistrationSequence = [entry]
    item.PostDeformationMatrixRegistrationSequence = [entry]
    dataset = Dataset()
    dataset.FrameOfReferenceUID, dataset.DeformableRegistrationSequence = "1.2.1", [item]
    return save_dicom(dataset, path, "1.2.840.10008.5.1.4.1.1.66.3")
