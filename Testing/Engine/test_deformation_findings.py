"""What the verdict says of volume change, surfaces and the images' likeness."""

from __future__ import annotations

import pytest
from quality_made import landmarks, measured

from DeepRegistrationLib.reports.verdict import verdict

LUNGS = {"region": {"source": "lungs", "name": "lungs"}}


def only(found, words: str):
    """The finding that has these words."""
    (finding,) = [finding for finding in found.findings if words in finding.text]
    return finding


@pytest.mark.parametrize(
    ("smallest", "largest", "level"),
    [(0.21, 4.9, "ok"), (0.19, 2.0, "caution"), (0.5, 5.1, "caution")],
)
def test_extreme_volume_change_is_a_caution_with_its_place(smallest, largest, level):
    inside = {"percent_nonpositive": 0.0, "min": smallest, "max": largest}
    jacobian = {"percent_nonpositive": 0.0, "min": -0.1, "max": 9.0, "in_mask": inside}
    extremes = {
        "smallest": {"value": smallest, "point": [30.0, 12.0, -8.0], "where": "lower, left"},
        "largest": {"value": largest, "point": [-30.0, -12.0, 8.0], "where": "upper, right"},
    }
    found = verdict(measured(jacobian=jacobian, extremes=extremes, **LUNGS), **landmarks(20, 0))
    assert found.level == level
    if smallest < 0.2:
        said = only(found, "extreme compression").text
        assert "in the lungs: smallest Jacobian determinant 0.19, lower, left (L 30, P 12, " in said
    elif largest > 5:
        said = only(found, "Extreme expansion").text
        assert "largest Jacobian determinant 5.10, upper, right (R 30, A 12, S 8 mm)" in said
    else:
        assert "No folding in the lungs" in found.text()


@pytest.mark.parametrize(("kind", "said"), [("structures", False), ("vessels", True)])
def test_a_hearts_cavities_may_close_further_than_lungs(kind, said):
    alignment = {
        "kind": kind,
        "places": 600,
        "shift": {"median": 0.1, "mean": 0.2, "p95": 0.4},
        "alike": 0.9,
        "area": {"shift": 1.0, "where": "in the middle", "point": [0.0, 0.0, 0.0]},
        "percent_outside": 0.0,
        "percent_covered": None,
    }
    jacobian = {"percent_nonpositive": 0.0, "min": 0.13, "max": 2.0}
    found = verdict(measured(jacobian=jacobian, alignment=alignment), **landmarks(20, 0))
    assert ("extreme compression" in found.text()) == said


def test_compression_is_not_said_again_where_tissue_folds():
    inside = {"percent_nonpositive": 0.5, "min": -0.3, "max": 2.0}
    found = verdict(measured(jacobian={**inside, "in_mask": inside}), **landmarks(20, 0))
    assert "compression" not in found.text() and "Folding 0.5 %" in found.text()


@pytest.mark.parametrize(
    ("before", "after", "level", "words"),
    [
        (9.0, 5.9, "ok", ""),
        (9.0, 6.1, "caution", "95 % Hausdorff distance 6.1 mm, above 6 mm; largest"),
        (3.0, 3.4, "caution", "3.4 mm, farther apart than before (3.0 mm); largest"),
        (3.04, 2.96, "ok", ""),
    ],
)
def test_surfaces_far_apart_or_farther_than_before_are_a_caution(before, after, level, words):
    distances = {"mean_surface_distance": 1.0, "hausdorff95": after, "hausdorff": 12.3}
    place = {"farthest": [1.0, 40.0, 8.0], "where": "posterior"}
    overlap = {
        "3": {
            "before": {"dice": 0.5, "hausdorff95": before},
            "after": {"dice": 0.9, **distances, **place},
        }
    }
    found = verdict(measured(overlap=overlap), **landmarks(20, 0))
    assert found.level == level
    if words:
        said = only(found, "Surfaces of label 3").text
        assert words in said
        assert "largest distance 12.3 mm, posterior (L 1, P 40, S 8 mm)" in said


def test_a_correlation_that_stays_near_nothing_is_a_caution():
    def level(before, after):
        similarity = {"before": {"local_ncc": before}, "after": {"local_ncc": after}}
        found = verdict(measured(similarity=similarity, **LUNGS), **landmarks(20, 0))
        return found, only(found, "Local correlation in the lungs").level

    found, poor = level(0.01, 0.05)
    assert poor == "caution" and "0.01 before, 0.05 after: the images hardly" in found.headline
    assert level(0.01, 0.5)[1] == "ok"
    assert level(0.06, 0.05)[1] == "problem"
