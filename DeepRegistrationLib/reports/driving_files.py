"""What drove the transform of a file: in the file itself, or beside it.

``deepreg`` writes it into the files of transforms that can carry it, see
:mod:`DeepRegistrationLib.images.carried`, and beside them. What stands beside belongs to the
transform whose checksum the report there has, whatever its file is called now. A transform that
another program wrote anew, elsewhere, is not known any more. Nothing here loads PyTorch.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

from DeepRegistrationLib.evaluation.driving_record import (
    NOTHING,
    Drove,
    read_driving,
    read_driving_labels,
)
from DeepRegistrationLib.images.carried import carried_text

DRIVING_FILE = "driving_landmarks.csv"
"""The landmark pairs that drove a registration, beside its transform."""

DRIVING_LABELS_FILE = "driving_labels.csv"
"""The names of the segments that did."""

REPORT_FILE, TRANSFORM_FILE, INVERSE_FILE = "report.json", "transform.h5", "inverse.h5"


def what_drove(path: str | Path, checksum: Callable[[], str] | None) -> Drove:
    """What drove the transform of a file, as far as it is known.

    Args:
        path: Of the transform.
        checksum: Gives the transform's, see :mod:`reports.identity`; called only where files lie
            beside it that may be about it. None where it is not known: then names decide.

    Raises:
        RegistrationError: It is written down, but damaged.
    """
    path = Path(path)
    text = carried_text(path)
    if text is not None:
        return Drove.read(text, path.name)
    pairs, labels = path.with_name(DRIVING_FILE), path.with_name(DRIVING_LABELS_FILE)
    if not (pairs.is_file() or labels.is_file()) or not _about(path, checksum):
        return NOTHING
    found = Drove(
        read_driving(pairs) if pairs.is_file() else None,
        read_driving_labels(labels) if labels.is_file() else (),
    )
    return found.swapped() if path.name == INVERSE_FILE else found


def _about(path: Path, checksum: Callable[[], str] | None) -> bool:
    """Whether what lies in a transform's folder is about it.

    By its checksum; the inverse, and all where no report is left, by their names.
    """
    if path.name == INVERSE_FILE or checksum is None:
        return path.name in (INVERSE_FILE, TRANSFORM_FILE)
    try:
        report = json.loads(path.with_name(REPORT_FILE).read_text(encoding="utf-8"))
        return report["transform"]["sha256"] == checksum()
    except (OSError, ValueError, KeyError, TypeError):
        return path.name == TRANSFORM_FILE
