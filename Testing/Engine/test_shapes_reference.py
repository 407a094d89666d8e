"""References on ellipsoids whose map is known, on simple hearts, and what the cache keeps."""

import numpy as np
import pytest
import torch
from hearts import heart_labels, stack_grid
from references import straight_grid

from DeepRegistrationLib.errors import RegistrationError
from DeepRegistrationLib.images.image import Image
from DeepRegistrationLib.methods.heart.preparation import standard_frame
from DeepRegistrationLib.training.shapes.cache import make_references
from DeepRegistrationLib.training.shapes.matching import MatchingSettings, match, spread
from DeepRegistrationLib.training.shapes.overlap import frame_labels, pair_overlap
from DeepRegistrationLib.training.shapes.reference import (
    ReferenceSettings,
    on_frame,
    reference_velocity,
)
from DeepRegistrationLib.training.shapes.surfaces import decimate, isosurface
from DeepRegistrationLib.training.shapes.template import shape_of
from DeepRegistrationLib.transforms import DisplacementField, exponential, field_jacobian

QUICK = ReferenceSettings(
    cell=12.0, matching=MatchingSettings(controls=60, iterations=(25, 15, 10)), centers=120
)
FIRST, SECOND = np.array([38.0, 30.0, 34.0]), np.array([30.0, 36.0, 40.0])  # mm, half axes


def ellipsoid(radii, cell=9.0):
    grid = straight_grid((34, 34, 34), (3.0, 3.0, 3.0), (-49.5, -49.5, -49.5))
    points = grid.points(dtype=torch.float64).numpy()
    return decimate(isosurface(np.linalg.norm(points / radii, axis=-1), grid, 1.0), cell)


def flow_of(velocity):
    """exp(v) of a reference, as a map of the frame in mm."""
    frame = standard_frame()
    spacing = torch.tensor(frame.spacing)[:, None, None, None]
    return exponential(DisplacementField(on_frame(velocity[None])[0] * spacing, frame))


def test_matching_brings_an_ellipsoid_onto_another():
    template, target = ellipsoid(FIRST), ellipsoid(SECOND)
    settings = MatchingSettings(controls=80, iterations=(25, 15, 15))
    points, left = match([template], [[template], [target]], settings)
    before = np.linalg.norm(template.vertices / SECOND, axis=1)
    after = np.linalg.norm(points[1] / SECOND, axis=1)
    assert np.abs(before - 1).max() > 0.15
    assert np.abs(after - 1).mean() < 0.025  # 0.9 mm, on triangles of 9 mm
    assert np.abs(points[0] - template.vertices).max() < 0.8  # it is at home already
    assert left[0] < left[1] < 0.02  # of the currents' norm


def test_matching_leaves_an_ellipsoids_shell_in_its_order():
    """A diffeomorphism of nested ellipsoids keeps them nested."""
    inner, outer = ellipsoid(0.6 * FIRST), ellipsoid(FIRST)
    targets = [ellipsoid(0.6 * SECOND), ellipsoid(SECOND)]
    settings = MatchingSettings(controls=120, iterations=(25, 15, 10))
    points, _ = match([inner, outer], [targets], settings)
    radius = np.linalg.norm(points[0] / SECOND, axis=1)
    n = len(inner.vertices)
    assert np.abs(radius[:n] - 0.6).mean() < 0.04
    assert np.abs(radius[n:] - 1).mean() < 0.04


def test_the_reference_of_two_ellipsoids_is_their_known_map():
    """Points of both shells correspond by the affine map between them."""
    surface = np.concatenate([ellipsoid(FIRST).vertices, ellipsoid(0.5 * FIRST).vertices])
    velocity = reference_velocity(surface, surface * SECOND / FIRST)
    inside = np.random.default_rng(0).uniform(-1, 1, (400, 3)) * FIRST
    inside = inside[np.linalg.norm(inside / FIRST, axis=1) < 1]
    flow = flow_of(velocity)
    found = flow(torch.from_numpy(inside)).numpy()
    error = np.linalg.norm(found - inside * SECOND / FIRST, axis=1)
    assert np.linalg.norm(inside * (SECOND / FIRST - 1), axis=1).mean() > 3
    assert error.mean() < 0.3
    assert error.max() < 1.25  # half a voxel
    assert float(field_jacobian(flow).min()) > 0


def test_minus_v_is_the_reference_of_the_way_back():
    surface = np.concatenate([ellipsoid(FIRST).vertices, ellipsoid(0.5 * FIRST).vertices])
    velocity = reference_velocity(surface, surface * SECOND / FIRST)
    back = flow_of(-velocity)(torch.from_numpy(surface * SECOND / FIRST)).numpy()
    assert np.linalg.norm(back - surface, axis=1).mean() < 0.5


def test_a_map_that_folds_is_rejected_with_the_reason():
    points = ellipsoid(FIRST).vertices
    mirrored = points * [-1.0, 1.0, 1.0]
    with pytest.raises(RegistrationError, match="too different.*voxels"):
        reference_velocity(points, mirrored, ReferenceSettings(ridges=(1e-3, 1e-2)))


def test_spread_points_are_far_from_each_other():
    points = np.random.default_rng(0).normal(size=(500, 3))
    chosen = points[spread(points, 40)]
    random = points[np.random.default_rng(1).permutation(500)[:40]]

    def nearest(p):
        return (np.linalg.norm(p[:, None] - p[None], axis=2) + 9 * np.eye(len(p))).min()

    assert len(chosen) == 40
    assert nearest(chosen) > 3 * nearest(random)


@pytest.fixture(scope="module")
def hearts():
    """Two hearts of different size, place and turn."""
    place = (70.0, -15.0, 5.0)
    elsewhere = stack_grid(12.0, (60.0, -20.0, 5.0))
    return [
        heart_labels(stack_grid()),
        heart_labels(elsewhere, turn=30.0, shift=place, size=(0.85, 0.9, 0.9)),
    ]


@pytest.fixture(scope="module")
def kept(hearts, tmp_path_factory):
    folder = tmp_path_factory.mktemp("references")
    return folder, make_references(hearts, folder, QUICK)


def test_references_bring_one_heart_onto_the_other(kept):
    _, references = kept
    assert references.pairs == ((0, 1),)
    assert references.rejects == ()
    fixed, moving = (frame_labels(shape) for shape in references.shapes)
    velocity = on_frame(references.velocities)[0]
    before = pair_overlap(torch.zeros_like(velocity), fixed, moving)
    after = pair_overlap(velocity, fixed, moving)
    back = pair_overlap(-velocity, moving, fixed)
    assert before["Dice"] < 0.87
    assert after["Dice"] > 0.92
    assert back["Dice"] > 0.92
    assert after["folding"] == back["folding"] == 0


def test_references_are_made_once_and_again_for_a_corrected_contour(kept, hearts, monkeypatch):
    folder, references = kept
    made = []
    import DeepRegistrationLib.training.shapes.cache as cache

    original = cache._make_pair
    monkeypatch.setattr(cache, "_make_pair", lambda job: (made.append(job[0]), original(job)))
    again = make_references(hearts, folder, QUICK)
    assert not made
    torch.testing.assert_close(again.velocities, references.velocities)
    corrected = hearts[1].data.clone()
    corrected[corrected == 1] = 0
    corrected[2:6][hearts[1].data[2:6] == 1] = 1
    make_references([hearts[0], Image(corrected, hearts[1].grid, "corrected")], folder, QUICK)
    assert len(made) == 1


def test_a_case_that_the_template_does_not_fit_is_left_out_by_name(kept, hearts):
    folder, _ = kept
    strict = ReferenceSettings(cell=12.0, matching=QUICK.matching, centers=120, unmatched=1e-6)
    with pytest.raises(RegistrationError, match="heart labels: the template leaves .* unmatched"):
        make_references(hearts, folder, strict)


def test_a_segmentation_without_a_ventricle_is_refused_by_name():
    labels = heart_labels(stack_grid())
    without = Image(torch.where(labels.data == 1, 0, labels.data), labels.grid, "case7.nrrd")
    with pytest.raises(RegistrationError, match="case7.nrrd has no RV"):
        shape_of(without, 9.0)
