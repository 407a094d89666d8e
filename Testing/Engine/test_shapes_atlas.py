"""Multi-atlas segmentation of balls whose mean and spread are known; segmentations of users."""

import numpy as np
import pytest
import SimpleITK as sitk
import torch
from hearts import heart_labels, stack_grid
from references import oblique_grid

from DeepRegistrationLib.errors import RegistrationError
from DeepRegistrationLib.images.image import Image, set_geometry, write_image
from DeepRegistrationLib.studies.atlas import Wall, fuse, write_surface
from DeepRegistrationLib.training.shapes.contours import read_labels
from DeepRegistrationLib.training.shapes.surfaces import isosurface
from DeepRegistrationLib.transforms import Affine

GRID = oblique_grid((40, 38, 30), (1.5, 1.6, 2.2))
BALL = {"ball": (1,)}


def ball(radius, shift=(0.0, 0.0, 0.0)):
    points = GRID.points(dtype=torch.float64).numpy() - GRID.center() - np.asarray(shift)
    inside = np.linalg.norm(points, axis=-1) < radius
    return Image(torch.from_numpy(inside.astype(np.uint8)), GRID, "ball")


def test_the_mean_wall_and_its_spread_are_those_of_the_radii():
    radii = [14.0, 17.0, 20.0]
    result = fuse(GRID, [(Affine(), ball(radius)) for radius in radii], BALL)
    wall = result.walls["ball"]
    distance = np.linalg.norm(wall.surface.vertices - GRID.center(), axis=1)
    assert np.abs(distance - 17).mean() < 0.4
    assert np.abs(wall.spread - np.std(radii, ddof=1)).mean() < 0.3
    dice = 2 * ((result.labels.data == 1) & (ball(17.0).data == 1)).sum()
    assert float(dice / ((result.labels.data == 1).sum() + ball(17.0).data.sum())) > 0.95


def test_the_spread_is_large_where_the_atlases_disagree():
    """Two balls, one shifted along x: the walls differ there, not along y and z."""
    shift = (6.0, 0.0, 0.0)
    result = fuse(GRID, [(Affine(), ball(15.0)), (Affine(), ball(15.0, shift))], BALL)
    wall = result.walls["ball"]
    offset = wall.surface.vertices - GRID.center() - np.array([3.0, 0, 0])
    along = np.abs(offset[:, 0]) / np.linalg.norm(offset, axis=1)
    assert wall.spread[along > 0.95].mean() == pytest.approx(6 / np.sqrt(2), abs=0.7)
    assert wall.spread[along < 0.1].mean() < 0.8


def test_transforms_lead_from_the_image_to_the_atlas():
    shift = np.array([5.0, -3.0, 4.0])
    atlases = [(Affine(translation=shift), ball(12.0, shift))] * 2
    surface = fuse(GRID, atlases, BALL).walls["ball"].surface
    np.testing.assert_allclose(surface.vertices.mean(axis=0), GRID.center(), atol=0.3)


def test_nested_structures_are_painted_from_outside_to_inside():
    labels = heart_labels(stack_grid())
    result = fuse(labels.grid, [(Affine(), labels), (Affine(), labels)])
    agreement = (result.labels.data == labels.data).double().mean()
    assert set(result.labels.data.unique().tolist()) == {0, 1, 2, 3}
    assert float(agreement) > 0.99
    assert max(float(wall.spread.max()) for wall in result.walls.values()) < 1e-2  # mm


def test_one_atlas_is_not_enough():
    with pytest.raises(RegistrationError, match="two or more"):
        fuse(GRID, [(Affine(), ball(12.0))], BALL)


def test_a_surface_file_holds_geometry_and_spread(tmp_path):
    vtk = pytest.importorskip("vtkmodules.vtkIOLegacy")
    numpy_support = pytest.importorskip("vtkmodules.util.numpy_support")
    points = GRID.points(dtype=torch.float64).numpy() - GRID.center()
    surface = isosurface(np.linalg.norm(points, axis=-1), GRID, 15.0)
    spread = np.linspace(0, 5, len(surface.vertices))
    write_surface(Wall(surface, spread), tmp_path / "wall.vtk")
    reader = vtk.vtkPolyDataReader()
    reader.SetFileName(str(tmp_path / "wall.vtk"))
    reader.Update()
    data = reader.GetOutput()
    assert "SPACE=LPS" in reader.GetHeader()
    stored = numpy_support.vtk_to_numpy(data.GetPoints().GetData())
    np.testing.assert_allclose(stored, surface.vertices, atol=1e-4)
    assert data.GetNumberOfPolys() == len(surface.faces)
    scalars = data.GetPointData().GetScalars()
    assert scalars.GetName() == "spread_mm"
    np.testing.assert_allclose(numpy_support.vtk_to_numpy(scalars), spread, atol=1e-5)
    with pytest.raises(RegistrationError, match=".vtk"):
        write_surface(Wall(surface, spread), tmp_path / "wall.stl")


@pytest.fixture
def image():
    labels = heart_labels(stack_grid())
    return Image(labels.data.float(), labels.grid, "image")


def save_segmentation(path, image, names, layers=None):
    """As Slicer saves: the filled part only, segments by name, perhaps in layers."""
    values = image.data.numpy().astype(np.uint8)[:, 10:60, 8:64]
    if layers:
        array = np.stack([np.where(values == k, 1, 0) for k in (1, 2, 3)], -1).astype(np.uint8)
        stored = sitk.GetImageFromArray(array, isVector=True)
    else:
        stored = sitk.GetImageFromArray(values)
    grid = image.grid.cropped((8, 10, 0), (64, 60, 10))
    set_geometry(stored, grid)
    for k, name in enumerate(names):
        stored.SetMetaData(f"Segment{k}_Name", name)
        stored.SetMetaData(f"Segment{k}_LabelValue", "1" if layers else str(k + 1))
        stored.SetMetaData(f"Segment{k}_Layer", str(k) if layers else "0")
    sitk.WriteImage(stored, str(path))


@pytest.mark.parametrize("layers", [False, True])
def test_a_segmentation_of_the_segment_editor_is_read_by_its_names(tmp_path, image, layers):
    path = tmp_path / "heart.seg.nrrd"
    save_segmentation(path, image, ["Right ventricle", "LV_myocardium", "LV"], layers)
    found = read_labels(path, image)
    assert torch.equal(found.data.float(), image.data)


def test_segments_of_other_names_are_refused_and_named(tmp_path, image):
    path = tmp_path / "heart.seg.nrrd"
    save_segmentation(path, image, ["Segment_1", "Segment_2", "aorta"])
    with pytest.raises(RegistrationError, match="Segment_1, Segment_2, aorta.*rename"):
        read_labels(path, image)


def test_a_label_map_of_another_grid_is_refused(tmp_path, image):
    path = tmp_path / "labels.nrrd"
    grid = image.grid.cropped((8, 10, 0), (64, 60, 10))
    write_image(Image(image.data[:, 10:60, 8:64].to(torch.uint8), grid), path)
    with pytest.raises(RegistrationError, match="another grid"):
        read_labels(path, image)
