"""Landmark pairs that drive a registration: what they do, and that they prove nothing."""

from __future__ import annotations

import json

import numpy as np
import pytest
import torch

from DeepRegistrationLib import Image, RegistrationError, register, write_image, write_landmarks
from DeepRegistrationLib.cli import main
from DeepRegistrationLib.data.phantoms import thorax
from DeepRegistrationLib.evaluation.driving_pairs import joined, split
from DeepRegistrationLib.evaluation.landmark_pairs import LandmarkPairs
from DeepRegistrationLib.evaluation.landmarks import mapped_points
from DeepRegistrationLib.images.geometry import Grid
from DeepRegistrationLib.methods.guide import Guide
from DeepRegistrationLib.methods.optimize.landmark_term import Targets
from DeepRegistrationLib.registration.landmark_start import far_start, landmark_start
from DeepRegistrationLib.transforms import Affine, DisplacementField, write_transform
from DeepRegistrationLib.transforms.bspline import BSplineLattice

SHORT = {"iterations": 0.5}


@pytest.fixture(scope="module")
def pair():
    return thorax((48, 40, 44), (6.0, 6.0, 6.0), seed=1)


def errors(transform, fixed, moving):
    return np.linalg.norm(mapped_points(transform, fixed) - moving, axis=1)


# The term itself


def test_the_term_of_a_spline_is_that_of_its_definition():
    grid = Grid((13, 11, 9), (3.0, 3.0, 3.0), (5.0, -4.0, 2.0))
    lattice = BSplineLattice(grid.shape, (3.0, 3.0, 3.0))
    rng = np.random.default_rng(3)
    points = grid.to_physical(rng.uniform(1, 7, (5, 3)))
    targets = Targets(points, points + rng.normal(size=(5, 3)), 0.7)
    coefficients = rng.normal(size=(3, *lattice.control_shape))
    found = targets.term(lattice, 5000.0, grid)(torch.tensor(coefficients).float())
    there = np.array([cubic(grid, coefficients, point, 3.0) + point for point in points])
    off = there - targets.targets
    assert float(found) == pytest.approx(0.7 * 1000 / 5000 * np.sum(np.square(off)), rel=1e-5)


def cubic(grid, coefficients, point, stride):
    """A cubic B-spline at a point, by its definition: beta(t) of Unser 1999, eq. 2."""

    def beta(t):
        t = np.abs(t)
        near = 2 / 3 - t**2 + t**3 / 2
        return np.where(t < 1, near, np.where(t < 2, (2 - t) ** 3 / 6, 0))

    x, y, z = grid.to_index(point) / stride
    weights = [
        beta(position - (np.arange(n) - 1))
        for position, n in zip((z, y, x), coefficients.shape[1:], strict=True)
    ]
    return np.einsum("czyx,z,y,x->c", coefficients, *weights)


# Registration


def test_pairs_pull_the_result_as_far_as_they_are_trusted(pair):
    rows = np.arange(0, len(pair.fixed_landmarks), 5)
    driving = pair.fixed_landmarks[rows], pair.moving_landmarks[rows] + (0.0, 6.0, 0.0)
    options = {"quality": "fast", "device": "cpu", "parameters": SHORT}
    free = register(pair.fixed, pair.moving, **options)
    driven = register(pair.fixed, pair.moving, guide=driving, **options)
    loose = register(pair.fixed, pair.moving, guide=driving, landmark_weight=1e-4, **options)
    before, after, little = (
        errors(result.transform, *driving).mean() for result in (free, driven, loose)
    )
    assert after < 0.5 * before
    assert after < little < before + 0.1
    assert driven.driving.labels == [str(k + 1) for k in range(len(rows))]
    assert free.driving is None


def test_both_directions_and_the_refinement_are_driven(pair):
    rows = np.arange(0, len(pair.fixed_landmarks), 5)
    driving = pair.fixed_landmarks[rows], pair.moving_landmarks[rows] + (0.0, 6.0, 0.0)
    best = register(pair.fixed, pair.moving, guide=driving, quality="best", parameters=SHORT)
    assert errors(best.transform, *driving).mean() < 3
    refined = register(pair.fixed, pair.moving, guide=driving, method="affine", refine=True)
    affine = register(pair.fixed, pair.moving, method="affine")
    assert (
        errors(refined.transform, *driving).mean() < 0.5 * errors(affine.transform, *driving).mean()
    )


def test_a_method_that_cannot_be_driven_says_so(pair):
    driving = pair.fixed_landmarks[:4], pair.moving_landmarks[:4]
    with pytest.raises(RegistrationError, match="cannot be driven by landmarks"):
        register(pair.fixed, pair.moving, guide=driving, method="affine")


# The start


def test_images_apart_come_together_by_four_pairs(pair):
    """The moving image turned and far away, as from another scanner: an affine of the pairs."""
    moving, partners = turned(pair, 12.0, (0.0, 40.0, 900.0))
    rows = np.linspace(0, len(partners) - 1, 8).astype(int)
    driving = pair.fixed_landmarks[rows], partners[rows]
    found = register(pair.fixed, moving, guide=driving, quality="fast", device="cpu")
    others = np.setdiff1d(np.arange(len(partners)), rows)
    assert errors(found.transform, pair.fixed_landmarks[others], partners[others]).mean() < 3
    assert any("driving landmark pair(s) together" in note for note in found.notes)


def turned(pair, degrees, shift):
    """The moving image and its landmarks, turned about the body's axis and moved."""
    away = Affine.about(np.zeros(3), rotation(degrees), np.array(shift))
    grid = pair.moving.grid
    direction = away.matrix @ np.reshape(grid.direction, (3, 3))
    origin = away.matrix @ np.array(grid.origin) + away.translation
    moved = Grid(grid.size, grid.spacing, tuple(origin), tuple(direction.ravel()))
    partners = pair.moving_landmarks @ away.matrix.T + away.translation
    return Image(pair.moving.data, moved), partners


def test_images_that_overlap_but_are_turned_start_from_the_pairs_too(pair):
    moving, partners = turned(pair, 80.0, (20.0, 0.0, 30.0))
    rows = np.linspace(0, len(partners) - 1, 8).astype(int)
    others = np.setdiff1d(np.arange(len(partners)), rows)
    left = []
    for guide in (None, (pair.fixed_landmarks[rows], partners[rows])):
        found = register(pair.fixed, moving, guide=guide, quality="fast", device="cpu")
        ends = pair.fixed_landmarks[others], partners[others]
        left.append(errors(found.transform, *ends).mean())
        assert any("turned by 80 degrees" in note for note in found.notes) == (guide is not None)
    assert left[0] > 20 and left[1] < 3


def test_pairs_that_lie_near_leave_the_start_to_the_images():
    fixed = np.random.default_rng(0).normal(size=(8, 3)) * 60
    near = Guide(fixed, fixed @ rotation(10.0).T + (5.0, 6.0, 20.0), 1.0)
    assert far_start(near, []) is None
    assert far_start(Guide(fixed[:3], fixed[:3] + 700.0, 1.0), []) is None
    wild = Guide(fixed, -fixed + 70.0, 1.0)  # mirrored: no rotation brings these together
    assert far_start(wild, []) is None


def rotation(degrees):
    c, s = np.cos(np.radians(degrees)), np.sin(np.radians(degrees))
    return np.array([[c, -s, 0], [s, c, 0], [0, 0, 1.0]])


@pytest.mark.parametrize(
    ("count", "what", "matrix"),
    [
        (8, "an affine", rotation(20.0) @ np.diag([1.1, 0.9, 1.0])),
        (3, "a rotation and a shift", rotation(20.0)),
        (1, "a shift", np.eye(3)),
    ],
)
def test_the_start_is_as_free_as_the_pairs_determine(count, what, matrix):
    fixed = np.random.default_rng(0).normal(size=(count, 3)) * 60
    moving = fixed @ matrix.T + (5.0, 6.0, 700.0)
    notes: list[str] = []
    start = landmark_start(Guide(fixed, moving, 1.0), notes)
    assert np.abs(mapped_points(start, fixed) - moving).max() < 1e-6
    assert what in notes[0]


def test_pairs_in_one_plane_determine_no_affine():
    fixed = np.random.default_rng(0).normal(size=(9, 3)) * (60, 60, 0)
    start = landmark_start(Guide(fixed, fixed @ rotation(20.0).T, 1.0), [])
    assert np.abs(start.matrix - rotation(20.0)).max() < 1e-6


# What drove proves nothing


def pairs_of(points, labels):
    return LandmarkPairs(labels, points, points + 1.0)


def test_a_landmark_at_the_place_of_one_that_drove_does_not_count():
    points = np.arange(30.0).reshape(10, 3) * 5
    driving = pairs_of(points[:3], ["a", "b", "c"])
    apart = split(driving, points[::-1] + 0.3)
    assert apart.drove.tolist() == [7, 8, 9]
    assert apart.independent.tolist() == [0, 1, 2, 3, 4, 5, 6]
    assert "(a, b, c)" in apart.note
    assert "3 of the 10 given to measure it are among them" in apart.note
    assert split(None, points).note is None


def test_what_drove_the_start_still_counts_as_driving():
    points = np.arange(12.0).reshape(4, 3) * 5
    earlier, now = pairs_of(points[:2], ["a", "b"]), pairs_of(points[1:3], ["x", "y"])
    pairs, left_out = joined(now, np.array([1.0, 2.0]), earlier)
    assert pairs.labels == ["x", "y", "a"]
    assert pairs.fixed.tolist() == points[[1, 2, 0]].tolist()
    assert left_out[1] == 2.0  # alone known: x and a are in the start, also where they are left out
    assert np.isnan(left_out[[0, 2]]).all()


@pytest.fixture
def files(pair, tmp_path):
    """Images, the driving pairs (three), and all landmarks, as a person has them."""
    write_image(pair.fixed, tmp_path / "f.nii.gz")
    write_image(pair.moving, tmp_path / "m.nii.gz")
    for name, points in (("f", pair.fixed_landmarks), ("m", pair.moving_landmarks)):
        write_landmarks(points, tmp_path / f"{name}.csv")
        write_landmarks(points[:3], tmp_path / f"{name}3.csv")
    return {path.name: str(path) for path in tmp_path.iterdir()}


def test_commands_drive_measure_apart_and_remember(files, pair, tmp_path, capsys):
    out, better = tmp_path / "out", tmp_path / "better"
    images = files["f.nii.gz"], files["m.nii.gz"]
    lists = "--fixed-landmarks", files["f.csv"], "--moving-landmarks", files["m.csv"]
    guide = "--guide", files["f3.csv"], files["m3.csv"]
    fast = "--quality", "fast", "--set", "iterations=0.5"
    assert main(["register", *images, "-o", str(out), *guide, *lists, *fast]) == 0
    said = capsys.readouterr().out
    assert "drove the registration (1, 2, 3): no proof" in said
    report = json.loads((out / "report.json").read_text())
    count = len(pair.fixed_landmarks)
    assert report["tre"]["n"] == count - 3
    assert len(report["driving"]["residual_mm"]) == 3
    texts = [finding["text"] for finding in report["verdict"]["findings"]]
    assert "3 landmarks drove the deformation and do not count as proof." in texts
    assert (out / "driving_landmarks.csv").is_file()

    words = ["improve", *images, str(out / "transform.h5"), "-o", str(better)]
    write_landmarks(pair.fixed_landmarks[5:7], tmp_path / "f2.csv")
    write_landmarks(pair.moving_landmarks[5:7], tmp_path / "m2.csv")
    two = "--guide", str(tmp_path / "f2.csv"), str(tmp_path / "m2.csv")
    assert main([*words, *two, *lists, "--leave-one-out", "--radius", "40"]) == 0
    report = json.loads((better / "report.json").read_text())
    assert report["device"] in ("cpu", "cuda")
    assert report["tre"]["n"] == count - 5  # those of the start and of the improvement
    assert [e is not None for e in report["driving"]["left_out_mm"]] == [True] * 2 + [False] * 3

    capsys.readouterr()
    assert main(["evaluate", str(better / "transform.h5"), *lists]) == 0
    report = json.loads(capsys.readouterr().out)
    assert report["tre"]["n"] == count - 5
    assert any(f"5 of the {count} given to measure it" in note for note in report["notes"])


@pytest.mark.parametrize(
    ("options", "says"),
    [
        (("--landmark-weight", "2"), "is the weight of --guide; give both"),
        (("--label-weight", "2"), "is the weight of --guide-labels; give both"),
        (("--guide", "f3.csv", "m3.csv", "--landmark-weight", "1e30"), "above 0, up to 100"),
    ],
)
def test_a_weight_of_nothing_or_beyond_all_measure_is_refused(
    files, tmp_path, options, says, capsys
):
    words = [files.get(word, word) for word in ("f.nii.gz", "m.nii.gz", *options)]
    assert main(["register", *words, "-o", str(tmp_path / "out")]) == 2
    assert says in capsys.readouterr().err


def test_only_landmarks_that_drove_give_no_error_at_all(files, tmp_path, capsys):
    out = tmp_path / "out"
    images = files["f.nii.gz"], files["m.nii.gz"]
    both = files["f3.csv"], files["m3.csv"]
    lists = "--fixed-landmarks", both[0], "--moving-landmarks", both[1]
    fast = "--quality", "fast", "--set", "iterations=0.5"
    assert main(["register", *images, "-o", str(out), "--guide", *both, *lists, *fast]) == 0
    report = json.loads((out / "report.json").read_text())
    assert report["tre"] is None
    assert report["verdict"]["level"] != "ok"
    assert "no landmarks but those that drove it" in report["verdict"]["headline"]
    assert "Target registration error" not in capsys.readouterr().out


def test_a_wrong_landmark_is_noticed_by_its_neighbours(files, pair, tmp_path):
    """The transform is right; one pair, 9 mm off, pulls others away."""
    write_transform(DisplacementField.of(pair.transform, pair.fixed.grid), tmp_path / "true.h5")
    apart = np.linalg.norm(pair.fixed_landmarks[:, None] - pair.fixed_landmarks, axis=-1)
    middle = (apart < 20).sum(1).argmax()
    write_landmarks(pair.fixed_landmarks[[middle]], tmp_path / "one.csv")
    write_landmarks(pair.moving_landmarks[[middle]] + (0.0, 9.0, 0.0), tmp_path / "other.csv")
    words = ["improve", files["f.nii.gz"], files["m.nii.gz"], str(tmp_path / "true.h5")]
    words += ["-o", str(tmp_path / "out"), "--guide", str(tmp_path / "one.csv")]
    words += [str(tmp_path / "other.csv"), "--fixed-landmarks", files["f.csv"]]
    write_image(pair.fixed_lungs, tmp_path / "mask.nii.gz")
    words += ["--fixed-mask", str(tmp_path / "mask.nii.gz")]
    assert main([*words, "--moving-landmarks", files["m.csv"], "--quiet"]) == 0
    report = json.loads((tmp_path / "out" / "report.json").read_text())
    assert report["region"]["name"] == "mask"
    notes = report["notes"]
    assert any("nearby fit" in note and "worse than before" in note for note in notes)
