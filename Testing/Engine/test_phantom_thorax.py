"""The thorax phantom: a chest CT pair whose motion is known exactly."""

import numpy as np
import pytest
import torch
from scipy import ndimage
from scipy.spatial import cKDTree

from DeepRegistrationLib.data.phantoms import thorax
from DeepRegistrationLib.data.phantoms.lungs import grown_lungs
from DeepRegistrationLib.data.phantoms.thorax import _render
from DeepRegistrationLib.data.phantoms.thorax_motion import Breathing
from DeepRegistrationLib.errors import Cancelled, RegistrationError
from DeepRegistrationLib.images.geometry import Grid
from DeepRegistrationLib.progress import silent
from DeepRegistrationLib.transforms import jacobian, warp

SMALL = {"size": (48, 40, 44), "spacing": (6.0, 6.0, 6.0)}


@pytest.fixture(scope="module")
def clean():
    """A pair without noise, fine enough to show vessels."""
    return thorax((96, 76, 88), (3.0, 3.0, 3.0), noise=0.0)


def inside_lungs(pair, margin=0):
    mask = pair.fixed_lungs.data.numpy() > 0
    return ndimage.binary_erosion(mask, iterations=margin) if margin else mask


# Reproducible


def test_the_same_seed_gives_the_same_pair_to_the_last_bit():
    first = thorax(**SMALL, seed=1)
    grown_lungs.cache_clear()
    second = thorax(**SMALL, seed=1)
    for name in ("fixed", "moving", "fixed_lungs", "moving_lungs"):
        assert torch.equal(getattr(first, name).data, getattr(second, name).data)
    assert np.array_equal(first.fixed_landmarks, second.fixed_landmarks)
    assert np.array_equal(first.moving_landmarks, second.moving_landmarks)


def test_another_seed_gives_other_vessels_another_motion_and_other_noise():
    first, second = (thorax(**SMALL, seed=seed, noise=0.0) for seed in (0, 1))
    lungs = inside_lungs(first, 1)
    assert (first.fixed.data - second.fixed.data).abs().numpy()[lungs].mean() > 10
    middle_of_lung = torch.tensor([[-62.0, 0.0, 0.0]])
    assert (first.transform(middle_of_lung) - second.transform(middle_of_lung)).norm() > 0.3
    assert len(cKDTree(first.fixed_landmarks).query_ball_tree(
        cKDTree(second.fixed_landmarks), 0.01)[0]) == 0  # fmt: skip


def test_the_noise_has_the_asked_deviation_and_differs_between_the_images():
    noisy, clean = (thorax(**SMALL, noise=level, seed=1) for level in (25.0, 0.0))
    body = (clean.fixed.data > -200) & (clean.moving.data > -200)
    fixed = (noisy.fixed.data - clean.fixed.data)[body]
    moving = (noisy.moving.data - clean.moving.data)[body]
    assert fixed.std() == pytest.approx(25.0, rel=0.05)
    assert abs(fixed.mean()) < 1.0
    assert abs(np.corrcoef(fixed, moving)[0, 1]) < 0.05


# The images show the motion


def test_the_field_of_the_default_motion_does_not_fold_and_the_lungs_contract(clean):
    values = jacobian(clean.transform, clean.fixed.grid).data.numpy()
    assert values.min() > 0.6
    assert values.max() < 1.15
    assert 0.85 < values[inside_lungs(clean)].mean() < 0.97


# The images show that motion


def test_the_moving_image_warped_by_the_true_motion_is_the_fixed_one(clean):
    lungs = inside_lungs(clean, 2)
    fixed = clean.fixed.data.numpy()
    warped = warp(
        clean.moving, clean.transform, clean.fixed.grid, interpolation="cubic", fill=-1000.0
    ).data.numpy()
    moving = clean.moving.data.numpy()
    assert np.corrcoef(fixed[lungs], moving[lungs])[0, 1] < 0.6
    assert np.corrcoef(fixed[lungs], warped[lungs])[0, 1] > 0.95
    vessels = lungs & (fixed > -600)
    assert vessels.sum() > 2000
    before, after = (np.abs(fixed - other)[vessels].mean() for other in (moving, warped))
    assert after < 0.3 * before


def test_the_lungs_keep_their_mass(clean):
    lungs = inside_lungs(clean, 2)
    fixed = clean.fixed.data.numpy()
    warped = warp(clean.moving, clean.transform, clean.fixed.grid, fill=-1000.0).data.numpy()
    packed = (warped + 1000.0) * jacobian(clean.transform, clean.fixed.grid).data.numpy() - 1000
    # Interpolation smears vessels, so their neighborhood does not count.
    vessels = ndimage.binary_dilation((fixed > -780) | (warped > -700))
    parenchyma = lungs & ~vessels
    assert (warped - fixed)[parenchyma].mean() > 8.0  # denser at exhale
    assert abs((packed - fixed)[parenchyma].mean()) < 2.0


def test_the_masks_are_the_lungs_and_move_with_them(clean):
    for mask, low, high in ((clean.fixed_lungs, 1.5, 2.5), (clean.moving_lungs, 1.3, 2.4)):
        assert mask.data.dtype == torch.uint8
        labels, count = ndimage.label(mask.data.numpy())
        volumes = np.sort(np.bincount(labels.ravel())[1:] * 27e-6)  # litres
        assert count >= 2
        assert all(low < volume < high for volume in volumes[-2:])
        assert volumes[:-2].sum() < 5e-4  # single voxels in the thin recess over the diaphragm
    assert clean.moving_lungs.data.sum() < 0.97 * clean.fixed_lungs.data.sum()
    moved = warp(
        clean.moving_lungs, clean.transform, clean.fixed.grid, interpolation="nearest"
    ).data.numpy()
    fixed = clean.fixed_lungs.data.numpy()
    assert 2 * (moved * fixed).sum() / (moved.sum() + fixed.sum()) > 0.96


def test_the_densities_are_those_of_a_chest_ct(clean):
    hu, grid = clean.fixed.data.numpy(), clean.fixed.grid

    def median(x, y, z, half=2):
        i, j, k = np.rint(grid.to_index(np.array([x, y, z]))).astype(int)
        return np.median(hu[k - half : k + half, j - half : j + half, i - half : i + half])

    assert hu[0, 0, 0] == -1000
    assert -900 < np.median(hu[inside_lungs(clean, 2)]) < -800
    assert median(0.0, 10.0, 80.0, 1) < -950  # trachea
    assert 20 < median(20.0, -35.0, -45.0) < 80  # heart
    assert 40 < median(-60.0, 0.0, -110.0) < 80  # liver
    assert median(0.0, 58.0, -6.0, 1) > 120  # vertebral body
    assert np.percentile(hu, 99.9) > 400  # cortical bone
    assert hu.max() < 1000
    fat = (hu > -130) & (hu < -60)
    assert fat.mean() > 0.03
    front, behind = hu[:, : grid.size[1] // 2], hu[:, grid.size[1] // 2 :]
    lungs = inside_lungs(clean, 2)
    lungs_front, lungs_behind = lungs[:, : grid.size[1] // 2], lungs[:, grid.size[1] // 2 :]
    assert np.median(behind[lungs_behind]) > np.median(front[lungs_front]) + 5  # gravity


# Landmarks


def test_landmarks_are_spread_inside_both_lungs_and_map_exactly(clean):
    fixed, moving = clean.fixed_landmarks, clean.moving_landmarks
    assert fixed.shape == moving.shape == (100, 3)
    assert np.array_equal(clean.transform(torch.from_numpy(fixed)).numpy(), moving)
    for mask, where in ((clean.fixed_lungs, fixed), (clean.moving_lungs, moving)):
        i, j, k = np.rint(mask.grid.to_index(where)).astype(int).T
        assert mask.data.numpy()[k, j, i].all()
    assert min((fixed[:, 0] < 0).sum(), (fixed[:, 0] > 0).sum()) > 25
    assert np.ptp(fixed[:, 2]) > 130
    assert cKDTree(fixed).query(fixed, 2)[0][:, 1].min() > 6.0


def test_landmarks_move_by_a_plausible_amount(clean):
    distance = np.linalg.norm(clean.moving_landmarks - clean.fixed_landmarks, axis=1)
    assert 4.0 < distance.mean() < 12.0
    assert 7.0 < distance.max() < 16.0


def test_vessels_branch_at_the_landmarks(clean):
    lungs = grown_lungs(0)
    branches = []
    for landmark in clean.fixed_landmarks[::3]:
        grid = Grid((17, 17, 17), (0.8, 0.8, 0.8))
        grid = Grid(grid.size, grid.spacing, tuple(landmark - grid.center()))
        hu = _render(lungs, grid, Breathing(0.0), silent, "")[0].numpy()
        assert hu[8, 8, 8] > -100
        distance = np.linalg.norm(grid.points().numpy() - landmark, axis=-1)
        shell = (distance > 5.0) & (distance < 6.4) & (hu > -450)  # three vessels cross it
        branches.append(ndimage.label(shell, np.ones((3, 3, 3)))[1])
    assert np.mean(np.array(branches) >= 3) > 0.75  # neighbors may touch the others


# Grids


def test_other_grids_show_the_same_chest(clean):
    tilt = np.deg2rad(20.0)
    oblique = (np.cos(tilt), -np.sin(tilt), 0, np.sin(tilt), np.cos(tilt), 0, 0, 0, -1)
    other = thorax(
        (130, 120, 53),
        (2.5, 2.6, 5.0),
        noise=0.0,
        direction=oblique,
        moving_size=(80, 72, 60),
        moving_spacing=(4.5, 4.5, 4.5),
    )
    assert other.moving.data.shape == other.moving_lungs.data.shape == (60, 72, 80)
    assert other.moving.grid.direction == other.fixed.grid.direction == pytest.approx(oblique)
    for mine, reference in ((other.fixed, clean.fixed), (other.moving, clean.moving)):
        near = reference.grid.contains(mine.grid.points().numpy(), -4.0)
        values = reference.resampled(mine.grid).data.numpy()
        assert np.corrcoef(mine.data.numpy()[near], values[near])[0, 1] > 0.97
        assert abs((mine.data.numpy() - values)[near].mean()) < 12
    there = torch.from_numpy(clean.fixed_landmarks)
    assert torch.equal(other.transform(there), clean.transform(there))


def test_a_small_field_of_view_holds_only_its_own_landmarks():
    pair = thorax((40, 40, 40), (2.0, 2.0, 2.0), noise=0.0)
    assert 0 < len(pair.fixed_landmarks) < 100
    assert pair.fixed.grid.contains(pair.fixed_landmarks).all()
    assert pair.moving.grid.contains(pair.moving_landmarks).all()


# Options


@pytest.mark.parametrize(
    "wrong",
    [{"motion": 60.0}, {"motion": -1.0}, {"noise": -2.0}, {"landmarks": -1}, {"seed": -1}],
)
def test_an_option_outside_its_range_is_refused_with_its_value(wrong):
    with pytest.raises(RegistrationError, match=str(next(iter(wrong.values())))):
        thorax(**SMALL, **wrong)


def test_progress_grows_to_one_and_can_cancel():
    fractions = []
    thorax(**SMALL, progress=lambda fraction, message: fractions.append(fraction))
    assert fractions == sorted(fractions)
    assert fractions[-1] == 1.0

    def cancel(fraction, message):
        raise Cancelled

    with pytest.raises(Cancelled):
        thorax(**SMALL, progress=cancel)
