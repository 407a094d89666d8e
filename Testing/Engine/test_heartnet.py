"""The heart is found in phantoms whose hearts are known, as scanners and archives have them."""

from pathlib import Path

import numpy as np
import pytest
import torch
from references import rotation

from DeepRegistrationLib import register
from DeepRegistrationLib.data.phantoms import heart, thorax
from DeepRegistrationLib.errors import RegistrationError
from DeepRegistrationLib.images.geometry import Grid
from DeepRegistrationLib.images.image import Image, read_image
from DeepRegistrationLib.methods.anatomy_recognition import recognize
from DeepRegistrationLib.methods.context import Context
from DeepRegistrationLib.methods.heart import heartnet, plausibility
from DeepRegistrationLib.methods.heart.frames import align_hearts, heart_region
from DeepRegistrationLib.methods.heart.heartnet import find_heart, show_hearts
from DeepRegistrationLib.methods.heart.plausibility import implausibility
from DeepRegistrationLib.methods.heart.preparation import frame_of_labels
from DeepRegistrationLib.transforms import warp

ACDC = Path(__file__).resolve().parents[3] / "shared" / "data" / "cardiac_acdc"
SIZE, SPACING = (112, 112, 10), (3.0, 3.0, 10.0)


def person(seed, **how):
    return heart(SIZE, SPACING, seed=seed, **how)


@pytest.fixture(scope="module")
def persons():
    return {seed: person(seed) for seed in (1, 4)}


def stack(values, spacing=(2.0, 2.0, 8.0)) -> Image:
    data = torch.from_numpy(np.asarray(values, np.float32))
    return Image(data, Grid(tuple(data.shape[::-1]), spacing), "stack")


def slices(image: Image, low: int, high: int, step: int = 1) -> Image:
    grid = image.grid.cropped((0, 0, low), (*image.grid.size[:2], high))
    spacing = (*grid.spacing[:2], grid.spacing[2] * step)
    data = image.data[low:high:step].contiguous()
    size = (*grid.size[:2], len(data))
    return Image(data, Grid(size, spacing, grid.origin, grid.direction), image.name)


def check(image: Image, labels: Image, across: float = 10.0) -> None:
    """The heart is found for sure, near its true place, and the region holds it."""
    found, true = find_heart(image), frame_of_labels(labels)
    axes = np.reshape(true.direction, (3, 3))
    x, y, z = axes.T @ (found.frame.center() - true.center())
    assert found.sure
    assert np.hypot(x, y) < across
    assert abs(z) < 15.0
    region, ventricles = found.region.data != 0, labels.data != 0
    assert found.region.grid == image.grid
    assert float(region[ventricles].float().mean()) > 0.9
    assert float(region.float().mean()) < 0.4


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


# Its extent

PIXELS = Grid((60, 60, 10), (4.0, 4.0, 10.0))


def outlines(low: int, high: int, *, radius: float = 40.0, right: bool = True) -> np.ndarray:
    """A left ventricle in its wall, the right one beside it, in slices low to high."""
    y, x = np.mgrid[-30:30, -30:30] * 4.0
    plane = np.zeros((60, 60), np.uint8)
    if right:
        plane[np.hypot(y, x + radius) < 0.8 * radius] = 1
    plane[np.hypot(y, x) < radius] = 2
    plane[np.hypot(y, x) < 0.7 * radius] = 3
    labels = np.zeros((10, 60, 60), np.uint8)
    labels[low:high] = plane
    return labels


def test_the_extent_of_a_heart_leaves_no_doubt():
    assert implausibility(outlines(1, 8), PIXELS) == ""
    thick = Grid((60, 60, 5), (4.0, 4.0, 20.0))
    assert implausibility(outlines(1, 3)[:5], thick) == ""
    few = Grid((60, 60, 2), PIXELS.spacing)
    assert implausibility(outlines(0, 2, right=False)[:2], few) == ""


@pytest.mark.parametrize(
    ("labels", "problem"),
    [
        (outlines(3, 6), "it would be only 30 mm long"),
        (outlines(3, 7), "it would be only 40 mm long"),
        (outlines(1, 8, radius=12.0), "it would have a mean cross-section of 6 cm\u00b2"),
        (outlines(1, 8, radius=90.0), "it would have a mean cross-section of 3"),
        (outlines(1, 8, right=False), "it would have no right ventricle"),
    ],
)
def test_what_has_not_the_extent_of_a_heart_is_doubtful(labels, problem):
    assert implausibility(labels, PIXELS).startswith(problem)


def test_it_is_said_where_the_apex_is_uncertain(persons):
    whole = [person.fixed for person in persons.values()]
    one = slices(whole[0], 4, 5)
    assert find_heart(whole[0]).upright and not find_heart(one).upright
    context = Context()
    align_hearts(one, whole[1], context)
    first, second = context.notes
    assert "and found" in first and "which of its ends is the apex is uncertain" in first
    assert "uncertain" not in second


def test_a_doubtful_extent_is_not_used_and_said(persons, monkeypatch):
    monkeypatch.setattr(plausibility, "_LONG", 500.0)
    monkeypatch.setattr(plausibility, "_SHARE", 1.1)
    one, other = (Image(p.fixed.data.clone(), p.fixed.grid) for p in persons.values())
    found = find_heart(one)
    assert not found.sure and found.score > heartnet._SURE
    np.testing.assert_allclose(found.frame.center(), one.grid.center())
    context = Context()
    assert heart_region(one, context) is None
    align_hearts(one, other, context)
    assert len(context.notes) == 2
    assert all("mm long)" in n and "in the middle of the stack" in n for n in context.notes)


def test_a_heart_that_shows_weakly_is_assumed_where_it_shows_and_said(persons, monkeypatch):
    """By the same look that is sure with the usual limit."""
    monkeypatch.setattr(heartnet, "_SURE", 1.0)
    one, other = persons.values()
    fixed, moving = (Image(p.fixed.data.clone(), p.fixed.grid) for p in (one, other))
    found, true = find_heart(fixed), frame_of_labels(one.fixed_labels)
    assert not found.sure and bool((found.region.data != 0).all())
    assert np.linalg.norm((found.frame.center() - true.center())[:2]) < 10.0
    assert heart_region(fixed, Context()) is None
    context = Context()
    align_hearts(fixed, moving, context)
    assert all("uncertain" in n and "where it shows best" in n for n in context.notes)


@pytest.mark.skipif(not ACDC.exists(), reason="needs ../shared/data")
def test_a_small_heart_at_systole_is_found():
    """Of the patients on whom no limit was chosen, the one that was doubted most."""
    folder = ACDC / "patient063"
    check(*(read_image(folder / f"patient063_frame16{kind}.nii.gz") for kind in ("", "_gt")))


# No heart


def brain() -> Image:
    """A skull, scalp, grey and white matter, ventricles, in thick slices."""
    z, y, x = np.meshgrid(
        np.linspace(-70, 70, 16), np.linspace(-110, 110, 110), np.linspace(-110, 110, 110),
        indexing="ij",
    )  # fmt: skip
    radius = np.sqrt((x / 75) ** 2 + (y / 95) ** 2 + (z / 85) ** 2)
    values = np.full(radius.shape, 10.0)
    values[radius < 1.1] = 700.0
    values[radius < 1.03] = 30.0
    values[radius < 0.97] = 300.0
    values[radius < 0.85 + 0.05 * np.sin(20 * np.arctan2(y, x))] = 450.0
    for side in (-1, 1):
        values[((x - 12 * side) / 8) ** 2 + (y / 25) ** 2 + (z / 20) ** 2 < 1] = 60.0
    return stack(values + np.random.default_rng(0).normal(0, 8, values.shape))


def chest_slices() -> Image:
    """A chest CT in thick axial slices, its values shifted as if they were of MRI."""
    chest = thorax((80, 64, 18), (4.0, 4.0, 12.0)).fixed
    return Image((chest.data + 1000.0).clamp(min=0), chest.grid, "chest")


NO_HEART = {
    "noise": lambda: stack(np.random.default_rng(3).normal(100, 20, (10, 100, 100))),
    "one value": lambda: stack(np.full((10, 100, 100), 7.0)),
    "a brain": brain,
    "a chest": chest_slices,
    "a bottle": lambda: stack(
        np.broadcast_to(np.hypot(*np.mgrid[-50:50, -50:50]) < 30, (10, 100, 100)) * 500.0
    ),
}


@pytest.mark.parametrize("name", NO_HEART)
def test_where_there_is_no_heart_doubt_is_said_and_the_middle_is_taken(name):
    image = NO_HEART[name]()
    found = find_heart(image)
    assert not found.sure
    np.testing.assert_allclose(found.frame.center(), image.grid.center())
    assert bool((found.region.data != 0).all())


@pytest.mark.parametrize("name", ["noise", "a brain", "a bottle"])
@pytest.mark.parametrize("same_grid", [True, False])
def test_thick_slices_without_a_heart_get_no_settings_for_hearts(name, same_grid):
    image = NO_HEART[name]()
    grid = image.grid if same_grid else image.grid.cropped((0, 0, 0), (90, 90, 9))
    other = Image(image.data[: grid.size[2], : grid.size[1], : grid.size[0]] * 1.1, grid, "other")
    found = recognize(image, other, None)
    assert found.name == "general" and "no heart was found" in found.why


def test_hearts_are_recognized(persons):
    one, other = persons.values()
    assert recognize(one.fixed, one.moving, None).name == "cardiac_mri"
    assert recognize(one.fixed, other.fixed, None).name == "cardiac_mri_patients"


def test_two_persons_on_one_grid_are_two_persons(persons):
    one, other = persons.values()
    placed = Image(other.fixed.data, one.fixed.grid)
    found = recognize(one.fixed, placed, None)
    assert found.name == "cardiac_mri_patients" and "unlike" in found.why


# Use


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
