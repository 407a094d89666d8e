"""A registration method that takes no time, and small image files, for tests of all around it."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import SimpleITK as sitk

from DeepRegistrationLib.images.image import Image
from DeepRegistrationLib.methods import Card, Method
from DeepRegistrationLib.methods import base as registry
from DeepRegistrationLib.methods.context import Context
from DeepRegistrationLib.methods.parameters import parameter
from DeepRegistrationLib.transforms import Affine, Transform

CARD = Card("shifts", "any", "any", "none", "no weights", "none", "none", True)
SHIFT = (2.0, -1.0, 3.0)  # mm, what the method "finds"


@dataclass(frozen=True)
class ShiftParameters:
    """Parameters of the shift."""

    scale: float = parameter(1.0, "factor of the shift", unit="", minimum=0.0, maximum=5.0)
    count: int = parameter(2, "a whole number", minimum=1, maximum=9)
    kind: str = parameter("rigid", "a choice", choices=("rigid", "loose"))
    strict: bool = parameter(True, "a switch")


class Shift(Method):
    """Returns one known shift and remembers what it was given."""

    name = "shift"
    title = "Known shift"
    card = CARD
    Parameters = ShiftParameters
    calls: ClassVar[list[tuple[Image, Image, Context, Any]]] = []
    error: ClassVar[BaseException | None] = None
    says: ClassVar[str] = ""

    def register(self, fixed: Image, moving: Image, context: Context) -> Transform:
        """The known shift, or the error that a test asked for."""
        self.calls.append((fixed, moving, context, self.parameters))
        if self.error is not None:
            raise self.error
        context.progress(0.5, "Shifting")
        context.notes.extend(filter(None, [self.says]))
        return Affine(translation=np.array(SHIFT) * self.parameters.scale)


def install(monkeypatch: Any) -> type[Shift]:
    """Offer the method as ``shift`` for one test."""
    monkeypatch.setitem(registry._METHODS, "shift", Shift)
    monkeypatch.setattr(Shift, "calls", [])
    monkeypatch.setattr(Shift, "error", None)
    monkeypatch.setattr(Shift, "says", "")
    return Shift


def volume(
    path: Path,
    *,
    size: tuple[int, ...] = (14, 12, 10),
    spacing: tuple[float, ...] = (2.0, 2.0, 2.5),
    origin: tuple[float, ...] = (-10.0, 5.0, 30.0),
    values: np.ndarray | None = None,
) -> Path:
    """Write a CT-like volume of smooth noise (or of ``values``) to ``path``."""
    if values is None:
        noise = np.random.default_rng(0).normal(size=size[::-1])
        values = (noise * 300 - 500).astype(np.float32)
    image = sitk.GetImageFromArray(values, isVector=False)
    image.SetSpacing(spacing)
    image.SetOrigin(origin)
    sitk.WriteImage(image, str(path))
    return path


def assert_says(sentence: str, pattern: str) -> None:
    """Check that a sentence of the command line says something."""
    assert re.search(pattern, sentence), sentence


def register(fixed: object, moving: object, out: object, *options: object) -> tuple[object, ...]:
    """The command line that registers by the trivial method."""
    return ("register", fixed, moving, "-o", out, "--method", "shift", *options)
