"""Strain against a thick-walled cylinder in closed form, and a beating phantom."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

from DeepRegistrationLib import Grid, Image, RegistrationError
from DeepRegistrationLib.data.phantoms import cine
from DeepRegistrationLib.function import tracking
from DeepRegistrationLib.function.heart_segments import heart_points
from DeepRegistrationLib.function.segment_names import SEGMENT_NAMES
from DeepRegistrationLib.function.strain import strain, strain_by
from DeepRegistrationLib.function.strain_result import DIRECTIONS
from DeepRegistrationLib.transforms import Affine, Transform

INNER, OUTER = 24.0, 34.0  # mm, of the wall at rest
SHORTER, INNER_LATER, TWIST = 0.85, 18.0, 0.004  # of the length; mm; rad per mm


class Cylinder(Transform):
    """An incompressible thick wall along z that shortens, contracts and twists.

    (r, t, z) goes to (r', t + TWIST z, SHORTER z) with r'^2 = INNER_LATER^2 + (r^2 - INNER^2) /
    SHORTER, so that every ring keeps its volume.
    """

    device = torch.device("cpu")

    def __call__(self, points):
        x, y, z = points.unbind(-1)
        factor = self.radius(torch.hypot(x, y)) / torch.hypot(x, y)
        turn = TWIST * z
        along = torch.stack([x * turn.cos() - y * turn.sin(), x * turn.sin() + y * turn.cos()])
        return torch.cat([(factor * along).movedim(0, -1), (SHORTER * z)[..., None]], dim=-1)

    @staticmethod
    def radius(r):
        return (INNER_LATER**2 + (r**2 - INNER**2) / SHORTER) ** 0.5

    def inverse(self):
        raise AssertionError("not needed")

    def to(self, device):
        return self


def ventricle(direction=(1, 0, 0, 0, 1, 0, 0, 0, 1), towards=(-1.0, 0.0)) -> Image:
    """Labels of a cylinder that closes at the last slice, the right ventricle on one side.

    Args:
        towards: Where the right ventricle lies, along the grid's first two axes.
    """
    size, spacing = (96, 96, 10), (1.0, 1.0, 8.0)
    y, x = np.mgrid[:96, :96] - 47.5
    r = np.hypot(x, y)
    values = np.zeros(size[::-1], np.uint8)
    side = np.hypot(x - 26 * towards[0], y - 26 * towards[1]) < 27
    values[:8, side] = 1  # it ends before the apex
    values[:, r < OUTER] = 2
    values[:9, r < INNER] = 3
    grid = Grid(size, spacing, (0.0, 0.0, 0.0), direction)
    grid = replace(grid, origin=tuple(-grid.center()))
    return Image(torch.from_numpy(values), grid, "cylinder labels")


def test_strain_is_that_of_the_cylinder():
    heart = heart_points(ventricle())
    found = strain_by(heart, Cylinder())
    r = np.hypot(heart.points[:, 0], heart.points[:, 1])
    wall = r > INNER + 1
    r, found = r[wall], found[wall]
    later = Cylinder.radius(r)
    expected = {
        "radial": 0.5 * ((r / (SHORTER * later)) ** 2 - 1),
        "circumferential": 0.5 * ((later / r) ** 2 - 1),
        "longitudinal": 0.5 * (SHORTER**2 + (later * TWIST) ** 2 - 1),
    }
    for k, name in enumerate(DIRECTIONS):
        assert np.abs(found[:, k] - expected[name]).max() < 0.01, name
    assert found[:, 0].mean() > 0.1
    assert found[:, 1].mean() < -0.1


def test_directions_are_orthonormal_and_outwards():
    heart = heart_points(ventricle())
    own = np.stack([heart.radial, heart.circumferential, heart.longitudinal], axis=1)
    assert np.einsum("nij,nkj->nik", own, own) == pytest.approx(
        np.broadcast_to(np.eye(3), own.shape), abs=1e-6
    )
    assert (
        np.einsum("nj,nj->n", heart.radial, heart.points)[np.abs(heart.points[:, 2]) < 30] > 0
    ).all()


OBLIQUE = np.array([[0.6, -0.6, -0.53], [-0.6, -0.79, 0.1]])  # base to apex; towards the RV, LPS


def oblique_axes() -> np.ndarray:
    """The heart's usual axes as columns, in LPS: right to left ventricle, its normal, apex."""
    apex = OBLIQUE[0] / np.linalg.norm(OBLIQUE[0])
    left = -(OBLIQUE[1] - (OBLIQUE[1] @ apex) * apex)
    left /= np.linalg.norm(left)
    return np.stack([left, np.cross(apex, left), apex], axis=1)


def test_segments_lie_where_anatomy_has_them():
    labels = ventricle(tuple(oblique_axes().ravel()))
    heart = heart_points(labels)
    middle = {k: heart.points[heart.segments == k].mean(axis=0) for k in SEGMENT_NAMES}
    assert len(middle) == 17
    for base in (1, 7):
        assert middle[base][2] > middle[base + 3][2] + 20  # anterior above inferior
        septal, lateral = middle[base + 1] + middle[base + 2], middle[base + 4] + middle[base + 5]
        assert (septal - lateral) @ OBLIQUE[1] > 40  # the septum on the right ventricle's side
        assert middle[base + 1][2] > middle[base + 2][2]  # anteroseptal above inferoseptal
    assert middle[13][2] > middle[15][2] + 20
    assert (middle[14] - middle[16]) @ OBLIQUE[1] > 20
    along = [middle[k] @ OBLIQUE[0] for k in (1, 7, 13, 17)]
    assert along == sorted(along)
    sizes = [int((heart.segments == k).sum()) for k in range(1, 7)]
    assert max(sizes) < 1.1 * min(sizes)


@pytest.mark.parametrize("towards", [(-1.0, 0.0), (0.0, 1.0), (0.6, -0.8)])
def test_the_septum_turns_with_the_right_ventricle(towards):
    heart = heart_points(ventricle(towards=towards))
    for base in (1, 7):
        septal = np.isin(heart.segments, (base + 1, base + 2))
        middle = heart.radial[septal].mean(axis=0)[:2]
        assert middle @ towards / np.linalg.norm(middle) > 0.99


def test_a_stack_stored_upside_down_gives_the_same_segments():
    labels = ventricle(tuple(oblique_axes().ravel()))
    turned = np.reshape(labels.grid.direction, (3, 3)) * [1, 1, -1]
    last = labels.grid.to_physical(np.array([0, 0, labels.grid.size[2] - 1]))
    grid = replace(labels.grid, origin=tuple(last), direction=tuple(turned.ravel()))
    there = heart_points(Image(labels.data.flip(0), grid, "upside down"))
    here = heart_points(labels)
    order, other = (np.lexsort(h.points.round(3).T) for h in (here, there))
    assert there.points[other] == pytest.approx(here.points[order], abs=1e-6)
    same = there.segments[other] == here.segments[order]
    assert same.mean() > 0.99  # but for points on a border between two, by rounding


class Frame(str):
    """Stands for an image."""

    notes = ()


class Steps:
    """Stands for register(): each call gives the next transform, and says the same."""

    def __init__(self, transforms):
        self.transforms, self.pairs = list(transforms), []

    def __call__(self, fixed, moving, options, progress):
        self.pairs.append((fixed, moving))
        found = self.transforms.pop(0)
        return type("Found", (), {"transform": found, "notes": ["Look at the hearts."]})()


def followed(monkeypatch, transforms, **options):
    steps = Steps(transforms)
    monkeypatch.setattr(tracking, "register", steps)
    heart = tracking.MaterialPoints(np.array([[3.0, 4.0, 5.0]]), np.eye(3)[None], np.ones(3))
    frames, numbers = [Frame(name) for name in "abcd"], [3, 4, 1, 2]
    options = {"notes": [], "numbers": numbers, **options}
    places, missing = tracking.tracked(frames, heart, None, progress=lambda *_: None, **options)
    return heart, places, missing, steps.pairs


def test_drift_is_taken_back_evenly(monkeypatch):
    drifts = [Affine(translation=(1.0, 0.0, 0.0))] * 4
    heart, places, missing, pairs = followed(monkeypatch, drifts, closed=True, to_reference=False)
    assert pairs == [("a", "b"), ("b", "c"), ("c", "d"), ("d", "a")]
    assert missing == pytest.approx(np.broadcast_to([4.0, 0.0, 0.0], missing.shape), abs=1e-5)
    for place in places:
        assert place == pytest.approx(heart.neighbors(), abs=1e-5)


def test_a_beat_that_closes_is_left_as_it_is(monkeypatch):
    there = Affine(np.diag([0.9, 0.9, 1.0]))
    steps = [there, there, there.inverse(), there.inverse()]
    heart, places, missing, _ = followed(monkeypatch, steps, closed=True, to_reference=False)
    assert missing == pytest.approx(0.0, abs=1e-5)
    for place, factor in zip(places, (1.0, 0.9, 0.81, 0.9), strict=True):
        gradient = heart.gradients(place)
        assert gradient[0] == pytest.approx(np.diag([factor, factor, 1.0]), abs=1e-5)
        assert heart.determinants(gradient) == pytest.approx(factor**2, abs=1e-5)


def test_tracking_to_the_reference_has_no_drift(monkeypatch):
    moves = [Affine(translation=(k, 0.0, 0.0)) for k in (1.0, 2.0, 1.0)]
    heart, places, missing, pairs = followed(monkeypatch, moves, closed=True, to_reference=True)
    assert pairs == [("a", "b"), ("a", "c"), ("a", "d")]
    assert missing is None
    shifts = [float((place - heart.neighbors()).max()) for place in places]
    assert shifts == pytest.approx([0.0, 1.0, 2.0, 1.0], abs=1e-5)


@pytest.mark.parametrize(
    ("to_reference", "who"), [(True, "Frames 1, 2 and 4"), (False, "Frames 1 to 4")]
)
def test_what_is_said_of_the_registrations_names_their_frames(monkeypatch, to_reference, who):
    notes = []
    moves = [Affine()] * 4
    followed(monkeypatch, moves, closed=True, to_reference=to_reference, notes=notes)
    assert notes == [f"{who}: Look at the hearts."]


def test_an_open_series_is_not_closed(monkeypatch):
    moves = [Affine(translation=(1.0, 0.0, 0.0))] * 3
    heart, places, missing, _ = followed(monkeypatch, moves, closed=False, to_reference=False)
    assert missing is None
    assert float((places[3] - heart.neighbors()).max()) == pytest.approx(3.0, abs=1e-5)


def test_strain_of_the_beating_phantom():
    phantom = cine(2, (100, 96, 11), (2.0, 2.0, 8.0), seed=3)
    found = strain(phantom.frames, reference=0, labels=phantom.labels[0])
    true = strain_by(found.points, phantom.transforms[1]).mean(axis=0)
    assert found.end_systole == 1
    assert [found.whole[name][0] for name in DIRECTIONS] == pytest.approx([0, 0, 0], abs=1e-9)
    assert found.whole["radial"][1] == pytest.approx(true[0], abs=0.08)
    assert found.whole["circumferential"][1] == pytest.approx(true[1], abs=0.03)
    assert found.at("radial", 1)[:12] == pytest.approx(true[0], abs=0.2)
    assert found.volumes_ml[0] == pytest.approx(float((phantom.labels[0].data == 3).sum()) * 0.032)
    assert 1 - found.volumes_ml[1] / found.volumes_ml[0] == pytest.approx(0.55, abs=0.06)
    assert found.muscle[1] == pytest.approx(1.0, abs=0.1)
    assert not found.longitudinal_seen
    assert any("longitudinal strain is not to be relied on" in note for note in found.notes)
    agreeing = replace(found, segmented_ml=found.volumes_ml)
    assert agreeing.trust.startswith("No check speaks against")
    assert (
        "fractions that do not agree"
        in replace(agreeing, segmented_ml=np.array([100.0, 90.0])).trust
    )
    assert "the muscle's volume" in replace(agreeing, muscle=found.muscle * [1, 0.7]).trust
    assert "much drift" in replace(agreeing, drift_mm=(1.0, 9.0)).trust
    by_truth = strain(phantom.frames, labels=phantom.labels[0], transform=phantom.transforms[1])
    assert by_truth.whole["radial"][1] == pytest.approx(true[0], abs=1e-6)
    shown = found.maps["radial"].data[phantom.labels[0].data == 2]
    assert float(shown.mean()) == pytest.approx(found.whole["radial"][1], abs=0.01)


def test_a_reference_at_end_systole_is_refused():
    phantom = cine(2, (80, 76, 11), (2.5, 2.5, 8.0), seed=3)
    with pytest.raises(RegistrationError, match="smallest in frame 2, which was taken for"):
        strain(phantom.frames, reference=1, labels=phantom.labels[1])


def test_bad_input_is_refused_in_a_sentence():
    labels = ventricle()
    frame = Image(labels.data.float(), labels.grid, "frame")
    other = Image(frame.data[1:], frame.grid.cropped((0, 0, 1), frame.grid.size), "short")
    with pytest.raises(RegistrationError, match="at least two frames"):
        strain([frame])
    with pytest.raises(RegistrationError, match="another grid"):
        strain([frame, other])
    with pytest.raises(RegistrationError, match="which frame they belong to"):
        strain([frame, frame], labels=labels)
    with pytest.raises(RegistrationError, match="no frame 2"):
        strain([frame, frame], reference=2)
    with pytest.raises(RegistrationError, match="end-diastole first"):
        strain([frame, frame], reference=1, transform=Affine())
    with pytest.raises(RegistrationError, match="end-diastole first"):
        strain([frame, frame, frame], transform=Affine())
    with pytest.raises(RegistrationError, match="no tracking 'tags'"):
        strain([frame, frame], tracking="tags")
    small = replace(labels, data=labels.data[1:], grid=other.grid)
    with pytest.raises(RegistrationError, match="lies on another grid"):
        strain([frame, frame], reference=0, labels=small)
    with pytest.raises(RegistrationError, match="could not be segmented in frame 1"):
        strain([replace(frame, data=torch.zeros_like(frame.data))] * 2)
    for number, name in ((1, "right ventricle"), (2, "myocardium"), (3, "left ventricle")):
        without = torch.where(labels.data == number, 0, labels.data)
        with pytest.raises(RegistrationError, match=name):
            heart_points(replace(labels, data=without))
    flat = labels.data.clone()
    flat[2:] = 0
    with pytest.raises(RegistrationError, match="seen in 2 slices"):
        heart_points(replace(labels, data=flat))
