"""The B-spline lattice against scipy's B-splines and SimpleITK's BSplineTransform."""

import numpy as np
import pytest
import SimpleITK as sitk
import torch
from scipy.interpolate import BSpline

from DeepRegistrationLib.transforms.bspline import BSplineLattice

CASES = {
    "isotropic": ((9, 11, 13), (4.0, 4.0, 4.0)),
    "real strides": ((9, 12, 16), (3.5, 2.7, 1.6)),
    "ends on a control point": ((9, 9, 17), (4.0, 4.0, 8.0)),
    "fewer voxels than a stride": ((3, 7, 5), (8.0, 8.0, 8.0)),
    "thick slices": ((2, 15, 14), (5.0, 5.0, 1.0)),
}


@pytest.fixture(params=CASES.values(), ids=CASES.keys())
def lattice(request):
    """Lattice with its strides (x, y, z) in voxels."""
    shape, strides = request.param
    return BSplineLattice(shape, strides), strides


def random_coefficients(lattice, seed=0):
    values = np.random.default_rng(seed).normal(size=(3, *lattice.control_shape))
    return torch.from_numpy(values.astype(np.float32))


def by_scipy(coefficients, shape, strides):
    """The tensor product, axis by axis, with knots so that control 1 lies on voxel 0."""
    values = coefficients.numpy().astype(np.float64)
    for axis, (n, stride) in enumerate(zip(shape, strides[::-1], strict=True), start=1):
        knots = (np.arange(values.shape[axis] + 4) - 3) * stride
        values = BSpline(knots, values, 3, axis=axis)(np.arange(n, dtype=float))
    return values


def test_values_are_those_of_scipys_splines(lattice):
    lattice, strides = lattice
    coefficients = random_coefficients(lattice)
    expected = by_scipy(coefficients, lattice.shape, strides)
    assert np.allclose(lattice.evaluate(coefficients).numpy(), expected, atol=2e-6)


def test_displacements_are_those_of_simpleitks_bspline_transform(lattice):
    lattice, strides = lattice
    coefficients = random_coefficients(lattice, 1)
    spacing, origin = np.array([1.5, 0.8, 2.5]), (-12.0, 30.0, 7.0)
    mesh = np.array(lattice.control_shape[::-1]) - 3
    transform = sitk.BSplineTransform(3, 3)
    transform.SetTransformDomainOrigin(origin)
    transform.SetTransformDomainMeshSize([int(n) for n in mesh])
    transform.SetTransformDomainPhysicalDimensions(mesh * np.array(strides) * spacing)
    transform.SetParameters(coefficients.numpy().astype(np.float64).ravel())
    values = lattice.evaluate(coefficients).numpy()
    rng = np.random.default_rng(2)
    for _ in range(60):
        z, y, x = (int(rng.integers(0, n)) for n in lattice.shape)
        point = np.array(origin) + spacing * [x, y, z]
        inside = point + 1e-7  # ITK takes a point on the border for one outside, by rounding
        expected = np.array(transform.TransformPoint(inside)) - inside
        assert np.allclose(values[:, z, y, x], expected, atol=1e-5)


def test_linear_functions_are_reproduced_everywhere(lattice):
    lattice, strides = lattice
    a, b = 3.0, np.array([0.5, -0.25, 1.5])  # slopes along x, y, z per voxel

    def linear(shape, first, steps):
        axes = [torch.arange(n) * s + f for n, s, f in zip(shape, steps, first, strict=True)]
        z, y, x = torch.meshgrid(*axes, indexing="ij")
        return (a + b[0] * x + b[1] * y + b[2] * z).float()[None]

    steps = strides[::-1]
    controls = linear(lattice.control_shape, [-s for s in steps], steps)
    expected = linear(lattice.shape, (0.0, 0.0, 0.0), (1.0, 1.0, 1.0))
    assert torch.allclose(lattice.evaluate(controls), expected, atol=2e-5)


def test_fitting_gives_back_the_spline_that_was_evaluated(lattice):
    lattice, _ = lattice
    values = lattice.evaluate(random_coefficients(lattice, 3))
    again = lattice.evaluate(lattice.fit(values))
    assert float((again - values).abs().max()) < 1e-3


def test_fitting_finds_the_control_points_where_the_samples_determine_them():
    lattice = BSplineLattice((21, 25, 29), (4.0, 4.0, 4.0))
    coefficients = random_coefficients(lattice, 4)
    found = lattice.fit(lattice.evaluate(coefficients))
    inner = (slice(None),) + 3 * (slice(1, -1),)
    assert float((found - coefficients)[inner].abs().max()) < 5e-3


def test_fitting_is_the_least_squares_spline_of_noise():
    lattice = BSplineLattice((1, 1, 40), (6.0, 1.0, 1.0))
    values = torch.from_numpy(np.random.default_rng(5).normal(size=(1, 1, 1, 40))).float()
    positions = np.arange(40.0)
    knots = (np.arange(lattice.control_shape[2] + 4) - 3) * 6.0
    design = BSpline(knots, np.eye(lattice.control_shape[2]), 3)(positions)
    best = design @ np.linalg.lstsq(design, values.numpy().ravel(), rcond=None)[0]
    fitted = lattice.evaluate(lattice.fit(values)).numpy().ravel()
    assert np.allclose(fitted, best, atol=1e-3)


@pytest.mark.parametrize("stiffness", [1e-8, 1e-4])
def test_fitting_one_plane_leaves_its_slope_alone(stiffness):
    lattice = BSplineLattice((1, 12, 14), (4.0, 4.0, 1.0))
    values = torch.full((1, 1, 12, 14), 5.0)
    found = lattice.fit(values, stiffness)
    assert torch.allclose(lattice.evaluate(found), values, atol=1e-3)
    assert float(found.abs().max()) < 10.0


def test_a_finer_lattice_holds_what_a_coarser_one_found():
    shape = (17, 17, 17)
    coarse, fine = (BSplineLattice(shape, (stride,) * 3) for stride in (8.0, 4.0))
    values = coarse.evaluate(random_coefficients(coarse, 6))
    assert float((fine.evaluate(fine.fit(values)) - values).abs().max()) < 1e-3


def test_strides_below_one_voxel_become_one_voxel():
    shape = (4, 5, 6)
    assert BSplineLattice(shape, (0.4, 0.9, 1.0)).control_shape == (7, 8, 9)


def test_the_gradient_reaches_the_control_points_by_the_transposed_weights():
    lattice = BSplineLattice((5, 6, 7), (2.0, 3.0, 2.5))
    c = random_coefficients(lattice).requires_grad_(True)
    upstream = torch.randn(3, 5, 6, 7, generator=torch.Generator().manual_seed(0))
    (lattice.evaluate(c) * upstream).sum().backward()
    other = random_coefficients(lattice, 7)
    forward = (lattice.evaluate(other) * upstream).sum()
    assert float((other * c.grad).sum()) == pytest.approx(float(forward), rel=1e-4)
