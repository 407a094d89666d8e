"""Pictures of a pair: which image is where, in true proportions, with outlines of labels."""

import numpy as np
import pytest
import SimpleITK as sitk

from DeepRegistrationLib.images.geometry import Grid
from DeepRegistrationLib.reports.overlays import overlay_png, png


def test_a_png_is_read_back_as_it_was(tmp_path):
    pixels = np.random.default_rng(0).integers(0, 256, (17, 23, 3), dtype=np.uint8)
    (tmp_path / "p.png").write_bytes(png(pixels))
    read = sitk.GetArrayFromImage(sitk.ReadImage(str(tmp_path / "p.png")))
    np.testing.assert_array_equal(read, pixels)


@pytest.mark.parametrize("up", [1.0, -1.0])
def test_an_overlay_is_green_where_only_the_fixed_image_is_and_the_head_is_up(tmp_path, up):
    grid = Grid((20, 16, 12), (1.0, 1.0, 2.0), (0, 0, 0), (1, 0, 0, 0, 1, 0, 0, 0, up))
    fixed, other = np.zeros((12, 16, 20)), np.zeros((12, 16, 20))
    top = slice(9, 12) if up > 0 else slice(0, 3)
    bottom = slice(0, 3) if up > 0 else slice(9, 12)
    fixed[top], other[bottom] = 100.0, 100.0
    (tmp_path / "o.png").write_bytes(overlay_png(fixed, other, grid))
    picture = sitk.GetArrayFromImage(sitk.ReadImage(str(tmp_path / "o.png")))
    sagittal = picture[:, -40]
    assert sagittal[5].tolist() == [0, 255, 0]
    assert sagittal[-5].tolist() == [255, 0, 255]
    assert sagittal[120].tolist() == [0, 0, 0]


def test_an_overlay_shows_the_region_in_true_proportions(tmp_path):
    grid = Grid((60, 50, 10), (1.0, 1.0, 4.0), (0, 0, 0))
    region = np.zeros(grid.shape)
    region[3:5, 20:30, 30:40] = 1
    region[3, 20:30, 40] = 1  # plane 3 holds more of it than 4
    fixed = np.zeros(grid.shape)
    fixed[3] = 100.0
    (tmp_path / "o.png").write_bytes(overlay_png(fixed, fixed, grid, region))
    picture = sitk.GetArrayFromImage(sitk.ReadImage(str(tmp_path / "o.png")))
    # Seen with a margin of 15 mm: 41 x 40 mm in the slice, and slices 0 to 8, 36 mm: 6 pixels a mm.
    assert picture.shape == (240, 246 + 6 + 246 + 6 + 240, 3)
    assert picture[:, :246].min() == 255  # axial: plane 3, which is white
    rows = np.flatnonzero(picture[:, 252 + 120, 0] > 127)  # coronal: 24 pixels of plane 3
    assert len(rows) == pytest.approx(24, abs=2)
    assert rows.mean() == pytest.approx(12 + 216 - 3.5 * 24, abs=1.5)  # 12 black ones above


def test_an_overlay_outlines_both_label_maps_where_they_are(tmp_path):
    grid = Grid((24, 24, 24), (1.0, 1.0, 1.0))
    image = np.zeros(grid.shape)
    image[12:] = 100.0
    own, other = np.zeros(grid.shape, np.int16), np.zeros(grid.shape, np.int16)
    own[4:8, 2:22, 6:18], other[14:18, 2:22, 6:18] = 1, 2
    (tmp_path / "o.png").write_bytes(overlay_png(image, image, grid, None, (own, other)))
    picture = sitk.GetArrayFromImage(sitk.ReadImage(str(tmp_path / "o.png")))
    coronal = picture[:, 240 + 6 : 240 + 6 + 240]  # 10 pixels a voxel, the head above
    for color, top in (((255, 220, 0), 240 - 80), ((0, 220, 255), 240 - 180)):
        rows, columns = np.nonzero(np.all(coronal == color, axis=-1))
        assert (rows.min(), rows.max()) == (top, top + 39)
        assert (columns.min(), columns.max()) == (60, 179)
        assert len(rows) == 2 * (120 + 40) - 4
