"""What the worker's ``quality`` command needs, from nodes.

Its arguments are views of the nodes' own voxels; nothing is computed here that takes long, apart
from the resampling of nodes that lie under a nonlinear transform.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, ClassVar

import numpy as np

from DeepRegistrationLib.images.plain_data import GIVEN, LabelPair, Volume
from DeepRegistrationLib.images.segment_names import common_numbers
from DeepRegistrationLib.scene.landmarks.driving import segments_that_drove
from DeepRegistrationLib.scene.landmarks.pairs import taken_as_identity
from DeepRegistrationLib.scene.nodes.masks import mask_from_node
from DeepRegistrationLib.scene.nodes.outputs import outputs_of
from DeepRegistrationLib.scene.nodes.provenance import made_of
from DeepRegistrationLib.scene.nodes.segments import labels_from_node
from DeepRegistrationLib.scene.nodes.transforms import map_from_node
from DeepRegistrationLib.scene.nodes.volumes import volume_from_node
from DeepRegistrationLib.scene.runs.requests import EngineRequest
from DeepRegistrationLib.scene.runs.results import MASK_SOURCE


@dataclass(frozen=True, eq=False)
class QualityRequest(EngineRequest):
    """What to measure; the result is a dict of measures, and the scene stays as it is.

    Attributes:
        scene: The nodes' scene.
        fixed, moving, transform: Nodes, as :func:`quality_request` takes them.
        options: Its other arguments.
    """

    scene: Any
    fixed: Any
    moving: Any
    transform: Any
    options: dict[str, Any] = field(default_factory=dict)

    command: ClassVar[str] = "quality"
    activity: ClassVar[str] = "the measurement"
    changes_scene: ClassVar[bool] = False

    def payload(self) -> dict[str, Any]:
        return quality_request(self.fixed, self.moving, self.transform, **self.options)

    def commit(self, _prepared: Any, measures: dict[str, Any]) -> dict[str, Any]:
        return measures

    def needed(self) -> list[tuple[str, Any]]:
        return [
            ("fixed volume", self.fixed),
            ("moving volume", self.moving),
            ("transform", self.transform),
        ]

    def canceled(self, part: dict[str, Any] | None) -> str:
        if part is None:
            return "Canceled; nothing was measured."
        return f"Canceled; not measured: {', '.join(part['pending'])}."


def quality_request(
    fixed,
    moving,
    transform,
    *,
    fixed_mask=None,
    moving_mask=None,
    fixed_segments=None,
    moving_segments=None,
    inverse=None,
    error_maps=None,
    segment_hearts=False,
) -> dict[str, Any]:
    """The arguments of ``function.numpy_interface.quality_of``, as plain data.

    Args:
        fixed, moving: Scalar volume nodes.
        transform: Transform node; what lies under it, or under the result of another registration,
            is measured as if it did not, see ``landmarks.taken_as_identity``.
        fixed_mask, moving_mask: Label map, volume or segmentation; without a fixed one the result
            is judged in the mask that its registration used, see ``evaluation.region.region_of``.
        fixed_segments, moving_segments: Segmentations or label maps. Segments are paired by their
            name, labels by their number. The fixed one alone gives statistics per segment.
        inverse: Transform node of the inverse, or None.
        error_maps: Volume nodes by the keys of ``results.ERROR_MAPS``, all that the registration
            made; or None.
        segment_hearts: Whether a network segments the ventricles in both images, to compare them.

    Raises:
        RegistrationError: A wrong or empty node.
    """

    def above(node):
        return None if node is None else taken_as_identity(node, transform)

    volume = volume_from_node(fixed, "the fixed volume")
    request: dict[str, Any] = {
        "transform": map_from_node(transform, volume.grid),
        "fixed": volume,
        "moving": volume_from_node(moving, "the moving volume", ignoring=above(moving)),
        "fixed_mask": mask_from_node(fixed_mask, "the fixed mask"),
        "moving_mask": mask_from_node(moving_mask, "the moving mask", ignoring=above(moving_mask)),
    }
    kept = outputs_of(transform).get("mask")
    if kept is not None:
        request["kept_mask"] = mask_from_node(kept, "the mask of the registration")
        request["kept_source"] = transform.GetAttribute(MASK_SOURCE) or GIVEN
        request["kept_lungs"] = made_of(transform).get("lungs")
    if inverse is not None:
        grid = request["moving"].grid
        request["inverse"] = map_from_node(inverse, grid, "the inverse transform")
    if error_maps:
        request["error_maps"] = {
            key: volume_from_node(node, "the error map") for key, node in error_maps.items()
        }
    if segment_hearts:
        request |= {"segment_hearts": True, "made": made_of(transform)}
    names: dict[int, str] = {}
    if fixed_segments is not None:
        labels, names = labels_from_node(fixed_segments, "the fixed segmentation")
        request["fixed_labels"] = labels
    if moving_segments is not None:
        labels, others = labels_from_node(
            moving_segments, "the moving segmentation", ignoring=above(moving_segments)
        )
        request["moving_labels"], names = _renumbered(labels, others, names)
    request["label_names"] = {str(number): name for number, name in names.items()}
    request["driving_labels"] = segments_that_drove(transform)
    return request


def label_pair(fixed_segments, moving_segments, *, ignoring=None) -> LabelPair:
    """Two segmentations or label maps that belong together.

    Args:
        fixed_segments, moving_segments: As for :func:`quality_request`.
        ignoring: Transform node above the moving one that does not count.

    Raises:
        RegistrationError: A wrong or empty node.
    """
    fixed, names = labels_from_node(fixed_segments, "the fixed segmentation")
    above = taken_as_identity(moving_segments, ignoring)
    moving, others = labels_from_node(moving_segments, "the moving segmentation", ignoring=above)
    moving, names = _renumbered(moving, others, names)
    return LabelPair(fixed, moving, {str(number): name for number, name in names.items()})


def _renumbered(
    layers: list[Volume], names: dict[int, str], wanted: dict[int, str]
) -> tuple[list[Volume], dict[int, str]]:
    """The labels with the numbers that their names have in ``wanted``; new names follow."""
    if not names or not wanted:
        return layers, wanted or names
    numbers, everything = common_numbers(wanted, names)
    table = np.zeros(max(names) + 1, np.int32)
    table[list(numbers)] = list(numbers.values())
    renumbered = [Volume(table[layer.data], layer.grid, layer.name) for layer in layers]
    return renumbered, everything
