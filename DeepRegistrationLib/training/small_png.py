"""PNG files made small enough to lie beside weights in a checkout."""

from __future__ import annotations

import io
from pathlib import Path

from DeepRegistrationLib.images.atomic_output import atomic_file

MOST_BYTES = 120_000
"""Of a picture beside weights: a checkout stays small."""

_COLORS = (128, 64, 32)  # of the palette, tried one after another


def write_small(picture: bytes, path: Path) -> None:
    """Write a PNG, with fewer colors and then fewer pixels until it is small.

    Raises:
        RegistrationError: The file cannot be written.
    """
    content = picture
    if len(content) > MOST_BYTES:
        import PIL.Image  # comes with matplotlib, which drew it

        image = PIL.Image.open(io.BytesIO(picture)).convert("RGB")
        for scale, colors in [(1.0, n) for n in _COLORS] + [(0.75, 32), (0.5, 32)]:
            size = (round(scale * image.width), round(scale * image.height))
            packed = io.BytesIO()
            image.resize(size).quantize(colors, dither=PIL.Image.Dither.NONE).save(
                packed, format="png", optimize=True
            )
            content = packed.getvalue()
            if len(content) <= MOST_BYTES:
                break
    with atomic_file(path) as partial:
        partial.write_bytes(content)
