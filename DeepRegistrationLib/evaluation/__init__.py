"""How good a registration is: landmarks, Jacobian, overlap, similarity, and the report."""

from DeepRegistrationLib.evaluation.jacobian import jacobian_statistics
from DeepRegistrationLib.evaluation.landmarks import (
    check_landmarks,
    mapped_points,
    read_landmarks,
    target_registration_error,
    write_landmarks,
)
from DeepRegistrationLib.evaluation.overlap import label_overlap
from DeepRegistrationLib.evaluation.report import build_report, evaluation_report, write_report
from DeepRegistrationLib.evaluation.similarity import (
    local_correlation,
    normalized_correlation,
    similarity,
)

__all__ = [
    "build_report",
    "check_landmarks",
    "evaluation_report",
    "jacobian_statistics",
    "label_overlap",
    "local_correlation",
    "mapped_points",
    "normalized_correlation",
    "read_landmarks",
    "similarity",
    "target_registration_error",
    "write_landmarks",
    "write_report",
]
