"""The lungs found in a chest CT, against the phantom's exact masks and drawn ones."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from references import RAS
from scipy import ndimage

from DeepRegistrationLib.data.phantoms import thorax
from DeepRegistrationLib.images.geometry import Grid
from DeepRegistrationLib.images.image import Image, read_image
from DeepRegistrationLib.images.lungs import cores, find_lungs
from DeepRegistrationLib.images.lungs.blocks import blocks_of

REAL = Path(__file__).resolve().parents[3] / "shared" / "data" / "lung_followup"
GRIDS = {
    "4 mm, air around the body": ((80, 64, 72), (4.0, 4.0, 4.0)),
    "4.5 mm, the body fills the image": ((64, 64, 64), (4.5, 4.5, 4.5)),
    "thick slices": ((96, 80, 46), (3.0, 3.0, 6.5)),
}


def dice(first, second):
    a, b = (np.asarray(m.data) != 0 for m in (first, second))
    return 2 * (a & b).sum() / (a.sum() + b.sum())


def sides(mask):
    """Volumes of the mask left and right of the middle (x = 0), ml."""
    index = torch.nonzero(mask.data).flip(-1).numpy()
    x = mask.grid.to_physical(index)[:, 0]
    ml = np.prod(mask.grid.spacing) / 1000
    return (x < 0).sum() * ml, (x > 0).sum() * ml


@pytest.fixture(scope="module")
def pair():
    return thorax(*GRIDS["4 mm, air around the body"])


def ball(grid, center, radius):
    points = grid.points().numpy()
    return np.linalg.norm(points - np.asarray(center), axis=-1) < radius


def with_ball(image, center, radius, value):
    """The image with a ball of one value painted in."""
    data = image.data.clone()
    data[torch.from_numpy(ball(image.grid, center, radius))] = value
    return replace(image, data=data)


# Airways


@pytest.mark.parametrize("spacing", [(3.0, 3.0, 3.0), (4.0, 4.0, 4.0), (5.0, 5.0, 6.0)])
def test_what_lies_within_7_mm_of_an_airway_is_no_core_whatever_the_voxels(monkeypatch, spacing):
    """An airway of one block deep in the right lung."""
    size = tuple(round(n / s) for n, s in zip((330, 264, 300), spacing, strict=True))
    blocks = blocks_of(thorax(size, spacing, landmarks=0).fixed.data.numpy(), Grid(size, spacing))
    tube = {}

    def airway(blocks, air, lungs, darkest):
        depth = ndimage.distance_transform_edt(lungs, sampling=blocks.step)
        tube["at"] = np.unravel_index(depth.argmax(), depth.shape)
        found = np.zeros(lungs.shape, bool)
        found[tube["at"]] = True
        return found

    monkeypatch.setattr(cores, "_airways", airway)
    labels = cores.Cores(blocks).labels
    for axis in range(3):
        line = labels[tuple(slice(None) if k == axis else tube["at"][k] for k in range(3))]
        reach = int((line[tube["at"][axis] + 1 :] > 0).argmax()) * blocks.step[axis]
        assert abs(reach - 7.0) <= 0.5 * blocks.step[axis]


# The phantom's lungs


@pytest.mark.parametrize("name", GRIDS)
def test_both_lungs_of_the_phantom_are_found_at_inhale_and_exhale(name):
    pair = thorax(*GRIDS[name])
    for image, truth in ((pair.fixed, pair.fixed_lungs), (pair.moving, pair.moving_lungs)):
        found = find_lungs(image)
        assert dice(found, truth) > 0.93
        for volume, expected in zip(sides(found), sides(truth), strict=True):
            assert volume == pytest.approx(expected, rel=0.12)


def test_the_mask_is_zero_or_one_on_the_images_own_grid(pair):
    found = find_lungs(pair.fixed)
    assert found.data.dtype == torch.uint8
    assert set(found.data.unique().tolist()) == {0, 1}
    assert found.grid is pair.fixed.grid


def test_neither_trachea_nor_bowel_nor_air_outside_becomes_a_component(pair):
    found = find_lungs(pair.fixed).data.numpy() > 0
    truth = pair.fixed_lungs.data.numpy() > 0
    labels, count = ndimage.label(found)
    for label in range(1, count + 1):
        part = labels == label
        assert truth[part].mean() > 0.9, f"{part.sum()} voxels that are no lung"
    outside = ndimage.distance_transform_edt(~truth) * 4.0
    assert outside[found].max() < 12  # mm


def test_a_large_ball_of_bowel_gas_under_the_diaphragm_is_left_out(pair):
    gas = with_ball(pair.fixed, (45.0, -20.0, -125.0), 38.0, -1000.0)  # 230 ml
    assert dice(find_lungs(gas), pair.fixed_lungs) > 0.93


def test_gas_as_dense_as_lung_but_much_smaller_is_left_out(pair):
    gas = with_ball(pair.fixed, (45.0, -20.0, -125.0), 38.0, -850.0)
    assert dice(find_lungs(gas), pair.fixed_lungs) > 0.93


def test_vessels_and_nodules_inside_the_lungs_belong_to_them(pair):
    depth = ndimage.distance_transform_edt(pair.fixed_lungs.data.numpy())
    deepest = np.unravel_index(depth.argmax(), depth.shape)[::-1]
    middle = pair.fixed.grid.to_physical(np.array(deepest))
    nodule = with_ball(pair.fixed, middle, 7.0, 40.0)
    found = find_lungs(nodule).data.numpy() > 0
    assert found[ball(pair.fixed.grid, middle, 7.0)].all()


# What does not matter


@pytest.mark.parametrize("padding", [-1024.0, -2048.0, -3024.0])
def test_padding_outside_the_scanners_circle_does_not_matter(pair, padding):
    points = pair.fixed.grid.points()
    outside = points[..., :2].norm(dim=-1) > 150.0
    data = torch.where(outside, torch.tensor(padding), pair.fixed.data)
    found = find_lungs(replace(pair.fixed, data=data))
    assert dice(found, find_lungs(pair.fixed)) > 0.995


def test_whole_numbers_do_not_matter(pair):
    whole = replace(pair.fixed, data=pair.fixed.data.round().to(torch.int16))
    assert dice(find_lungs(whole), find_lungs(pair.fixed)) > 0.995


@pytest.mark.parametrize("axes", ["ras", "z first"])
def test_the_order_and_sign_of_the_axes_do_not_matter(pair, axes):
    grid, data, truth = pair.fixed.grid, pair.fixed.data, pair.fixed_lungs.data
    if axes == "ras":
        origin = grid.to_physical(np.array(grid.size) * [1, 1, 0] - [1, 1, 0])
        other = Grid(grid.size, grid.spacing, tuple(origin), RAS)
        data, truth = data.flip((1, 2)), truth.flip((1, 2))
    else:  # the array's first axis runs from right to left, as in a sagittal series
        other = Grid(grid.size[::-1], grid.spacing, grid.origin, (0, 0, 1, 0, 1, 0, 1, 0, 0))
        data, truth = data.permute(2, 1, 0), truth.permute(2, 1, 0)
    found = find_lungs(Image(data.contiguous(), other))
    assert found.grid is other
    assert dice(found, Image(truth, other)) > 0.93


CROPS = {  # voxels of 4 mm: lower and upper corner (x, y, z)
    "above the bases": ((0, 0, 26), (80, 64, 72)),
    "below the apices": ((0, 0, 0), (80, 64, 50)),
    "one lung": ((0, 0, 0), (40, 64, 72)),
    "the sides cut off": ((16, 0, 20), (64, 64, 52)),
}


@pytest.mark.parametrize("name", CROPS)
def test_lungs_that_touch_the_border_of_a_cropped_image_are_found(pair, name):
    low, high = CROPS[name]
    grid = pair.fixed.grid.cropped(low, high)
    part = tuple(slice(a, b) for a, b in zip(low[::-1], high[::-1], strict=True))
    found = find_lungs(Image(pair.fixed.data[part], grid))
    assert dice(found, Image(pair.fixed_lungs.data[part], grid)) > 0.93


# No lungs


def test_a_ball_of_soft_tissue_has_no_lungs():
    grid = Grid((50, 50, 50), (4.0, 4.0, 4.0), (-98.0, -98.0, -98.0))
    data = np.where(ball(grid, (0, 0, 0), 80.0), 40.0, -1000.0)
    assert find_lungs(Image(torch.from_numpy(data).float(), grid)) is None


def test_a_couch_as_dense_as_a_lung_is_none():
    grid = Grid((50, 50, 50), (4.0, 4.0, 4.0), (-98.0, -98.0, -98.0))
    data = np.where(ball(grid, (0, 0, 0), 70.0), 40.0, -1000.0)
    data[:, 44:, :] = -850.0
    assert find_lungs(Image(torch.from_numpy(data).float(), grid)) is None


def test_air_only_has_no_lungs():
    assert find_lungs(Image(torch.full((20, 20, 20), -1000.0), Grid((20, 20, 20)))) is None


def test_intensities_of_mri_have_no_lungs():
    noise = torch.from_numpy(np.random.default_rng(0).normal(size=(20, 60, 60)))
    assert find_lungs(Image(300 + 80 * noise, Grid((60, 60, 20), (3.0, 3.0, 8.0)))) is None


# Real CT


@pytest.mark.parametrize("time", ["baseline", "followup"])
def test_the_lung_of_a_real_ct_agrees_with_its_drawn_mask(time):
    if not REAL.is_dir():
        pytest.skip("the real data (shared/data/lung_followup) are not here")
    found = find_lungs(read_image(REAL / f"3DCT_lung_{time}.mha"))
    assert dice(found, read_image(REAL / f"3DCT_lung_{time}_mask.mha")) > 0.98


def test_the_couch_below_a_real_chest_is_no_lung():
    path = REAL.parent / "thorax_single"
    if not path.is_dir():
        pytest.skip("the real data (shared/data/thorax_single) are not here")
    found = find_lungs(read_image(path / "cip_ct-64.nrrd"))
    labels = read_image(path / "cip_lm-64.nrrd").data & 255  # low byte: region, 0 outside
    assert dice(found, Image((labels > 0).to(torch.uint8), found.grid)) > 0.98
