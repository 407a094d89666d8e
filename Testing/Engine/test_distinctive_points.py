"""Places for landmarks: where a position is well defined in 3D, spread over the region."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from scipy import ndimage

from DeepRegistrationLib.errors import RegistrationError
from DeepRegistrationLib.evaluation.distinctive_points import distinctive_points, distinctiveness
from DeepRegistrationLib.images.geometry import Grid
from DeepRegistrationLib.images.image import Image

GRID = Grid((48, 44, 40), (1.5, 2.0, 2.5), (-30.0, 10.0, 50.0), tuple(np.eye(3).ravel()))


def smooth(values: np.ndarray) -> Image:
    blurred = ndimage.gaussian_filter(values.astype(np.float32), 1.0)
    return Image(torch.from_numpy(blurred), GRID)


def test_the_measure_is_one_over_the_trace_of_the_inverse_structure_tensor():
    """Brute force in float64, for one voxel after the other."""
    rng = np.random.default_rng(0)
    image = smooth(rng.normal(0, 100, GRID.shape))
    found = distinctiveness(image)
    data = image.data.double().numpy()
    gradient = np.stack(np.gradient(data, *GRID.spacing[::-1]))  # d/dz, d/dy, d/dx
    for z, y, x in ((20, 20, 20), (15, 25, 30), (22, 18, 14)):
        index = np.stack(np.meshgrid(*map(np.arange, GRID.shape), indexing="ij"))
        offset = (index - np.array([z, y, x])[:, None, None, None]) * np.reshape(
            GRID.spacing[::-1], (3, 1, 1, 1)
        )
        each = np.exp(-0.5 * (offset / 2.5) ** 2)
        each[each < 0.03] = 0
        weight = each.prod(axis=0)
        tensor = np.einsum("izyx,jzyx,zyx->ij", gradient, gradient, weight / weight.sum())
        expected = 1 / np.trace(np.linalg.inv(tensor))
        assert float(found[z, y, x]) == pytest.approx(expected, rel=1e-3)


def test_corners_are_distinctive_and_faces_and_edges_are_not():
    box = np.zeros(GRID.shape)
    box[10:30, 12:32, 12:36] = 100
    found = distinctiveness(smooth(box))
    corner, edge, face = found[10, 12, 12], found[10, 12, 24], found[10, 22, 24]
    assert corner > 20 * edge and corner > 20 * face


def blobs(count: int = 40) -> tuple[Image, np.ndarray]:
    """Small dots on noise; where they are, LPS mm."""
    rng = np.random.default_rng(1)
    values = rng.normal(0, 1, GRID.shape)
    index = rng.integers(6, np.array(GRID.shape) - 6, (count, 3))
    values[tuple(index.T)] = 3000
    return smooth(values), GRID.to_physical(index[:, ::-1].astype(float))


def test_places_lie_at_structure_and_not_in_noise():
    image, dots = blobs()
    points = distinctive_points(image, None, 15)
    assert len(points) == 15
    nearest = np.linalg.norm(points[:, None] - dots, axis=-1).min(axis=1)
    assert nearest.max() < 4


def test_places_are_spread_and_the_same_each_time():
    image, _ = blobs()
    points = distinctive_points(image, None, 12)
    apart = np.linalg.norm(points[:, None] - points, axis=-1)[np.triu_indices(12, 1)]
    assert apart.min() > 15
    assert np.array_equal(points, distinctive_points(image, None, 12))
    assert np.array_equal(points[:5], distinctive_points(image, None, 5))


def test_places_are_inside_the_mask_and_off_its_border():
    image, _ = blobs()
    mask = torch.zeros(GRID.shape, dtype=torch.uint8)
    mask[:, :, :24] = 1
    points = distinctive_points(image, Image(mask, GRID), 50)
    index = GRID.to_index(points)
    assert len(points) > 3
    assert index[:, 0].max() < 23 - 3  # 6 mm of 1.5 mm voxels


def test_places_turn_with_the_image():
    image, _ = blobs()
    angle = np.deg2rad(25)
    turn = np.array(
        [[np.cos(angle), -np.sin(angle), 0], [np.sin(angle), np.cos(angle), 0], [0, 0, 1]]
    )
    turned = replace(GRID, origin=tuple(turn @ GRID.origin), direction=tuple(turn.ravel()))
    points = distinctive_points(image, None, 10)
    assert np.allclose(
        distinctive_points(Image(image.data, turned), None, 10), points @ turn.T, atol=1e-6
    )


def test_an_image_without_structure_has_no_place():
    with pytest.raises(RegistrationError, match="No distinctive place was found"):
        distinctive_points(Image(torch.full(GRID.shape, 7.0), GRID), None, 5)
    mask = Image(torch.zeros(GRID.shape, dtype=torch.uint8), GRID)
    with pytest.raises(RegistrationError, match="No distinctive place was found"):
        distinctive_points(blobs()[0], mask, 5)
    flat = Grid((40, 40, 1), (2.0, 2.0, 2.0), (0.0, 0.0, 0.0), tuple(np.eye(3).ravel()))
    with pytest.raises(RegistrationError, match="No distinctive place was found"):
        distinctive_points(Image(torch.rand(flat.shape), flat), None, 5)


def test_values_that_are_no_numbers_do_no_harm():
    image, _ = blobs()
    image.data[20, 20, 20] = float("nan")
    assert np.isfinite(distinctive_points(image, None, 10)).all()
