"""Label maps and segmentations as files: layers of whole numbers, and the segments' names.

A label map is one layer. Segments that overlap lie in several layers: Slicer's ``.seg.nrrd`` stores
them so, with each segment's name, color and terminology, and DICOM segmentations hold them too.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path

import numpy as np
import SimpleITK as sitk

from DeepRegistrationLib.arguments import PATH, takes
from DeepRegistrationLib.errors import RegistrationError
from DeepRegistrationLib.images.dicom.reader import read_dicom
from DeepRegistrationLib.images.dicom.structures import (
    label_maps,
    read_structure_set,
    structure_set_in,
)
from DeepRegistrationLib.images.geometry import Grid
from DeepRegistrationLib.images.guard.damage import damage_explained
from DeepRegistrationLib.images.guard.paths import require_readable
from DeepRegistrationLib.images.image import (
    Image,
    as_tensor,
    from_sitk,
    grid_of,
    is_dicom_image,
    noted,
    set_geometry,
    write_sitk,
)
from DeepRegistrationLib.images.image_files import read_file
from DeepRegistrationLib.images.labels import Labels, Segment, whole
from DeepRegistrationLib.images.segment_names import file_and_names, named_structures

SEGMENTATION = ".seg.nrrd"

_COMMON = "Segmentation_"
_OFFSET = "ReferenceImageExtentOffset"


@takes(path=PATH, grid=Grid)
def read_labels(
    path: str | Path,
    grid: Grid | None = None,
    *,
    series: Sequence[str] = (),
    frame: int | None = None,
    only: Callable[[Sequence[str]], Sequence[str]] | None = None,
) -> Labels:
    """Read a label map, Slicer's ``.seg.nrrd``, a DICOM segmentation or an RT Structure Set.

    Args:
        path: A file, or a folder with a DICOM object; after a colon, the names of the structures
            that are wanted, separated by commas.
        grid: Of the image that the contours of an RT Structure Set become labels of.
        series, frame: As in :func:`DeepRegistrationLib.images.image.read_image`.
        only: Chooses structures by the names of all, where the path names none.

    Raises:
        RegistrationError: As ``read_image``; fractions or negative numbers; contours without a
            grid; a wanted structure that is not there or cannot be drawn.
    """
    place, names = file_and_names(str(path))
    path = require_readable(place, folder=True)
    if names:
        only = partial(named_structures, path.name, names)
    if is_dicom_image(path) and (contours := structure_set_in(path)):
        return _from_contours(contours, grid, only)
    if is_dicom_image(path):
        read = read_dicom(path, series, frame)
        tensors = [as_tensor(layer, path.name) for layer in read.layers]
        layers = [Image(tensor, read.grid, path.name, read.notes) for tensor in tensors]
        found = Labels(tuple(layers), _segments_of(read.names or {}, layers), source=read.source)
    else:
        stored, notes = read_file(path)
        found = _from_nrrd(stored, path) or Labels((from_sitk(stored, path.name),))
        found = found.mapped(lambda layer: noted(layer, path, notes))
    if only is not None:
        found = found.only(only(_names(found.segments)))
    return found.mapped(whole)


def write_labels(labels: Labels, path: str | Path) -> list[str]:
    """Write labels; the suffix chooses the format.

    Returns:
        What could not be kept.

    Raises:
        RegistrationError: Overlapping segments in a format that holds one layer, an unknown
            suffix, or the file cannot be written.
    """
    path = Path(path)
    grid = labels.layers[0].grid
    arrays = [layer.data.cpu().numpy() for layer in labels.layers]
    if not path.name.lower().endswith(SEGMENTATION):
        if len(arrays) > 1:
            raise RegistrationError(
                f"{path.name} can hold one label map, but the segments overlap; write "
                f"{SEGMENTATION}."
            )
        write_sitk(set_geometry(sitk.GetImageFromArray(arrays[0]), grid), path)
        if not labels.segments:
            return []
        return [f"{path.name} stores no segment names and colors; {SEGMENTATION} would"]
    kind = np.result_type(*arrays)
    if len(arrays) == 1:
        image = sitk.GetImageFromArray(arrays[0])
    else:
        image = sitk.GetImageFromArray(np.stack([a.astype(kind) for a in arrays], -1), True)
    set_geometry(image, grid)
    extent = " ".join(f"0 {n - 1}" for n in grid.size)
    for key, value in {**labels.entries, _OFFSET: "0 0 0"}.items():
        image.SetMetaData(_COMMON + key, value)
    for number, segment in enumerate(labels.segments):
        entries = {
            "ID": f"Segment_{number + 1}",
            **segment.entries,
            "Name": segment.name,
            "Layer": str(segment.layer),
            "LabelValue": str(segment.value),
            "Extent": extent,
        }
        for key, value in entries.items():
            image.SetMetaData(f"Segment{number}_{key}", value)
    write_sitk(image, path)
    return []


def _segments_of(names: dict[int, str], layers: Sequence[Image]) -> tuple[Segment, ...]:
    """Segments of a DICOM object, in the layer that holds them."""
    found = []
    for value, name in names.items():
        holding = [k for k, layer in enumerate(layers) if bool((layer.data == value).any())]
        found.append(Segment(name, holding[0] if holding else 0, value))
    return tuple(found)


def _names(segments: Sequence[Segment]) -> list[str]:
    """Each name once."""
    return list(dict.fromkeys(segment.name for segment in segments))


def _from_contours(
    path: Path,
    grid: Grid | None,
    only: Callable[[Sequence[str]], Sequence[str]] | None,
) -> Labels:
    """The structures of an RT Structure Set on a grid."""
    if grid is None:
        raise RegistrationError(
            f"{path.name} holds contours, which become labels on the grid of their image only; "
            "give that image too."
        )
    with damage_explained(path, "an RT Structure Set"):
        structures = read_structure_set(path)
        drawn = structures.drawn()
        wanted = None if only is None else only(list(dict.fromkeys(drawn.values())))
        numbers = {number for number, name in drawn.items() if name in (wanted or ())}
        maps, names, notes = label_maps(structures, grid, None if wanted is None else numbers)
    notes = [*structures.notes, *notes]
    why = f" ({'; '.join(notes)})" if notes else ""
    if not names:
        raise RegistrationError(
            f"{path.name} holds no structure with closed contours that can be drawn{why}."
        )
    if missing := sorted({*(wanted or ())} - {*names.values()}):
        raise RegistrationError(f"{path.name}: {' and '.join(missing)} cannot be drawn{why}.")
    said = tuple(f"{path.name}: {note}" for note in notes)
    layers = [Image(as_tensor(each, path.name), grid, path.name, said) for each in maps]
    return Labels(tuple(layers), _segments_of(names, layers), source=structures.source)


def _from_nrrd(stored: sitk.Image, path: Path) -> Labels | None:
    """Layers and segments of a ``.seg.nrrd``; None where the file names no segments.

    Files of before Slicer 4.11 have a layer for each segment, and do not say so.
    """
    keys = stored.GetMetaDataKeys()
    by_segment: dict[int, dict[str, str]] = {}
    for key in keys:
        if match := re.match(r"Segment(\d+)_(.+)", key):
            by_segment.setdefault(int(match[1]), {})[match[2]] = stored.GetMetaData(key)
    if not by_segment or stored.GetDimension() != 3:
        return None
    array = sitk.GetArrayFromImage(stored)
    arrays = [array] if array.ndim == 3 else list(np.moveaxis(array, -1, 0))
    grid = grid_of(stored)
    layers = tuple(Image(as_tensor(a, path.name), grid, path.name) for a in arrays)
    segments = []
    for number, entries in sorted(by_segment.items()):
        layer = _number(entries.get("Layer"), number if len(arrays) > 1 else 0)
        value = _number(entries.get("LabelValue"), 1 if len(arrays) > 1 else number + 1)
        if not 0 <= layer < len(arrays):
            raise RegistrationError(
                f"{path.name} says that a segment is in layer {layer}, but has {len(arrays)}; save "
                "the segmentation again."
            )
        segments.append(Segment(entries.get("Name", str(value)), layer, value, entries))
    common = {k[len(_COMMON) :]: stored.GetMetaData(k) for k in keys if k.startswith(_COMMON)}
    return Labels(layers, tuple(segments), common)


def _number(text: str | None, default: int) -> int:
    try:
        return int(text) if text else default
    except ValueError:
        return default
