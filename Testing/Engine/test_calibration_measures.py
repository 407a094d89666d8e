"""How well predicted errors say the true ones, against scipy and by definition."""

import numpy as np
import pytest
from scipy import stats

from DeepRegistrationLib.errors import RegistrationError
from Testing.Benchmarks.calibration_measures import calibration


@pytest.fixture
def errors():
    generator = np.random.default_rng(3)
    predicted = generator.gamma(2.0, 1.0, 500).round(1)  # with ties
    return predicted * generator.lognormal(0, 0.6, 500), predicted


def test_the_rank_correlation_is_scipys(errors):
    expected = stats.spearmanr(*errors).statistic
    assert calibration(*errors).spearman == pytest.approx(expected, abs=1e-12)
    assert 0.5 < expected < 0.95


def test_the_area_under_the_curve_is_the_share_of_well_ordered_pairs(errors):
    error, predicted = errors
    large, small = predicted[error > 3.0][:, None], predicted[error <= 3.0][None]
    expected = ((large > small) + 0.5 * (large == small)).mean()
    assert calibration(*errors).auc == pytest.approx(expected, abs=1e-12)
    assert calibration(*errors).large == (error > 3.0).sum()


def test_bins_of_a_perfect_prediction_lie_on_the_diagonal():
    values = np.linspace(0.1, 9.0, 103)
    found = calibration(values, values)
    assert sum(b.count for b in found.bins) == 103
    assert max(b.count for b in found.bins) - min(b.count for b in found.bins) <= 1
    assert all(b.predicted == pytest.approx(b.error) for b in found.bins)
    assert (found.spearman, found.auc) == (pytest.approx(1.0), 1.0)


def test_the_tenth_with_the_largest_predictions_finds_what_lies_in_it():
    error = np.zeros(100)
    error[[1, 2, 3, 50]] = 7.0
    predicted = np.zeros(100)
    predicted[:10] = 1.0
    assert calibration(error, predicted).found == pytest.approx(0.75)


def test_without_large_errors_there_is_nothing_to_find():
    found = calibration(np.array([0.1, 0.2, 0.3]), np.array([1.0, 1.0, 1.0]))
    assert (found.auc, found.found, found.spearman) == (None, None, 0.0)


@pytest.mark.parametrize(
    ("error", "predicted", "bins", "sentence"),
    [
        ([1.0, 2.0], [1.0], 10, "2 and 1"),
        ([1.0], [1.0], 10, "at least two"),
        ([1.0, np.nan], [1.0, 2.0], 10, "finite"),
        ([1.0, 2.0], [1.0, np.inf], 10, "finite"),
        ([1.0, 2.0], [1.0, 2.0], 0, "0 bins"),
    ],
)
def test_what_cannot_be_calibrated_is_refused(error, predicted, bins, sentence):
    with pytest.raises(RegistrationError, match=sentence):
        calibration(np.array(error), np.array(predicted), bins=bins)
