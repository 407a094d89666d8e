"""The affine registration: known maps of a phantom are found again."""

from pathlib import Path

import numpy as np
import pytest
import torch
from references import rotation

from DeepRegistrationLib.data.phantoms import thorax
from DeepRegistrationLib.errors import Cancelled
from DeepRegistrationLib.evaluation import mapped_points, read_landmarks
from DeepRegistrationLib.images.geometry import Grid
from DeepRegistrationLib.images.image import Image, read_image
from DeepRegistrationLib.images.intensity import finite
from DeepRegistrationLib.methods import make_parameters
from DeepRegistrationLib.methods.affine.alignment import align
from DeepRegistrationLib.methods.affine.method import AffineRegistration
from DeepRegistrationLib.methods.context import Context
from DeepRegistrationLib.progress import silent
from DeepRegistrationLib.transforms import Affine, warp

REAL = Path(__file__).resolve().parents[3] / "shared" / "data" / "lung_followup"


@pytest.fixture(scope="module")
def chest():
    """A chest at 4 mm, its lungs and their landmarks; noise as in CT."""
    return thorax((92, 76, 88), (4.0, 4.0, 4.0), motion=0.0)


def moved(image, affine, interpolation="cubic"):
    """The image that shows at ``affine(x)`` what ``image`` shows at x, on the same voxels."""
    grid = image.grid
    points = affine.inverse()(grid.points(dtype=torch.float64))
    fill = -1000.0 if interpolation == "cubic" else 0.0
    return Image(image.sample(points, interpolation=interpolation, fill=fill), grid)


def errors(found, truth, chest):
    """Distances in mm between found and true positions of the landmarks."""
    points = chest.fixed_landmarks
    return np.linalg.norm(mapped_points(found, points) - mapped_points(truth, points), axis=1)


def run(fixed, moving, context=None, **parameters):
    method = AffineRegistration(make_parameters(AffineRegistration, parameters))
    return method.register(fixed, moving, context or Context())


TURNED = Affine.about(np.zeros(3), 1.05 * rotation(3, -2, 8), np.array([18.0, -14.0, 19.0]))


@pytest.fixture
def lungs_of(chest):
    """The masks for a truth: without them the image's border, where parts are missing, counts."""

    def context(truth, **more):
        moving = moved(chest.moving_lungs, truth, "nearest")
        return Context(fixed_mask=chest.fixed_lungs, moving_mask=moving, **more)

    return context


def test_a_turn_of_8_degrees_a_scale_of_5_percent_and_a_shift_of_30_mm_are_found(chest, lungs_of):
    assert np.linalg.norm(TURNED.translation) == pytest.approx(30, abs=1)
    found = run(chest.fixed, moved(chest.moving, TURNED), lungs_of(TURNED))
    assert errors(found, TURNED, chest).max() < 0.25  # a sixteenth of a voxel


def test_they_are_found_without_masks_too_though_parts_left_the_image(chest):
    found = run(chest.fixed, moved(chest.moving, TURNED))
    assert errors(found, TURNED, chest).mean() < 0.5
    assert errors(found, TURNED, chest).max() < 1.0


def test_a_rigid_registration_only_turns_and_shifts(chest, lungs_of):
    truth = Affine.about(np.zeros(3), rotation(3, -2, 8), np.array([8.0, -6.0, 9.0]))
    found = run(
        chest.fixed, moved(chest.moving, truth), lungs_of(truth), degrees_of_freedom="rigid"
    )
    assert np.allclose(found.matrix @ found.matrix.T, np.eye(3), atol=1e-5)
    assert np.linalg.det(found.matrix) == pytest.approx(1.0, abs=1e-5)
    assert errors(found, truth, chest).max() < 0.25


@pytest.mark.parametrize("masks", [False, True], ids=["without masks", "with masks"])
def test_a_translation_only_shifts_and_is_refined_to_the_finest_level(chest, lungs_of, masks):
    truth = Affine(translation=(8.0, -6.0, 21.0))
    context = lungs_of(truth) if masks else Context()
    found = run(chest.fixed, moved(chest.moving, truth), context, degrees_of_freedom="translation")
    assert np.array_equal(found.matrix, np.eye(3))
    assert errors(found, truth, chest).max() < 0.5


def test_even_of_an_image_turned_upside_down_no_mirrored_map_is_made(chest):
    upside_down = Image(chest.moving.data.flip(0), chest.moving.grid)
    found = run(chest.fixed, upside_down, iterations=5)
    assert np.linalg.det(found.matrix) > 0


def test_the_masks_centroids_find_a_shift_between_crops_that_show_different_parts(chest):
    """The couch of one crop is 32 mm off the other's, each shows its own part of the chest."""
    truth = Affine(translation=(0.0, 0.0, 32.0))
    low, high = slice(0, 60), slice(22, 72)  # 4 mm each, before the shift

    def crop(image, part, shift):
        grid = image.grid.cropped((0, 0, part.start), (*image.grid.size[:2], part.stop))
        origin = tuple(np.array(grid.origin) + [0, 0, shift])
        return Image(image.data[part], type(grid)(grid.size, grid.spacing, origin, grid.direction))

    fixed, moving = crop(chest.fixed, low, 0.0), crop(chest.moving, high, 32.0)
    masks = crop(chest.fixed_lungs, low, 0.0), crop(chest.moving_lungs, high, 32.0)
    found = run(fixed, moving, Context(fixed_mask=masks[0], moving_mask=masks[1]))
    inside = moving.grid.contains(mapped_points(truth, chest.fixed_landmarks))
    inside &= fixed.grid.contains(chest.fixed_landmarks)
    assert inside.sum() > 30
    assert errors(found, truth, chest)[inside].mean() < 1.0  # a quarter of a voxel


def test_an_affine_start_is_refined_and_is_part_of_the_result(chest, lungs_of):
    begin = Affine(1.03 * rotation(0, 0, 6), (15.0, -10.0, 16.0))
    found = run(chest.fixed, moved(chest.moving, TURNED), lungs_of(TURNED, initial=begin))
    assert errors(found, TURNED, chest).max() < 0.25
    assert errors(begin, TURNED, chest).mean() > 3


def test_other_gain_and_offset_of_the_intensities_do_not_matter(chest):
    moving = moved(chest.moving, TURNED)
    other = Image(0.4 * moving.data + 900, moving.grid)
    first, second = (run(chest.fixed, image) for image in (moving, other))
    assert errors(first, second, chest).max() < 0.1


def test_the_same_images_give_the_same_map_to_the_last_bit(chest):
    found = [run(chest.fixed, chest.moving, iterations=4) for _ in range(2)]
    assert np.array_equal(found[0].matrix, found[1].matrix)
    assert np.array_equal(found[0].translation, found[1].translation)


def crop(image, voxels):
    """The first planes, rows and columns (z, y, x) of an image."""
    part = tuple(slice(0, n) for n in voxels)
    return Image(image.data[part].contiguous(), image.grid.cropped((0, 0, 0), voxels[::-1]))


def test_no_step_leaves_an_image_that_already_fits(chest):
    for image in (chest.fixed, crop(chest.fixed, (2, 76, 92)), crop(chest.fixed, (9, 8, 7))):
        found = run(image, image)
        np.testing.assert_allclose(found.matrix, np.eye(3), atol=1e-7)
        np.testing.assert_allclose(found.translation, 0, atol=1e-4)


def test_the_result_correlates_at_least_as_well_as_the_start(chest):
    """Also where nothing fits: an image against its own mirror image."""
    mirrored = Image(chest.fixed.data.flip(2), chest.fixed.grid)
    start = Affine(rotation(0, 0, 20), (5.0, 0.0, 0.0))
    found = run(chest.fixed, mirrored, Context(initial=start))

    def correlation(transform):
        warped = warp(mirrored, transform, chest.fixed.grid, fill=-1000.0).data
        inside = chest.fixed.grid.contains(
            transform(chest.fixed.grid.points(dtype=torch.float64)).numpy()
        )
        return np.corrcoef(warped[inside], chest.fixed.data[inside])[0, 1]

    assert correlation(found) > correlation(start) + 0.05


def test_what_two_thick_slices_cannot_show_is_not_changed(chest):
    """Neither position nor scale across them; in the plane everything is found."""
    truth = Affine.about(chest.fixed.grid.center(), rotation(0, 0, 5), np.array([9.0, -6.0, 0.0]))
    middle = slice(44, 46)
    moving = moved(chest.fixed, truth)
    box = ((0, 0, middle.start), (92, 76, middle.stop))
    thick = [Image(i.data[middle], i.grid.cropped(*box)) for i in (chest.fixed, moving)]
    found = run(*thick)
    np.testing.assert_array_equal(found.matrix[2], [0, 0, 1])
    np.testing.assert_array_equal(found.matrix[:2, 2], 0)
    assert found.translation[2] == 0
    np.testing.assert_allclose(found.matrix[:2, :2], truth.matrix[:2, :2], atol=0.01)


def test_of_a_small_image_the_levels_are_small(chest):
    """A chest of 15 mm: what is found is the same, 25 times smaller."""

    def shrunk(image):
        grid = image.grid
        small = (tuple(np.array(v) / 25) for v in (grid.spacing, grid.origin))
        return Image(image.data, Grid(grid.size, *small, grid.direction))

    found = run(shrunk(chest.fixed), shrunk(moved(chest.moving, TURNED)))
    enlarged = Affine(found.matrix, 25 * found.translation)
    assert errors(enlarged, TURNED, chest).mean() < 1.0


def test_of_images_with_nothing_in_common_a_warning_is_given(chest):
    notes = []
    noise = [
        Image(torch.from_numpy(np.random.default_rng(k).normal(0, 100, (30, 30, 30))).float(), grid)
        for k, grid in enumerate([Grid((30, 30, 30), (4.0, 4.0, 4.0))] * 2)
    ]
    run(*noise, Context(notes=notes))
    assert len(notes) == 1
    assert notes[0].startswith("Warning: ") and "in common" in notes[0]
    notes.clear()
    run(chest.fixed, chest.moving, Context(notes=notes))
    assert not notes


def test_progress_rises_and_a_cancel_in_it_stops_the_search(chest):
    heard = []
    run(chest.fixed, chest.moving, Context(progress=lambda f, _: heard.append(f)), iterations=5)
    assert len(heard) > 10
    assert heard == sorted(heard)
    assert 0 <= heard[0]
    assert heard[-1] <= 1

    def cancel(fraction, _):
        if fraction > 0.3:
            raise Cancelled

    with pytest.raises(Cancelled):
        run(chest.fixed, chest.moving, Context(progress=cancel))


def test_a_real_follow_up_is_brought_near_by_the_lungs():
    if not REAL.is_dir():
        pytest.skip("the real data (shared/data/lung_followup) are not here")
    names = ("baseline", "followup")
    fixed, moving = (finite(read_image(REAL / f"3DCT_lung_{n}.mha")) for n in names)
    masks = [read_image(REAL / f"3DCT_lung_{n}_mask.mha") for n in names]
    points, targets = (read_landmarks(REAL / f"landmarks_inside_{n}_LPS_mm.csv") for n in names)
    found = align(fixed, moving, *masks, progress=silent)
    mapped = mapped_points(found, points)
    assert (mapped - points)[:, 2].mean() == pytest.approx(33.5, abs=5)
    assert np.linalg.norm(mapped - targets, axis=1).mean() < 6
