"""Eppenhof & Pluim's synthetic pairs: splines, composition, gamma, no folding."""

from types import SimpleNamespace

import numpy as np
import pytest
import SimpleITK as sitk
import torch
from scipy import ndimage

from DeepRegistrationLib.training.synthesis.__main__ import main
from DeepRegistrationLib.training.synthesis.images import deformed, voxel_jacobian, with_gamma
from DeepRegistrationLib.training.synthesis.spline_fields import (
    AUGMENTATION,
    COARSE,
    FINE,
    composed,
    control_field,
    interpolate,
    spline_pair,
)


def generator(seed=0):
    return torch.Generator().manual_seed(seed)


def smooth_image(n=48):
    values = ndimage.gaussian_filter(np.random.default_rng(0).normal(size=(n, n, n)), 2.5)
    return torch.from_numpy((values - values.min()) / np.ptp(values)).float()


@pytest.mark.parametrize("controls", [(2, 2, 2), (4, 3, 5), (8, 8, 8)])
def test_the_spline_is_that_of_scipy(controls):
    values = torch.randn(3, *controls, generator=generator())
    shape = (13, 21, 17)
    made = interpolate(values, shape)
    places = np.meshgrid(
        *[np.linspace(0, c - 1, n) for c, n in zip(controls, shape, strict=True)], indexing="ij"
    )
    for component, control in zip(made, values, strict=True):
        expected = ndimage.map_coordinates(control.double().numpy(), places, mode="mirror")
        assert np.allclose(component.numpy(), expected, atol=1e-5)


def test_the_spline_passes_through_its_control_points_from_corner_to_corner():
    values = torch.randn(1, 4, 4, 4, generator=generator(1))
    made = interpolate(values, (22, 22, 22))
    assert torch.allclose(made[:, ::7, ::7, ::7], values, atol=1e-5)


def test_control_displacements_are_uniform_up_to_the_paper_s_values_at_128():
    """At the control points; at half the size half as many voxels."""
    for grid, largest in (
        (AUGMENTATION, (3.2, 6.4, 12.8)),
        (COARSE, (3.2, 6.4, 12.8)),
        (FINE, (3.2, 3.2, 3.2)),
    ):
        step = 2 * (grid.points - 1) + 1
        source = generator(3)
        fields = [control_field(grid, (step,) * 3, source) for _ in range(60)]
        values = torch.stack(fields)[..., ::2, ::2, ::2] * 128 / step
        found = values.abs().amax((0, 2, 3, 4))
        assert torch.all(found <= torch.tensor(largest) + 1e-4)
        assert torch.all(found > 0.97 * torch.tensor(largest))
        spread = values.std((0, 2, 3, 4)) / torch.tensor(largest)
        assert torch.allclose(spread, torch.full((3,), 3**-0.5), atol=0.06)
    assert (AUGMENTATION.points, COARSE.points, FINE.points) == (2, 4, 8)


def test_composed_fields_are_the_outer_map_at_the_inner_one():
    """Against SimpleITK's displacement field transforms, applied one after the other."""
    source = generator(2)
    outer, inner = (0.5 * control_field(COARSE, (24, 22, 20), source) for _ in range(2))
    total = composed(outer, inner)

    def transform(field):
        image = sitk.GetImageFromArray(field.movedim(0, -1).double().numpy(), isVector=True)
        return sitk.DisplacementFieldTransform(image)

    first, second = transform(inner), transform(outer)
    for x, y, z in [(10, 11, 12), (5, 7, 15), (14, 4, 9)]:
        expected = second.TransformPoint(first.TransformPoint((x, y, z)))
        found = torch.tensor([x, y, z]) + total[:, z, y, x]
        assert np.allclose(found.numpy(), expected, atol=1e-4)


@pytest.mark.parametrize("seed", range(3))
def test_fixed_is_moving_at_the_learned_map_to_interpolation_error(seed):
    image = smooth_image()
    maps = spline_pair((48, 48, 48), generator(seed))
    moving = deformed(image, maps.augmentation, fill=0.0)
    fixed = deformed(image, maps.fixed, fill=0.0)
    again = deformed(moving, maps.learned, fill=0.0)
    inner = (slice(12, -12),) * 3
    assert float((again - fixed)[inner].abs().max()) < 0.02
    assert float((moving - fixed)[inner].abs().max()) > 0.2


def test_learned_maps_do_not_fold():
    """The paper draws without a check; its amplitudes fold next to nothing."""
    shares = []
    for seed in range(12):
        jacobian = voxel_jacobian(spline_pair((40, 40, 40), generator(seed)).learned)
        shares.append(float((jacobian <= 0).float().mean()))
    assert max(shares) < 1e-3


def test_a_seed_gives_the_same_pair_again():
    one, same = (spline_pair((20, 20, 20), generator(4)).fixed for _ in range(2))
    assert torch.equal(one, same)


def test_gamma_is_one_exponent_between_a_half_and_one_and_a_half():
    image = torch.linspace(0.01, 1, 50).reshape(2, 5, 5)
    exponents = []
    for seed in range(200):
        changed = with_gamma(image, generator(seed))
        exponent = torch.log(changed) / torch.log(image)
        assert float((exponent[image < 0.9] - exponent.flatten()[0]).abs().max()) < 1e-3
        exponents.append(float(exponent.flatten()[0]))
    assert 0.5 <= min(exponents) < 0.55
    assert 1.45 < max(exponents) <= 1.5


def test_masks_stay_masks():
    mask = (smooth_image() > 0.5).float()
    maps = spline_pair((48, 48, 48), generator(1))
    moved = deformed(mask, maps.fixed, fill=0.0, interpolation="nearest")
    assert set(moved.unique().tolist()) == {0.0, 1.0}


@pytest.fixture
def small_figure(monkeypatch):
    """The figure of small fields on noise instead of the phantom, which takes long to paint."""
    pytest.importorskip("matplotlib")
    where = "DeepRegistrationLib.training.synthesis.figure"
    monkeypatch.setattr(f"{where}._SIZE", (40, 40, 40))
    monkeypatch.setattr(f"{where}._SPACING", 8.0)
    pair = SimpleNamespace(fixed=SimpleNamespace(data=1200 * smooth_image(40) - 1000))
    monkeypatch.setattr(f"{where}.thorax", lambda *a, **k: pair)


def test_the_figure_is_drawn_and_folding_printed(tmp_path, capsys, small_figure):
    assert main(["--figure", str(tmp_path / "families.png")]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == 6
    assert all("folding" in line and line.startswith(("RegNet", "Eppenhof")) for line in lines)
    picture = sitk.GetArrayFromImage(sitk.ReadImage(str(tmp_path / "families.png")))
    assert picture.std() > 10


def test_a_figure_that_cannot_be_written_is_said_in_a_sentence(tmp_path, capsys, small_figure):
    assert main(["--figure", str(tmp_path)]) == 2
    assert len(capsys.readouterr().err.splitlines()) == 1
