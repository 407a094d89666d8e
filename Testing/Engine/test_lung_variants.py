"""The lungs stay the same ones however the scan is padded, cut, turned or stored; or it is said."""

import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from scipy import ndimage

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from DeepRegistrationLib.data.phantoms import thorax
from DeepRegistrationLib.errors import RegistrationError
from DeepRegistrationLib.images.geometry import Grid
from DeepRegistrationLib.images.image import Image
from DeepRegistrationLib.images.lungs import examine, find_lungs, look_for_lungs, require_lungs
from DeepRegistrationLib.images.lungs.padding import data_box, padding
from DeepRegistrationLib.transforms.tensors import volume_of
from Testing.Benchmarks.scan_variants import (
    VARIANTS,
    after,
    arms,
    cropped,
    dice,
    kernel,
    noise,
    padded,
    sampled,
    turned,
)

ENOUGH = 0.98


@pytest.fixture(scope="module")
def chest():
    return thorax((144, 112, 136), (2.25, 2.25, 2.25))


@pytest.fixture(scope="module")
def found(chest):
    return find_lungs(chest.fixed)


def test_the_mask_is_that_of_the_phantom(chest, found):
    assert dice(chest.fixed_lungs, found) > 0.96


@pytest.mark.parametrize("name", VARIANTS)
def test_a_variant_has_the_same_lungs(chest, found, name):
    image, truth = VARIANTS[name](chest.fixed, found)
    again = look_for_lungs(image)
    assert again.evidence.sure, again.evidence.failed_checks
    assert dice(truth, again.mask) >= ENOUGH
    assert len(again.evidence.lungs) == 2


def test_voxels_too_large_for_a_mask_show_no_lungs():
    chest = thorax((107, 86, 96), (3.0, 3.0, 3.0), landmarks=0).fixed
    few = chest.data[2::7, 2::7, 2::7]
    coarse = Image(few, Grid(tuple(few.shape)[::-1], (21.0, 21.0, 21.0)), "coarse")
    assert examine(volume_of(coarse)).lungs  # by the blocks
    assert not look_for_lungs(coarse).evidence.sure
    with pytest.raises(RegistrationError, match="No lungs were found in coarse"):
        require_lungs(coarse)


@pytest.mark.parametrize("spacing", [10.0, 11.0, 12.0, 13.0, 14.0])
def test_voxels_of_a_centimeter_show_all_of_the_lungs(chest, spacing):
    image, truth = sampled((spacing,) * 3)(chest.fixed, chest.fixed_lungs)
    found = look_for_lungs(image)
    assert found.evidence.sure
    assert dice(truth, found.mask) > 0.95


def test_lungs_of_which_much_is_missed_are_doubtful():
    """Narrow lungs in voxels so large that only parts of them are wider than two."""
    narrow, wide = (
        _box((a, 30, 15), (b, 50, c), (40, 70, 70)) for a, b, c in ((10, 16, 55), (13, 26, 25))
    )
    image = replace(narrow, data=torch.minimum(narrow.data, wide.data))
    few = image.data[::4, ::4, ::4]
    coarse = Image(few, Grid(tuple(few.shape)[::-1], (16.0,) * 3))
    assert "as dense as lung" in _failed_checks(coarse)


def test_arms_beside_the_chest_do_not_matter(chest, found):
    image, truth = arms(chest.fixed, found)
    assert dice(truth, find_lungs(image)) >= ENOUGH


def test_what_fills_the_corners_of_a_turned_scan_is_no_lung(chest, found):
    part = cropped((0.2, 0.8), (0.2, 0.8), (0.2, 0.8))
    image, _ = after(part, turned(1, 10, -1000))(chest.fixed, found)
    fill = image.data == -1000  # the phantom's own voxels have noise
    assert not bool((find_lungs(image).data[fill] != 0).any())


def test_a_lung_that_is_open_to_the_outside_is_found(chest, found):
    """A hole 40 mm wide through the chest wall."""
    points = chest.fixed.grid.points()
    hole = (points[..., 1] - 10.0).square() + (points[..., 2] - 20.0).square() < 20.0**2
    hole &= points[..., 0] > 60.0
    noise = torch.randn(hole.shape, generator=torch.Generator().manual_seed(0))
    image = replace(chest.fixed, data=torch.where(hole, -1000 + 15 * noise, chest.fixed.data))
    again = look_for_lungs(image)
    assert again.evidence.sure
    assert dice(found, again.mask) >= ENOUGH


def test_a_thin_part_that_is_less_dense_than_the_lung_is_no_bronchus():
    """A lung of -760 HU with a plate of -830 HU, 20 mm thick, as a lingula may be at exhale."""
    plate = _box((48, 30, 20), (70, 35, 40))
    image = _box((20, 20, 15), (48, 50, 55))
    inside = image.data < -600
    rng = torch.Generator().manual_seed(0)
    noise = 30 * torch.randn(image.data.shape, generator=rng)
    inside[:, :5], inside[:, -5:], inside[..., :5], inside[..., -5:] = False, False, False, False
    data = torch.where(inside, -760 + noise, image.data)
    part = torch.zeros_like(inside)
    part[20:40, 30:35, 48:70] = True
    image = replace(plate, data=torch.where(part, -830 + noise, data))
    assert float((find_lungs(image).data[part] != 0).float().mean()) > 0.9


def test_emphysema_beside_padding_with_noise_is_lung(chest, found):
    """Lungs at -960 HU, cut in plane, in padding of -1000 HU with correlated noise."""
    inside = found.data != 0
    data = torch.where(inside & (chest.fixed.data < -600), -960.0, chest.fixed.data)
    some = 20 * torch.randn(data.shape, generator=torch.Generator().manual_seed(0))
    ends = (0.0, 1.0)
    cut = cropped((0.3, 0.7), ends, ends)
    image, truth = cut(replace(chest.fixed, data=data + some), found)
    expected = find_lungs(image)
    assert dice(truth, expected) > 0.95
    image, truth = after(padded(-1000), noise(25, blur=1.0))(image, expected)
    assert dice(truth, find_lungs(image)) >= ENOUGH


def test_planes_of_padding_are_left_out_with_and_without_noise(chest):
    ends = (0.3, 0.7)  # within the body
    part = cropped(ends, ends, ends)(chest.fixed, chest.fixed)[0]
    for change in (padded(-1000), after(padded(-1000), noise(15)), after(padded(0), noise(40))):
        whole, _ = change(part, part)
        expected = [slice((n - k) // 2, (n + k) // 2) for n, k in _sizes(whole, part)]
        assert list(data_box(whole.data.numpy(), 0.0)) == expected


def _sizes(whole, part):
    return zip(whole.data.shape, part.data.shape, strict=True)


def test_padding_that_ends_obliquely_is_known_to_its_end():
    """Blocks of the fill, ever fewer towards one side, over even tissue."""
    z, x = np.mgrid[:20, :40]
    wedge = np.repeat((z < 10 - x // 3)[:, None], 30, 1)
    values = np.where(wedge, -1000.0, 40.0).astype(np.float32)
    tissue = np.where(wedge, 0.0, 20.0).astype(np.float32)
    assert padding(values, values - tissue, values + tissue).blocks[wedge].all()


@pytest.mark.parametrize("spacing", [(1.5, 1.5, 1.5), (4.0, 4.0, 4.0), (5.0, 5.0, 6.0)])
def test_the_volume_is_the_true_one_whatever_the_voxels(chest, spacing):
    """The surface lies halfway between lung and tissue, which larger voxels do not move."""
    image, truth = sampled(spacing)(chest.fixed, chest.fixed_lungs)
    found, true = ((mask.data != 0).sum().item() for mask in (find_lungs(image), truth))
    assert found == pytest.approx(true, rel=0.01)


@pytest.mark.parametrize("change", [kernel(2.5), sampled((0.0, 0.0, 8.0))])
def test_blur_does_not_move_the_level_of_the_surface(chest, change):
    image, _ = change(chest.fixed, chest.fixed_lungs)
    expected = look_for_lungs(chest.fixed).level
    assert look_for_lungs(image).level == pytest.approx(expected, abs=5)


@pytest.mark.parametrize("spacing", [3.0, 4.0, 5.0, 6.0])
def test_a_vessel_as_wide_as_a_voxel_is_part_of_the_lung(spacing):
    """One that comes in from the side, and touches the mediastinum."""
    image = _box((20, 20, 15), (50, 50, 55), spacing=spacing)
    vessel = torch.zeros(image.data.shape, dtype=torch.bool)
    vessel[35, 35, 38:50] = True
    mask = find_lungs(replace(image, data=torch.where(vessel, 40.0, image.data)))
    assert float((mask.data[vessel] != 0).float().mean()) > 0.9


def test_both_lungs_are_told_apart_by_side_and_volume(chest):
    evidence = look_for_lungs(chest.fixed).evidence
    assert [lung.side for lung in evidence.lungs] == ["right", "left"]
    index = torch.nonzero(chest.fixed_lungs.data).flip(-1).numpy()
    x = chest.fixed.grid.to_physical(index)[:, 0]
    for lung, expected in zip(evidence.lungs, ((x < 0).sum(), (x > 0).sum()), strict=True):
        assert lung.liters == pytest.approx(expected * 2.25**3 * 1e-6, rel=0.08)
    assert not evidence.alone


def test_the_cheap_look_has_the_same_evidence(chest):
    assert examine(volume_of(chest.fixed)) == look_for_lungs(chest.fixed).evidence


# One lung is not as it should be


def _left(chest):
    points = chest.fixed.grid.points()
    return (chest.fixed_lungs.data != 0) & (points[..., 0] > 0)


def _without_left(truth, left):
    return replace(truth, data=torch.where(left, 0, truth.data))


def test_a_lung_full_of_fluid_leaves_the_other_one(chest):
    left = _left(chest)
    image = replace(chest.fixed, data=torch.where(left, 30.0, chest.fixed.data))
    evidence = look_for_lungs(image).evidence
    assert evidence.sure
    assert evidence.alone
    truth = _without_left(chest.fixed_lungs, left)
    assert dice(truth, find_lungs(image)) > 0.95


def test_a_collapsed_lung_is_found_however_small(chest):
    """Aerated only within 35 mm of the left hilum, the rest is fluid."""
    left = _left(chest)
    points = chest.fixed.grid.points()
    hilum = torch.tensor([60.0, 20.0, 10.0])
    small = left & ((points - hilum).norm(dim=-1) < 35.0)
    data = torch.where(left & ~small, 30.0, chest.fixed.data)
    mask = find_lungs(replace(chest.fixed, data=data))
    assert float((mask.data[small] != 0).float().mean()) > 0.9
    assert float((mask.data[left & ~small] != 0).float().mean()) < 0.1


def test_a_lesion_inside_belongs_to_the_lung(chest):
    points = chest.fixed.grid.points()
    ball = (points - torch.tensor([-75.0, 10.0, 20.0])).norm(dim=-1) < 16.0
    image = replace(chest.fixed, data=torch.where(ball, 40.0, chest.fixed.data))
    assert float((find_lungs(image).data[ball] != 0).float().mean()) > 0.97


# Doubts


def _failed_checks(image):
    found = look_for_lungs(image)
    assert found.mask is not None
    assert not found.evidence.sure
    assert find_lungs(image) is None  # an uncertain mask is not used
    return " ".join(found.evidence.failed_checks)


def _box(low, high, size=(90, 70, 70), spacing=4.0):
    """A body of tissue with a box of lung inside: voxels from ``low`` to ``high`` (x, y, z)."""
    rng = np.random.default_rng(0)
    data = np.full(size[::-1], -1000.0) + rng.normal(0, 10, size[::-1])
    data[:, 5:-5, 5:-5] = 40 + rng.normal(0, 10, (size[2], size[1] - 10, size[0] - 10))
    part = tuple(slice(a, b) for a, b in zip(low[::-1], high[::-1], strict=True))
    data[part] = rng.normal(-850, 60, data[part].shape)
    return Image(torch.from_numpy(data).float(), Grid(size, (spacing,) * 3))


def test_a_pneumothorax_is_doubtful_even_on_one_side(chest):
    """1.1 l of air in front of the left lung, which is denser for it."""
    left = _left(chest)
    x, y, _ = chest.fixed.grid.points().unbind(-1)
    depth = torch.from_numpy(ndimage.distance_transform_edt(left.numpy(), sampling=2.25))
    air = left & (depth < 25.0) & ((y < 10.0) | (x > 75.0))
    noise = 12 * torch.randn(air.shape, generator=torch.Generator().manual_seed(0))
    data = torch.where(left, chest.fixed.data.clamp(max=-300) + 150, chest.fixed.data)
    data = torch.where(air, -1000.0 + noise, data)
    assert "pneumothorax" in _failed_checks(replace(chest.fixed, data=data))


def test_a_little_pocket_of_air_is_doubtful():
    assert "0.05 l" in _failed_checks(_box((20, 20, 30), (30, 29, 39)))


def test_bases_in_an_abdominal_scan_are_doubtful():
    assert "body" in _failed_checks(_box((20, 20, 62), (45, 45, 70)))


def test_more_than_any_chest_holds_is_doubtful():
    assert "more than two lungs hold" in _failed_checks(
        _box((10, 8, 4), (110, 92, 96), (120, 100, 100), 4.0)
    )


def test_feces_below_the_lungs_are_none(chest):
    wide = thorax((112, 88, 140), (3.0, 3.0, 3.0))
    points = wide.fixed.grid.points() - torch.tensor([0.0, -20.0, -175.0])
    feces = (points / torch.tensor([85.0, 45.0, 22.0])).norm(dim=-1) < 1
    noise = torch.randn(points.shape[:-1], generator=torch.Generator().manual_seed(0))
    image = replace(wide.fixed, data=torch.where(feces, -750 + 60 * noise, wide.fixed.data))
    assert dice(wide.fixed_lungs, look_for_lungs(image).mask) > 0.95


def test_a_pocket_of_air_between_the_lungs_is_none(chest, found):
    """As in the esophagus or a hernia; with noise, some of it seems as dense as lung."""
    image, truth = sampled((4.5, 4.5, 4.5))(chest.fixed, found)
    pocket = (image.grid.points() - torch.tensor([0.0, -20.0, 0.0])).norm(dim=-1) < 28.0
    some = 15 * torch.randn(pocket.shape, generator=torch.Generator().manual_seed(0))
    again = find_lungs(replace(image, data=torch.where(pocket, -975.0 + some, image.data)))
    assert float((again.data[pocket & (truth.data == 0)] != 0).float().mean()) < 0.05


@pytest.mark.parametrize("seed", [0, 1])
def test_other_modalities_have_no_lungs(seed):
    rng = np.random.default_rng(seed)
    data = torch.from_numpy(rng.gamma(2.0, 300.0, (20, 60, 60))).float()
    assert look_for_lungs(Image(data, Grid((60, 60, 20), (3.0, 3.0, 8.0)))).mask is None
