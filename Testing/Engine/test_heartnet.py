"""The heart is found in phantoms whose hearts are known, as scanners and archives have them."""

import numpy as np
import pytest
import torch
from heart_checks import check, slices, two_persons
from references import rotation

from DeepRegistrationLib import register
from DeepRegistrationLib.errors import RegistrationError
from DeepRegistrationLib.images.geometry import Grid
from DeepRegistrationLib.images.image import Image
from DeepRegistrationLib.methods.anatomy_recognition import recognize
from DeepRegistrationLib.methods.heart import heartnet
from DeepRegistrationLib.methods.heart.heartnet import find_heart, show_hearts
from DeepRegistrationLib.transforms import warp


@pytest.fixture(scope="module")
def persons():
    return two_persons()


@pytest.mark.parametrize("seed", [1, 4])
def test_the_heart_is_found_at_both_phases(persons, seed):
    one = persons[seed]
    check(one.fixed, one.fixed_labels)
    check(one.moving, one.moving_labels)


def flipped(image: Image, axis: int) -> Image:
    """The array's axis (of x, y, z) stored the other way, as the header says."""
    grid = image.grid
    far = np.where(np.arange(3) == axis, np.array(grid.size) - 1, 0)
    direction = np.reshape(grid.direction, (3, 3)) * np.where(np.arange(3) == axis, -1, 1)
    other = Grid(grid.size, grid.spacing, tuple(grid.to_physical(far)), tuple(direction.ravel()))
    return Image(image.data.flip(2 - axis).contiguous(), other, image.name)


def turned(image: Image, angle: float, fill: float = 0.0) -> Image:
    """The patient turned in the slices; the corners filled."""
    grid = image.grid
    matrix, center = rotation(0, 0, angle), grid.center()
    direction = matrix @ np.reshape(grid.direction, (3, 3))
    origin = matrix @ (np.array(grid.origin) - center) + center
    other = Grid(grid.size, grid.spacing, tuple(origin), tuple(direction.ravel()))
    kind = "linear" if image.data.is_floating_point() else "nearest"
    return Image(image.data, other).resampled(grid, interpolation=kind, fill=fill)


def padded(image: Image, value: float) -> Image:
    data = torch.nn.functional.pad(image.data, (20, 5, 9, 16, 2, 2), value=value)
    origin = image.grid.to_physical((-20, -9, -2))
    size = tuple(data.shape[::-1])
    return Image(data, Grid(size, image.grid.spacing, tuple(origin), image.grid.direction))


def permuted(image: Image) -> Image:
    order = [2, 0, 1]
    grid = image.grid
    direction = np.reshape(grid.direction, (3, 3))[:, order]
    size, spacing = (tuple(np.array(v)[order]) for v in (grid.size, grid.spacing))
    data = image.data.permute(1, 2, 0).contiguous()
    return Image(data, Grid(size, spacing, grid.origin, tuple(direction.ravel())))


def fine(image: Image) -> Image:
    """Voxels of 3 mm along all axes, as resampled."""
    kind = "linear" if image.data.is_floating_point() else "nearest"
    return image.resampled(image.grid.with_spacing(3.0), interpolation=kind)


CHANGES = {
    "slices from apex to base": lambda image: flipped(image, 2),
    "columns the other way": lambda image: flipped(image, 0),
    "axes in another order": permuted,
    "turned by 30 degrees": lambda image: turned(image, 30.0),
    "turned by -90 degrees": lambda image: turned(image, -90.0),
    "one slice": lambda image: slices(image, 4, 5),
    "two slices": lambda image: slices(image, 4, 6),
    "slices of 20 mm": lambda image: slices(image, 0, 10, 2),
    "isotropic voxels": fine,
}


@pytest.mark.parametrize("change", CHANGES)
def test_the_heart_is_found_in_any_stack(persons, change):
    one = persons[4]
    check(CHANGES[change](one.fixed), CHANGES[change](one.fixed_labels))


@pytest.mark.parametrize("value", [0.0, -1024.0, 3000.0])
def test_a_constant_around_the_image_does_not_matter(persons, value):
    one = persons[1]
    check(padded(one.fixed, value), padded(one.fixed_labels, 0))


def test_the_scale_of_the_values_does_not_matter(persons):
    image = persons[1].fixed
    scaled = Image(0.003 * image.data + 7.0, image.grid, image.name)
    first, second = find_heart(image), find_heart(scaled)
    np.testing.assert_allclose(first.frame.center(), second.frame.center(), atol=0.5)
    assert abs(first.score - second.score) < 0.02


def test_a_bright_rim_and_a_coil_do_not_lead_away(persons):
    one = persons[4]
    values = one.fixed.data * torch.linspace(1.0, 6.0, one.fixed.grid.size[0])
    values[:, :, 4:12] = 4000.0
    check(Image(values, one.fixed.grid, "bright"), one.fixed_labels)


@pytest.mark.parametrize("axis", [0, 1])
def test_a_mirrored_array_shows_the_mirrored_heart(persons, axis):
    image = persons[4].fixed
    mirrored = Image(image.data.flip(2 - axis).contiguous(), image.grid, image.name)
    one, other = find_heart(image), find_heart(mirrored)
    region = one.region.data.flip(2 - axis)
    assert one.sure and other.sure
    assert other.score == pytest.approx(one.score, abs=0.01)
    assert float((region != other.region.data).float().mean()) < 0.002


# Use


def test_hearts_are_recognized(persons):
    one, other = persons.values()
    assert recognize(one.fixed, one.moving, None).name == "cardiac_mri"
    assert recognize(one.fixed, other.fixed, None).name == "cardiac_mri_patients"


def test_two_persons_on_one_grid_are_two_persons(persons):
    one, other = persons.values()
    placed = Image(other.fixed.data, one.fixed.grid)
    found = recognize(one.fixed, placed, None)
    assert found.name == "cardiac_mri_patients" and "unlike" in found.why


def test_an_image_is_looked_at_once(persons, monkeypatch):
    image = Image(persons[1].fixed.data.clone(), persons[1].fixed.grid)
    looks = []
    original = heartnet._look
    monkeypatch.setattr(heartnet, "_look", lambda *a: looks.append(a) or original(*a))
    assert find_heart(image) is find_heart(image)
    assert show_hearts(image, image)
    assert len(looks) == 1


def test_without_weights_the_training_command_is_named_and_stacks_count_as_hearts(
    persons, tmp_path, monkeypatch
):
    monkeypatch.setattr("DeepRegistrationLib.methods.weights.folders", lambda: [tmp_path])
    image = Image(persons[1].fixed.data.clone(), persons[1].fixed.grid)
    with pytest.raises(RegistrationError, match="deepreg train"):
        find_heart(image)
    assert show_hearts(image, image)


def dice(result, one, other) -> float:
    moved = warp(other.fixed_labels, result.transform, one.fixed.grid, interpolation="nearest")
    values = []
    for label in (1, 2, 3):
        a, b = one.fixed_labels.data == label, moved.data == label
        values.append(2 * float((a & b).sum()) / float(a.sum() + b.sum()))
    return float(np.mean(values))


def far_away(pair, shift, turn):
    """Another person on a table elsewhere, turned."""
    grid = pair.fixed.grid
    matrix = rotation(0, 0, turn)
    direction = matrix @ np.reshape(grid.direction, (3, 3))
    origin = matrix @ np.array(grid.origin) + shift
    grid = Grid(grid.size, grid.spacing, tuple(origin), tuple(direction.ravel()))
    return type(pair)(
        Image(pair.fixed.data, grid, "other"), pair.moving, pair.transform,
        pair.fixed_landmarks, pair.moving_landmarks,
        Image(pair.fixed_labels.data, grid), pair.moving_labels,
    )  # fmt: skip


@pytest.mark.parametrize("method", ["optimize", "affine", "lcc-demons"])
@pytest.mark.parametrize(("shift", "turn"), [((50.0, -40.0, 30.0), 25.0), ((900.0, 0.0, 0.0), 0.0)])
def test_the_hearts_of_two_persons_are_brought_together(persons, method, shift, turn):
    one, other = persons[1], far_away(persons[4], shift, turn)
    result = register(one.fixed, other.fixed, method=method, quality="fast")
    assert dice(result, one, other) > (0.6 if method == "affine" else 0.7)
    assert sum("the heart was searched for in the image and found" in n for n in result.notes) == 2
    assert any("do not overlap" in n for n in result.notes) == (shift[0] > 100)
