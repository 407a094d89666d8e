"""Two displacement fields as one that slides along a border and does not fold."""

import numpy as np
import pytest
import torch
from scipy import ndimage

from DeepRegistrationLib.images.geometry import Grid
from DeepRegistrationLib.images.image import Image
from DeepRegistrationLib.methods.optimize.joining import _outside, covering, slid
from DeepRegistrationLib.methods.optimize.unfolding import (
    LEAST,
    _folds,
    corner_jacobians,
    shortage_gradient,
    smallest_jacobian,
    unfolded,
)
from DeepRegistrationLib.transforms import Affine, DisplacementField, jacobian

GRID = Grid((48, 44, 40), (2.0, 2.5, 2.0), (-40.0, -50.0, -30.0))


@pytest.mark.parametrize("angles", [(0.0, 0.0), (0.4, 0.3), (1.0, 0.7)])
def test_half_spaces_that_slide_on_an_oblique_plane_are_exact_on_both_sides(angles):
    a, b = angles
    normal = torch.tensor([np.cos(a) * np.cos(b), np.sin(a) * np.cos(b), np.sin(b)]).float()
    along = torch.linalg.cross(normal, torch.tensor([0.0, 0.6, 0.8]))
    along = 14.0 * along / along.norm()
    depth = (GRID.points() @ normal).contiguous()
    inner = along[:, None, None, None].expand(3, *GRID.shape).contiguous()
    outer = torch.zeros_like(inner)
    keep = depth < 0
    vectors = slid(inner, outer, depth, keep, GRID)
    vectors = unfolded(vectors, inner, keep, GRID)
    assert torch.equal(vectors[:, keep], inner[:, keep])
    assert float(vectors[:, depth > 10.0].abs().max()) < 1e-4
    assert min(float(j.min()) for j in corner_jacobians(vectors, GRID)) > LEAST


def test_across_the_border_nothing_folds():
    """Two halves that approach each other: the tissue between them is squeezed, not turned over."""
    depth = GRID.points()[..., 0].contiguous()
    inner = torch.zeros(3, *GRID.shape)
    inner[0] = 12.0
    vectors = slid(inner, torch.zeros_like(inner), depth, depth < 0, GRID)
    assert float(smallest_jacobian(vectors, GRID).min()) > LEAST


def test_a_fold_is_undone_and_what_is_kept_stays():
    generator = torch.Generator().manual_seed(2)
    base = torch.zeros(3, *GRID.shape)
    vectors = base.clone()
    vectors[:, 18:24, 18:24, 18:24] = 6 * torch.randn(3, 6, 6, 6, generator=generator)
    keep = torch.zeros(GRID.shape, dtype=torch.bool)
    keep[:, :, :20] = True
    vectors[:, keep] = 0.0
    assert float(smallest_jacobian(vectors, GRID).min()) < -1
    found = unfolded(vectors.clone(), base, keep, GRID)
    assert float(smallest_jacobian(found, GRID).min()) > LEAST
    assert torch.equal(found[:, keep], base[:, keep])
    assert torch.equal(found[:, :5], base[:, :5])


def test_jacobians_of_an_affine_field_are_its_determinant_at_every_corner():
    oblique = Grid((7, 6, 5), (2.0, 3.0, 1.5), (5.0, 1.0, 2.0), (0, -1, 0, 1, 0, 0, 0, 0, -1))
    matrix = np.array([[1.1, 0.2, 0.0], [-0.1, 0.9, 0.3], [0.0, 0.1, 1.2]])
    field = DisplacementField.of(Affine(matrix, (3.0, 0.0, -2.0)), oblique)
    for corner in corner_jacobians(field.vectors, oblique):
        assert np.allclose(corner.numpy(), np.linalg.det(matrix), atol=1e-4)


@pytest.mark.parametrize("size", [(7, 6, 5), (1, 6, 5), (7, 1, 5), (7, 6, 1)])
def test_the_gradient_at_folding_corners_is_that_of_the_whole_sum(size):
    grid = Grid(size, (2.0, 3.0, 1.5), (5.0, 1.0, 2.0), (0, -1, 0, 1, 0, 0, 0, 0, -1))
    generator = torch.Generator().manual_seed(3)
    vectors = 1.5 * torch.randn(3, *grid.shape, generator=generator, dtype=torch.float64)
    leaf = vectors.clone().requires_grad_(True)
    loss = sum((0.15 - j).clamp(min=0).square().sum() for j in corner_jacobians(leaf, grid))
    assert loss > 1
    (expected,) = torch.autograd.grad(loss, leaf)
    found = shortage_gradient(vectors, corner_jacobians(vectors, grid), grid)
    assert torch.allclose(found, expected, atol=1e-9)


def test_the_field_within_a_finer_mask_comes_from_covered_voxels_alone():
    fine = Grid((95, 87, 79), (1.0, 1.25, 1.0), GRID.origin)
    mask = torch.zeros(fine.shape, dtype=torch.uint8)
    mask[30:50, 21:60, 33:71] = 1
    mask[5, 5, 5] = 1
    covered = covering(Image(mask, fine), GRID)
    spoiled = DisplacementField(torch.where(covered, 1.0, 99.0).expand(3, *GRID.shape), GRID)
    inside = spoiled.at_voxels(fine)[mask != 0] - fine.points()[mask != 0]
    assert torch.allclose(inside, torch.ones_like(inside), atol=1e-4)
    determinant = jacobian(spoiled, fine).data
    assert torch.allclose(determinant[mask != 0], torch.ones(1), atol=1e-4)
    assert covered.sum() < 1.4 * ndimage.binary_dilation(mask.numpy()).sum() / 8


@pytest.mark.parametrize("size", [(14, 12, 10), (14, 12, 1), (2, 12, 10)])
@pytest.mark.parametrize("roughness", [0.1, 0.5, 2.0])
def test_folds_are_found_where_every_corner_was_looked_at(size, roughness):
    """Also where the field is hardly steep enough to fold, and at the borders of a box."""
    turn = (0.8, -0.6, 0.0, 0.6, 0.8, 0.0, 0.0, 0.0, 1.0)
    grid = Grid(size, (1.5, 1.0, 2.5), direction=turn)
    generator = torch.Generator().manual_seed(len(size) + int(10 * roughness))
    vectors, base = roughness * torch.randn(2, 3, *grid.shape, generator=generator)
    depth = grid.shape[0]
    box = (slice(depth // 3, max(depth // 2, 1)), slice(0, 9), slice(0, size[0]))
    least, before = (smallest_jacobian(v, grid)[box] for v in (vectors, base))
    assert torch.equal(_folds(vectors, base, grid, box), (least < LEAST) & (least < before - 1e-4))


def test_the_distance_from_a_mask_is_that_to_its_nearest_voxel():
    mask = torch.rand(GRID.shape, generator=torch.Generator().manual_seed(4)) > 0.999
    exact = ndimage.distance_transform_edt(~mask.numpy(), sampling=GRID.spacing[::-1])
    assert np.abs(_outside(mask, GRID).numpy() - exact).max() < 1e-4
