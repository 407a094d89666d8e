"""How the engine goes on when a GPU's memory runs out: smaller pieces, coarser images, the CPU.

Whatever was done instead is said in the registration's notes.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import TypeVar

import torch

from DeepRegistrationLib.errors import MORE_MEMORY, RegistrationError
from DeepRegistrationLib.images.geometry import slabs_of
from DeepRegistrationLib.images.image import Image
from DeepRegistrationLib.methods.image_pair import ImagePair

T = TypeVar("T")

_SLABS = (300_000, 40_000)  # voxels; at first the default of two millions was tried
_FACTORS = (2, 4)  # how much coarser the images get


class Workplace:
    """Runs the engine's stages on a device, and elsewhere when its memory is not enough.

    Args:
        pair: On the CPU.
        device: Where to compute; becomes the CPU once that was necessary.
        notes: Where sentences for the user go.
    """

    def __init__(self, pair: ImagePair, device: torch.device, notes: list[str]) -> None:
        self.pair = pair
        self.device = device
        self._notes = notes
        self._here: ImagePair | None = None

    def set_masks(self, fixed_mask: Image | None, moving_mask: Image | None) -> None:
        """Let the following stages have these masks, which are on the CPU as the images."""
        self.pair = replace(self.pair, fixed_mask=fixed_mask, moving_mask=moving_mask)
        self._here = None

    def in_slabs(self, what: str, compute: Callable[[ImagePair], T]) -> T:
        """``compute(pair)`` with slabs of the usual size, then with smaller ones, then on the CPU.

        Args:
            what: For the note, for example ``the warped image``.
            compute: Gets the pair on the device where it shall compute.
        """

        def smaller(voxels: int) -> T:
            with slabs_of(voxels):
                return compute(self._images())

        note = f"The GPU's memory was not enough for {what}: it was computed in smaller pieces."
        pieces = [(lambda n=voxels: smaller(n), note) for voxels in _SLABS]
        return self._first_that_fits(what, compute, pieces)

    def coarsening(self, what: str, compute: Callable[[ImagePair], T]) -> T:
        """``compute(pair)`` with the images as they are, then coarser ones, then on the CPU."""

        def coarser(factor: int) -> T:
            self._here = None  # the full images leave the GPU
            return compute(self.pair.coarser(factor).to(self.device))

        note = (
            "The GPU's memory was not enough for {what}: images of {factor} times coarser voxels "
            "were used, so fine detail is matched less closely."
        )
        coarse = [
            (lambda n=factor: coarser(n), note.format(what=what, factor=factor))
            for factor in _FACTORS
        ]
        return self._first_that_fits(what, compute, coarse)

    def _images(self) -> ImagePair:
        if self._here is None:
            self._here = self.pair.to(self.device)
        return self._here

    def _first_that_fits(
        self,
        what: str,
        compute: Callable[[ImagePair], T],
        alternatives: Sequence[tuple[Callable[[], T], str]],
    ) -> T:
        def on_the_cpu() -> T:
            self.device, self._here = torch.device("cpu"), None
            return compute(self._images())

        last = f"The GPU's memory was not enough for {what}: the CPU computed it, which is slower."
        steps: list[tuple[Callable[[], T], str]] = [(lambda: compute(self._images()), "")]
        for step, note in [*steps, *alternatives, (on_the_cpu, last)]:
            count = len(self._notes)
            try:
                with torch.no_grad():
                    result = step()
            except torch.cuda.OutOfMemoryError:
                del self._notes[count:]  # of an attempt that came to nothing
            else:
                self._notes += [note] if note else []
                return result
            _release()  # outside the handler, where the error still holds on to its tensors
        raise RegistrationError(
            f"Neither the GPU's nor the main memory was enough for {what}; {MORE_MEMORY}."
        )


def _release() -> None:
    if torch.cuda.is_available():
        torch.cuda.empty_cache()
