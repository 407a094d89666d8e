"""The report of a registration: complete, true, JSON, without a trace of the patient."""

import json
import math
from dataclasses import replace

import numpy as np
import pytest
import torch
from test_evaluation import GRID, image, noisy_pair, two_label_maps

from DeepRegistrationLib.images.image import Image
from DeepRegistrationLib.images.intensity import background, finite
from DeepRegistrationLib.registration.engine import Registration
from DeepRegistrationLib.reports.plain_report import json_safe
from DeepRegistrationLib.reports.report import build_report, evaluation_report
from DeepRegistrationLib.reports.summary import summary
from DeepRegistrationLib.transforms import Affine, DisplacementField, Inversion, jacobian, warp

KEYS = [
    "versions",
    "method",
    "asked_for",
    "refine",
    "quality",
    "parameters",
    "device",
    "device_reason",
    "seed",
    "date",
    "weights",
    "transform",
    "seconds",
    "peak_memory_mb",
    "fixed",
    "moving",
    "region",
    "tre",
    "swapped",
    "negated",
    "jacobian",
    "similarity",
    "overlap",
    "alignment",
    "voxel_mm",
    "inverse_consistency",
    "driving",
    "driving_labels",
    "hearts",
    "verdict",
    "inverse_residual_mm",
    "notes",
]


def a_registration(with_inverse=False):
    first, _ = noisy_pair()
    fixed = finite(image(first, name="fixed.nii.gz"))
    truth = Affine(translation=(2.0, 0.0, 2.5))
    moving = warp(fixed, truth.inverse(), GRID, fill=-1000)  # moving(T(x)) = fixed(x)
    moving = Image(finite(moving).data, GRID, "/home/someone/patients/moving.nii.gz")
    inverse = DisplacementField(-DisplacementField.of(truth, GRID).vectors, GRID)
    result = Registration(
        transform=truth,
        grid=GRID,
        warped=warp(moving, truth, GRID, fill=background(moving)),
        jacobian=jacobian(truth, GRID),
        inverse=Inversion(inverse, 1e-4, float("nan"), 0.25) if with_inverse else None,
        seconds={"register": 1.5, "warp": 0.5},
        notes=["Lungs found."],
        provenance={
            "method": "shift",
            "quality": "fast",
            "parameters": {"weight": np.float32(0.5), "levels": (1, 2)},
            "device": "cpu",
            "device_reason": "CPU, as requested.",
            "seed": 3,
            "peak_memory_mb": {"main": 300.0},
        },
    )
    return result, fixed, moving


def test_the_report_has_every_key_and_is_json_without_nan():
    result, fixed, moving = a_registration(with_inverse=True)
    points = GRID.to_physical(np.array([[6.0, 6, 6], [12, 10, 8]]))
    report = build_report(
        result, fixed, moving, fixed_landmarks=points, moving_landmarks=points + [2, 0, 2.5]
    )
    assert list(report) == KEYS
    assert json.loads(json.dumps(report, allow_nan=False)) == report
    seconds = report["seconds"]
    assert list(seconds) == ["register", "warp", "evaluate", "total"]
    assert seconds["total"] == pytest.approx(2.0 + seconds["evaluate"])
    assert report["parameters"] == {"weight": 0.5, "levels": [1, 2]}
    assert report["inverse_residual_mm"] == {"mean": 1e-4, "max": None, "roundtrip_max": 0.25}
    assert set(report["tre"]) == {"n", "before", "after", "snapped"}
    assert report["tre"]["before"]["mean"] == pytest.approx(math.hypot(2, 2.5))
    assert report["tre"]["after"]["mean"] == pytest.approx(0, abs=1e-9)
    statistics = {"min", "max", "mean", "percent_nonpositive", "std_log", "in_mask"}
    assert set(report["jacobian"]) == statistics
    assert "Lungs found." in report["notes"]


def test_the_report_shows_that_the_right_transform_makes_the_images_alike():
    result, fixed, moving = a_registration()
    similar = build_report(result, fixed, moving)["similarity"]
    assert similar["after"]["ncc"] > similar["before"]["ncc"] + 0.05
    assert similar["after"]["local_ncc"] > similar["before"]["local_ncc"] + 0.1


def test_the_report_holds_no_path():
    result, fixed, moving = a_registration()
    text = json.dumps(build_report(result, fixed, moving))
    assert "someone" not in text
    assert '"moving.nii.gz"' in text


def test_the_report_tells_folding_in_the_mask_and_in_the_whole_image():
    result, fixed, moving = a_registration()
    result.jacobian.data[0] = -1.0
    mask = np.zeros(GRID.shape, dtype=np.uint8)
    mask[4:12, 5:15, 5:15] = 1
    result = replace(result, fixed_mask=image(mask))
    found = build_report(result, fixed, moving)["jacobian"]
    assert found["percent_nonpositive"] == pytest.approx(100 / 16)
    assert found["in_mask"]["percent_nonpositive"] == 0


def test_an_evaluation_gives_the_same_measures_as_the_registration():
    result, fixed, moving = a_registration()
    report = build_report(result, fixed, moving)
    evaluated = evaluation_report(result.transform, fixed=fixed, moving=moving)
    assert list(evaluated) == KEYS
    for key in ("jacobian", "similarity", "tre"):
        assert json.dumps(evaluated[key]) == json.dumps(report[key])


def test_labels_that_move_with_the_image_overlap_better_after():
    result, _, _ = a_registration()
    fixed, _ = two_label_maps()
    moving = warp(fixed, result.transform.inverse(), GRID, interpolation="nearest")
    found = evaluation_report(result.transform, fixed_labels=fixed, moving_labels=moving)
    for label in ("1", "2"):
        overlap = found["overlap"][label]
        assert overlap["before"]["dice"] < 0.9 < overlap["after"]["dice"]
    assert found["jacobian"]["mean"] == pytest.approx(1.0, abs=1e-5)
    assert found["similarity"] is None


def test_a_label_of_one_image_alone_has_no_overlap_in_the_summary():
    result, _, _ = a_registration()
    fixed, _ = two_label_maps()
    moving = replace(fixed, data=fixed.data * (fixed.data == 1))
    found = evaluation_report(result.transform, fixed_labels=fixed, moving_labels=moving)
    (first, second) = [line for line in summary(found) if line.startswith("Dice")]
    assert first.startswith("Dice of label 1: 1.000 before, ")
    assert second == "Dice of label 2: unknown, as one of the two images has none"


def test_the_summary_names_the_main_numbers():
    result, fixed, moving = a_registration(with_inverse=False)
    points = GRID.to_physical(np.array([[6.0, 6, 6]]))
    report = build_report(
        result, fixed, moving, fixed_landmarks=points, moving_landmarks=points + [3, 0, 2.5]
    )
    text = "\n".join(summary(report))
    assert "3.91 mm before, 1.00 mm after" in text
    assert "folding in 0.000 %" in text


def test_json_safe_makes_numbers_plain_and_finite():
    given = {1: np.float64("inf"), "a": torch.tensor([1.0, float("nan")]), "b": np.int64(4)}
    assert json_safe(given) == {"1": None, "a": [1.0, None], "b": 4}


def test_the_mask_that_the_registration_found_is_the_one_reported():
    from DeepRegistrationLib import register
    from DeepRegistrationLib.data.phantoms import thorax

    pair = thorax((40, 32, 36), (8.0, 8.0, 8.0))
    result = register(pair.fixed, pair.moving, method="affine", device="cpu", jacobian=True)
    inside = result.jacobian.data[result.fixed_mask.data != 0]
    report = build_report(result, pair.fixed, pair.moving)
    assert report["jacobian"]["in_mask"]["mean"] == pytest.approx(float(inside.mean()), rel=1e-4)
