"""Lungs and body as two deformations that slide on each other."""

from dataclasses import replace

import numpy as np
import pytest
import SimpleITK as sitk
import torch
import trivial

from DeepRegistrationLib import register
from DeepRegistrationLib.data.phantoms.thorax import thorax
from DeepRegistrationLib.evaluation.landmarks import mapped_points
from DeepRegistrationLib.images.geometry import Grid
from DeepRegistrationLib.methods import make_parameters, method_class
from DeepRegistrationLib.methods.context import Context
from DeepRegistrationLib.methods.guide import Guide
from DeepRegistrationLib.methods.optimize import sliding
from DeepRegistrationLib.methods.optimize.motion_mask import cavity, motion_mask
from DeepRegistrationLib.methods.optimize.presets import LUNG_CT
from DeepRegistrationLib.methods.optimize.unfolding import LEAST, smallest_jacobian
from DeepRegistrationLib.transforms import (
    Affine,
    Composite,
    DisplacementField,
    jacobian,
    write_transform,
)


@pytest.fixture(scope="module")
def pair():
    """A chest whose lungs slide by up to 20 mm; its ribs begin at the lungs' surface."""
    return thorax((150, 120, 144), (2.0, 2.0, 2.0), motion=20.0, sliding=True, seed=7, noise=30.0)


def _registered(pair, context=None, **parameters):
    chosen = method_class("optimize")
    method = chosen(make_parameters(chosen, {"anatomy": "lung_ct", **parameters}))
    context = context or Context(fixed_mask=pair.fixed_lungs, moving_mask=pair.moving_lungs)
    return method.register(pair.fixed, pair.moving, context), context.notes


@pytest.fixture(scope="module")
def off(pair):
    """Without sliding."""
    return _registered(pair, sliding=False)[0]


@pytest.fixture(scope="module")
def on(pair):
    """With it."""
    return _registered(pair, sliding=True)


def _errors(transform, pair):
    points = pair.fixed.grid.points()
    return (transform(points) - pair.transform(points)).norm(dim=-1)


def test_the_body_is_twice_as_near_to_the_truth_and_the_lungs_stay(pair, off, on):
    found, notes = on
    assert any("slide along the chest wall" in note for note in notes)
    lungs = pair.fixed_lungs.data != 0
    body = (pair.fixed.data > -300) & ~lungs
    bones = (pair.fixed.data > 200) & ~lungs
    before, after = _errors(off, pair), _errors(found, pair)
    grid = pair.fixed.grid
    assert torch.equal(found.at_voxels(grid)[lungs], off.at_voxels(grid)[lungs])
    maps = jacobian(found, grid).data, jacobian(off, grid).data
    assert torch.equal(maps[0][lungs], maps[1][lungs])
    assert not torch.equal(*maps)
    assert after[body].mean() < 0.5 * before[body].mean()
    assert after[bones].mean() < 0.5 * before[bones].mean()
    field = found.members[0]
    assert float(smallest_jacobian(field.vectors, field.grid).min()) > LEAST


def test_landmark_pairs_on_bones_drive_the_body(pair, on):
    """8 places on bones whose partners lie 5 mm beside the truth: followed, or not, for certain."""
    lungs = pair.fixed_lungs.data != 0
    bones = pair.fixed.grid.points()[(pair.fixed.data > 200) & ~lungs].double().numpy()
    points = bones[np.random.default_rng(0).choice(len(bones), 8, replace=False)]
    partners = mapped_points(pair.transform, points) + (0.0, 0.0, 5.0)
    masks = {"fixed_mask": pair.fixed_lungs, "moving_mask": pair.moving_lungs}
    driven, notes = _registered(pair, Context(**masks, guide=Guide(points, partners, 1.0)))
    assert any("slide along the chest wall" in note for note in notes)
    assert any("8 of the driving landmark pairs lie outside the lungs" in note for note in notes)
    assert not any("pull the lungs" in note for note in on[1])

    def missed(transform):
        return np.linalg.norm(mapped_points(transform, points) - partners, axis=1)

    assert missed(on[0]).mean() > 4
    assert missed(driven).max() < 1
    assert _errors(driven, pair)[lungs].mean() < _errors(on[0], pair)[lungs].mean() + 0.1


def test_pairs_in_the_lungs_do_not_drive_the_body(pair):
    lungs = pair.fixed_lungs
    inside = pair.fixed_landmarks[:2]
    outside = np.array([lungs.grid.origin, [0.0, 0.0, 9e3]])
    guide = Guide(np.concatenate([outside, inside]), np.zeros((4, 3)), 1.0)
    assert sliding._outside(guide, lungs).fixed.tolist() == outside.tolist()
    assert sliding._outside(guide.of(np.array([2, 3])), lungs) is None
    assert sliding._outside(None, lungs) is None


def test_itk_maps_points_by_the_written_transform_as_we_do(pair, on, tmp_path):
    found, _ = on
    write_transform(found, tmp_path / "slid.h5")
    read = sitk.ReadTransform(str(tmp_path / "slid.h5"))
    points = pair.fixed.grid.points()[8:-8:17, 8:-8:13, 8:-8:11].reshape(-1, 3).double()
    moved = np.array([read.TransformPoint(p) for p in points.tolist()])
    assert np.abs(moved - found(points).numpy()).max() < 0.05


def test_the_motion_mask_holds_what_one_deformation_fits_and_the_cavity_where_none_does():
    """Two lungs, tissue that tells nothing between and below them, a wall that follows the body."""
    grid = Grid((60, 50, 60), (4.0, 4.0, 4.0))
    z, y, x = torch.meshgrid(torch.arange(60), torch.arange(50), torch.arange(60), indexing="ij")
    round_ = ((x - 30) / 22) ** 2 + ((y - 25) / 16) ** 2
    lungs = (round_ < 1) & ((x - 30).abs() > 7) & (z > 20)
    wall = (round_ > 1.15) & (round_ < 1.6)
    outer = torch.full(grid.shape, 10.0)
    inner = torch.where(wall, 150.0**2, 10.0)
    found = motion_mask(inner, outer, lungs, round_ < 1.6, grid)
    assert bool(found[lungs].all())
    assert not bool((found & wall & (round_ > 1.3)).any())
    assert bool(found[30, 20:30, 30].all())  # between the lungs
    assert bool(found[10, 25, 15:45].all())  # 4 cm below them
    assert not bool(cavity(lungs, grid)[0].any())  # 8.4 cm below them


def test_switched_off_it_is_the_fit_alone(pair, off, monkeypatch):
    monkeypatch.setattr(sliding, "with_sliding", lambda *_: pytest.fail("sliding was asked for"))
    again, notes = _registered(pair, sliding=False)
    assert torch.equal(again.members[0].vectors, off.members[0].vectors)
    assert not any("body around the lungs" in note for note in notes)


@pytest.mark.parametrize("context", [{"quality": "fast"}, {"moving_mask": None}])
def test_it_is_not_asked_for_in_a_hurry_or_without_lungs(pair, context):
    masks = {"fixed_mask": pair.fixed_lungs, "moving_mask": pair.moving_lungs}
    assert sliding.slides(LUNG_CT, Context(**masks))
    assert not sliding.slides(LUNG_CT, Context(**{**masks, **context}))


def _left_out(transform, fixed, moving, context):
    found = sliding.with_sliding(transform, fixed, moving, context, lambda *_: None)
    assert found is transform
    (note,) = context.notes
    assert "was left out" in note
    return note


def test_a_mask_that_is_no_lung_leaves_it_out(pair, off):
    tissue = replace(pair.fixed_lungs, data=(pair.fixed.data > -300).to(torch.uint8))
    context = Context(fixed_mask=tissue, moving_mask=pair.moving_lungs)
    assert "does not show lungs" in _left_out(off, pair.fixed, pair.moving, context)


def test_images_cut_to_the_lungs_leave_it_out(pair, off):
    cut = [
        replace(image, data=torch.where(mask.data != 0, image.data, -1000.0))
        for image, mask in ((pair.fixed, pair.fixed_lungs), (pair.moving, pair.moving_lungs))
    ]
    context = Context(fixed_mask=pair.fixed_lungs, moving_mask=pair.moving_lungs)
    assert "too little of the bones" in _left_out(off, *cut, context)


def test_a_body_that_fits_no_better_leaves_it_out(pair, off, monkeypatch):
    far = Affine(translation=np.array([0.0, 0.0, 17.0]))
    monkeypatch.setattr(sliding, "_body_deformation", lambda *_: far)
    context = Context(fixed_mask=pair.fixed_lungs, moving_mask=pair.moving_lungs)
    assert "did not fit better" in _left_out(off, pair.fixed, pair.moving, context)


def test_a_start_that_is_not_affine_leaves_it_out(pair, off):
    context = Context(fixed_mask=pair.fixed_lungs, moving_mask=pair.moving_lungs)
    chain = Composite([off.members[0], DisplacementField.identity(pair.fixed.grid)])
    assert "not affine" in _left_out(chain, pair.fixed, pair.moving, context)


def test_best_slides_too_and_can_be_inverted(pair):
    masks = {"fixed_mask": pair.fixed_lungs, "moving_mask": pair.moving_lungs}
    result = register(
        pair.fixed, pair.moving, method="optimize", quality="best", device="cpu",
        inverse=True, jacobian=True, **masks,
    )  # fmt: skip
    assert any("slide along the chest wall" in note for note in result.notes)
    body = (pair.fixed.data > -300) & (pair.fixed_lungs.data == 0)
    assert _errors(result.transform, pair)[body].mean() < 3.0
    assert float(result.jacobian.data.min()) > 0
    assert result.inverse.residual_mean < 0.01


@pytest.fixture(scope="module")
def small():
    """A chest that slides, in voxels of 4 mm; and the truth as what is refined."""
    return thorax((75, 60, 72), (4.0, 4.0, 4.0), motion=16.0, sliding=True, seed=7, noise=20.0)


def test_a_body_that_differs_by_noise_alone_stays_where_it_is(small):
    noise = np.random.default_rng(1).normal(0, 30, small.fixed.data.shape)
    again = replace(small.fixed, data=small.fixed.data + torch.from_numpy(noise).round().short())
    found = register(small.fixed, again)
    assert any("a deformation of its own" in note for note in found.notes)
    points = small.fixed.grid.points()
    moved = (found.transform(points) - points).norm(dim=-1)
    tissue = (small.fixed.data > -300) & (small.fixed_lungs.data == 0)
    # mm; what lies near the lungs still follows them
    assert moved[tissue].quantile(0.25) < 1e-3 and moved[tissue].median() < 0.1


def _notes(pair, **options):
    masks = {"fixed_mask": pair.fixed_lungs, "moving_mask": pair.moving_lungs}
    result = register(pair.fixed, pair.moving, device="cpu", **masks, **options)
    return [note for note in result.notes if "body around the lungs" in note], result


def test_a_refined_result_slides_once_unless_that_is_switched_off(small, monkeypatch):
    trivial.install(monkeypatch)
    for method in ("shift", "optimize"):
        notes, result = _notes(small, method=method, refine=True)
        assert len(notes) == 1
        assert "slide along the chest wall" in notes[0]
    plain, other = _notes(small, method="optimize", refine=True, parameters={"sliding": False})
    assert not plain
    grid, lungs = small.fixed.grid, small.fixed_lungs.data != 0
    assert torch.equal(
        other.transform.at_voxels(grid)[lungs], result.transform.at_voxels(grid)[lungs]
    )
    body = (small.fixed.data > -300) & ~lungs
    errors = [_errors(r.transform, small)[body].mean() for r in (result, other)]
    assert errors[0] < 0.7 * errors[1]


@pytest.mark.parametrize("quality", ["default", "best"])
def test_the_predicted_error_is_of_deformations_that_slide(small, quality):
    """Where the body is right in both directions, they agree; without sliding they do not."""
    tissue = (small.fixed.data > -300) & (small.fixed_lungs.data == 0)
    lungs = small.fixed_lungs.data != 0
    found = []
    for sliding_too in (True, False):
        notes, result = _notes(
            small, method="optimize", quality=quality, uncertainty=True,
            parameters={"sliding": sliding_too},
        )  # fmt: skip
        assert len(notes) == sliding_too
        predicted = result.uncertainty.predicted.data
        found.append((predicted[tissue].mean(), predicted[lungs].mean()))
    (body, inside), (plain_body, plain_inside) = found
    assert body != plain_body
    assert inside < 1.3 * plain_inside
