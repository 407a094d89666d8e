"""What a registration method, and every step it takes, is given besides the two images."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from DeepRegistrationLib.methods.guide import Guide, Structures
from DeepRegistrationLib.options import Quality
from DeepRegistrationLib.progress import Progress, silent

if TYPE_CHECKING:
    import torch

    from DeepRegistrationLib.images.image import Image
    from DeepRegistrationLib.transforms import Transform


def _cpu() -> torch.device:
    import torch  # not before a registration: Slicer shows cards and parameters without it

    return torch.device("cpu")


@dataclass(frozen=True)
class Context:
    """What a method gets besides the two images.

    Attributes:
        initial: Transform fixed to moving to start from (the affine, or the user's); its result
            must be part of the transform that the method returns.
        fixed_mask, moving_mask: Where the images count (non-zero), each on its image's grid.
        quality: Trade of time for accuracy.
        refined: Instance optimization follows: fine detail is found there, and may be left out.
        device: Where to compute.
        seed: Of every random choice; the same seed gives the same result.
        guide: Landmark pairs that the transform shall bring together; for methods that are
            ``guided``.
        structures: Segmented in both images, likewise.
        progress: To be called with the fraction done; raises ``Cancelled``.
        notes: Sentences for the user about choices made (shown and put in the report).
        seconds: Where a method puts the wall time of the affine alignment that it begins with
            (``affine``).
        estimates: Where a method whose result is the mean of a forward registration and of the
            inverse of a backward one puts these two registrations, in this order; None when nobody
            asks for them.
    """

    initial: Transform | None = None
    fixed_mask: Image | None = None
    moving_mask: Image | None = None
    quality: Quality = "default"
    refined: bool = False
    device: torch.device = field(default_factory=_cpu)
    seed: int = 0
    guide: Guide | None = None
    structures: Structures | None = None
    progress: Progress = silent
    notes: list[str] = field(default_factory=list)
    seconds: dict[str, float] = field(default_factory=dict)
    estimates: list[Transform] | None = None

    def exchanged(self) -> Context:
        """For the registration of the fixed image to the moving one."""
        return replace(
            self,
            initial=None if self.initial is None else self.initial.inverse(),
            fixed_mask=self.moving_mask,
            moving_mask=self.fixed_mask,
            guide=None if self.guide is None else self.guide.swapped(),
            structures=None if self.structures is None else self.structures.swapped(),
        )
