"""The correlation network: its comparison against a loop, what it can find, a toy that learns."""

import numpy as np
import pytest
import torch
from scipy import ndimage

from DeepRegistrationLib import register
from DeepRegistrationLib.data.phantoms import thorax
from DeepRegistrationLib.evaluation import target_registration_error
from DeepRegistrationLib.images.geometry import Grid
from DeepRegistrationLib.images.image import Image
from DeepRegistrationLib.images.sampling import bspline_coefficients
from DeepRegistrationLib.methods.corrnet.network import OFFSETS, CorrelationNet, correlation
from DeepRegistrationLib.methods.mlvirnet.network import doubled
from DeepRegistrationLib.methods.network.precision import ready
from DeepRegistrationLib.training.recipes import make_recipe
from DeepRegistrationLib.training.recipes.lung_volumes import (
    DeformedPair,
    LungVolumes,
    masked_error,
)
from DeepRegistrationLib.training.synthesis.images import deformed, voxel_jacobian, with_density
from DeepRegistrationLib.transforms import DisplacementField


def texture(n, seed=0, sigma=2.0):
    values = ndimage.gaussian_filter(np.random.default_rng(seed).normal(size=(n, n, n)), sigma)
    return torch.from_numpy((values - values.min()) / np.ptp(values)).float()


def test_correlation_is_the_sum_of_products_at_each_displacement():
    generator = torch.Generator().manual_seed(0)
    fixed, moving = (torch.randn(2, 3, 4, 5, 6, generator=generator) for _ in range(2))
    found = correlation(fixed, moving)
    assert found.shape == (2, 57, 4, 5, 6)
    for number, (dz, dy, dx) in enumerate(OFFSETS):
        for z, y, x in ((0, 0, 0), (1, 2, 3), (3, 4, 5), (2, 0, 4)):
            there = (z + dz, y + dy, x + dx)
            inside = all(0 <= i < n for i, n in zip(there, (4, 5, 6), strict=True))
            expected = torch.zeros(2)
            if inside:
                expected = (fixed[:, :, z, y, x] * moving[(..., *there)]).sum(1)
            assert torch.allclose(found[:, number, z, y, x], expected, atol=1e-6)


def test_the_gradient_of_the_correlation_is_that_of_finite_differences():
    generator = torch.Generator().manual_seed(1)
    fixed, moving = (
        torch.randn(1, 2, 3, 4, 3, generator=generator, dtype=torch.float64, requires_grad=True)
        for _ in range(2)
    )
    assert torch.autograd.gradcheck(correlation, (fixed, moving))


def test_the_displacements_are_a_ball_and_each_has_its_opposite():
    lengths = {x * x + y * y + z * z for z, y, x in OFFSETS}
    assert lengths == {0, 1, 2, 3, 4, 5}
    assert len(set(OFFSETS)) == 57
    assert {(-z, -y, -x) for z, y, x in OFFSETS} == set(OFFSETS)


def untrained(images, width=16):
    """A network whose most alike feature counts alone; its norms have seen the images."""
    torch.manual_seed(0)
    network = CorrelationNet(width)
    for part in network.modules():
        if isinstance(part, torch.nn.BatchNorm3d):
            part.momentum = None  # statistics are means: those of one pass
    network(images)
    for part in network.heads:
        part.sharpness.data.fill_(3000.0)
    return network.eval()


@pytest.mark.parametrize("shift", [(8, 0, 0), (0, -8, 0), (0, 8, -8)])
def test_comparing_untrained_features_already_finds_a_shift(shift):
    """Each component in its own place and sign: (x, y, z), fixed(x) = moving(x + u).

    By whole voxels of the coarsest level: features of others are not the same before training.
    """
    moving = texture(64)
    fixed = torch.roll(moving, [-s for s in shift[::-1]], (0, 1, 2))
    images = torch.stack([fixed, moving])[None]
    with torch.no_grad():
        field = untrained(images)(images)[0]
    middle = field[:, 24:40, 24:40, 24:40].flatten(1).median(1).values
    assert middle.tolist() == pytest.approx(shift, abs=1.0)


def test_a_level_gives_at_most_its_radius():
    torch.manual_seed(0)
    network = CorrelationNet(2)
    totals = network(torch.rand(1, 2, 32, 32, 32), levels=True)
    assert [tuple(t.shape[2:]) for t in totals] == [(n,) * 3 for n in (4, 8, 16, 16)]
    assert float(totals[0].detach().abs().max()) <= 2
    assert float(totals[1].detach().abs().max()) <= 2 * 2 + 2
    assert float(totals[2].detach().abs().max()) <= 2 * (2 * 2 + 2) + 2


def test_the_result_is_the_finest_level_on_the_grid_of_the_image():
    """A displacement that is the same everywhere stays so, in voxels of half the size."""
    moving = texture(64)
    images = torch.stack([torch.roll(moving, 8, 0), moving])[None]
    network = untrained(images)
    with torch.no_grad():
        whole, finest = network(images), network(images, levels=True)[-1]
    assert whole.shape == (1, 3, 64, 64, 64)
    medians = [float(f[0, 2].median()) for f in (whole, finest)]
    assert medians == pytest.approx([-8.0, -4.0], abs=0.7)


def test_the_noise_of_single_voxels_is_smoothed_away():
    """Against SciPy's Gaussian, cut off at 2 deviations, where borders have no part."""
    torch.manual_seed(0)
    network = CorrelationNet(4).eval()
    images = torch.stack([texture(64), texture(64, 1)])[None]
    with torch.no_grad():
        whole, finest = network(images)[0], network(images, levels=True)[-1][0]
    smooth = ndimage.gaussian_filter(finest.numpy(), (0, 1, 1, 1), truncate=2)
    expected = doubled(torch.from_numpy(smooth)[None])[0]
    middle = (slice(None), *[slice(20, 44)] * 3)
    assert float((doubled(finest[None])[0] - whole)[middle].abs().max()) > 0.1
    assert torch.allclose(whole[middle], expected[middle], atol=1e-4)


def test_made_ready_it_gives_the_same_displacement():
    torch.manual_seed(0)
    network = CorrelationNet(4)
    moving = texture(32)
    images = torch.stack([torch.roll(moving, -2, 2), moving])[None]
    for _ in range(3):
        network(images)  # statistics of the batch norms
    network.eval()
    with torch.no_grad():
        expected = network(images)
        exact = ready(network, torch.device("cpu"), torch.float32)(images)
        short = ready(network, torch.device("cpu"), torch.bfloat16)(images)
    assert torch.allclose(exact, expected, atol=1e-3)
    assert float((short - expected).abs().mean()) < 0.1
    assert short.dtype == torch.float32


@pytest.fixture(scope="module")
def volumes():
    coefficients = [bspline_coefficients(texture(32, seed)[None]) for seed in range(3)]
    return LungVolumes(coefficients, [torch.ones(32, 32, 32)] * 3, [])


def test_mirrored_pairs_still_fit_their_target(volumes, monkeypatch):
    """With all changes of intensity off, moving(x + target) is the fixed image, in every mirror."""
    from DeepRegistrationLib.training.recipes import lung_volumes

    monkeypatch.setattr(lung_volumes, "with_gamma", lambda image, generator: image)
    recipe = make_recipe("corrnet", {"size": 32, "appearance": 0.0, "density": 0.0})
    inner = (slice(8, -8),) * 3
    for seed in range(6):
        batch = recipe.batch(volumes, 0, torch.Generator().manual_seed(seed))
        fixed, moving = batch.images[0]
        again = deformed(moving, batch.target[0], fill=0.0)
        before = float((moving - fixed)[inner].abs().mean())
        assert float((again - fixed)[inner].abs().mean()) < 0.2 * before


def test_the_two_images_of_a_pair_look_as_two_scans_do(volumes):
    """What differs between the images and their unchanged ones has nothing in common."""
    same, changed = (make_recipe("corrnet", {"size": 32, "appearance": f}) for f in (0.0, 1.0))
    without, with_ = (
        recipe.batch(volumes, 0, torch.Generator().manual_seed(5)).images[0]
        for recipe in (same, changed)
    )
    added = [(a - b).flatten() for a, b in zip(with_, without, strict=True)]
    assert all(0.005 < float(part.std()) < 0.3 for part in added)
    assert abs(float(np.corrcoef(*map(np.asarray, added))[0, 1])) < 0.3
    assert float(with_.min()) >= 0
    assert float(with_.max()) <= 1


def test_lungs_that_expand_grow_darker(volumes):
    recipes = [
        make_recipe("corrnet", {"size": 32, "appearance": 0.0, "density": density})
        for density in (0.0, 1.0)
    ]
    plain, breathed = (r.batch(volumes, 0, torch.Generator().manual_seed(2)) for r in recipes)
    seen = plain.images[0, 0] > 0.05
    ratio = breathed.images[0, 0] / plain.images[0, 0]
    volume = voxel_jacobian(plain.target[0])  # of what the moving lungs have there
    darker, brighter = seen & (volume < 0.9), seen & (volume > 1.1)
    assert darker.any() and brighter.any()
    assert float(ratio[darker].max()) < 1 < float(ratio[brighter].min())
    assert torch.equal(breathed.images[0, 1], plain.images[0, 1])


def test_density_keeps_the_mass_of_what_is_stretched():
    """T(x) = 0.8 x: the fixed object is 1 / 0.8 longer along x, and so much less dense."""
    n = 40
    moving = torch.zeros(n, n, n)
    moving[10:30, 10:30, 8:24] = 1.0
    field = torch.zeros(3, n, n, n)
    field[0] = -0.2 * torch.arange(n)
    fixed = deformed(moving, field, fill=0.0, interpolation="nearest")
    assert float(fixed.sum()) == pytest.approx(float(moving.sum()) / 0.8, rel=0.01)
    whole = with_density(fixed, field, 1.0)
    assert float(whole.sum()) == pytest.approx(float(moving.sum()), rel=0.01)
    half = with_density(fixed, field, 0.5 * torch.ones(n, n, n))
    assert torch.allclose(half, (fixed + whole) / 2)


def test_the_loss_weighs_the_levels_and_counts_voxels_of_the_image():
    recipe = make_recipe("corrnet", {"size": 32})
    target = torch.zeros(1, 3, 32, 32, 32)
    target[:, 0] = 8.0
    lungs = torch.ones(32, 32, 32)
    batch = DeformedPair(torch.zeros(1, 2, 32, 32, 32), target, lungs, lungs)

    class Answers(torch.nn.Module):
        def forward(self, images, *, levels):
            fields = [torch.zeros(1, 3, n, n, n) for n in (4, 8, 16, 16)]
            fields[2][:, 0] = fields[3][:, 0] = 4.0  # right, in its voxels of twice the size
            return fields

    loss, terms = recipe.loss(Answers(), batch)
    assert terms == pytest.approx({"level0": 8.0, "level1": 8.0, "level2": 0.0, "level3": 0.0})
    assert float(loss) == pytest.approx(0.125 * 8 + 0.25 * 8)


def test_a_toy_learns_and_beats_the_identity(volumes):
    """One pair, again and again."""
    recipe = make_recipe("corrnet", {"size": 32, "width": 4, "precision": "float32"})
    torch.manual_seed(0)
    network = recipe.build().train()
    optimizer = torch.optim.Adam(network.parameters(), lr=5e-3)
    batch = recipe.batch(volumes, 0, torch.Generator().manual_seed(0))
    errors = []
    for _ in range(80):
        loss, terms = recipe.loss(network, batch)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        errors.append(terms["level3"])
    identity = float(masked_error(torch.zeros_like(batch.target), batch.target, batch.mask))
    assert errors[-1] < 0.7 * errors[0]
    assert errors[-1] < 0.7 * identity


def test_the_displacement_of_a_pair_of_images_is_in_millimetres():
    from DeepRegistrationLib.methods.network.lung_box_inference import displacement

    moving = texture(48)
    fixed = torch.roll(moving, -8, 2)
    with torch.no_grad():
        network = untrained(torch.stack([fixed, moving])[None])
    grid = Grid((48, 48, 48), (2.0, 1.0, 3.0))
    with torch.no_grad():
        field = displacement(network, Image(fixed, grid), Image(moving, grid))
    middle = field.vectors[:, 16:32, 16:32, 16:32].flatten(1).median(1).values
    assert middle.tolist() == pytest.approx((16.0, 0.0, 0.0), abs=1.0)


def test_the_best_quality_sees_a_quarter_more_voxels_along_each_axis(monkeypatch):
    from DeepRegistrationLib.methods.network import lung_box_inference as lungs128

    sizes = []

    def noted(network, fixed, moving):
        sizes.append((fixed.data.shape, moving.data.shape))
        return DisplacementField(torch.zeros(3, *fixed.grid.shape), fixed.grid)

    monkeypatch.setattr(lungs128, "displacement", noted)
    pair = thorax((40, 32, 36), (8.0, 8.0, 8.0), landmarks=0)
    for quality in ("default", "best"):
        register(pair.fixed, pair.moving, method="corrnet", quality=quality, device="cpu")
    assert sizes == [((128,) * 3,) * 2, ((160,) * 3,) * 2]


def test_the_shipped_weights_follow_a_phantom_that_they_never_saw():
    pair = thorax((100, 80, 90), (3.2, 3.2, 3.2), motion=16.0, seed=77)
    result = register(pair.fixed, pair.moving, method="corrnet", device="cpu", jacobian=True)
    marks = (pair.fixed_landmarks, pair.moving_landmarks)
    after = target_registration_error(result.transform, *marks)["after"]
    affine = register(pair.fixed, pair.moving, method="affine", device="cpu")
    start = target_registration_error(affine.transform, *marks)["after"]
    assert after["mean"] < 0.4 * start["mean"]
    assert after["mean"] < 1.0
    assert result.fixed_mask is not None
    assert float(result.jacobian.data[result.fixed_mask.data != 0].min()) > 0.0


def stored_otherwise(image):
    """The same voxels at the same places, in another order: axes z, x, y; the last two reversed."""
    data = image.data.permute(1, 2, 0).flip(0, 2)  # [y, x, z]
    grid = image.grid
    axes = np.reshape(grid.direction, (3, 3))
    size = (grid.size[2], grid.size[0], grid.size[1])
    spacing = (grid.spacing[2], grid.spacing[0], grid.spacing[1])
    direction = np.stack([-axes[:, 2], axes[:, 0], -axes[:, 1]], axis=1)
    origin = grid.to_physical([0, grid.size[1] - 1, grid.size[2] - 1])
    stored = Grid(size, spacing, tuple(origin), tuple(direction.ravel()))
    return Image(data.contiguous(), stored, image.name)


def test_the_order_in_which_an_array_is_stored_does_not_matter():
    pair = thorax((80, 64, 72), (4.0, 4.0, 4.0), seed=4)
    images = pair.fixed, pair.moving, pair.fixed_lungs, pair.moving_lungs
    points = torch.from_numpy(pair.fixed_landmarks)
    found = []
    for fixed, moving, *masks in (images, [stored_otherwise(image) for image in images]):
        options = {"fixed_mask": masks[0], "moving_mask": masks[1], "device": "cpu"}
        found.append(register(fixed, moving, method="corrnet", **options).transform(points))
    torch.testing.assert_close(*found, rtol=0, atol=0.05)
