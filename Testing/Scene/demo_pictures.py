"""The demo's pictures for README.md and the extension's page: part of ``make screenshots``.

In true color: a palette of 256 colors is spent on the grays, and the green and magenta that the
pictures are about come out gray. They are kept small by rounding each channel to steps of 8, which
nobody sees and which takes the noise's last bits from the compression.
"""

from __future__ import annotations

import tempfile
from pathlib import Path

import numpy as np
import PIL.Image

from DeepRegistrationLib.scene.runs.demo import main

FOLDER = Path(__file__).parents[2] / "Resources" / "Screenshots"
PICTURES = ("before.png", "after.png", "jacobian.png")
_STEP = 8


def write_rounded(source: Path, target: Path) -> None:
    """Write a picture in true color with rounded channels."""
    with PIL.Image.open(source) as picture:
        values = np.asarray(picture.convert("RGB")).astype(int)
    rounded = np.minimum((values + _STEP // 2) // _STEP * _STEP, 255).astype(np.uint8)
    PIL.Image.fromarray(rounded).save(target, optimize=True)


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as folder:
        if main(["--output", folder, "--quiet"]) == 0:
            for name in PICTURES:
                write_rounded(Path(folder) / name, FOLDER / name)
