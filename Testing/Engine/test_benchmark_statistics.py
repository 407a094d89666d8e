"""Statistics of the benchmark against scipy, brute force and hand calculation."""

import numpy as np
import pytest
from benchmarks import rows_of
from scipy import stats

from DeepRegistrationLib.data.cases import Case
from DeepRegistrationLib.errors import RegistrationError
from DeepRegistrationLib.evaluation.landmarks import snapped_to_voxels
from DeepRegistrationLib.studies.benchmark.protocol import (
    PROTOCOLS,
    across_patients,
    deformed_copies,
    pairs_for,
    same_patient,
)
from DeepRegistrationLib.studies.benchmark.statistics import (
    bootstrap_interval,
    compare,
    holm,
    signed_rank,
    summarize,
    welch,
)
from DeepRegistrationLib.studies.benchmark.table_parts import spread


@pytest.fixture(scope="module")
def skewed():
    return np.random.default_rng(3).gamma(2.0, 1.5, 25)


def test_the_interval_is_the_percentile_bootstraps(skewed):
    low, high = bootstrap_interval(skewed, resamples=20000)
    generator = np.random.default_rng(11)
    means = [generator.choice(skewed, len(skewed)).mean() for _ in range(20000)]
    assert (low, high) == pytest.approx(tuple(np.percentile(means, (2.5, 97.5))), rel=0.01)
    theirs = stats.bootstrap((skewed,), np.mean, method="percentile", n_resamples=20000, rng=5)
    assert (low, high) == pytest.approx(tuple(theirs.confidence_interval), rel=0.01)


def test_the_interval_holds_the_true_mean_as_often_as_it_says():
    generator = np.random.default_rng(7)
    hits = 0
    for number in range(300):
        low, high = bootstrap_interval(generator.normal(2, 1, 40), resamples=500, seed=number)
        hits += low <= 2 <= high
    assert 0.90 <= hits / 300 <= 0.98


def test_the_test_is_the_signed_rank_test_by_all_signs():
    change = np.array([0.3, -0.1, 0.5, 0.7, 0.2, -0.4, 0.9])
    ranks = stats.rankdata(np.abs(change))
    observed = min(ranks[change > 0].sum(), ranks[change < 0].sum())
    signs = (np.arange(2**7)[:, None] >> np.arange(7)) & 1
    sums = signs @ ranks
    exact = min(1.0, 2 * np.mean(sums <= observed))
    assert signed_rank(change) == pytest.approx(exact)
    assert signed_rank(np.zeros(5)) == 1.0


def test_holm_multiplies_by_what_is_left():
    # by hand: 0.005*4, 0.01*3, max(0.03, 0.03*2), max(0.06, 0.04*1)
    assert holm([0.01, 0.04, 0.03, 0.005]) == pytest.approx([0.03, 0.06, 0.06, 0.02])
    assert holm([0.7, 0.9]) == [1.0, 1.0]
    assert holm([]) == []


def test_methods_are_compared_over_the_pairs_that_both_have():
    errors = {}
    for k in range(8):
        errors[f"p{k}", "a"] = [[1.0 + 0.1 * k, 0, 0]]
        if k != 3:
            errors[f"p{k}", "b"] = [[0.8 + 0.11 * k, 0, 0]]
    rows = rows_of(errors)
    rows[0]["status"] = "failed"  # of pair 0, method a
    (found,) = compare(rows, "tre", "a")
    change = [-0.2 + 0.01 * k for k in (1, 2, 4, 5, 6, 7)]
    assert (found.unit, found.n, found.better) == ("pair", 6, 1.0)
    assert found.difference == pytest.approx(np.mean(change))
    assert found.p == pytest.approx(2 / 2**6)
    assert found.low < found.difference < found.high < 0


def test_few_pairs_are_compared_by_their_landmarks():
    rows = rows_of(
        {
            ("p", "a"): [[3, 4, 0], [1, 0, 0], [0, 0, 2]],
            ("p", "b"): [[3, 0, 0], [2, 0, 0], [0, 0, 1]],
        }
    )
    (found,) = compare(rows, "tre", "a")
    assert (found.unit, found.n) == ("landmark", 3)
    assert found.difference == pytest.approx((-2 + 1 - 1) / 3)
    assert found.better == pytest.approx(2 / 3)


def test_the_spread_divides_by_n(skewed):
    found = summarize(skewed.tolist())
    assert found.std == pytest.approx(np.sqrt(((skewed - skewed.mean()) ** 2).mean()))
    assert (found.n, found.median) == (25, np.median(skewed))


def matlab_round(value):
    """Halves away from zero, as the official evaluation's program rounds."""
    return np.sign(value) * np.floor(np.abs(value) + 0.5)


def test_snapping_is_rounding_of_one_based_voxel_indices():
    spacing, n = np.array([0.97, 0.97, 2.5]), 500
    generator = np.random.default_rng(0)
    index = generator.uniform(1, 200, (n, 3))  # 1-based, as DIR-Lab's files
    index[:20] = np.floor(index[:20]) + 0.5
    origin = np.array([-120.0, 40.0, 300.0])
    matrix = np.diag([*spacing, 1.0])
    matrix[:3, 3] = origin
    points = origin + (index - 1) * spacing
    official = origin + (matlab_round(index) - 1) * spacing
    found = snapped_to_voxels(points, matrix)
    exact = np.ones(n, dtype=bool)
    exact[:20] = False  # a half may fall to either side by the last bit of the division
    np.testing.assert_allclose(found[exact], official[exact], atol=1e-9)
    assert np.abs(found - official).max() <= spacing.max() + 1e-9


def case(patient, name, **files):
    return Case(patient, "test", name, **files)


def test_pairs_of_a_patient_are_taken_once_with_the_first_fixed(tmp_path):
    cases = [case(p, tmp_path / f"{n}.nii.gz") for p, n in ("ax", "ay", "bx", "az")]
    names = [(p.fixed.image.name[0], p.moving.image.name[0]) for p in same_patient(cases)]
    assert names == [("x", "y"), ("x", "z"), ("y", "z")]


def test_hearts_are_paired_both_ways_with_all_others(tmp_path):
    cases = [case(f"p{k}", tmp_path / f"{k}{f}.nii") for k in range(37) for f in ("ed", "es")]
    pairs = across_patients(cases)
    assert len(pairs) == 37 * 36 == len({p.name for p in pairs})
    assert all(p.fixed.patient != p.moving.patient for p in pairs)
    assert all("ed" in c.image.name for p in pairs for c in (p.fixed, p.moving))


def test_a_limit_draws_from_all_pairs_and_a_larger_one_keeps_those_of_a_smaller(tmp_path):
    cases = [case(f"p{k}", tmp_path / f"{k}.nii") for k in range(20)]
    few, more = (pairs_for(PROTOCOLS["heart"], cases, n) for n in (10, 40))
    assert (len(few), len(more)) == (10, 40)
    assert {p.name for p in few} < {p.name for p in more}
    assert len({p.fixed.patient for p in more}) > 10 < len({p.moving.patient for p in more})
    with pytest.raises(RegistrationError, match="no patient has two cases"):
        pairs_for(PROTOCOLS["lung"], cases)


def test_cases_of_one_name_stay_apart(tmp_path):
    cases = [case("a", tmp_path / d / "image.nii.gz") for d in "uv"]
    names = {p.name for p in deformed_copies(cases)}
    assert len(names) == 6


def test_welchs_test_is_written_out_and_says_nothing_of_equal_values(skewed):
    other = skewed[:9] * 1.3 + 0.2
    variances = [v.var(ddof=1) / len(v) for v in (skewed, other)]
    t = (skewed.mean() - other.mean()) / np.sqrt(sum(variances))
    freedom = sum(variances) ** 2 / sum(
        v**2 / (n - 1) for v, n in zip(variances, (25, 9), strict=True)
    )
    assert welch(skewed, other) == pytest.approx(2 * stats.t.sf(abs(t), freedom))
    assert welch(np.ones(4), np.ones(4)) == welch(skewed, other[:1]) == 1.0


def test_one_number_has_no_spread():
    assert spread([1.234]) == "1.23"
    assert spread([1.0, 2.0]) == "1.50 ± 0.50"
    assert spread([]) == "–"
