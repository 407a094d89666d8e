"""Label maps and segmentations: layers of whole numbers, and the segments' names.

A label map is one layer. Segments that overlap lie in several layers.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass, field, replace

import torch

from DeepRegistrationLib.errors import RegistrationError
from DeepRegistrationLib.images.dicom.source import UNKNOWN, Source, other_image
from DeepRegistrationLib.images.image import Image
from DeepRegistrationLib.images.segment_names import common_numbers


@dataclass(frozen=True)
class Segment:
    """A named structure.

    Attributes:
        name: What it is called.
        layer: The label map that it is in.
        value: Of its voxels there.
        entries: All that the file says of it, as Slicer calls it (``Color``, ``Tags``, ``ID`` ...).
    """

    name: str
    layer: int
    value: int
    entries: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True, eq=False)
class Labels:
    """A label map, or a segmentation of several layers.

    Attributes:
        layers: Whole numbers on one grid; 0 is the background.
        segments: Where the file names them.
        entries: What a ``.seg.nrrd`` says of all segments.
        source: The image that they were drawn on, where a DICOM object says so.
    """

    layers: tuple[Image, ...]
    segments: tuple[Segment, ...] = ()
    entries: dict[str, str] = field(default_factory=dict)
    source: Source = UNKNOWN

    @property
    def name(self) -> str:
        """Of the file."""
        return self.layers[0].name

    @property
    def notes(self) -> tuple[str, ...]:
        """What a user should know about how it was read."""
        return self.layers[0].notes

    def mapped(self, change: Callable[[Image], Image]) -> Labels:
        """The same segments in changed layers, for example warped ones."""
        return replace(self, layers=tuple(change(layer) for layer in self.layers))

    def only(self, names: Collection[str]) -> Labels:
        """The segments of these names alone, in the layers that hold some of them."""
        segments = [segment for segment in self.segments if segment.name in names]
        layers = []
        places = sorted({segment.layer for segment in segments})
        for place in places:
            data = self.layers[place].data
            values = [segment.value for segment in segments if segment.layer == place]
            kept = torch.isin(data, torch.tensor(values, dtype=data.dtype))
            layers.append(replace(self.layers[place], data=torch.where(kept, data, 0)))
        segments = [replace(each, layer=places.index(each.layer)) for each in segments]
        return replace(self, layers=tuple(layers), segments=tuple(segments))

    def numbered(self) -> tuple[list[Image], dict[int, str]]:
        """Layers whose values differ between all segments, and the segments' names by value.

        A label map without names keeps its numbers.
        """
        if not self.segments:
            return list(self.layers), {}
        layers = [torch.zeros_like(layer.data, dtype=torch.int32) for layer in self.layers]
        for number, segment in enumerate(self.segments, 1):
            layers[segment.layer][self.layers[segment.layer].data == segment.value] = number
        names = {number: segment.name for number, segment in enumerate(self.segments, 1)}
        return [
            replace(image, data=data) for image, data in zip(self.layers, layers, strict=True)
        ], names


def whole(image: Image) -> Image:
    """A label map whose type is one of whole numbers.

    Raises:
        RegistrationError: It holds fractions, or negative numbers, as a CT does.
    """
    data = image.data
    if data.is_floating_point():
        rounded = data.round()
        if not bool(((data - rounded).abs() <= 1e-3).all()):
            raise RegistrationError(
                f"{image.name} holds values that are not whole numbers; give a label map."
            )
        data = rounded.long()
    if bool((data < 0).any()):
        raise RegistrationError(f"{image.name} holds negative numbers; give a label map.")
    return replace(image, data=data)


def paired(fixed: Labels, moving: Labels) -> tuple[list[Image], list[Image], dict[int, str]]:
    """Layers of two sides in which equal numbers mean the same structure, and names by number.

    Segments are paired by their name (see :mod:`segment_names`) where both sides have names, else
    labels by their number.
    """
    if not (fixed.segments and moving.segments):
        names = {s.value: s.name for s in (*fixed.segments, *moving.segments)}
        return list(fixed.layers), list(moving.layers), names
    ours, names = fixed.numbered()
    theirs, others = moving.numbered()
    numbers, names = common_numbers(names, others)
    table = torch.zeros(max(others) + 1, dtype=torch.int32)
    table[list(numbers)] = torch.tensor(list(numbers.values()), dtype=torch.int32)
    theirs = [replace(layer, data=table[layer.data.long()]) for layer in theirs]
    return ours, theirs, names


def drawn_on_others(
    labels: Sequence[Labels | Image | None], images: Sequence[Image | None]
) -> list[str]:
    """Sentences about labels of the fixed and the moving image that belong to other images.

    Raises:
        RegistrationError: They were drawn on the other one of the two.
    """
    notes = []
    sources = [UNKNOWN if image is None else image.source for image in images]
    for place, side in enumerate(("fixed", "moving")):
        given = labels[place]
        if given is not None:
            own, other = sources[place], sources[1 - place]
            notes += other_image(given.name, side, given.source, own, other)
    return notes


_FEW = range(3, 65)  # different values: of a mask's two, linear interpolation keeps the half level
_RANGE = 1 << 16  # of the values of a label map


def looks_like_labels(image: Image) -> bool:
    """Whether an image holds a few whole numbers from 0 on and nothing else, as label maps do."""
    low, high = (float(value) for value in torch.aminmax(image.data))
    if low != 0 or not high < _RANGE:
        return False
    whole = image.data.long()
    if image.data.is_floating_point() and not torch.equal(whole.to(image.data), image.data):
        return False
    return int(torch.bincount(whole.flatten()).count_nonzero()) in _FEW
