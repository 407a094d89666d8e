"""Instance optimization on phantoms whose motion is known: accuracy, contract, settings."""

import dataclasses
import inspect
from dataclasses import replace

import numpy as np
import pytest
import torch
from references import rotation
from small_lung import (
    VOXEL,
    Pair,
    all_images,
    cropped,
    flipped,
    lung_of,
    mapped_grid,
    phantom,
    physically_moved,
    run,
)

from DeepRegistrationLib import register
from DeepRegistrationLib.data.phantoms import thorax
from DeepRegistrationLib.errors import Cancelled
from DeepRegistrationLib.evaluation import mapped_points
from DeepRegistrationLib.images.geometry import Grid
from DeepRegistrationLib.images.image import Image
from DeepRegistrationLib.methods.context import Context
from DeepRegistrationLib.methods.optimize.presets import PRESETS
from DeepRegistrationLib.options import QUALITIES
from DeepRegistrationLib.transforms import Affine, jacobian, warp


@pytest.fixture(scope="module")
def chest():
    return phantom()


@pytest.fixture(scope="module")
def lung(chest):
    return lung_of(chest)


@pytest.fixture(scope="module")
def plain(lung):
    """The transform of that lung by its settings, from no start."""
    return run(lung, anatomy="lung_ct")


# Accuracy


@pytest.fixture(scope="module")
def result(chest):
    """The chest registered as a user would: no masks, no start, quality fast."""
    return register(chest.fixed, chest.moving, quality="fast", device="cpu", jacobian=True)


def test_breathing_is_undone_to_a_quarter_of_a_voxel(chest, result):
    errors = chest.errors(result.transform)
    assert errors.mean() < chest.before / 3
    assert errors.mean() < 0.25 * VOXEL
    assert np.percentile(errors, 95) < 0.5 * VOXEL


def test_it_more_than_halves_what_an_affine_registration_leaves(chest, result):
    affine = register(chest.fixed, chest.moving, method="affine", device="cpu")
    assert chest.errors(result.transform).mean() < chest.errors(affine.transform).mean() / 2


def test_nothing_folds_in_the_whole_image(result):
    assert float(result.jacobian.data.min()) > 0.2


def test_the_lungs_were_found_and_their_settings_chosen_and_both_was_said(chest, result):
    assert "breathing lungs in CT" in " ".join(result.notes)
    (note,) = [text for text in result.notes if "given" in text]
    assert note.startswith("No masks were given: the lungs were found (")
    assert "l in the fixed image, " in note and "l in the moving image)" in note
    assert result.fixed_mask.grid is chest.fixed.grid


def test_a_moving_image_of_other_size_and_spacing_is_registered_as_well(lung):
    other = thorax(
        (8, 8, 8),
        (30.0,) * 3,
        moving_size=(84, 78, 56),
        moving_spacing=(3.6, 3.3, 5.0),
        landmarks=0,
    )
    pair = replace(lung, moving=other.moving, moving_mask=other.moving_lungs)
    found = run(pair, anatomy="lung_ct", iterations=0.5)
    assert lung.errors(found).mean() < lung.before / 3
    assert lung.errors(found).mean() < 0.25 * 5.0  # of the thickest voxel
    assert float(jacobian(found, lung.fixed.grid).data.min()) > 0


def test_no_landmark_can_reach_the_method():
    names = [
        *inspect.signature(register).parameters,
        *(f.name for f in dataclasses.fields(Context)),
    ]
    assert not [name for name in names if "landmark" in name or "point" in name]


# The same result


def test_a_second_run_is_equal_to_the_last_bit_whatever_ran_between(lung, plain):
    torch.manual_seed(7)
    run(all_images(lung, flipped), anatomy="general", smoothness=3.0)
    torch.rand(5)
    second = run(lung, anatomy="lung_ct")
    grid = lung.fixed.grid
    assert np.array_equal(mapped_grid(plain, grid), mapped_grid(second, grid))


def test_all_labels_of_a_label_map_given_as_a_mask_count_alike(lung, plain):
    labels = replace(lung.fixed_mask, data=7 * lung.fixed_mask.data)
    found = run(replace(lung, fixed_mask=labels), anatomy="lung_ct")
    grid = lung.fixed.grid
    assert np.array_equal(mapped_grid(plain, grid), mapped_grid(found, grid))


TURNED_WORLD = Affine(rotation(12, -20, 31), (40.0, -25.0, 60.0))


@pytest.mark.parametrize("anatomy", ["lung_ct", "general"])
def test_a_pair_on_oblique_axes_gives_the_same_physical_transform(lung, plain, anatomy):
    first = plain if anatomy == "lung_ct" else run(lung, anatomy=anatomy)
    straight = mapped_grid(first, lung.fixed.grid)
    oblique = all_images(lung, lambda image: physically_moved(image, TURNED_WORLD))
    found = mapped_grid(run(oblique, anatomy=anatomy), oblique.fixed.grid)
    expected = mapped_points(TURNED_WORLD, straight.reshape(-1, 3)).reshape(straight.shape)
    inside = lung.fixed_mask.data.numpy() > 0
    assert np.linalg.norm(found - expected, axis=-1)[inside].max() < 0.1  # mm


@pytest.mark.parametrize("anatomy", ["lung_ct", "general"])
def test_a_pair_on_ras_axes_gives_the_same_physical_transform(lung, anatomy):
    # Converged, for control points are counted from the first voxel, so they lie elsewhere. After
    # half as many iterations the general settings are still on their way at single points.
    found = [run(p, anatomy=anatomy, iterations=2.0) for p in (lung, all_images(lung, flipped))]
    first, second = (mapped_points(transform, lung.points) for transform in found)
    assert np.linalg.norm(first - second, axis=1).mean() < 0.2  # mm, a twentieth of a voxel
    assert lung.errors(found[0]).mean() == pytest.approx(lung.errors(found[1]).mean(), abs=0.05)


# Start and masks


def test_the_start_is_part_of_the_result(lung, plain):
    elsewhere = all_images(lung, lambda image: physically_moved(image, TURNED_WORLD), True)
    found = run(elsewhere, anatomy="lung_ct", initial=TURNED_WORLD)
    expected = mapped_points(TURNED_WORLD, mapped_points(plain, lung.points))
    distance = np.linalg.norm(mapped_points(found, lung.points) - expected, axis=1)
    assert distance.max() < 0.1  # mm; applied the other way round they would be far off


def test_a_deformable_start_is_kept_where_it_is_right_already(lung):
    truth = thorax((8, 8, 8), (30.0,) * 3, landmarks=0).transform
    assert lung.errors(truth).max() < 1e-3
    found = run(lung, anatomy="lung_ct", initial=truth, iterations=0.1)
    assert lung.errors(found).mean() < 0.25 * VOXEL < lung.before / 5


def test_what_lies_far_outside_the_mask_does_not_matter(lung):
    upper = lung.fixed_mask.data.clone()
    upper[:27] = 0  # z planes from the feet; 4 mm each
    masked = replace(lung, fixed_mask=replace(lung.fixed_mask, data=upper))

    def disturbed(image):
        data = image.data.clone()
        data[:11] = data[:11].flip(2)  # keeps the histogram, which sets the scale
        return replace(image, data=data)

    changed = replace(masked, fixed=disturbed(lung.fixed), moving=disturbed(lung.moving))

    def distance(where, masks):
        found = [
            mapped_grid(run(pair, anatomy="general", masks=masks), lung.fixed.grid)[where]
            for pair in (masked, changed)
        ]
        # Not the largest: noise of 1e-4 HU, as rounding makes it, moves single points by 0.03 mm.
        return np.percentile(np.linalg.norm(found[0] - found[1], axis=-1), 99)

    assert distance(upper.numpy() > 0, masks=True) < 0.02  # mm
    assert distance(slice(0, 11), masks=False) > 1.0


def test_the_lungs_mask_changes_the_result_and_does_not_cost_accuracy(lung, plain):
    unmasked = run(lung, anatomy="lung_ct", masks=False)
    with_mask, without = (lung.errors(t).mean() for t in (plain, unmasked))
    assert with_mask != without
    assert with_mask < without + 0.1


# Progress and settings


def test_progress_is_reported_at_every_iteration_and_never_falls(lung):
    heard = []
    run(lung, anatomy="lung_ct", progress=lambda f, message: heard.append((f, message)))
    fractions = [f for f, _ in heard]
    levels = [  # those finer than the voxels are skipped
        level
        for level in PRESETS["lung_ct"].levels["fast"]
        if level.spacing >= min(lung.fixed.grid.spacing)
    ]
    iterations = sum(max(4, round(0.2 * level.iterations)) for level in levels)
    assert len(heard) >= iterations
    assert fractions == sorted(fractions)
    assert 0 <= fractions[0]
    assert fractions[-1] <= 1
    said = " ".join(message for _, message in heard)
    count = len(levels)
    assert all(f"level {n} of {count}" in said for n in range(1, count + 1))


@pytest.mark.parametrize("when", [0.0, 0.5, 0.9])
def test_a_cancel_leaves_nothing_behind(lung, when):
    before = [image.data.clone() for image in (lung.fixed, lung.moving)]
    expected = mapped_points(run(lung, anatomy="general"), lung.points)

    def cancel(fraction, message):
        if fraction >= when:
            raise Cancelled

    with pytest.raises(Cancelled):
        run(lung, anatomy="general", progress=cancel, iterations=1.0)
    for image, data in zip((lung.fixed, lung.moving), before, strict=True):
        assert torch.equal(image.data, data)
        assert not image.data.requires_grad
    again = mapped_points(run(lung, anatomy="general"), lung.points)
    assert np.array_equal(again, expected)


@pytest.mark.parametrize("quality", QUALITIES)
@pytest.mark.parametrize("anatomy", PRESETS)
def test_every_quality_of_every_anatomy_runs(lung, anatomy, quality):
    images = (lung.fixed, lung.moving, lung.fixed_mask, lung.moving_mask)
    images = [cropped(image, (8, 14, 20), (28, 34, 40)) for image in images]
    small = Pair(*images, lung.points, lung.targets)
    found = run(small, anatomy=anatomy, quality=quality, iterations=0.1)
    values = jacobian(found, small.fixed.grid).data
    assert torch.isfinite(values).all()
    assert float(values.min()) > 0


def test_a_larger_smoothness_bends_less(lung):
    def roughness(smoothness):
        found = run(lung, anatomy="general", smoothness=smoothness)
        shift = mapped_grid(found, lung.fixed.grid) - mapped_grid(Affine(), lung.fixed.grid)
        return sum((np.diff(shift, n=2, axis=axis) ** 2).mean() for axis in range(3))

    assert roughness(30.0) < 0.5 * roughness(0.1)


# Heart


def heart(cavity, wall):
    """Short-axis slices of two ventricles; and the left one's label map (1 wall, 2 cavity)."""
    grid = Grid((72, 72, 9), (2.2, 2.2, 8.0), (-78.1, -78.1, -32.0))
    x, y, z = grid.points().numpy().transpose(3, 0, 1, 2)
    taper = np.sqrt(1 - (z / 60) ** 2)
    radius = np.hypot((x - 10) / 1.1, y * 1.1) / taper
    labels = np.where(radius < cavity, 2, np.where(radius < cavity + wall, 1, 0))
    values = np.choose(labels, [60.0, 110.0, 230.0])
    right = np.hypot((x + 28) / 32, y / 30) < taper * (cavity + wall) / 31
    values[right & (labels == 0)] = 220.0
    values[np.hypot(x, y) > 62] = 300.0  # fat around
    values += np.random.default_rng(int(cavity)).normal(0, 8, values.shape)
    return Image(torch.from_numpy(values).float(), grid, "heart"), Image(
        torch.from_numpy(labels).to(torch.uint8), grid, "labels"
    )


def test_a_contracting_heart_in_thick_slices_is_followed_without_folding():
    (fixed, fixed_labels), (moving, moving_labels) = heart(24.0, 7.0), heart(17.0, 11.0)
    found = register(fixed, moving, quality="fast", device="cpu", jacobian=True)
    assert "cardiac cine MRI" in " ".join(found.notes)
    warped = warp(moving_labels, found.transform, fixed.grid, interpolation="nearest").data

    def dice(labels, value):
        a, b = fixed_labels.data == value, labels == value
        return 2 * float((a & b).sum()) / float(a.sum() + b.sum())

    for value, least in ((1, 0.8), (2, 0.93)):
        before, after = dice(moving_labels.data, value), dice(warped, value)
        assert after > before + 0.1
        assert after > least
    assert float(found.jacobian.data.min()) > 0
