"""Boxes and centroids of masks, against numpy's list of their voxels."""

import numpy as np
import pytest
import torch

from DeepRegistrationLib.images.extents import centroid_index, mask_box


@pytest.mark.parametrize("dtype", [torch.uint8, torch.bool, torch.float32])
def test_box_and_centroid_are_those_of_the_voxels(dtype):
    mask = torch.zeros(7, 9, 8, dtype=dtype)
    mask[2:5, 3:9, 1:4] = 1
    mask[5, 0, 6] = 1
    voxels = np.argwhere(mask.numpy() != 0)[:, ::-1]
    first, last = mask_box(mask)
    np.testing.assert_array_equal(first, voxels.min(0))
    np.testing.assert_array_equal(last, voxels.max(0))
    np.testing.assert_allclose(centroid_index(mask), voxels.mean(0), rtol=1e-14)
