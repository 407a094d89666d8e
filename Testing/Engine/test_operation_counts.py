"""What the engine computes, counted: the same on every machine, so a loss of speed shows here.

Bounds leave about a quarter above today's counts, for other releases of PyTorch. What they bound is
passes over the volume: one pass of an operation with two operands and one result is 12 bytes a
voxel in float32.
"""

import math

import pytest
import torch
from operation_counter import OperationCounter
from torch.utils.flop_counter import FlopCounterMode

from DeepRegistrationLib import register
from DeepRegistrationLib.data.phantoms import thorax
from DeepRegistrationLib.images.geometry import Grid, slabs_of
from DeepRegistrationLib.images.image import Image
from DeepRegistrationLib.images.pyramid import smoothed
from DeepRegistrationLib.methods.optimize.free_form import fit_level
from DeepRegistrationLib.methods.optimize.instance import deform
from DeepRegistrationLib.methods.optimize.moving_source import MovingSource
from DeepRegistrationLib.methods.optimize.presets import GENERAL, LUNG_CT, PRESETS, Level
from DeepRegistrationLib.progress import silent
from DeepRegistrationLib.reports.report import build_report
from DeepRegistrationLib.transforms import Affine, Composite, DisplacementField, jacobian, warp

GRID = Grid((48, 40, 64), (0.7, 0.7, 1.0))
PIECES = 8  # slabs of the volume
SINGLE = 4  # bytes of a float32
PASS = 3 * SINGLE


@pytest.fixture
def moving():
    """Whole numbers, as a CT comes from the disk."""
    return Image(torch.randint(-1000, 400, GRID.shape, dtype=torch.int16), GRID)


@pytest.fixture
def transform():
    """A field on a coarser parallel grid, then an affine: what the optimization returns."""
    field = DisplacementField(torch.rand(3, *GRID.with_spacing(2.0).shape), GRID.with_spacing(2.0))
    return Composite([field, Affine(translation=(1.0, -2.0, 0.5))])


def counted(work, voxels=GRID.voxels // PIECES):
    with torch.no_grad(), slabs_of(voxels), OperationCounter() as counter:
        work()
    return counter


def test_the_counter_counts_operations_bytes_and_the_largest_new_tensor():
    """Against counts by hand: a view is none, in place allocates nothing."""
    values = torch.ones(10, 10)
    with OperationCounter() as counter:
        values[2:].add_(1.0)  # 80 numbers read, none new
        (values + values).double()  # 200 read, 100 new; then 100 read, 100 new of 8 bytes
    assert dict(counter.calls) == {"add_": 1, "add": 1, "_to_copy": 1}
    assert counter.traffic == 80 * 4 + 300 * 4 + 100 * 4 + 100 * 8
    assert counter.allocated == 100 * 4 + 100 * 8
    assert counter.largest == {torch.float32: 400, torch.float64: 800}


def test_a_warp_passes_over_the_volume_forty_times_at_most(moving, transform):
    """Three components of the field along three axes, of the points, of their look-up, the fill."""
    counter = counted(lambda: warp(moving, transform, GRID, fill=-1000.0))
    assert counter.traffic < 40 * PASS * GRID.voxels
    assert counter.operations < 100 * PIECES + GRID.size[2]  # a plane is interpolated by itself
    assert counter.calls["grid_sampler_3d"] == PIECES


def test_a_jacobian_passes_over_the_volume_fifty_times_at_most(transform):
    """As a warp up to the points, then nine differences and their determinant."""
    counter = counted(lambda: jacobian(transform, GRID))
    assert counter.traffic < 50 * 1.25 * PASS * GRID.voxels  # slabs overlap: 2 planes in 8
    assert counter.operations < 110 * PIECES + 1.25 * GRID.size[2]


def test_finishing_allocates_nothing_larger_than_one_float_volume(moving, transform):
    """The moving image's float copy and the result; everything else is as large as a slab."""
    whole = SINGLE * GRID.voxels
    for work in (
        lambda: warp(moving, transform, GRID, fill=-1000.0),
        lambda: jacobian(transform, GRID),
    ):
        counter = counted(work)
        assert counter.largest[torch.float32] <= whole
        assert counter.largest[torch.float64] < whole / 16  # coordinates of planes


def test_smoothing_to_coarse_voxels_multiplies_only_into_what_the_coarse_grid_keeps(moving):
    """A row of n voxels becomes one of m by 2 n m operations; then columns, then planes."""
    coarse = smoothed(moving, 3.0).grid  # fills the cache of the axes' matrices
    with FlopCounterMode(display=False) as flops:
        counter = counted(lambda: smoothed(moving, 3.0))
    (x, y, z), (a, b, c) = GRID.size, coarse.size
    assert flops.get_total_flops() == 2 * (z * y * x * a + z * b * y * a + c * z * b * a)
    assert max(counter.largest.values()) <= SINGLE * GRID.voxels / PIECES


def test_of_a_long_axis_only_what_lies_near_a_new_voxel_is_multiplied():
    """512 columns become 251: a new one is made of some 40 old ones."""
    image = Image(torch.rand(4, 4, 512), Grid((512, 4, 4), (0.98, 2.0, 2.0)))
    smoothed(image, 2.0)  # fills the cache of the axes' matrices
    with FlopCounterMode(display=False) as flops:
        coarse = smoothed(image, 2.0).grid
    assert coarse.size == (251, 4, 4)
    whole = 2 * 4 * 4 * (512 + 2 * 4) * 251
    assert flops.get_total_flops() < 0.3 * whole


def fitting(n, iterations):
    """Counts of fitting one level to a cube of n voxels."""
    level = Level(2.0, 6.0, iterations, 6.0)
    base = torch.rand(3, n, n, n) * 2 - 1
    moving = MovingSource(torch.rand(n, n, n), base, torch.eye(3) / n)
    ones, zero = torch.ones(n, n, n), torch.zeros(3, n, n, n)
    with OperationCounter() as counter:
        fit_level(torch.rand(n, n, n), moving, ones, zero, level, LUNG_CT, (2.0,) * 3, silent)
    return counter


def test_an_iteration_of_the_optimization_launches_as_many_kernels_for_any_size():
    """On a GPU a launch takes microseconds however small the image: 350 are about 2 ms.

    These images are so small that a window's matrix is one product, as on a GPU for all sizes.
    """
    for n in (20, 28):
        fitting(n, 1)  # fills the cache of the windows' matrices
    launches = [fitting(n, 4).operations - fitting(n, 2).operations for n in (20, 28)]
    assert launches[0] == launches[1] < 2 * 350


def test_an_iteration_passes_over_the_volume_a_hundred_times_at_most():
    """Windowed means of three products, forward and back, are 18 of its matrix products."""
    n = 32
    traffic = fitting(n, 4).traffic - fitting(n, 2).traffic
    assert traffic < 2 * 100 * PASS * n**3


def test_the_optimization_evaluates_its_images_once_an_iteration():
    """No line search: the schedule alone says how long it takes."""
    grid = Grid((30, 16, 16), (4.0,) * 3)  # 100 mm and more: levels of full size
    pair = [Image(torch.rand(grid.shape), grid) for _ in range(2)]
    levels = (Level(8, 24, 3, 12), Level(4, 16, 5, 8))
    with OperationCounter() as counter:
        deform(*pair, None, Affine(), GENERAL, levels, silent)
    assert counter.calls["grid_sampler_3d_backward"] == 3 + 5


@pytest.mark.parametrize("name", PRESETS)
def test_a_schedule_has_at_most_60_iterations_and_a_faster_one_not_more(name):
    """The expected times on the method's card rest on it; best takes about twice as many."""
    fast, default, best = (
        sum(level.iterations for level in PRESETS[name].levels_of(quality))
        for quality in ("fast", "default", "best")
    )
    assert fast <= default <= 60
    assert default <= best <= 125


def test_a_registration_and_its_report_hold_no_volume_in_float64():
    """Statistics are summed in float64, slab by slab: a whole volume would double the memory."""
    pair = thorax((40, 32, 36), (8.0, 8.0, 8.0))
    voxels = pair.fixed.grid.voxels
    with slabs_of(voxels // PIECES), OperationCounter() as counter:
        result = register(
            pair.fixed, pair.moving, quality="fast", parameters={"iterations": 0.1}, device="cpu"
        )
        build_report(result, pair.fixed, pair.moving)
    volumes = {d for d, shape in counter.shapes if len(shape) > 2 and math.prod(shape) >= voxels}
    assert torch.float32 in volumes  # the count does see whole volumes
    assert torch.float64 not in volumes
