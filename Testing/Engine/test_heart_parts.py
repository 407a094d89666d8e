"""Organs beside the heart that look like a ventricle, stomach and spleen, are no part of it."""

import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from hearts import heart_labels, stack_grid

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from DeepRegistrationLib.images.image import Image, read_image
from DeepRegistrationLib.methods.heart import heartnet
from DeepRegistrationLib.methods.heart.heartnet import find_heart
from DeepRegistrationLib.methods.heart.plausibility import largest_part
from DeepRegistrationLib.methods.heart.preparation import frame_of_labels
from Testing.Benchmarks.hearts import VARIANTS, changed

ACDC = Path(__file__).resolve().parents[3] / "shared" / "data" / "cardiac_acdc"


class Reader(torch.nn.Module):
    """Stands for the network: a pixel's brightness is its label."""

    def forward(self, slices):
        labels = (slices[:, 0] * 3).round().long().clamp(0, 3)
        return 12.0 * torch.nn.functional.one_hot(labels, 4).movedim(-1, 1).float()


def with_an_organ(labels: Image, place: tuple[float, float], low: int, high: int) -> Image:
    """Blood in a wall of 30 mm around a place (mm) in slices low to high, besides the heart."""
    x, y, _ = labels.grid.points().unbind(-1)
    away = torch.hypot(x - place[0], y - place[1])[low:high]
    data = labels.data.clone()
    data[low:high][(away < 30.0) & (data[low:high] == 0)] = 2
    data[low:high][(away < 20.0) & (labels.data[low:high] == 0)] = 3
    data = data.float()
    data[0, 0, 0] = 0.2  # corners that are all alike would be padding
    return Image(data, labels.grid, "heart and stomach")


@pytest.mark.parametrize(
    ("place", "low", "high"),
    [
        ((36.0, 76.0), 1, 6),  # beside the ventricles, with 16 mm of fat in between
        ((78.0, 40.0), 0, 4),  # at the base
        ((38.0, 28.0), 8, 10),  # below the apex, touching it
    ],
)
def test_an_organ_beside_the_heart_is_no_part_of_it(monkeypatch, place, low, high):
    monkeypatch.setattr(heartnet, "_network", lambda *_: Reader())
    labels = heart_labels(stack_grid(pixels=90), size=(1.0, 1.0, 0.8))
    found = find_heart(with_an_organ(labels, place, low, high))
    off = found.frame.center() - frame_of_labels(labels).center()
    assert found.seen
    assert np.hypot(*off[:2]) < 5.0


def probabilities(labels: np.ndarray) -> np.ndarray:
    """Shares of surroundings, RV, myocardium and LV: [slices, 4, rows, columns]."""
    return np.moveaxis(0.9 * np.eye(4)[labels] + 0.025, -1, 1)


def test_sections_that_lie_over_each_other_by_half_are_of_one_part():
    labels = np.zeros((3, 20, 20), int)
    labels[0, 2:10, 2:10] = 3
    labels[1, 2:10, 6:14] = 2  # by half
    labels[2, 2:10, 11:19] = 3  # by three eighths
    part = largest_part(probabilities(labels))
    assert part[:2].any((1, 2)).all() and not part[2].any()


def test_a_small_section_within_a_larger_one_is_of_its_part():
    labels = np.zeros((2, 20, 20), int)
    labels[0, 2:16, 2:16] = 3
    labels[1, 12:15, 12:15] = 2
    np.testing.assert_array_equal(largest_part(probabilities(labels)), labels > 0)


def test_without_likely_pixels_there_is_no_part():
    assert not largest_part(probabilities(np.zeros((3, 8, 8), int))).any()


@pytest.mark.skipif(not ACDC.exists(), reason="needs ../shared/data")
@pytest.mark.parametrize(
    ("name", "variant"),
    [
        ("patient062_frame09", "slices of 20 mm"),
        ("patient062_frame09", "turned by 30 degrees"),
        ("patient065_frame14", "pixels of 3 mm"),
        ("patient065_frame14", "voxels of 2 mm"),
        ("patient066_frame01", "axes in another order"),
    ],
)
def test_hearts_next_to_a_bright_stomach_or_spleen_are_found_or_doubted(name, variant):
    paths = (ACDC / name[:10] / f"{name}{kind}.nii.gz" for kind in ("", "_gt"))
    image, labels = changed(VARIANTS[variant], *map(read_image, paths))
    found = find_heart(image)
    off = found.frame.center() - frame_of_labels(labels).center()
    axes = np.reshape(found.frame.direction, (3, 3))
    assert not found.sure or np.hypot(*(axes.T @ off)[:2]) < 15.0
