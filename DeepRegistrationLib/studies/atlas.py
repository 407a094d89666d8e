"""Multi-atlas segmentation: many segmented hearts onto one image, and where they disagree.

Each atlas gives the signed distance to its walls at every point of the image. Where their mean is
negative is the segmentation (shape-based averaging, Rohlfing and Maurer 2007); the standard
deviation of the walls' distances from each vertex of the mean wall is its uncertainty in mm, the
outlook of Rohe et al. 2017.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
import torch
from scipy.spatial import cKDTree

from DeepRegistrationLib.errors import RegistrationError
from DeepRegistrationLib.images.atomic_output import atomic_file
from DeepRegistrationLib.images.geometry import Grid
from DeepRegistrationLib.images.image import Image
from DeepRegistrationLib.images.sampling import sample
from DeepRegistrationLib.progress import Progress, part, silent
from DeepRegistrationLib.registration.series_notes import named, series_notes
from DeepRegistrationLib.training.shapes.surfaces import Surface, isosurface, signed_distance
from DeepRegistrationLib.training.shapes.template import STRUCTURES
from DeepRegistrationLib.transforms import Transform

_SPACING = 2.0  # mm, of the distance maps that surfaces are drawn from


@dataclass(frozen=True, eq=False)
class Wall:
    """A wall of the mean segmentation.

    Attributes:
        surface: In LPS mm of the image.
        spread: Standard deviation of the atlases' walls at each vertex, in mm: float64 [n].
    """

    surface: Surface
    spread: np.ndarray


@dataclass(frozen=True, eq=False)
class AtlasSegmentation:
    """The result of several atlases.

    Attributes:
        labels: Label map on the image's grid, uint8.
        walls: For each structure its wall with the spread.
        atlases: How many there were.
        notes: Sentences about their registrations, with the atlases' numbers, from 1.
    """

    labels: Image
    walls: dict[str, Wall]
    atlases: int
    notes: list[str] = field(default_factory=list)


def segment_by_atlases(
    image: Image,
    atlases: Sequence[tuple[Image, Image]],
    *,
    method: str = "svfnet",
    mask: Image | None = None,
    device: str = "auto",
    structures: Mapping[str, tuple[int, ...]] = STRUCTURES,
    progress: Progress = silent,
) -> AtlasSegmentation:
    """Register every atlas to the image and fuse their segmentations.

    Args:
        image: The image to segment.
        atlases: Image and label map of each.
        method: Registration method.
        mask: Where the heart lies in the image, when it is known.
        device: ``auto``, ``cpu`` or ``cuda``.
        structures: Name and labels of the regions.
        progress: May raise ``Cancelled``.

    Raises:
        RegistrationError: As :func:`.engine.register`; fewer than two atlases.
    """
    from DeepRegistrationLib.registration.engine import register

    found, said = [], dict[int, list[str]]()
    for number, (picture, labels) in enumerate(atlases):
        report = part(progress, 0.9 * number / len(atlases), 0.9 * (number + 1) / len(atlases))
        with named("atlas", number + 1):
            result = register(
                image,
                picture,
                method=method,
                fixed_mask=mask,
                moving_mask=labels,
                device=device,
                progress=report,
            )
        said[number + 1] = result.notes
        found.append((result.transform, labels))
    fused = fuse(image.grid, found, structures, progress=part(progress, 0.9, 1.0))
    images = [image, *(picture for picture, _ in atlases)]
    return replace(fused, notes=series_notes("atlas", said, images))


def fuse(
    grid: Grid,
    atlases: Sequence[tuple[Transform, Image]],
    structures: Mapping[str, tuple[int, ...]] = STRUCTURES,
    progress: Progress = silent,
) -> AtlasSegmentation:
    """One segmentation from several, with the spread of their walls.

    Args:
        grid: Of the image.
        atlases: For each the transform from the image to it, and its label map.
        structures: Name and labels of the regions; nested ones are painted from the outer to the
            inner one, each with its first label.

    Raises:
        RegistrationError: Fewer than two atlases, or none has a structure.
    """
    if len(atlases) < 2:
        raise RegistrationError("Multi-atlas segmentation needs two or more atlases.")
    fine = grid.with_spacing(_SPACING)
    result = torch.zeros(grid.shape, dtype=torch.uint8)
    walls = {}
    order = sorted(structures, key=lambda name: -len(structures[name]))
    for number, name in enumerate(order):
        mean = torch.zeros(fine.shape)
        surfaces = []
        for transform, labels in atlases:
            values = _distance_at(fine, transform, labels, structures[name], name)
            surfaces.append(isosurface(values.numpy(), fine))
            mean += values / len(atlases)
        if not bool((mean < 0).any()):
            raise RegistrationError(
                f"The atlases do not agree on any {name}; look at their labels."
            )
        inside = Image(mean, fine).resampled(grid, fill=None).data < 0
        result[inside] = structures[name][0]
        wall = isosurface(mean.numpy(), fine)
        offsets = [_distance_to(surface, wall.vertices) for surface in surfaces]
        walls[name] = Wall(wall, np.std(offsets, axis=0, ddof=1))
        progress((number + 1) / len(order), "Fusing the atlases")
    return AtlasSegmentation(Image(result, grid, "multi-atlas segmentation"), walls, len(atlases))


def _distance_at(
    grid: Grid, transform: Transform, labels: Image, numbers: tuple[int, ...], name: str
) -> torch.Tensor:
    """Signed distance in mm to an atlas's wall at the grid's points: [z, y, x]."""
    region = torch.isin(labels.data.round().long(), torch.tensor(numbers))
    distances = signed_distance(Image(region, labels.grid, f"{labels.name} ({name})"))
    result = torch.empty(grid.shape)
    for slab in grid.slabs():
        points = transform.at_voxels(grid, slab).cpu()
        result[slab] = sample(distances.data[None], distances.grid, points, fill=None)[0]
    return result


def _distance_to(surface: Surface, points: np.ndarray) -> np.ndarray:
    """Signed distance in mm of points [n, 3] from the plane of the nearest triangle: [n]."""
    normals = surface.normals()
    length = np.linalg.norm(normals, axis=1)
    kept = length > 0.1 * np.median(length)  # slivers point anywhere
    _, nearest = cKDTree(surface.centers()[kept]).query(points)
    offset = points - surface.centers()[kept][nearest]
    return (offset * (normals / length[:, None])[kept][nearest]).sum(axis=1)


def write_surface(wall: Wall, path: str | Path) -> None:
    """Write a wall with its spread as a .vtk file, which Slicer loads as a colored model.

    Raises:
        RegistrationError: Another suffix, or the file cannot be written.
    """
    path = Path(path)
    if path.suffix.lower() != ".vtk":
        raise RegistrationError(f"{path.name}: surfaces are written as .vtk; choose that suffix.")
    vertices, faces = wall.surface.vertices, wall.surface.faces
    with atomic_file(path) as place, open(place, "wb") as file:
        title = "Mean wall of several atlases, spread in mm. SPACE=LPS"
        file.write(f"# vtk DataFile Version 3.0\n{title}\nBINARY\nDATASET POLYDATA\n".encode())
        file.write(f"POINTS {len(vertices)} float\n".encode())
        file.write(vertices.astype(">f4").tobytes())
        file.write(f"\nPOLYGONS {len(faces)} {4 * len(faces)}\n".encode())
        file.write(np.insert(faces, 0, 3, axis=1).astype(">i4").tobytes())
        file.write(f"\nPOINT_DATA {len(vertices)}\nSCALARS spread_mm float 1\n".encode())
        file.write(b"LOOKUP_TABLE default\n" + wall.spread.astype(">f4").tobytes() + b"\n")
