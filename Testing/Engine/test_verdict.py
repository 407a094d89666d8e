"""The words follow from the numbers, name what they rest on, and never praise."""

from __future__ import annotations

import numpy as np
import pytest
from quality_made import CLEAN, landmarks, measured

from DeepRegistrationLib.evaluation.finding import figure
from DeepRegistrationLib.images.geometry import largest_voxel
from DeepRegistrationLib.reports.verdict import LEVELS, verdict


def test_landmarks_above_the_limit_are_counted_and_the_worst_is_named():
    found = verdict(measured(), **landmarks(51, 3))
    assert found.level == "caution"
    assert "3 of 51 landmarks above 3 mm" in found.headline
    assert "largest 7.20 mm at landmark L12" in found.headline
    assert "mean before 8.00 mm" in found.headline
    assert "TG-132" in found.findings[0].basis


def test_the_place_of_the_largest_error_is_given_in_the_patients_directions():
    positions = np.zeros((51, 3))
    positions[11] = (-40.4, 12.0, -150.0)  # LPS
    found = verdict(measured(), **landmarks(51, 3), positions=positions)
    assert "largest 7.20 mm at landmark L12, R 40, P 12, I 150 mm" in found.headline


def test_a_segment_without_a_name_is_called_a_label():
    segment = {"volume_ml": 1.0, "moving_volume_ml": 1.0}
    segment["jacobian"] = {"mean": 1.0, "percent_nonpositive": 0.5}
    assert "Folding 0.5 % of label 3." in verdict(measured(segments={"3": segment})).text()


def test_many_landmarks_above_the_limit_are_a_problem():
    assert verdict(measured(), **landmarks(51, 6)).level == "problem"
    assert verdict(measured(), **landmarks(51, 0)).level == "ok"


@pytest.mark.parametrize(
    ("voxel", "limit", "words"),
    [
        (1.0, 2.0, "voxels up to 1 mm"),  # isotropic CT: held at the lower end of 2-3 mm
        (2.5, 2.5, "the largest voxel dimension"),
        (5.0, 5.0, "the largest voxel dimension"),  # abdominal MRI
        (10.0, 5.0, "voxels up to 10 mm"),  # cardiac cine: no error of 10 mm within the slice
        (None, 3.0, "voxels not known"),
    ],
)
def test_the_limit_follows_the_largest_voxel_dimension_within_bounds(voxel, limit, words):
    """The same limit for landmarks, surfaces and consistency, each with number and reason."""
    errors = np.array([limit - 0.01, limit + 0.01] + [0.5] * 18)
    before = {"labels": [""] * 20, "before": [9.0] * 20}
    for distance, level in ((limit - 0.01, "ok"), (limit + 0.01, "caution")):
        surfaces = {"hausdorff95": 2.0, "mean_surface_distance": distance}
        overlap = {"RV": {"before": {"dice": 0.5}, "after": {"dice": 0.9, **surfaces}}}
        consistency = {**CLEAN["inverse_consistency"], "p95": distance}
        quality = measured(overlap=overlap, inverse_consistency=consistency, voxel_mm=voxel)
        found = verdict(quality, **before, after=errors).findings
        said = {f.text.split()[0]: f for f in found}
        assert f"1 of 20 landmarks above {limit:g} mm, {words} (mean" in said["1"].text
        for name in ("1", "Dice", "Inverse"):
            assert f"limit {limit:g} mm: the" in said[name].basis
        assert said["Dice"].level == said["Inverse"].level == level


def test_the_voxels_of_the_images_can_be_given_before_anything_is_measured():
    assert "3 of 51 landmarks above 2.5 mm" in verdict(None, **landmarks(51, 3), voxel=2.5).text()
    assert largest_voxel((1.0, 1.0, 5.0), (0.7, 0.7, 2.5)) == 5.0
    assert largest_voxel(None, (0.7, 0.7, 2.5)) == 2.5
    assert largest_voxel(None, None) is None


def test_landmarks_that_got_worse_are_a_problem():
    found = verdict(measured(), labels=["a"] * 12, before=[1.0] * 12, after=[2.0] * 12)
    assert found.level == "problem"
    assert "farther apart than before" in found.headline


def test_without_landmarks_and_segments_accuracy_is_not_known():
    found = verdict(measured())
    assert found.level == "unknown"
    assert found.headline.startswith("Accuracy is not known")
    assert any("does not show accuracy" in finding.text for finding in found.findings)


def test_few_landmarks_are_said_to_be_few():
    found = verdict(measured(), **landmarks(4, 0))
    assert found.level == "unknown"
    assert "Only 4 landmarks" in found.headline


def test_folding_is_given_with_its_share_and_place():
    place = {"point": [34.2, 12.0, -150.0], "where": "lower, left", "voxels": 12}
    jacobian = {"percent_nonpositive": 0.5, "min": -1.0}
    jacobian["in_mask"] = {"percent_nonpositive": 0.02, "min": -0.3}
    found = verdict(measured(jacobian=jacobian, folding=[place, place]), **landmarks(20, 0))
    assert found.level == "caution"
    assert "Folding 0.02 % of the mask" in found.headline
    assert "the largest of 2 places: lower, left in the mask (L 34, P 12, I 150 mm)" in (
        found.headline
    )


def test_much_folding_is_a_problem_and_folding_outside_the_mask_is_told_apart():
    much = {"percent_nonpositive": 2.0, "min": -1.0, "in_mask": None}
    assert verdict(measured(jacobian=much), **landmarks(20, 0)).level == "problem"
    outside = {"percent_nonpositive": 2.0, "min": -1.0}
    outside["in_mask"] = {"percent_nonpositive": 0.0, "min": 0.2}
    found = verdict(measured(jacobian=outside), **landmarks(20, 0))
    assert found.level == "unknown"
    assert "none of it in the mask" in found.headline


def test_overlap_is_judged_and_a_loss_is_a_problem():
    def dice(before, after, distance=1.0):
        values = {"hausdorff95": 3.0, "mean_surface_distance": distance}
        return {"left ventricle": {"before": {"dice": before}, "after": {"dice": after, **values}}}

    assert verdict(measured(overlap=dice(0.5, 0.9))).level == "unknown"  # no landmarks
    assert verdict(measured(overlap=dice(0.5, 0.7))).level == "caution"
    far = verdict(measured(overlap=dice(0.5, 0.9, 3.1)))
    assert far.level == "caution"
    assert "surfaces 3.1 mm apart on average, 95 % within 3.0 mm" in far.headline
    found = verdict(measured(overlap=dice(0.8, 0.7)))
    assert found.level == "problem"
    assert "Dice of left ventricle 0.70 (0.80 before)" in found.headline


def test_a_segment_on_one_side_only_is_said_to_be_missing():
    values = {"before": None, "after": {"dice": 0.0, "hausdorff95": None}}
    found = verdict(measured(overlap={"aorta": values}))
    assert "aorta is missing from one of the two images" in found.text()


def test_a_segment_that_shrinks_or_folds_is_named():
    segment = {
        "volume_ml": 100.0,
        "moving_volume_ml": 30.0,
        "jacobian": {"mean": 0.3, "percent_nonpositive": 0.004},
    }
    found = verdict(measured(segments={"left lung": segment}), **landmarks(20, 0))
    assert found.level == "caution"
    assert "left lung changes its volume from 100 ml to 30 ml" in found.headline
    assert "Folding 0.004 % of left lung" in found.headline


def test_large_and_small_figures_are_written_without_an_exponent():
    segment = {
        "volume_ml": 1512.3,
        "moving_volume_ml": 20.54,
        "jacobian": {"mean": 0.01, "percent_nonpositive": 0.0000312},
    }
    far = {"mean": 2.0, "p95": 99.8, "max": 114.6, "n": 800, "source": "given"}
    found = verdict(measured(segments={"liver": segment}, inverse_consistency=far))
    assert "liver changes its volume from 1512 ml to 20.5 ml" in found.text()
    assert "Folding 0.000031 % of liver" in found.text()
    assert "return within 100 mm (largest 115 mm)" in found.text()


@pytest.mark.parametrize(
    ("value", "text"), [(8.9e-16, "0"), (-3e-15, "0"), (0.0, "0"), (2.7e-6, "0.0000027")]
)
def test_what_rounding_leaves_is_zero(value, text):
    assert figure(value) == text


def test_inconsistency_and_lost_similarity_are_found():
    bad = {"mean": 2.0, "p95": 4.0, "max": 9.0, "n": 800, "source": "given"}
    assert verdict(measured(inverse_consistency=bad), **landmarks(20, 0)).level == "caution"
    lost = {"before": {"local_ncc": 0.6}, "after": {"local_ncc": 0.5}}
    assert verdict(measured(similarity=lost), **landmarks(20, 0)).level == "problem"
    same = {"before": {"local_ncc": 1.0}, "after": {"local_ncc": 0.99999998}}
    found = verdict(measured(similarity=same), **landmarks(20, 0))
    assert found.level == verdict(measured(), **landmarks(20, 0)).level
    assert "less similar" not in found.text()


def test_findings_come_worst_first_and_each_limit_states_its_source():
    jacobian = {"percent_nonpositive": 3.0, "min": -1.0, "in_mask": None}
    found = verdict(measured(jacobian=jacobian), **landmarks(51, 3))
    ranks = [LEVELS.index(finding.level) for finding in found.findings]
    assert ranks == sorted(ranks, reverse=True)
    assert all(
        "TG-132" in finding.basis or "this program's choice" in finding.basis
        for finding in found.findings
        if finding.level in ("ok", "caution", "problem")
    )


@pytest.mark.parametrize("quality", [None, {}, measured()])
def test_no_words_of_praise(quality):
    for count in (0, 4, 51):
        text = verdict(quality, **landmarks(count, 0)).text().lower()
        assert not {"good", "excellent", "success", "accurate", "correct"} & set(text.split())


def test_what_is_still_being_measured_is_not_passed_over():
    found = verdict(measured(pending=["inverse consistency"]), **landmarks(20, 0))
    assert found.level == "unknown"
    assert "Not measured yet: inverse consistency" in found.headline
    assert verdict(measured(pending=[]), **landmarks(20, 0)).level == "ok"


def test_nothing_measured_is_said():
    found = verdict(None)
    assert found.level == "unknown"
    assert "The Jacobian determinant was not measured." in found.text()


def test_landmarks_that_drove_the_deformation_are_no_proof():
    only_driven = verdict(None, left_out=[float("nan")] * 3)
    assert only_driven.level == "unknown"
    assert "no landmarks but those that drove it" in only_driven.headline
    texts = [finding.text for finding in only_driven.findings]
    assert texts[0] == "3 landmarks drove the deformation and do not count as proof."
    assert "No landmarks were given." not in texts
    both = verdict(None, labels=["a"] * 10, before=[9] * 10, after=[1] * 10, left_out=[0.5, 9.0])
    assert both.level == "caution"  # a landmark that was left out is 9 mm off
    assert "the mean error there is 4.75 mm, the largest 9.00 mm" in both.headline
    assert any(finding.text.startswith("0 of 10 landmarks above") for finding in both.findings)
