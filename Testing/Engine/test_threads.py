"""Results are the same with any number of threads, also of images that show nothing in common."""

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch

from DeepRegistrationLib.images.geometry import Grid
from DeepRegistrationLib.images.image import Image
from DeepRegistrationLib.images.pyramid import smoothed
from DeepRegistrationLib.images.reductions import mean, products, total
from DeepRegistrationLib.methods.optimize.free_form import descended
from DeepRegistrationLib.progress import silent
from DeepRegistrationLib.transforms import DisplacementField

ROOT = Path(__file__).parents[2]
NOISE = """
import sys
import numpy as np, torch
from DeepRegistrationLib import register
from DeepRegistrationLib.images.geometry import Grid
from DeepRegistrationLib.images.image import Image
torch.set_num_threads(int(sys.argv[2]))
grid = Grid((12, 12, 12), (2.0, 2.0, 2.5), (-10.0, 5.0, 30.0))
images = [
    Image(torch.from_numpy(np.random.default_rng(k).normal(-400, 300, grid.shape)).float(), grid)
    for k in (97, 98)
]
points = [
    register(*images, method=method, quality="fast", device="cpu").transform(grid.points()).numpy()
    for method in ("affine", "optimize", "lcc-demons")
]
np.save(sys.argv[1], points)
"""


def points_with(threads, path):
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": str(threads)}
    command = [sys.executable, "-c", NOISE, str(path), str(threads)]
    subprocess.run(command, check=True, env=environment, cwd=path.parent)
    return np.load(path)


def test_even_of_noise_one_and_two_threads_give_the_same_to_the_last_bit(tmp_path):
    one, two = (points_with(n, tmp_path / f"{n}.npy") for n in (1, 2))
    assert np.array_equal(one, two)


@pytest.fixture(params=[1, 2, 3])
def threads(request):
    before = torch.get_num_threads()
    torch.set_num_threads(request.param)
    yield request.param
    torch.set_num_threads(before)


@pytest.mark.parametrize("size", [(96, 88, 90), (48, 40, 44), (33, 29, 27)])
@pytest.mark.parametrize("spacing", [2.0, 4.0, 8.0])
def test_images_of_other_resolution_are_the_same_to_the_last_bit(threads, size, spacing):
    values = np.random.default_rng(0).normal(-400, 300, size[::-1]).astype(np.float32)
    image = Image(torch.from_numpy(values), Grid(size, (3.3, 3.3, 3.3)))
    found = smoothed(image, spacing).data
    torch.set_num_threads(1)
    assert torch.equal(smoothed(image, spacing).data, found)


def test_a_field_on_a_finer_grid_is_the_same_to_the_last_bit(threads):
    coarse = Grid((60, 50, 40), (2.0, 2.0, 2.0))
    field = DisplacementField(torch.randn(3, *coarse.shape), coarse)
    fine = coarse.with_spacing((0.7, 0.8, 1.5))
    found = field.at_voxels(fine)
    torch.set_num_threads(1)
    assert torch.equal(field.at_voxels(fine), found)


@pytest.mark.parametrize("count", [1, 511, 512, 1000, 300_007])
def test_sums_are_numpys_and_the_same_to_the_last_bit(threads, count):
    values = np.random.default_rng(count).normal(3, 100, (4, count)).astype(np.float32)
    found = torch.from_numpy(values)
    exact = values.astype(np.float64)
    assert float(total(found)) == pytest.approx(exact.sum(), rel=1e-7)
    assert float(mean(found)) == pytest.approx(exact.mean(), rel=1e-7)
    np.testing.assert_allclose(products(found), exact @ exact.T, rtol=1e-10, atol=1e-6)
    torch.set_num_threads(1)
    with_one = total(found), products(found)
    torch.set_num_threads(threads)
    assert torch.equal(total(found), with_one[0])
    assert torch.equal(products(found), with_one[1])


@pytest.mark.parametrize("seed", range(4))
def test_a_descent_of_many_control_points_is_the_same_to_the_last_bit(threads, seed):
    """Its first step is in units of the gradient's root mean square, a sum over all of them."""
    torch.manual_seed(seed)
    target, weight = 3 * torch.randn(2, 3, 50, 60, 70)

    def energy(values):
        return (weight.square() * (values - target).square()).sum()

    found, _ = descended(energy, torch.zeros_like(target), 0.5, 4, silent)
    torch.set_num_threads(1)
    alone, _ = descended(energy, torch.zeros_like(target), 0.5, 4, silent)
    assert torch.equal(found, alone)
