"""Label maps under a transform, against ITK's label interpolation."""

import numpy as np
import pytest
import SimpleITK as sitk
import torch

from DeepRegistrationLib.errors import RegistrationError
from DeepRegistrationLib.evaluation.overlap import label_overlap, registered_overlap
from DeepRegistrationLib.images.geometry import Grid
from DeepRegistrationLib.images.image import Image, to_sitk
from DeepRegistrationLib.transforms import Affine, Composite, DisplacementField, warp_labels

OBLIQUE = (0.8, -0.6, 0.0, 0.6, 0.8, 0.0, 0.0, 0.0, 1.0)
GRID = Grid((26, 22, 12), (1.5, 2.0, 6.0), (-9.0, 4.0, 20.0), OBLIQUE)
COARSE = Grid((9, 8, 6), (7.0, 7.0, 14.0), (-30.0, -10.0, 10.0))


def labels(grid=GRID):
    """Nested and neighboring structures in thick slices; one of them reaches the border."""
    z, y, x = np.meshgrid(*[np.arange(n) for n in grid.shape], indexing="ij")
    radius = np.hypot(np.hypot((x - 12) * 1.5, (y - 10) * 2.0), (z - 5) * 6.0)
    values = np.zeros(grid.shape, np.int16)
    values[radius < 16] = 2
    values[radius < 9] = 300
    values[(x > 20) & (y > 5)] = 7
    return Image(torch.from_numpy(values), grid, "labels")


def field(seed=0, size=5.0):
    generator = torch.Generator().manual_seed(seed)
    return DisplacementField(size * torch.randn(3, *COARSE.shape, generator=generator), COARSE)


def as_itk(transform):
    """The transform for SimpleITK, sampled as the engine gives it on the result's grid."""
    points = GRID.points(dtype=torch.float64).reshape(-1, 3)
    moved = (transform(points) - points).numpy().reshape(*GRID.shape, 3)
    vectors = sitk.GetImageFromArray(moved, isVector=True)
    vectors.CopyInformation(to_sitk(labels()))
    return sitk.DisplacementFieldTransform(vectors)


@pytest.mark.parametrize(
    "transform",
    [
        Affine(translation=(4.3, -2.1, 7.7)),
        field(),
        Composite([field(1, 3.0), Affine(translation=(1.2, 0.7, -2.4))]),
    ],
    ids=["affine", "field", "composite"],
)
def test_the_largest_share_wins_as_in_itk(transform):
    found = warp_labels(labels(), transform, GRID).data.numpy()
    moving = to_sitk(labels())
    wanted = sitk.Resample(moving, moving, as_itk(transform), sitk.sitkLabelLinear, 0)
    differ = found != sitk.GetArrayFromImage(wanted)
    assert set(np.unique(found)) == {0, 2, 7, 300}
    assert differ.mean() < 2e-3  # equal shares, and half a voxel outside the outermost centers


def test_the_identity_leaves_labels_as_they_are():
    found = warp_labels(labels(), Affine(), GRID)
    np.testing.assert_array_equal(found.data.numpy(), labels().data.numpy())


def test_half_a_voxel_between_labels_and_nothing():
    values = torch.zeros(3, 3, 6, dtype=torch.int16)
    values[:, :, 2:4] = 5
    values[:, :, 4:] = 3
    grid = Grid((6, 3, 3))
    found = warp_labels(Image(values, grid), Affine(translation=(0.5, 0, 0)), grid)
    # a label before the background, the smaller of two labels, and the border's half a voxel on
    assert found.data[1, 1].tolist() == [0, 5, 5, 3, 3, 3]
    beyond = warp_labels(Image(values, grid), Affine(translation=(0.6, 0, 0)), grid)
    assert beyond.data[1, 1].tolist() == [0, 5, 5, 3, 3, 0]


def test_no_label_at_all_stays_none():
    empty = Image(torch.zeros(GRID.shape, dtype=torch.uint8), GRID)
    assert not warp_labels(empty, field(), GRID).data.any()


def test_overlap_is_measured_on_the_fixed_labels_own_voxels():
    fine = Grid((52, 44, 24), (0.75, 1.0, 3.0), GRID.origin, OBLIQUE)
    fixed = warp_labels(labels(), Affine(), fine)
    found = registered_overlap(fixed, labels(), Affine(), fine)
    assert found == label_overlap(fixed, fixed)
    assert all(values["dice"] == 1 and values["hausdorff"] == 0 for values in found.values())


def test_labels_cropped_to_what_they_hold_do_not_hide_the_rest_of_the_moving_ones():
    whole = labels().data.numpy()
    cropped = Image(
        torch.from_numpy(whole[:, :, :12].copy()),
        Grid((12, 22, 12), GRID.spacing, GRID.origin, OBLIQUE),
    )
    found = registered_overlap(cropped, labels(), Affine(), GRID)
    half = np.where(np.arange(26) < 12, whole, 0)
    for label in (2, 300):
        a, b = half == label, whole == label
        assert found[label]["dice"] == pytest.approx(2 * (a & b).sum() / (a.sum() + b.sum()))
    assert found[7]["dice"] == 0


def test_blended_moving_labels_are_refused():
    blended = Image(labels().data.float() * 0.5, GRID, "blended")
    with pytest.raises(RegistrationError, match="whole numbers"):
        registered_overlap(labels(), blended, Affine())
