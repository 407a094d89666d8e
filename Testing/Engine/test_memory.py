"""Memory of finishing a registration: what grows with the image is the image and the results.

The figures for 512 x 512 x 300 come from Testing/Benchmarks/memory.py, which runs the same steps.
"""

import json
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from DeepRegistrationLib.images.geometry import Grid
from DeepRegistrationLib.images.image import Image
from DeepRegistrationLib.transforms import Affine, DisplacementField, warp
from DeepRegistrationLib.transforms.io import to_itk

SCRIPT = Path(__file__).resolve().parents[1] / "Benchmarks" / "memory.py"
SIZE = (512, 512, 40)
FLOAT_MB = SIZE[0] * SIZE[1] * SIZE[2] * 4 / 2**20
SLABS_MB = 450  # temporary planes of one slab of two million voxels, whatever the image's size


def peak_mb(step: str) -> float:
    command = [sys.executable, str(SCRIPT), "--only", step, "--size", *map(str, SIZE)]
    output = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    return json.loads(output)["peak_mb"]


@pytest.fixture(scope="module")
def start() -> float:
    """Peak of a process that only makes the int16 image."""
    return peak_mb("inputs")


@pytest.mark.parametrize(("step", "arrays"), [("warp", 2), ("cubic", 3), ("jacobian", 1)])
def test_a_step_holds_its_result_and_one_float_copy_and_otherwise_works_by_slabs(
    start, step, arrays
):
    """At 512 x 512 x 300 that is at most 1.5 GB on top of the images: far below 6 GB."""
    assert peak_mb(step) - start < arrays * FLOAT_MB + SLABS_MB


def test_an_affine_warp_of_whole_numbers_makes_no_float_copy_of_the_image(monkeypatch):
    """Where only planes are needed, only planes are converted."""
    grid = Grid((16, 16, 64))
    image = Image(torch.zeros(grid.shape, dtype=torch.int16), grid)
    converted = []
    original = torch.Tensor.float
    monkeypatch.setattr(
        torch.Tensor, "float", lambda self: converted.append(self.numel()) or original(self)
    )
    monkeypatch.setattr(
        Grid, "slabs", lambda grid, voxels=0: [slice(z, z + 4) for z in range(0, 64, 4)]
    )
    warp(image, Affine(translation=(0.5, 0.25, 0.5)), grid)
    assert len(converted) == 16
    assert max(converted) <= 16 * 16 * 6


def test_a_field_for_itk_is_converted_by_slabs(monkeypatch):
    """SimpleITK wants float64: a whole copy on the way would be 1.9 GB for 512 x 512 x 300."""
    grid = Grid((8, 8, 40))
    field = DisplacementField(torch.rand(3, *grid.shape), grid)
    seen = []
    monkeypatch.setattr(
        Grid, "slabs", lambda grid, voxels=0: seen.append(1) or [slice(0, 20), slice(20, 40)]
    )
    image = to_itk(field).Downcast().GetDisplacementField()
    assert seen
    assert image[3, 4, 30] == tuple(field.vectors[:, 30, 4, 3].double().tolist())
