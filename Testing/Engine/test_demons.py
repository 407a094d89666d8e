"""The log-Demons against finite differences, analytic motions and SimpleITK's demons."""

from dataclasses import replace

import numpy as np
import pytest
import SimpleITK as sitk
import torch
from hearts import heart_labels, heart_picture, stack_grid
from references import (
    blobs,
    inner_points,
    oblique_grid,
    sitk_image,
    stored_along,
    straight_grid,
    wave_field,
)

from DeepRegistrationLib import RegistrationError, register
from DeepRegistrationLib.data.phantoms import thorax
from DeepRegistrationLib.images.gaussian import gaussian_mean
from DeepRegistrationLib.images.geometry import Grid
from DeepRegistrationLib.images.image import Image
from DeepRegistrationLib.losses.lcc import correlation_force, demons_step
from DeepRegistrationLib.methods import method_class
from DeepRegistrationLib.methods.context import Context
from DeepRegistrationLib.methods.lcc_demons.method import iteration_counts
from DeepRegistrationLib.transforms import (
    Affine,
    DisplacementField,
    Transform,
    VelocityField,
    compose,
    field_gradient,
    field_jacobian,
    warp,
)
from DeepRegistrationLib.transforms.io import field_of

GENERAL = {"iterations": "20x15x10"}


def demons(fixed, moving, initial=None, masks=(None, None), **parameters):
    """The method's result, from the identity unless told."""
    method = method_class("lcc-demons")
    context = Context(initial=initial or Affine(), fixed_mask=masks[0], moving_mask=masks[1])
    values = method.Parameters(**{**GENERAL, **parameters})
    return method(values).register(fixed, moving, context)


def flow_of(result) -> VelocityField:
    return result.members[0]


def picture(grid: Grid, seed: int = 0) -> Image:
    """Smooth structure of about 10 mm everywhere, in [0, 1000]."""
    fine = Grid((64, 64, 64), (2.5, 2.5, 2.5), tuple(grid.center() - 80.0))
    values = blobs(fine, seed).resampled(grid, interpolation="cubic", fill=None).data
    return Image((values - values.min()) / (values.max() - values.min()) * 1000, grid, "picture")


def moved_pair(grid: Grid, truth: Transform) -> tuple[Image, Image]:
    """Fixed on the grid, moving with 12 mm more around it: fixed(x) = moving(truth(x))."""
    pad = np.ceil(12.0 / np.array(grid.spacing)).astype(int)
    size = tuple(np.array(grid.size) + 2 * pad)
    moving = picture(Grid(size, grid.spacing, tuple(grid.to_physical(-pad)), grid.direction))
    return warp(moving, truth, grid, interpolation="cubic"), moving


def error(transform, truth, grid):
    """Mean distance of two maps inside the grid, mm."""
    points = torch.from_numpy(inner_points(grid, 400, margin=0.2)).float()
    return float((transform(points) - truth(points)).norm(dim=-1).mean())


# The force


def log_correlation(fixed, moving, weight, sigma):
    """Sum of weight log rho^2, from the definition."""
    product, first, second = (
        gaussian_mean(a * b, sigma) for a, b in ((fixed, moving), (fixed, fixed), (moving, moving))
    )
    return float((weight * (product**2 / (first * second)).log()).sum())


def test_the_force_is_the_gradient_of_the_log_correlation_by_finite_differences():
    grid = straight_grid()
    values = np.random.default_rng(0).uniform(0.1, 1.1, (2, *grid.shape))
    fixed, moving = (gaussian_mean(torch.from_numpy(v), (1.5, 1.5, 1.5)) for v in values)
    weight = torch.from_numpy(np.random.default_rng(1).uniform(0, 1, grid.shape))
    shift = torch.from_numpy(np.random.default_rng(2).normal(0, 1, (3, *grid.shape)))
    sigma = (2.7, 1.8, 1.2)
    slopes = field_gradient(torch.stack([fixed, moving]), grid)
    steps = 0.5e-4 * (slopes * shift).sum(1)  # of grad I . u / 2, scaled by 1e-4

    def total(sign):
        return log_correlation(fixed - sign * steps[0], moving + sign * steps[1], weight, sigma)

    _, force = correlation_force(fixed, moving, weight, grid, sigma)
    assert (total(1) - total(-1)) / 2e-4 == pytest.approx(float((force * shift).sum()), rel=1e-5)


def test_the_correlation_of_an_image_with_a_multiple_of_itself_is_one_and_nothing_pulls():
    grid = straight_grid()
    image = picture(grid).data / 1000 + 0.1
    ones = torch.ones(grid.shape)
    rho, force = correlation_force(image, 3 * image, ones, grid, (2.0, 2.0, 2.0))
    assert float((rho - 1).abs().max()) < 1e-5
    assert float(force.abs().max()) < 1e-4


def test_no_step_is_longer_than_the_bound_that_the_formula_promises():
    rho = torch.full((4, 5, 6), 0.8)
    force = torch.randn(3, 4, 5, 6, generator=torch.Generator().manual_seed(0)) * 3
    longest = demons_step(rho, force, noise=0.15, reach=2.0).norm(dim=0).max()
    assert float(longest) <= 0.8 * 2.0 / (2 * 0.15) + 1e-4


def test_a_shared_update_half_way_adds_to_the_velocity_without_the_bracket():
    grid = Grid((24, 22, 20), (2.0, 2.0, 2.0))
    velocity, update = wave_field(grid, 4.0, 50.0).vectors, wave_field(grid, 1.5, 35.0).vectors
    update = update.roll(1, 0)

    def exp(vectors):
        return VelocityField(vectors, grid)

    half = exp(0.5 * velocity)
    shared = compose(compose(half, exp(update), grid), half, grid).vectors
    one_sided = compose(exp(velocity), exp(update), grid).vectors
    added = exp(velocity + update).exp().vectors
    inner = (slice(None), slice(5, -5), slice(5, -5), slice(5, -5))
    left = float((shared - added)[inner].norm(dim=0).mean())
    assert left < 0.2 * float((one_sided - added)[inner].norm(dim=0).mean())


# Analytic motions


@pytest.mark.parametrize(
    "grid",
    [straight_grid((40, 36, 30), (2.0, 2.0, 2.0)), oblique_grid((40, 36, 14), (2.0, 2.2, 6.0))],
    ids=["isotropic", "oblique with thick slices"],
)
def test_a_known_flow_is_recovered_on_any_grid(grid):
    truth = VelocityField(wave_field(grid, 3.0, 90.0).vectors, grid)
    fixed, moving = moved_pair(grid, truth)
    result = demons(fixed, moving)
    before = error(Affine(), truth, grid)
    assert before > 2.0
    assert error(result, truth, grid) < 0.3 * before


def test_a_start_of_the_users_is_part_of_the_result():
    grid = straight_grid((40, 36, 30), (2.0, 2.0, 2.0))
    truth = Affine(np.eye(3), (9.0, -6.0, 4.0))
    fixed, moving = moved_pair(grid, truth)
    result = demons(fixed, moving, initial=Affine(np.eye(3), (7.5, -5.0, 3.0)))
    assert error(result, truth, grid) < 0.5


def test_another_brightness_of_one_image_changes_little():
    grid = straight_grid((40, 36, 30), (2.0, 2.0, 2.0))
    truth = VelocityField(wave_field(grid, 3.0, 90.0).vectors, grid)
    fixed, moving = moved_pair(grid, truth)
    brighter = replace(fixed, data=fixed.data * 2.5 + 100)
    assert error(demons(brighter, moving), truth, grid) < 0.9


# Its properties


@pytest.fixture(scope="module")
def hearts():
    """A heart and a contracted one, with labels, in thick slices."""
    grid = stack_grid(turn=12, pixels=60)
    relaxed = heart_labels(grid)
    contracted = heart_labels(grid, size=(0.85, 0.85, 0.95))
    return relaxed, contracted, demons(heart_picture(relaxed, 1), heart_picture(contracted, 2))


def dice(one, two):
    a, b = (image.data == 3 for image in (one, two))
    return 2 * float((a & b).sum()) / float(a.sum() + b.sum())


def test_a_contracted_heart_is_brought_over_a_relaxed_one(hearts):
    relaxed, contracted, result = hearts
    warped = warp(contracted, result, relaxed.grid, interpolation="nearest")
    assert dice(relaxed, contracted) < 0.87
    assert dice(relaxed, warped) > 0.92


def test_the_inverse_is_the_flow_backward_and_nothing_folds(hearts):
    flow = flow_of(hearts[2])
    forward, grid = flow.exp(), flow.grid
    assert float(forward.vectors.norm(dim=0).max()) > 4.0
    inside = (slice(None), slice(2, -2), slice(8, -8), slice(8, -8))
    there_and_back = compose(forward, flow.inverse(), grid).vectors[inside].norm(dim=0)
    assert float(there_and_back.mean()) < 0.1
    assert float(field_jacobian(forward).min()) > 0.05


def test_exchanging_the_images_gives_the_inverse():
    grid = straight_grid((36, 32, 26), (2.0, 2.0, 2.0))
    truth = VelocityField(wave_field(grid, 3.0, 90.0).vectors, grid)
    fixed, moving = moved_pair(grid, truth)
    moving = moving.resampled(grid)
    there, back = demons(fixed, moving), demons(moving, fixed)
    residual = compose(there, back, grid).vectors[:, 4:-4, 4:-4, 4:-4]
    assert float(residual.norm(dim=0).mean()) < 0.05 * error(Affine(), truth, grid)


def test_what_lies_outside_a_mask_does_not_pull():
    grid = straight_grid((40, 36, 30), (2.0, 2.0, 2.0))
    moving = picture(grid)
    broken = moving.data.clone()
    broken[..., 24:] = broken[..., 24:].flip(0, 1)  # the same values: scaled alike
    mask = torch.zeros(grid.shape, dtype=torch.uint8)
    mask[..., :15] = 1  # 18 mm from there: no window of the finest level sees both
    fixed = replace(moving, data=broken)
    masked = demons(fixed, moving, masks=(Image(mask, grid), None), iterations="15")
    free = demons(fixed, moving, iterations="15")
    moved = [float(flow_of(r).exp().vectors.norm(dim=0).mean()) for r in (masked, free)]
    assert moved[0] < 0.05 * moved[1]


def test_the_order_of_the_moving_images_axes_changes_nothing():
    """Voxels of 1.5 x 1.5 x 4 mm: each axis in space is smoothed as its own voxels need it."""
    grid = straight_grid((40, 40, 14), (1.5, 1.5, 4.0))
    fixed, moving = moved_pair(grid, Affine(translation=(2.0, -1.0, 1.5)))
    one, other = (demons(fixed, image) for image in (moving, stored_along(moving, (2, 0, 1))))
    points = torch.from_numpy(inner_points(grid)).float()
    assert float((one(points) - points).norm(dim=-1).mean()) > 1.0
    assert float((one(points) - other(points)).norm(dim=-1).max()) < 1e-2


def test_the_same_pair_gives_the_same_result(hearts):
    relaxed, contracted, result = hearts
    again = demons(heart_picture(relaxed, 1), heart_picture(contracted, 2))
    assert torch.equal(flow_of(again).vectors, flow_of(result).vectors)


@pytest.mark.skipif(not torch.cuda.is_available(), reason="this machine has no CUDA device")
def test_a_gpu_gives_the_result_of_the_cpu(hearts):
    relaxed, contracted, result = hearts
    pair = [heart_picture(relaxed, 1).to("cuda"), heart_picture(contracted, 2).to("cuda")]
    there = demons(*pair, initial=Affine(device="cuda"))
    difference = flow_of(there).vectors.cpu() - flow_of(result).vectors
    assert float(difference.norm(dim=0).max()) < 0.2


# Against SimpleITK


def sitk_demons(fixed: Image, moving: Image) -> DisplacementField:
    """Fast symmetric forces demons, three levels, as the benchmark's peer."""
    target, source = sitk_image(fixed), sitk_image(moving)
    source = sitk.HistogramMatching(sitk.Resample(source, target), target, 256, 15, True)
    filter = sitk.FastSymmetricForcesDemonsRegistrationFilter()
    filter.SetSmoothDisplacementField(True)
    field = None
    for factor in (4, 2, 1):
        small = [sitk.BinShrink(image, [factor] * 3) for image in (target, source)]
        filter.SetNumberOfIterations(40)
        filter.SetStandardDeviations(1.5)
        if field is not None:
            field = sitk.Resample(
                field, small[0], sitk.Transform(), sitk.sitkLinear,
                useNearestNeighborExtrapolator=True,
            )  # fmt: skip
        field = filter.Execute(*small) if field is None else filter.Execute(*small, field)
    return field_of(sitk.Cast(field, sitk.sitkVectorFloat32))


def test_the_breathing_phantom_is_followed_better_than_by_simpleitks_demons():
    pair = thorax((56, 44, 52), (5.4, 5.4, 5.4), motion=14.0, seed=4)
    inside = Image(pair.fixed_lungs.data, pair.fixed.grid)
    ours = register(
        pair.fixed, pair.moving, method="lcc-demons", fixed_mask=inside,
        moving_mask=pair.moving_lungs, initial=Affine(), device="cpu",
    ).transform  # fmt: skip
    clamped = [replace(i, data=i.data.clamp(-1000, 300)) for i in (pair.fixed, pair.moving)]
    theirs = sitk_demons(*clamped)
    points = torch.from_numpy(pair.fixed_landmarks).float()
    truth = torch.from_numpy(pair.moving_landmarks).float()
    errors = [float((t(points) - truth).norm(dim=-1).mean()) for t in (Affine(), ours, theirs)]
    assert errors[1] < 0.35 * errors[0]
    assert errors[1] < errors[2]


# Settings


def test_counts_are_read_with_x_or_commas():
    assert iteration_counts("30x20x10") == [30, 20, 10]
    assert iteration_counts("8, 4") == [8, 4]


@pytest.mark.parametrize("text", ["", "many", "10x", "10x-3", "0x4", "99999", "x".join("1" * 9)])
def test_what_are_no_counts_is_answered_with_an_example(text):
    with pytest.raises(RegistrationError, match="30x20x10"):
        iteration_counts(text)
