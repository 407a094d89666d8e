"""What is no heart, or not all of one, is doubted, not used, and said."""

from pathlib import Path

import numpy as np
import pytest
from heart_checks import check, slices, stack, two_persons

from DeepRegistrationLib.data.phantoms import thorax
from DeepRegistrationLib.images.geometry import Grid
from DeepRegistrationLib.images.image import Image, read_image
from DeepRegistrationLib.methods.anatomy_recognition import recognize
from DeepRegistrationLib.methods.context import Context
from DeepRegistrationLib.methods.heart import heartnet, plausibility
from DeepRegistrationLib.methods.heart.frames import align_hearts, heart_region
from DeepRegistrationLib.methods.heart.heartnet import find_heart
from DeepRegistrationLib.methods.heart.plausibility import implausibility
from DeepRegistrationLib.methods.heart.preparation import frame_of_labels

ACDC = Path(__file__).resolve().parents[3] / "shared" / "data" / "cardiac_acdc"


@pytest.fixture(scope="module")
def persons():
    return two_persons()


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


def side_by_side(labels: np.ndarray) -> np.ndarray:
    """The heart's sections, with those of an organ that touches them."""
    y, x = np.mgrid[-30:30, -30:30] * 4.0
    organ = np.hypot(y - 70.0, x - 20.0) < 30.0
    return np.where(organ & labels.any((1, 2))[:, None, None] & (labels == 0), 3, labels)


def test_the_extent_of_a_heart_leaves_no_doubt():
    assert implausibility(outlines(1, 8), PIXELS) == ""
    thick = Grid((60, 60, 5), (4.0, 4.0, 20.0))
    assert implausibility(outlines(1, 3)[:5], thick) == ""
    short = Grid((60, 60, 7), PIXELS.spacing)  # the apex is not always marked
    assert implausibility(outlines(0, 4)[:7], short) == ""
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
        (side_by_side(outlines(1, 8, radius=28.0)), "its sections would fill only 69%"),
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
