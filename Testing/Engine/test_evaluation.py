"""Jacobian statistics, overlap, similarity and the report, against independent references."""

import math
import weakref

import numpy as np
import pytest
import SimpleITK as sitk
import torch
from scipy import ndimage

from DeepRegistrationLib.errors import RegistrationError
from DeepRegistrationLib.evaluation import (
    jacobian_statistics,
    label_overlap,
    local_correlation,
    normalized_correlation,
)
from DeepRegistrationLib.evaluation.correlation import similarities
from DeepRegistrationLib.images.geometry import Grid
from DeepRegistrationLib.images.image import Image, to_sitk
from DeepRegistrationLib.transforms import Affine, jacobian

GRID = Grid((24, 20, 16), (1.0, 1.5, 2.5), (-7.0, 3.0, 11.0))


def image(values, grid=GRID, name="image"):
    return Image(torch.as_tensor(np.asarray(values)), grid, name)


def ball(center, radius, grid=GRID):
    """Voxels within ``radius`` mm of the voxel index ``center`` (x, y, z)."""
    z, y, x = np.meshgrid(*[np.arange(n) for n in grid.shape], indexing="ij")
    steps = [(axis - c) * s for axis, c, s in zip((x, y, z), center, grid.spacing, strict=True)]
    return sum(step**2 for step in steps) <= radius**2


# Jacobian -------------------------------------------------------------------------------------


def test_jacobian_statistics_are_computed_by_hand():
    grid = Grid((2, 2, 2))
    values = np.array([-0.5, 0.0, 0.5, 1, 1, 2, 4, 4], dtype=np.float32).reshape(2, 2, 2)
    found = jacobian_statistics(image(values, grid))
    logs = [math.log(v) for v in (0.5, 1, 1, 2, 4, 4)]
    assert found["min"] == -0.5
    assert found["max"] == 4
    assert found["mean"] == pytest.approx(1.5)
    assert found["percent_nonpositive"] == pytest.approx(25.0)
    assert found["std_log"] == pytest.approx(np.std(logs), rel=1e-6)


def test_folding_outside_the_mask_is_told_apart_from_folding_inside():
    values = np.ones(GRID.shape, dtype=np.float32)
    values[:4] = -1  # a quarter of the planes
    mask = np.zeros(GRID.shape, dtype=np.uint8)
    mask[8:] = 1
    whole = jacobian_statistics(image(values))
    inside = jacobian_statistics(image(values), image(mask))
    assert whole["percent_nonpositive"] == pytest.approx(25.0)
    assert inside["percent_nonpositive"] == 0
    assert inside["min"] == inside["max"] == 1


def test_a_map_that_folds_everywhere_has_finite_statistics():
    found = jacobian_statistics(image(np.full(GRID.shape, -2.0, dtype=np.float32)))
    assert found["percent_nonpositive"] == 100
    assert found["std_log"] == 0


def test_an_affine_map_has_its_determinant_everywhere():
    transform = Affine([[1.2, 0.1, 0], [0, 0.8, 0.2], [0, 0, 1.5]])
    found = jacobian_statistics(jacobian(transform, GRID))
    assert found["min"] == pytest.approx(1.2 * 0.8 * 1.5, rel=1e-4)
    assert found["max"] == pytest.approx(1.2 * 0.8 * 1.5, rel=1e-4)


@pytest.mark.parametrize("mask", [np.zeros(GRID.shape), np.ones((4, 4, 4))])
def test_an_unusable_mask_is_refused(mask):
    grid = GRID if mask.shape == GRID.shape else Grid((4, 4, 4))
    with pytest.raises(RegistrationError, match="mask"):
        jacobian_statistics(image(np.ones(GRID.shape)), image(mask, grid))


# Overlap --------------------------------------------------------------------------------------


def two_label_maps():
    first = np.zeros(GRID.shape, dtype=np.uint8)
    first[ball((9, 9, 7), 7)] = 1
    first[ball((17, 10, 8), 4)] = 2
    second = np.zeros(GRID.shape, dtype=np.uint8)
    second[ball((11, 9, 8), 6)] = 1
    second[ball((18, 12, 8), 5)] = 2
    return image(first), image(second)


@pytest.mark.parametrize("label", [1, 2])
def test_dice_agrees_with_simpleitk(label):
    first, second = two_label_maps()
    reference = sitk.LabelOverlapMeasuresImageFilter()
    reference.Execute(to_sitk(first), to_sitk(second))
    found = label_overlap(first, second)[label]["dice"]
    assert found == pytest.approx(reference.GetDiceCoefficient(label))


def surface_reference(a, b):
    """Distances of a's surface voxels to b's surface in mm, by SimpleITK's exact distance map."""
    surface = sitk.LabelContour(b, fullyConnected=False)
    distance = sitk.Abs(
        sitk.SignedMaurerDistanceMap(surface, squaredDistance=False, useImageSpacing=True)
    )
    on_a = sitk.GetArrayFromImage(sitk.LabelContour(a, fullyConnected=False)) != 0
    return sitk.GetArrayFromImage(distance)[on_a]


@pytest.mark.parametrize("label", [1, 2])
def test_surface_distances_agree_with_simpleitk_in_mm(label):
    first, second = two_label_maps()
    a, b = to_sitk(first) == label, to_sitk(second) == label
    there, back = surface_reference(a, b), surface_reference(b, a)
    found = label_overlap(first, second)[label]
    hausdorff = max(np.percentile(there, 95), np.percentile(back, 95))
    assert found["hausdorff95"] == pytest.approx(hausdorff, abs=1e-4)
    assert found["hausdorff"] == pytest.approx(max(there.max(), back.max()), abs=1e-4)
    mean = np.concatenate([there, back]).mean()
    assert found["mean_surface_distance"] == pytest.approx(mean, abs=1e-4)


def test_distances_of_shifted_boxes_are_the_shift_in_mm():
    first, second = np.zeros(GRID.shape, np.int16), np.zeros(GRID.shape, np.int16)
    first[4:9, 4:9, 4:9] = 3
    second[6:11, 4:9, 4:9] = 3  # two planes of 2.5 mm
    found = label_overlap(image(first), image(second))[3]
    assert found["hausdorff95"] == pytest.approx(5.0)
    assert found["dice"] == pytest.approx(0.6)


def test_the_farthest_point_is_where_one_surface_bulges():
    first, second = np.zeros(GRID.shape, np.int16), np.zeros(GRID.shape, np.int16)
    first[4:9, 4:9, 4:9] = 3
    second[4:9, 4:9, 4:9] = 3
    second[6, 5, 9:14] = 3
    for pair in ((first, second), (second, first)):
        found = label_overlap(*(image(values) for values in pair))[3]
        assert found["farthest"] == pytest.approx(GRID.to_physical(np.array([13.0, 5, 6])))
        assert found["hausdorff"] == pytest.approx(5.0)


def test_an_object_at_the_border_of_the_image_has_a_surface_there():
    first = np.zeros(GRID.shape, np.uint8)
    first[:, :, :8] = 1
    found = label_overlap(image(first), image(first))[1]
    assert found["dice"] == 1
    assert found["hausdorff"] == found["hausdorff95"] == found["mean_surface_distance"] == 0


def test_a_label_that_one_map_lacks_has_no_distance_and_no_dice():
    first, second = two_label_maps()
    second.data[second.data == 2] = 0
    found = label_overlap(first, second)
    assert found[2].pop("dice") == 0
    assert set(found[2].values()) == {None}
    assert found[1]["dice"] > 0.5


def test_float_label_maps_are_taken_when_they_hold_whole_numbers():
    first, second = two_label_maps()
    as_float = Image(second.data.float(), GRID, "labels")
    assert label_overlap(first, as_float) == label_overlap(first, second)
    with pytest.raises(RegistrationError, match="nearest-neighbor"):
        label_overlap(first, Image(second.data.float() * 0.5, GRID, "blended"))


def test_label_maps_on_different_grids_are_refused():
    first, second = two_label_maps()
    moved = Image(second.data, Grid(GRID.size, GRID.spacing, (0, 0, 0)), "moved")
    with pytest.raises(RegistrationError, match="different grids"):
        label_overlap(first, moved)


# Similarity -----------------------------------------------------------------------------------


def noisy_pair(seed=0):
    generator = np.random.default_rng(seed)
    first = ndimage.gaussian_filter(generator.normal(size=GRID.shape), 1.5) * 1000 - 600
    second = first * 0.7 + ndimage.gaussian_filter(generator.normal(size=GRID.shape), 1) * 100
    return first.astype(np.float32), second.astype(np.float32)


def test_normalized_correlation_is_numpys():
    first, second = noisy_pair()
    mask = ball((12, 10, 8), 9)
    found = normalized_correlation(image(first), image(second))
    assert found == pytest.approx(np.corrcoef(first.ravel(), second.ravel())[0, 1], abs=1e-6)
    found = normalized_correlation(image(first), image(second), image(mask))
    assert found == pytest.approx(np.corrcoef(first[mask], second[mask])[0, 1], abs=1e-6)


def local_reference(first, second, mask):
    """Window by window in float64."""
    values = []
    for z in range(0, first.shape[0] - 8, 4):
        for y in range(0, first.shape[1] - 8, 4):
            for x in range(0, first.shape[2] - 8, 4):
                if mask[z + 4, y + 4, x + 4]:
                    window = np.s_[z : z + 9, y : y + 9, x : x + 9]
                    a, b = (v[window].astype(np.float64).ravel() for v in (first, second))
                    values.append(np.corrcoef(a, b)[0, 1])
    return np.mean(values)


@pytest.mark.parametrize("masked", [False, True])
def test_local_correlation_is_the_mean_over_windows(masked):
    first, second = noisy_pair(3)
    mask = ball((12, 10, 8), 6) if masked else np.ones(GRID.shape, dtype=bool)
    found = local_correlation(image(first), image(second), image(mask) if masked else None)
    assert found == pytest.approx(local_reference(first, second, mask), abs=1e-4)


def test_local_correlation_of_a_long_image_is_the_same_in_blocks():
    grid = Grid((10, 11, 160))
    generator = np.random.default_rng(5)
    first, second = generator.normal(size=(2, *grid.shape)).astype(np.float32)
    found = local_correlation(image(first, grid), image(second, grid))
    everywhere = np.ones(grid.shape, dtype=bool)
    assert found == pytest.approx(local_reference(first, second, everywhere), abs=1e-4)


def test_local_correlation_does_not_mind_contrast_that_changes_from_place_to_place():
    first, _ = noisy_pair(1)
    ramp = np.linspace(0.5, 3, GRID.shape[0], dtype=np.float32)[:, None, None]
    changed = image(first * ramp + 2000 * ramp)
    assert local_correlation(image(first), changed) > normalized_correlation(image(first), changed)


def test_images_to_compare_with_are_held_one_at_a_time():
    made = []

    def others():
        for seed in range(3):
            assert not any(weak() is not None for weak in made)
            values = np.random.default_rng(seed).normal(size=GRID.shape)
            made.append(weakref.ref(other := image(values)))
            yield other
            del other

    assert len(similarities(image(np.random.default_rng(9).normal(size=GRID.shape)), others())) == 3


def test_a_constant_image_has_no_correlation():
    flat = image(np.full(GRID.shape, 7.0, dtype=np.float32))
    first, _ = noisy_pair()
    assert normalized_correlation(image(first), flat) is None
    assert local_correlation(flat, flat) is None
    assert local_correlation(image(first), flat) == 0
