"""Predicted errors: maps of known transforms, and the way to the user."""

import json
from pathlib import Path

import numpy as np
import pytest
import SimpleITK as sitk
import torch
import trivial
from references import GRIDS, oblique_grid, rotation, straight_grid, waves

from DeepRegistrationLib import register
from DeepRegistrationLib.cli import main
from DeepRegistrationLib.data.phantoms import thorax
from DeepRegistrationLib.errors import RegistrationError
from DeepRegistrationLib.evaluation.region import Region
from DeepRegistrationLib.evaluation.uncertainty import uncertainty_statistics
from DeepRegistrationLib.evaluation.uncertainty_maps import (
    Uncertainty,
    consistency_map,
    predicted_error,
    spread_map,
    uncertainty_maps,
)
from DeepRegistrationLib.images.image import Image
from DeepRegistrationLib.methods.context import Context
from DeepRegistrationLib.methods.image_pair import ImagePair
from DeepRegistrationLib.progress import silent
from DeepRegistrationLib.registration.uncertainty.augmented import (
    SHIFT_MM,
    augmented,
    reflected,
    with_gamma,
)
from DeepRegistrationLib.registration.uncertainty.compared_transforms import find_evidence
from DeepRegistrationLib.reports.uncertainty_findings import uncertainty_findings
from DeepRegistrationLib.reports.verdict import verdict
from DeepRegistrationLib.transforms import Affine, DisplacementField


@pytest.fixture
def shift(monkeypatch):
    return trivial.install(monkeypatch)


@pytest.fixture(scope="module")
def chest():
    return thorax((40, 32, 36), (8.0, 8.0, 8.0), landmarks=0)


# Maps


def test_the_consistency_error_of_two_translations_is_the_length_of_their_sum():
    forward, backward = Affine(translation=(3.0, 0.0, 1.0)), Affine(translation=(0.0, 4.0, -1.0))
    values = consistency_map(forward, backward, oblique_grid()).data
    assert torch.allclose(values, torch.tensor(5.0), atol=1e-4)


def test_the_consistency_error_of_two_affines_is_that_of_their_product():
    forward = Affine(rotation(4, 5, -6) * 1.1, (3.0, -2.0, 1.0))
    backward = Affine(rotation(-3, 2, 5), (-1.0, 4.0, 2.0))
    grid = oblique_grid()
    points = grid.positions(slice(None))
    there = points @ forward.matrix.T + forward.translation
    expected = np.linalg.norm(there @ backward.matrix.T + backward.translation - points, axis=-1)
    assert np.allclose(consistency_map(forward, backward, grid).data.numpy(), expected, atol=1e-3)


def test_the_exact_inverse_leaves_no_consistency_error():
    forward = Affine(rotation(10, -20, 5), (30.0, -2.0, 1.0))
    assert consistency_map(forward, forward.inverse(), oblique_grid()).data.max() < 1e-3


def test_the_spread_is_numpys_standard_deviation_of_the_mapped_points():
    grid = straight_grid()
    points = grid.positions(slice(None))
    vectors = [waves(points, a) for a in (1.0, 2.0, -1.5)]
    transforms = [
        DisplacementField(torch.from_numpy(np.moveaxis(v, -1, 0).astype(np.float32)), grid)
        for v in vectors
    ]
    expected = np.sqrt(np.var(vectors, axis=0).sum(-1))
    assert np.allclose(spread_map(transforms, grid).data.numpy(), expected, atol=1e-3)
    assert expected.max() > 1


def test_one_transform_has_no_spread():
    with pytest.raises(RegistrationError, match="at least two registrations"):
        spread_map([Affine()], straight_grid())


def test_the_prediction_is_the_size_of_independent_errors_of_both_directions():
    generator = np.random.default_rng(0)
    forward, backward = generator.normal(0, 2.0, (2, 20000, 3))
    consistency = np.linalg.norm(forward + backward, axis=1)
    true = np.linalg.norm(forward, axis=1)
    predicted = predicted_error(consistency)
    assert np.sqrt((predicted**2).mean()) == pytest.approx(np.sqrt((true**2).mean()), rel=0.03)


def test_the_prediction_adds_half_the_consistency_and_the_others_in_squares():
    estimates = [Affine(translation=(0.0, s, 0.0)) for s in (-3.0, 3.0)]
    backward = Affine(translation=(0.0, 0.0, np.sqrt(2) * 4))
    grid = straight_grid()
    apart = Image(torch.full(grid.shape, 12.0), grid)
    found = uncertainty_maps(Affine(), backward, estimates, grid).maps()
    assert np.allclose(found["predicted"].data, 5.0, atol=1e-4)
    found = uncertainty_maps(Affine(), backward, estimates, grid, apart).maps()
    wanted = {"consistency": np.sqrt(2) * 4, "spread": 3.0, "misalignment": 12.0, "predicted": 13.0}
    assert found.keys() == wanted.keys()
    for name, value in wanted.items():
        assert np.allclose(found[name].data, value, atol=1e-4), name


def test_one_estimate_has_no_map_of_the_spread():
    found = uncertainty_maps(Affine(), Affine(), [], straight_grid())
    assert found.spread is None
    assert list(found.maps()) == ["predicted", "consistency"]


def as_maps(values: torch.Tensor, grid) -> Uncertainty:
    """A prediction, and a consistency twice as large."""
    return Uncertainty(Image(values, grid), Image(2 * values, grid))


def test_statistics_are_of_the_mask_alone():
    grid = straight_grid((5, 4, 3))
    values, inside = torch.full(grid.shape, 9.0), torch.zeros(grid.shape)
    values[0], inside[0] = torch.tensor([0.0, 1.0, 2.0, 3.0, 4.0]), 1
    found = uncertainty_statistics(as_maps(values, grid), Region("lungs", Image(inside, grid)))
    assert (found["median"], found["max"], found["n"]) == (2.0, 4.0, 20)
    assert found["percent_above"] == pytest.approx(20.0)
    assert found["consistency"] == {"median": pytest.approx(4.0), "p95": 8.0, "max": 8.0}
    assert found["spread"] is None and found["region"] == "lungs"
    whole = uncertainty_statistics(as_maps(values, grid))["percent_above"]
    assert whole == pytest.approx(100 * 44 / 60)


def test_an_empty_or_foreign_mask_is_refused():
    grid, other = straight_grid((5, 4, 3)), straight_grid((5, 4, 2))
    maps = as_maps(torch.ones(grid.shape), grid)
    with pytest.raises(RegistrationError, match="mask is empty"):
        uncertainty_statistics(maps, Region("mask", Image(torch.zeros(grid.shape), grid)))
    with pytest.raises(RegistrationError, match="fixed image's grid"):
        uncertainty_statistics(maps, Region("mask", Image(torch.ones(other.shape), other)))


# Test-time augmentation


@pytest.mark.parametrize("kind", sorted(GRIDS))
def test_a_reflected_image_has_at_every_point_the_value_of_the_mirrored_point(kind):
    grid = GRIDS[kind]()
    image = Image(torch.rand(grid.shape), grid)
    mirrored = reflected(image, 7.0)
    points = grid.points(dtype=torch.float64)
    seen = points * torch.tensor([-1.0, 1.0, 1.0]) + torch.tensor([14.0, 0.0, 0.0])
    assert torch.allclose(mirrored.sample(seen, fill=None), image.data, atol=1e-4)
    signs = [np.sign(np.linalg.det(g.matrix)) for g in (grid, mirrored.grid)]
    assert signs[0] == signs[1]


@pytest.mark.parametrize(
    ("name", "expected"),
    [("mirror", (-2.0, -1.0, 3.0)), ("shift", np.subtract((2.0, -1.0, 3.0), SHIFT_MM))],
)
def test_a_change_of_the_input_is_undone_in_the_result(shift, monkeypatch, chest, name, expected):
    monkeypatch.setattr(shift, "augmentations", (name,))  # it finds (2, -1, 3) whatever it sees
    (found,) = augmented(shift(), chest.fixed, chest.moving, Context())
    points = torch.rand(5, 3, dtype=torch.float64) * 50
    moved = (found(points) - points).numpy()
    assert np.allclose(moved, np.broadcast_to(expected, moved.shape), atol=1e-4)


def test_a_mirrored_start_is_the_start_in_the_mirror(shift, monkeypatch, chest):
    monkeypatch.setattr(shift, "augmentations", ("mirror",))
    start = Affine(rotation(3, 4, 5), (5.0, 1.0, 2.0))
    augmented(shift(), chest.fixed, chest.moving, Context(initial=start))
    ((fixed, _, context, _),) = shift.calls
    middle = float(chest.fixed.grid.center()[0])
    mirror = np.array([-1.0, 1.0, 1.0])
    offset = np.array([2 * middle, 0.0, 0.0])
    point = np.array([11.0, 22.0, 33.0])
    expected = (start.matrix @ (point * mirror + offset) + start.translation) * mirror + offset
    assert np.allclose(context.initial(torch.from_numpy(point)).numpy(), expected, atol=1e-6)
    assert np.allclose(fixed.grid.center(), chest.fixed.grid.center(), atol=1e-6)


def test_gamma_changes_intensities_within_the_range_of_ct_and_no_others():
    grid = straight_grid((4, 1, 1))
    data = torch.tensor([-1000.0, -400.0, 200.0, 900.0]).reshape(grid.shape)
    found = with_gamma(Image(data, grid), 0.8).data.flatten()
    assert torch.allclose(found, torch.tensor([-1000.0, -1000 + 1200 * 0.5**0.8, 200.0, 900.0]))


# Engine, command line, verdict


def test_a_method_that_finds_one_shift_both_ways_is_wrong_by_its_length(shift, chest):
    found = register(chest.fixed, chest.moving, method="shift", uncertainty=True, device="cpu")
    expected = 2 * np.linalg.norm(trivial.SHIFT) / np.sqrt(2)  # consistency error over sqrt 2
    assert torch.allclose(found.uncertainty.predicted.data, torch.tensor(expected).float())
    assert found.uncertainty.predicted.grid.same_as(chest.fixed.grid)
    first, second = shift.calls
    assert torch.equal(second[0].data, first[1].data)
    assert torch.equal(second[2].fixed_mask.data, first[2].moving_mask.data)
    assert found.seconds["uncertainty"] >= 0


def test_no_second_registration_is_done_unasked(shift, chest):
    assert register(chest.fixed, chest.moving, method="shift", device="cpu").uncertainty is None
    assert len(shift.calls) == 1


def test_a_result_that_is_a_mean_of_both_directions_is_judged_by_these_two(shift, chest):
    """A second registration of this kind would share both, and agree whatever the error."""
    forward, backward = Affine(translation=(0.0, 1.0, 0.0)), Affine(translation=(0.0, -3.0, 0.0))
    pair = ImagePair(chest.fixed, chest.moving, None, None)
    found = find_evidence(shift(), pair, Context(), Affine(), [forward, backward], refine=False)
    assert not shift.calls
    maps = found.maps(chest.fixed.grid, torch.device("cpu"), silent).maps()
    assert torch.allclose(maps["consistency"].data, torch.tensor(2.0))
    assert "spread" not in maps


def test_the_command_line_writes_the_map_and_reports_it(shift, tmp_path, capsys):
    paths = [trivial.volume(tmp_path / f"{name}.nii.gz") for name in ("fixed", "moving")]
    command = trivial.register(*paths, tmp_path / "out", "--uncertainty")
    assert main([str(word) for word in command]) == 0
    expected = np.sqrt(2) * np.linalg.norm(trivial.SHIFT)
    for name, value in (("uncertainty", expected), ("consistency", np.sqrt(2) * expected)):
        image = sitk.ReadImage(str(tmp_path / "out" / f"{name}.nii.gz"))
        assert np.allclose(sitk.GetArrayFromImage(image), value, rtol=1e-4)
    assert not (tmp_path / "out" / "spread.nii.gz").exists()  # of one estimate
    report = json.loads((tmp_path / "out" / "report.json").read_text())
    assert report["uncertainty"]["median"] == pytest.approx(expected, rel=1e-4)
    said = capsys.readouterr().out  # voxels of 2 x 2 x 2.5 mm
    assert "Error estimate above 2.5 mm in 100.0 % of the image" in said


def uncertainty(percent_above: float = 0.0, consistency: float = 1.0) -> dict:
    """Statistics of error maps."""
    return {
        "median": 0.4,
        "p95": 3.1,
        "max": 8.0,
        "limit": 3.0,
        "percent_above": percent_above,
        "consistency": {"median": 0.5, "p95": consistency, "max": 9.0},
        "spread": None,
        "region": "mask",
        "n": 9,
    }


@pytest.mark.parametrize(("share", "level"), [(0.0, "ok"), (4.9, "ok"), (5.0, "caution")])
def test_the_verdict_cautions_where_a_twentieth_is_uncertain(share, level):
    judged = verdict({"uncertainty": uncertainty(share)})
    (finding,) = [f for f in judged.findings if "Error estimate" in f.text]
    assert finding.level == level
    assert judged.level != "ok"  # a small prediction proves nothing


@pytest.mark.parametrize(("p95", "level"), [(3.0, "ok"), (3.1, "caution")])
def test_a_registration_that_differs_between_directions_is_cautioned_as_tg132_has_it(p95, level):
    judged = verdict({"uncertainty": uncertainty(consistency=p95)})
    (finding,) = [f for f in judged.findings if "both directions" in f.text]
    assert finding.level == level
    assert "TG-132, table III" in finding.basis
    assert f"95 % of the mask returns within {p95:.2g} mm" in finding.text


def test_the_words_on_an_estimate_give_no_assurance_and_say_where_it_was_measured():
    (finding, _) = uncertainty_findings(uncertainty())
    assert "not an error bar" in finding.text and "do not show" in finding.text
    page = finding.basis.rpartition(": ")[2]
    text = (Path(__file__).resolve().parents[2] / page).read_text(encoding="utf-8")
    assert text.startswith("# Predicted and true error")


def test_without_maps_nothing_is_said_of_them():
    assert uncertainty_findings(None) == []
    assert "estimate" not in verdict({}).text()
