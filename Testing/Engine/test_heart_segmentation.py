"""The segmentation of the ventricles: where it lies, when it is used, and what it changes."""

from dataclasses import replace
from functools import partialmethod
from pathlib import Path

import numpy as np
import pytest
import torch
from hearts import heart_labels, heart_picture, stack_grid

from DeepRegistrationLib import register
from DeepRegistrationLib.errors import RegistrationError
from DeepRegistrationLib.evaluation.overlap import label_overlap, registered_overlap
from DeepRegistrationLib.images.geometry import Grid
from DeepRegistrationLib.images.image import Image, read_image
from DeepRegistrationLib.methods.context import Context
from DeepRegistrationLib.methods.heart import segmentation
from DeepRegistrationLib.methods.heart.heartnet import FoundHeart
from DeepRegistrationLib.methods.heart.oriented import oriented_grid, with_neighbors
from DeepRegistrationLib.methods.heart.preparation import frame_of_labels, middle_frame
from DeepRegistrationLib.methods.heart.segmentation import Segmentation, segment_ventricles
from DeepRegistrationLib.methods.optimize import ventricles as term
from DeepRegistrationLib.methods.optimize.presets import CARDIAC_MRI, GENERAL, LUNG_CT
from DeepRegistrationLib.methods.optimize.refine import refine
from DeepRegistrationLib.transforms import Affine

ACDC = Path(__file__).resolve().parents[3] / "shared" / "data" / "cardiac_acdc"
FAST = {"quality": "fast", "initial": Affine()}


class Reader(torch.nn.Module):
    """Stands for the network: a pixel's brightness is its label."""

    def forward(self, slices):
        labels = (slices[:, 1] * 3).round().long().clamp(0, 3)  # the middle one of three
        return 12.0 * torch.nn.functional.one_hot(labels, 4).movedim(-1, 1).float()


def legible(labels: Image) -> Image:
    """A picture whose brightness is the label; its corners differ, or they would be padding."""
    data = labels.data.float()
    data[0, 0, 0] = 0.2
    return Image(data, labels.grid, "legible")


def place(monkeypatch, found: dict[Image, FoundHeart]) -> None:
    monkeypatch.setattr(segmentation, "find_heart", lambda image: found[image])
    monkeypatch.setattr(segmentation, "_network", lambda *_: Reader())


def known(image: Image, labels: Image, sure: bool = True) -> FoundHeart:
    return FoundHeart(frame_of_labels(labels), image, 0.9, sure)


def as_labels(found: Segmentation, grid: Grid) -> Image:
    shares = torch.stack([share.data for share in found.shares])
    return Image(torch.cat([1 - shares.sum(0, keepdim=True), shares]).argmax(0), grid)


def stored_otherwise(labels: Image) -> Image:
    """The same heart; slices from apex to base, as the first axis of the array's three."""
    data = labels.data.flip(0).permute(1, 2, 0).contiguous()
    grid = labels.grid
    axes = np.reshape(grid.direction, (3, 3))[:, [2, 0, 1]] * [-1, 1, 1]
    size, spacing = (tuple(np.array(v)[[2, 0, 1]]) for v in (grid.size, grid.spacing))
    origin = grid.to_physical((0, 0, grid.size[2] - 1))
    return Image(data, Grid(size, spacing, tuple(origin), tuple(axes.ravel())), labels.name)


# Where it lies


@pytest.mark.parametrize("change", [lambda labels: labels, stored_otherwise])
def test_the_segmentation_lies_where_the_heart_is_however_the_array_is_stored(monkeypatch, change):
    grid = stack_grid(turn=35.0, shift=(7.0, -4.0, 11.0))
    labels = change(heart_labels(grid, turn=-20.0, shift=(12.0, -8.0, 10.0)))
    image = legible(labels)
    place(monkeypatch, {image: known(image, labels)})
    found = segment_ventricles(image)
    assert not found.reason
    assert [share.grid for share in found.shares] == [labels.grid] * 3
    overlap = label_overlap(labels, as_labels(found, labels.grid))
    assert min(overlap[k]["dice"] for k in (1, 2, 3)) > 0.9


def with_empty_slices(image: Image, count: int, value: float = 0.0) -> Image:
    """Slices of one value below and above, as archives put them around a stack."""
    layer = torch.full((count, *image.data.shape[1:]), value).to(image.data)
    origin = image.grid.to_physical((0, 0, -count))
    size = (*image.grid.size[:2], image.grid.size[2] + 2 * count)
    grid = replace(image.grid, size=size, origin=tuple(origin))
    return Image(torch.cat([layer, image.data, layer]), grid, image.name)


def test_the_network_sees_no_slices_of_padding(monkeypatch):
    labels = heart_labels(stack_grid())
    image = legible(labels)
    padded, where = (with_empty_slices(each, 3) for each in (image, labels))
    place(monkeypatch, {image: known(image, labels), padded: known(padded, where)})
    seen = []
    monkeypatch.setattr(Reader, "forward", partialmethod(spied, Reader.forward, seen))
    shares = [torch.stack([s.data for s in segment_ventricles(i).shares]) for i in (image, padded)]
    assert seen == [int((labels.data != 0).flatten(1).any(1).sum())] * 2
    assert shares[1].shape[1] == shares[0].shape[1] + 6
    assert not shares[1][:, [0, 1, 2, -3, -2, -1]].any()


def spied(self, forward, seen, slices):
    seen.append(len(slices))
    return forward(self, slices)


def test_slices_are_the_images_own_in_the_hearts_frame():
    grid = stack_grid(turn=35.0, shift=(7.0, -4.0, 11.0))
    frame = frame_of_labels(heart_labels(grid, turn=-20.0, shift=(12.0, -8.0, 10.0)))
    made = oriented_grid(grid, frame, 80)
    axes = np.reshape(grid.direction, (3, 3))
    heights = [g.points().numpy()[:, 0, 0] @ axes[:, 2] for g in (grid, made)]
    np.testing.assert_allclose(np.sort(heights[0]), np.sort(heights[1]), atol=1e-3)
    np.testing.assert_allclose(made.direction, frame.direction)
    off = np.reshape(frame.direction, (3, 3)).T @ (made.center() - frame.center())
    np.testing.assert_allclose(off[:2], 0, atol=1e-6)


@pytest.mark.parametrize(("spacing", "step"), [(10.0, 1), (5.0, 2), (3.0, 3), (20.0, 1)])
def test_neighbors_are_about_8_mm_away(spacing, step):
    slices = torch.arange(9.0)[:, None, None].expand(9, 2, 2)
    seen = with_neighbors(slices, spacing)[:, :, 0, 0]
    assert seen[4].tolist() == [4 - step, 4, 4 + step]
    assert seen[0].tolist() == [0, 0, step] and seen[8].tolist() == [8 - step, 8, 8]


# When it is used


def test_single_and_thick_slices_doubtful_hearts_and_odd_ones_are_left_out(monkeypatch):
    labels = heart_labels(stack_grid())
    image = legible(labels)
    one = Image(image.data[4:5].contiguous(), labels.grid.cropped((0, 0, 4), (72, 72, 5)))
    small = heart_labels(stack_grid(), size=(0.4, 0.4, 1.0))
    little = legible(small)
    unsure = legible(labels)
    thick = legible(Image(labels.data, replace(labels.grid, spacing=(2.5, 2.5, 20.0))))
    place(
        monkeypatch,
        {
            one: FoundHeart(middle_frame(one.grid), one, 0.9, True),
            unsure: known(unsure, labels, sure=False),
            thick: known(thick, labels),
            little: known(little, small),
        },
    )
    assert segment_ventricles(one) == ((), "has only 1 slices")
    assert segment_ventricles(thick) == ((), "has slices of 20 mm")
    assert segment_ventricles(unsure) == ((), "shows no heart for sure")
    assert segment_ventricles(little).reason.startswith("shows ventricles of an odd extent")


def test_a_faint_segmentation_is_left_out(monkeypatch):
    labels = heart_labels(stack_grid())
    image = legible(labels)
    place(monkeypatch, {image: known(image, labels)})
    weak = torch.nn.Sequential()
    weak.forward = lambda slices: 0.1 * Reader()(slices)
    monkeypatch.setattr(segmentation, "_network", lambda *_: weak)
    assert "faint" in segment_ventricles(image).reason


def test_only_settings_for_hearts_segment(monkeypatch):
    monkeypatch.setattr(term, "segment_ventricles", lambda image: pytest.fail("segmented"))
    image = legible(heart_labels(stack_grid()))
    for preset in (LUNG_CT, GENERAL):
        context = Context()
        assert term.ventricles(preset, image, image, context) is None and not context.notes


def test_missing_weights_are_said_and_no_obstacle(monkeypatch):
    def missing(image):
        raise RegistrationError("There are no weights for heartsegnet.")

    monkeypatch.setattr(term, "segment_ventricles", missing)
    context = Context()
    image = legible(heart_labels(stack_grid()))
    assert term.ventricles(CARDIAC_MRI, image, image, context) is None
    assert context.notes == [
        "No segmentation of the ventricles was used: There are no weights for heartsegnet."
    ]


# What it changes


@pytest.fixture(scope="module")
def beating():
    """Two phases whose wall does not show in the images: only their segmentations have it."""
    labels = [heart_labels(stack_grid(), size=(s, s, 1.0)) for s in (1.0, 0.85)]
    flat = []
    for number, each in enumerate(labels):
        seen = Image((each.data != 0).to(torch.uint8) * 3, each.grid)
        flat.append(heart_picture(seen, number))
    return flat, labels


def told(monkeypatch, images, labels, reason=""):
    """The true labels stand for the segmentations; the second one may be left out for a reason."""
    answers = {}
    for image, known_labels in zip(images, labels, strict=True):
        shares = [(known_labels.data == k).float() for k in (1, 2, 3)]
        found = tuple(Image(share, known_labels.grid) for share in shares)
        answers[image.name, image.data.sum().item()] = Segmentation(found)
    keys = list(answers)
    if reason:
        answers[keys[1]] = Segmentation((), reason)
    monkeypatch.setattr(
        term, "segment_ventricles", lambda image: answers[image.name, image.data.sum().item()]
    )


def dice(labels, transform):
    overlap = registered_overlap(*labels, transform)
    return np.mean([overlap[k]["dice"] for k in (1, 2, 3)])


def test_segmentations_align_walls_that_the_images_do_not_show(monkeypatch, beating):
    images, labels = beating
    told(monkeypatch, images, labels)
    values = {"anatomy": "cardiac_mri"}
    used = register(*images, parameters=values, **FAST)
    without = register(*images, parameters={**values, "segmentation": False}, **FAST)
    assert dice(labels, used.transform) > dice(labels, without.transform) + 0.02
    assert any("trained with labels" in note for note in used.notes)
    assert not any("segment" in note for note in without.notes)


def test_where_one_segmentation_is_in_doubt_the_images_alone_count(monkeypatch, beating):
    images, labels = beating
    told(monkeypatch, images, labels, reason="shows no heart for sure")
    values = {"anatomy": "cardiac_mri"}
    found = register(*images, parameters=values, **FAST)
    without = register(*images, parameters={**values, "segmentation": False}, **FAST)
    assert torch.equal(found.transform.members[0].vectors, without.transform.members[0].vectors)
    assert (
        "No segmentation of the ventricles was used: the moving image shows no heart for sure."
        in found.notes
    )


def test_refinement_uses_them_and_says_so_once(monkeypatch, beating):
    images, labels = beating
    told(monkeypatch, images, labels)
    context = Context(fixed_mask=Image((labels[0].data != 0).to(torch.uint8), labels[0].grid))
    refined = refine(*images, Affine(), context)
    assert dice(labels, refined) > dice(labels, Affine()) + 0.05
    again = refine(*images, refined, context)
    assert again is not None
    assert sum("trained with labels" in note for note in context.notes) == 1


# The shipped network on real hearts


@pytest.mark.skipif(not ACDC.is_dir(), reason="needs ACDC")
@pytest.mark.parametrize("patient", ["patient062", "patient077"])
def test_ventricles_of_patients_that_were_not_trained_on(patient):
    for path in sorted((ACDC / patient).glob("*frame??.nii.gz")):
        image = read_image(path)
        labels = read_image(path.with_name(path.name.replace(".nii", "_gt.nii")))
        found = segment_ventricles(image)
        assert not found.reason
        overlap = label_overlap(labels, as_labels(found, image.grid))
        assert np.mean([overlap[k]["dice"] for k in (1, 2, 3)]) > 0.8
