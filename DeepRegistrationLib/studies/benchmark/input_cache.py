"""Files and hearts' frames that many pairs share, read and looked for once."""

from __future__ import annotations

from collections import OrderedDict
from pathlib import Path

from DeepRegistrationLib.data.cases import Case
from DeepRegistrationLib.errors import RegistrationError
from DeepRegistrationLib.images.geometry import Grid
from DeepRegistrationLib.images.image import Image, read_image
from DeepRegistrationLib.methods.heart.heartnet import METHOD, find_heart
from DeepRegistrationLib.methods.heart.preparation import frame_of_labels
from DeepRegistrationLib.methods.weights import find_weights

_KEPT = 1 << 30  # bytes of images; those used longest ago go first


class Reader:
    """Reads images, and keeps those used last while they are small enough together.

    A file that has changed since (by time or size) is read again. Nothing here reaches a method:
    who asks for labels is who measures, or the alignment ``segmentations``.
    """

    def __init__(self, kept: int = _KEPT) -> None:
        self._limit = kept
        self._images: OrderedDict[Path, tuple[tuple[int, int], Image]] = OrderedDict()
        self._frames: dict[tuple[Path, str], Grid] = {}

    def image(self, path: Path) -> Image:
        """The image of a file, or of a folder with a DICOM series.

        Raises:
            RegistrationError: It cannot be read.
        """
        if path.is_dir() or not path.exists():
            return read_image(path)
        state = path.stat().st_mtime_ns, path.stat().st_size
        known = self._images.get(path)
        if known is None or known[0] != state:
            known = state, read_image(path)
            self._images[path] = known
        self._images.move_to_end(path)
        while len(self._images) > 1 and self._bytes() > self._limit:
            self._images.popitem(last=False)
        return known[1]

    def _bytes(self) -> int:
        return sum(image.data.nbytes for _, image in self._images.values())

    def frame(self, case: Case, alignment: str) -> Grid:
        """The heart's frame of a case, from its labels, its mask, or the image alone.

        Args:
            alignment: ``segmentations``, which needs labels, or ``hearts``.

        Raises:
            RegistrationError: No labels, an empty mask, or nothing to look for hearts by.
        """
        key = case.image, alignment
        if key not in self._frames:
            self._frames[key] = self._found(case, alignment)
        return self._frames[key]

    def _found(self, case: Case, alignment: str) -> Grid:
        if alignment == "segmentations":
            return frame_of_labels(self.image(require_labels(case)))
        if case.mask is not None:
            return frame_of_labels(self.image(case.mask))
        return find_heart(self.image(case.image)).frame


def require_labels(case: Case) -> Path:
    """The label map that a case is aligned by.

    Raises:
        RegistrationError: It has none.
    """
    if case.labels is None:
        raise RegistrationError(
            f"{case.patient} has no labels to align by; choose --alignment hearts or none."
        )
    return case.labels


def require_finder() -> None:
    """Check that hearts can be looked for.

    Raises:
        RegistrationError: There are no weights to do it with.
    """
    try:
        find_weights(METHOD)
    except RegistrationError as error:
        raise RegistrationError(
            "Hearts are located with HeartNet, whose weights are missing; choose --alignment "
            "segmentations (the paper's) or none, or list masks of the hearts."
        ) from error
