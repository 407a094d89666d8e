"""EMPIRE10: 30 pairs of chest CT with lung masks (Murphy et al. 2011); its landmarks are secret."""

from __future__ import annotations

import re
from pathlib import Path

from DeepRegistrationLib.data.layout_entries import IMAGES, LayoutEntry, files_below, nothing_found
from DeepRegistrationLib.errors import RegistrationError
from DeepRegistrationLib.progress import Progress

_NAME = re.compile(r"(\d+)_(fixed|moving)\.\w+(\.gz)?", re.IGNORECASE)


def read(folder: Path, output: Path, progress: Progress) -> list[LayoutEntry]:
    """``scans/NN_Fixed.mhd``, ``scans/NN_Moving.mhd`` and ``lungMasks/...``: all held out."""
    del output  # nothing has to be made
    scans: dict[str, dict[str, Path]] = {}
    masks: dict[tuple[str, str], Path] = {}
    for path in files_below(folder):
        match = _NAME.fullmatch(path.name)
        if match is None or not path.name.lower().endswith(IMAGES):
            continue
        number, side = match.group(1), match.group(2).lower()
        if "mask" in path.parent.name.lower():
            masks[number, side] = path
        else:
            scans.setdefault(number, {})[side] = path
    if not scans:
        raise nothing_found(folder, ("scans/01_Fixed.mhd", "lungMasks/01_Fixed.mhd"))
    found = []
    for done, (number, sides) in enumerate(sorted(scans.items())):
        progress(done / len(scans), f"Reading pair {number}")
        if len(sides) != 2:
            raise RegistrationError(
                f"Pair {number} has only its {next(iter(sides))} scan; unpack the other one too."
            )
        for side in ("fixed", "moving"):
            mask = masks.get((number, side))
            found.append(LayoutEntry(f"empire{number}", sides[side], mask, split="test"))
    return found
