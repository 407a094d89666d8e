"""Ventilation against a chest whose motion and density are known in closed form."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

from DeepRegistrationLib import RegistrationError, register
from DeepRegistrationLib.data.phantoms import thorax
from DeepRegistrationLib.function.lung_regions import lung_regions
from DeepRegistrationLib.function.slice_bands import find_slice_bands, without_surface
from DeepRegistrationLib.function.ventilation import MEASURES, noise_floor, ventilation
from DeepRegistrationLib.images.image import Image
from DeepRegistrationLib.transforms import Affine, DisplacementField
from Testing.Engine import breathing_chest as chest


def inner(lungs: Image, depth: float = 12.0) -> np.ndarray:
    return without_surface(lungs.data.numpy() != 0, lungs.grid, depth)


@pytest.mark.parametrize("exhale_fixed", [False, True])
def test_maps_are_the_analytic_ventilation(exhale_fixed):
    found = chest.measured(exhale_fixed, resolution=0.0)
    changes, _ = chest.truth(exhale_fixed)
    assert found.fixed_phase == ("exhale" if exhale_fixed else "inhale")
    inside = inner(found.lungs)
    assert inside.sum() > 5000
    # densities are interpolated linearly, which blurs the texture
    bounds = {"volume": ("volume", 0.002), "gas": ("gas", 0.01), "density": ("gas", 0.02)}
    for name, (of, bound) in bounds.items():
        error = found.maps[name].data.numpy()[inside] - changes[of][inside]
        assert np.abs(error).mean() < bound, name
    assert np.abs(found.maps["mass"].data.numpy()[inside]).mean() < 0.02
    assert set(found.maps) == set(MEASURES)


@pytest.mark.parametrize("exhale_fixed", [False, True])
def test_regions_are_ratios_of_their_volumes(exhale_fixed):
    found = chest.measured(exhale_fixed)
    changes, exhale = chest.truth(exhale_fixed)
    mask = found.lungs.data.numpy() != 0
    labels, names = lung_regions(mask, chest.GRID)
    for number, name in {0: "whole", **names}.items():
        inside = mask if number == 0 else labels == number
        expected = (exhale * (1 + changes["volume"]))[inside].sum() / exhale[inside].sum() - 1
        region = found.whole if number == 0 else found.regions[name]
        assert region.values["volume"] == pytest.approx(expected, abs=0.004)
        assert region.exhale_ml == pytest.approx(exhale[inside].sum() * 0.064, rel=0.02)
        assert region.relative["volume"] == pytest.approx(
            region.values["volume"] / found.whole.values["volume"]
        )
        assert abs(region.values["mass"]) < 0.02
        assert region.values["gas"] == pytest.approx(region.values["density"], abs=0.02)


def test_both_directions_agree():
    inhale, exhale = chest.measured(False), chest.measured(True)
    for name in MEASURES:  # Simon's formula of mean densities depends on where they are averaged
        bound = 0.02 if name == "density" else 0.006
        assert inhale.whole.values[name] == pytest.approx(exhale.whole.values[name], abs=bound)
    for name in inhale.regions:  # thirds of the height at inhale and at exhale differ a little
        difference = inhale.regions[name].values["volume"] - exhale.regions[name].values["volume"]
        assert abs(difference) < 0.03


def test_a_mass_that_differs_is_corrected_in_the_density_and_said():
    fixed, lungs = chest.scan(True)
    moving, mask = chest.scan(False)
    heavier = torch.where(mask.data > 0, (moving.data + 1000) * 1.3 - 1000, moving.data)
    found = ventilation(
        fixed, replace(moving, data=heavier), chest.motion(to_exhale=False), lungs=lungs
    )
    assert any("tissue at inhale" in note for note in found.notes)
    assert found.whole.values["mass"] == pytest.approx(0.3, abs=0.02)
    plain = chest.measured(True).whole.values
    assert found.whole.values["density"] == pytest.approx(plain["density"], abs=0.02)
    assert found.whole.values["volume"] == pytest.approx(plain["volume"], abs=0.002)


def test_a_region_without_a_density_that_counts_has_a_volume_alone():
    fixed, lungs = chest.scan(True)
    moving, _ = chest.scan(False)
    x, y, z = chest.GRID.points().unbind(-1)
    lesion = ((x - 60) ** 2 + y**2 + z**2 < 30**2) & (lungs.data > 0)
    found = ventilation(
        replace(fixed, data=torch.where(lesion, 30.0, fixed.data)),
        moving,
        chest.motion(to_exhale=False),
        lungs=lungs,
        regions=[replace(lungs, data=lesion.int())],
        region_names={1: "Lesion"},
    )
    region = found.regions["Lesion"]
    assert region.values["volume"] > 0.05
    assert all(np.isnan(region.values[name]) for name in ("gas", "density", "mass"))
    assert np.isnan(region.relative["gas"]) and region.relative["volume"] > 0


@pytest.mark.parametrize("resolution", [0.0, 20.0])
def test_maps_of_densities_are_0_where_no_density_counts(resolution):
    fixed, lungs = chest.scan(True)
    moving, mask = chest.scan(False)
    heavier = torch.where(mask.data > 0, (moving.data + 1000) * 1.1 - 1000, moving.data)
    x, y, z = chest.GRID.points().unbind(-1)
    lesion = ((x - 60) ** 2 + y**2 + z**2 < 45**2) & (lungs.data > 0)
    fixed = replace(fixed, data=torch.where(lesion, 30.0, fixed.data))
    found = ventilation(
        fixed,
        replace(moving, data=heavier),
        chest.motion(to_exhale=False),
        lungs=lungs,
        resolution=resolution,
    )
    middle = np.unravel_index(int(((x - 60) ** 2 + y**2 + z**2).argmin()), lesion.shape)
    for name in ("gas", "density", "mass"):
        values = found.maps[name].data
        assert float(values[middle]) == 0
        assert float(values.abs().max()) < 2, name
    assert float(found.maps["volume"].data[middle]) > 0.05


def test_registration_finds_the_ventilation_of_the_phantom():
    pair = thorax((104, 84, 94), (3.0, 3.0, 3.0), motion=20.0, seed=3)
    result = register(pair.fixed, pair.moving, parameters={"sliding": False})
    found = ventilation(pair.fixed, pair.moving, result.transform, lungs=pair.fixed_lungs)
    true = ventilation(pair.fixed, pair.moving, pair.transform, lungs=pair.fixed_lungs)
    inside = pair.fixed_lungs.data > 0
    exact = pair.transform.jacobian(pair.fixed.grid.points())[inside].mean()
    assert true.whole.values["volume"] == pytest.approx(1 / float(exact) - 1, abs=0.003)
    trusted = found.reliable.data > 0
    ours, theirs = (v.maps["volume"].data[trusted].numpy() for v in (found, true))
    assert np.std(ours - theirs) < 0.4 * np.std(theirs)
    assert np.corrcoef(ours, theirs)[0, 1] > 0.92
    for name, region in found.regions.items():
        assert region.values["volume"] == pytest.approx(
            true.regions[name].values["volume"], abs=0.02
        )


def test_bad_input_is_refused_in_a_sentence():
    fixed, lungs = chest.scan(False)
    moving, _ = chest.scan(True)
    field = chest.motion(to_exhale=True)
    with pytest.raises(RegistrationError, match="volume does not change from .* no breath"):
        ventilation(fixed, fixed, Affine(), lungs=lungs)
    with pytest.raises(RegistrationError, match="no breath"):  # and nothing to be relative to
        ventilation(fixed, fixed, Affine(), lungs=lungs, fixed_phase="inhale")
    with pytest.raises(RegistrationError, match="exchange the images"):
        ventilation(fixed, moving, field, lungs=lungs, fixed_phase="exhale")
    with pytest.raises(RegistrationError, match="choose auto"):
        ventilation(fixed, moving, field, lungs=lungs, fixed_phase="expiration")
    with pytest.raises(RegistrationError, match="0 to 100 mm"):
        ventilation(fixed, moving, field, lungs=lungs, resolution=-1.0)
    with pytest.raises(RegistrationError, match="no point of the lungs"):
        ventilation(fixed, moving, Affine(translation=(900.0, 0.0, 0.0)), lungs=lungs)
    magnetic = replace(moving, data=moving.data.abs() + 300, name="cine")
    with pytest.raises(RegistrationError, match="cine is not a CT"):
        ventilation(fixed, magnetic, field, lungs=lungs)
    empty = replace(lungs, data=torch.zeros_like(lungs.data))
    with pytest.raises(RegistrationError, match="empty"):
        ventilation(fixed, moving, field, lungs=empty)
    with pytest.raises(RegistrationError, match="No lungs"):
        ventilation(replace(fixed, data=torch.full_like(fixed.data, 40.0)), moving, field)
    outside = replace(lungs, data=torch.zeros_like(lungs.data))
    outside.data[0, 0, 0] = 1
    with pytest.raises(RegistrationError, match="None of the regions"):
        ventilation(fixed, moving, field, lungs=lungs, regions=[outside])


def test_a_mask_of_something_else_than_lungs_is_doubted():
    fixed, lungs = chest.scan(False)
    moving, _ = chest.scan(True)
    field = chest.motion(to_exhale=True)
    body = replace(lungs, data=(lungs.data != 0) | (fixed.data > -300), name="body")
    for mask, expected in ((lungs, 0), (body, 1)):
        notes = ventilation(fixed, moving, field, lungs=mask).notes
        assert (
            sum("body covers what is not as dense as lungs" in note for note in notes) == expected
        )


def test_given_regions_have_their_names():
    fixed, lungs = chest.scan(False)
    moving, _ = chest.scan(True)
    labels = torch.where(chest.GRID.points()[..., 0] < 0, 1, 2) * lungs.data
    found = ventilation(
        fixed,
        moving,
        chest.motion(to_exhale=True),
        lungs=lungs,
        regions=[replace(lungs, data=labels.int())],
        region_names={1: "Right lung", 2: "Left lung"},
    )
    assert list(found.regions) == ["Right lung", "Left lung"]


def helical(period: float, amplitude: float) -> tuple[Image, Image, DisplacementField]:
    """Exhale and inhale whose shift along z swings as a helical scan's."""
    field = chest.motion(to_exhale=False)
    x, y, z = chest.GRID.points().unbind(-1)
    radius, angle = torch.hypot(x, y) / 90.0, torch.atan2(y, x)
    wave = torch.sin(2 * np.pi * z / period + angle)
    vectors = field.vectors.clone()
    vectors[2] += amplitude * period / (2 * np.pi) * radius * wave
    return chest.scan(True), chest.scan(False)[0], DisplacementField(vectors, chest.GRID)


def test_bands_of_a_helical_scan_are_found_and_kept_out_of_the_maps():
    (fixed, lungs), moving, field = helical(29.0, 0.12)
    found = ventilation(fixed, moving, field, lungs=lungs)
    assert found.bands is not None
    assert found.bands.period == pytest.approx(29.0, abs=2.0)
    assert found.resolution > 20
    assert any("helical" in note and "29 mm" in note for note in found.notes)
    still = chest.measured(True, resolution=found.resolution)
    inside = inner(lungs)
    left = (found.maps["volume"].data - still.maps["volume"].data).numpy()[inside]
    assert np.sqrt(2) * left.std() < 2 * noise_floor(found.resolution)
    rough = ventilation(fixed, moving, field, lungs=lungs, resolution=5.0)
    assert rough.resolution == 5.0
    swing = (
        rough.maps["volume"].data - chest.measured(True, resolution=5.0).maps["volume"].data
    ).numpy()
    assert np.sqrt(2) * swing[inside].std() > 0.05


def test_breathing_alone_shows_no_bands():
    assert chest.measured(True).bands is None
    pair = thorax((104, 84, 94), (3.0, 3.0, 3.0), motion=30.0, seed=2)
    determinant = pair.transform.jacobian(pair.fixed.grid.points()).numpy()
    inside = without_surface(pair.fixed_lungs.data.numpy() != 0, pair.fixed.grid, 8.0)
    bands = find_slice_bands(determinant, inside, pair.fixed.grid)
    assert bands is not None
    assert not bands.sure


def test_a_flat_or_low_region_has_no_bands():
    ones = np.ones(chest.GRID.shape, np.float32)
    bands = find_slice_bands(ones, ones > 0, chest.GRID)
    assert bands is not None
    assert not bands.sure
    assert find_slice_bands(ones[:6], ones[:6] > 0, replace(chest.GRID, size=(72, 56, 6))) is None


def test_the_noise_floor_falls_with_the_resolution():
    assert noise_floor(0) > noise_floor(12) > noise_floor(20) > noise_floor(30)
    assert noise_floor(60) == noise_floor(30)
