"""register(): what comes back, checked against scipy and numpy."""

import dataclasses

import numpy as np
import pytest
import torch
from references import blobs, oblique_grid, rotation
from scipy import ndimage

import DeepRegistrationLib
from DeepRegistrationLib import Affine, DisplacementField, register
from DeepRegistrationLib.data.phantoms import thorax
from DeepRegistrationLib.errors import Cancelled
from DeepRegistrationLib.images.geometry import Grid
from DeepRegistrationLib.images.image import Image
from DeepRegistrationLib.options import Outputs, RegistrationOptions, names_of
from DeepRegistrationLib.registration import stages
from DeepRegistrationLib.registration.stages import inverse_grid

EVERYTHING = Outputs(*5 * [True])
FAST = {"quality": "fast", "parameters": {"iterations": 0.3}, "device": "cpu"}


@pytest.fixture(scope="module")
def pair():
    """Smooth random images on different oblique and anisotropic grids; the moving one is bent."""
    grid = oblique_grid((30, 28, 18), (2.0, 2.2, 3.5))
    fixed = blobs(grid, 1)
    points = grid.points(dtype=torch.float64)
    bent = points + 1.5 * torch.sin(points.flip(-1) / 15)
    moving_grid = oblique_grid((28, 26, 20), (2.2, 2.4, 3.2))
    source = Image(fixed.sample(bent, interpolation="cubic", fill=None), grid)
    return fixed, source.resampled(moving_grid, interpolation="cubic", fill=None)


@pytest.fixture(scope="module")
def result(pair):
    heard = []
    found = register(
        *pair, None, EVERYTHING, seed=3, progress=lambda f, m: heard.append((f, m)), **FAST
    )
    return found, heard


@pytest.fixture(scope="module")
def chest():
    return thorax((64, 50, 58), (5.0, 5.0, 5.0), landmarks=0)


def mapped(transform, grid):
    return transform(grid.points(dtype=torch.float64)).numpy()


# What comes back


def test_the_warped_image_is_the_moving_one_looked_up_by_scipy_at_the_transformed_voxels(
    pair, result
):
    fixed, moving = pair
    found, _ = result
    index = moving.grid.to_index(mapped(found.transform, fixed.grid))
    expected = ndimage.map_coordinates(
        moving.data.numpy().astype(np.float64), np.moveaxis(index, -1, 0)[::-1], order=1
    )
    inside = np.all((index >= 0) & (index <= np.array(moving.grid.size) - 1), axis=-1)
    assert inside.mean() > 0.5
    difference = np.abs(found.warped.data.numpy() - expected)[inside]
    assert difference.max() < 1e-3 * np.ptp(moving.data.numpy())


def test_outside_a_ct_the_warped_image_is_air(shift, chest):
    shifted = register(
        chest.fixed,
        chest.moving,
        method="shift",
        parameters={"scale": 5.0},
        device="cpu",
        warped=True,
    )  # by 15 mm along z, three voxels
    assert torch.all(shifted.warped.data[-2:] == -1000.0)


def test_the_jacobian_is_numpys_determinant_of_finite_differences(pair, result):
    fixed, _ = pair
    found, _ = result
    points = mapped(found.transform, fixed.grid)
    gradients = [np.gradient(points, axis=axis) for axis in (2, 1, 0)]
    by_index = np.stack(gradients, axis=-1)
    expected = np.linalg.det(by_index @ np.linalg.inv(fixed.grid.matrix))
    assert np.allclose(found.jacobian.data.numpy(), expected, atol=1e-3)
    assert np.abs(expected - 1).max() > 0.02


def test_the_inverse_undoes_the_transform(pair, result):
    _, moving = pair
    found, _ = result
    inverse = found.inverse
    assert inverse.residual_max < 0.05  # mm
    assert inverse.field.grid.same_as(inverse_grid(moving.grid))
    points = inverse.field.grid.points(dtype=torch.float64)
    again = found.transform(inverse.field(points))
    assert float((again - points).norm(dim=-1).max()) < 0.05


@pytest.mark.parametrize("name", [None, *names_of(Outputs)])
def test_what_nobody_asked_for_is_not_computed(chest, shift, monkeypatch, name):
    """Only the function of the wanted output is called; without one, the method's alone."""
    functions = {
        "warped": "warped_image",
        "jacobian": "jacobian",
        "displacement": "displacement_magnitude",
        "inverse": "invert",
        "uncertainty": "find_evidence",
    }
    called = []
    for output, function in functions.items():
        original = getattr(stages, function)

        def noted(*given, output=output, original=original, **named):
            called.append(output)
            return original(*given, **named)

        monkeypatch.setattr(stages, function, noted)
    choice = {} if name is None else {name: True}
    found = register(chest.fixed, chest.moving, method="shift", device="cpu", **choice)
    assert set(called) == set(choice)
    assert [n for n in names_of(Outputs) if getattr(found, n) is not None] == list(choice)
    assert found.grid == chest.fixed.grid


def test_the_inverse_has_voxels_of_two_millimetres_at_least_over_the_same_box():
    grid = oblique_grid((60, 50, 20), (0.7, 0.7, 3.0))
    coarse = inverse_grid(grid)
    assert np.allclose(coarse.spacing, (2.0, 2.0, 3.0), rtol=0.1)
    assert np.allclose(coarse.corners(), grid.corners())


def test_every_tensor_is_on_the_cpu_and_on_the_fixed_images_grid(pair, result):
    fixed, _ = pair
    found, _ = result
    for image in (found.warped, found.jacobian, found.displacement):
        assert image.data.device.type == "cpu"
        assert image.grid.same_as(fixed.grid)
        assert not image.data.requires_grad
    assert found.transform.device.type == "cpu"
    assert found.inverse.field.device.type == "cpu"


def test_the_seconds_of_every_stage_are_told(result):
    found, _ = result
    after = ["warp", "jacobian", "displacement", "inverse", "uncertainty"]
    assert list(found.seconds) == ["masks", "register", *after]
    assert all(value >= 0 for value in found.seconds.values())
    assert found.seconds["register"] > 0


def test_the_affine_start_is_timed_apart_where_a_method_makes_one(pair, result):
    found, _ = result
    assert 0 < found.method_seconds["affine"] <= found.seconds["register"]
    begun = register(*pair, None, Outputs(), initial=Affine(), **FAST)
    assert begun.method_seconds == {}


def test_the_provenance_is_enough_to_do_it_again(pair, result):
    found, _ = result
    told = found.provenance
    assert told["deepregistration"] == DeepRegistrationLib.__version__
    assert told["torch"] == torch.__version__
    assert (told["method"], told["quality"], told["device"], told["seed"]) == (
        "optimize", "fast", "cpu", 3)  # fmt: skip
    chosen = {"anatomy": "auto", "smoothness": 1.0, "iterations": 0.3, "sliding": True}
    chosen["segmentation"] = True
    assert told["parameters"] == chosen
    assert told["device_reason"]
    options = RegistrationOptions(**{key: told[key] for key in names_of(RegistrationOptions)})
    again = register(*pair, options, Outputs(warped=True))
    assert torch.equal(again.warped.data, found.warped.data)


def test_progress_runs_from_almost_nothing_to_one_without_falling_back(result):
    _, heard = result
    fractions = [f for f, _ in heard]
    assert fractions == sorted(fractions)
    assert fractions[0] < 0.05
    assert fractions[-1] == 1.0
    assert len(heard) > 30
    assert all(message for _, message in heard)


@pytest.mark.parametrize("when", [0.0, 0.3, 0.86, 0.91, 0.96])
def test_a_cancel_at_any_stage_comes_through(pair, shift, when):
    def cancel(fraction, message):
        if fraction >= when:
            raise Cancelled

    with pytest.raises(Cancelled):
        register(*pair, None, EVERYTHING, method="shift", progress=cancel, device="cpu")


def test_the_images_and_masks_given_are_not_modified(chest):
    given = [chest.fixed, chest.moving, chest.fixed_lungs, chest.moving_lungs]
    padded = chest.fixed.data.clone()
    padded[:, :5] = -3024.0
    given[0] = Image(padded, chest.fixed.grid)
    before = [image.data.clone() for image in given]
    register(given[0], given[1], fixed_mask=given[2], moving_mask=given[3], **FAST)
    for image, data in zip(given, before, strict=True):
        assert torch.equal(image.data, data)
        assert image.data.dtype == data.dtype


def test_the_method_gets_everything_that_was_given(chest, shift):
    initial = Affine(translation=(1.0, 2.0, 3.0))
    register(
        chest.fixed,
        chest.moving,
        method="shift",
        quality="best",
        parameters={"count": 4},
        fixed_mask=chest.fixed_lungs,
        moving_mask=chest.moving_lungs,
        initial=initial,
        device="cpu",
        seed=11,
    )
    ((fixed, moving, context, parameters),) = shift.calls
    assert fixed.data.min() == -1000.0  # air is the least
    assert moving.data.dtype == torch.float32
    assert torch.equal(context.fixed_mask.data, chest.fixed_lungs.data)
    assert torch.equal(context.moving_mask.data, chest.moving_lungs.data)
    assert np.array_equal(context.initial.translation, initial.translation)
    assert (context.quality, context.seed, context.device) == ("best", 11, torch.device("cpu"))
    assert parameters.count == 4


def test_gradients_are_recorded_again_after_a_registration(chest, shift):
    register(chest.fixed, chest.moving, method="shift", device="cpu")
    assert torch.is_grad_enabled()


def test_inference_mode_of_the_caller_changes_nothing(pair):
    fixed, moving = pair
    choices = {**FAST, "warped": True}
    asked = register(fixed, moving, **choices)
    with torch.inference_mode():
        made = [dataclasses.replace(image, data=image.data.clone()) for image in pair]
        assert all(image.data.is_inference() for image in made)
        inside = register(*made, **choices)
    outside = register(*made, **choices)
    for found in (inside, outside):
        assert torch.equal(found.warped.data, asked.warped.data)
        assert not found.warped.data.is_inference()


def test_whole_numbers_are_registered_like_real_ones(pair):
    whole = [dataclasses.replace(i, data=i.data.round().to(torch.int16)) for i in pair]
    real = [dataclasses.replace(i, data=i.data.round()) for i in pair]
    first, second = (register(*images, method="affine", device="cpu") for images in (whole, real))
    assert np.array_equal(first.transform.matrix, second.transform.matrix)


def test_an_initial_displacement_field_is_part_of_the_optimized_transform(pair):
    fixed, moving = pair
    turn = Affine.about(fixed.grid.center(), rotation(0, 0, 15), np.array([12.0, 0.0, 0.0]))
    field = DisplacementField(DisplacementField.of(turn, fixed.grid).vectors, fixed.grid)
    origin = turn(torch.tensor([moving.grid.origin], dtype=torch.float64)).numpy()[0]
    direction = turn.matrix @ np.array(moving.grid.direction).reshape(3, 3)
    turned = Image(
        moving.data, Grid(moving.grid.size, moving.grid.spacing, origin, direction.ravel())
    )
    converged = {**FAST, "parameters": {}}  # a field and no field are interpolated differently
    plain = register(fixed, moving, initial=Affine(), **converged)
    found = register(fixed, turned, initial=field, **converged)
    inner = 3 * (slice(5, -5),)
    expected = turn(torch.from_numpy(mapped(plain.transform, fixed.grid))).numpy()
    distance = np.linalg.norm(mapped(found.transform, fixed.grid) - expected, axis=-1)
    assert distance[inner].max() < 0.2  # mm
