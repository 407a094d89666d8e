"""A registration as the scene knows it: which nodes, which options; and what became of it."""

from __future__ import annotations

from collections.abc import Generator, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any, ClassVar

from DeepRegistrationLib.errors import RegistrationError
from DeepRegistrationLib.evaluation.landmark_pairs import LandmarkPairs
from DeepRegistrationLib.images.plain_data import PointPairs, RegistrationOutcome, Task
from DeepRegistrationLib.options import Outputs, RegistrationOptions, chosen, names_of
from DeepRegistrationLib.reports.uncertainty_findings import uncertainty_findings
from DeepRegistrationLib.scene.landmarks.driving import remember_segments
from DeepRegistrationLib.scene.landmarks.driving_pairs import DrivingPairs
from DeepRegistrationLib.scene.landmarks.driving_start import take_out_start
from DeepRegistrationLib.scene.landmarks.tre_tables import LandmarkEvaluation, pairs_of, tabulate
from DeepRegistrationLib.scene.nodes.masks import mask_from_node
from DeepRegistrationLib.scene.nodes.outputs import outputs_of
from DeepRegistrationLib.scene.nodes.provenance import remember_initial, remember_made
from DeepRegistrationLib.scene.nodes.transaction import Record, reversible
from DeepRegistrationLib.scene.nodes.transforms import map_from_node, places_under
from DeepRegistrationLib.scene.nodes.volumes import check_volume_node, volume_from_node
from DeepRegistrationLib.scene.runs import results
from DeepRegistrationLib.scene.runs.quality import label_pair
from DeepRegistrationLib.scene.runs.requests import EngineRequest

if TYPE_CHECKING:
    from DeepRegistrationLib.registration.engine import Registration


@dataclass(frozen=True, eq=False)
class RegistrationResult:
    """What a registration made.

    Attributes:
        nodes: The transform, and the outputs that were wanted.
        landmarks: Where landmarks were given.
        record: ``record.undo()`` gives the scene as it was before the results came.
        seconds, notes, provenance, folding: As in
            :class:`~DeepRegistrationLib.images.plain_data.RegistrationOutcome`.
        errors: Its ``error_statistics``.
        driving, driving_labels: Labels of the landmark pairs, and names of the segments, that
            drove it.
        registration: The engine's own result, where it ran in this process.
    """

    nodes: results.ResultNodes
    landmarks: LandmarkEvaluation | None
    record: Record
    seconds: dict[str, float]
    notes: list[str]
    provenance: dict[str, Any]
    folding: dict[str, float]
    errors: dict[str, Any]
    registration: Registration | None = None
    driving: Sequence[str] = ()
    driving_labels: Sequence[str] = ()

    def summary(self) -> list[str]:
        """What to tell the user, a sentence a line."""
        lines = [f"Registered in {sum(self.seconds.values()):.1f} s."]
        if self.landmarks is not None:
            before, after = (self.landmarks.statistics[when] for when in ("before", "after"))
            lines.append(
                f"Target registration error over {self.landmarks.statistics['n']} landmarks: "
                f"{before['mean']:.2f} mm before, {after['mean']:.2f} mm after."
            )
        drove = (self.driving, "landmark pair(s)"), (self.driving_labels, "segment(s)")
        lines += [
            f"{len(names)} {what} drove the registration and do not count as proof of it."
            for names, what in drove
            if names
        ]
        if self.folding:
            lines.append(folding_sentence(self.folding))
        lines += [finding.text for finding in uncertainty_findings(self.errors)]
        return [*lines, *self.notes]


def _plain(pairs: LandmarkPairs) -> PointPairs:
    return PointPairs(pairs.labels, pairs.fixed, pairs.moving)


def folding_sentence(shares: dict[str, float]) -> str:
    """A sentence about the percentages of parts of the image in which J <= 0."""
    if not any(shares.values()):
        return "No folding: the Jacobian determinant is above 0 everywhere."
    texts = (
        f"{'less than 0.001' if 0 < share < 0.001 else f'{share:.3f}'} % of the {part}"
        for part, share in shares.items()
    )
    return f"Folding (Jacobian <= 0) in {' and '.join(texts)}."


@dataclass(frozen=True, eq=False)
class RegistrationRequest(EngineRequest):
    """What to register, as nodes.

    Attributes:
        scene: Where the results go.
        fixedNode, movingNode: Scalar volumes; parent transforms are honored.
        options, outputs: As in the engine's ``register``. Volumes and an inverse that an earlier
            run with this method left are made again, so that no outdated one stays beside the new
            transform; error maps, which take long, leave the scene where they are not wanted.
        fixedMaskNode, movingMaskNode: Label map, volume or segmentation; non-zero counts.
        initialTransformNode: Any transform that moves the moving volume near the fixed one when
            placed above it; replaces the affine stage.
        fixedLandmarks, movingLandmarks: Corresponding point lists. They are used for the
            evaluation afterwards and never reach the method, those apart that drive it.
        drivingLandmarks: The fixed and the moving point list of which the pairs that are marked as
            driving drive the registration; none when empty.
        drivingSegments: The fixed and the moving segmentation or label map, of which structures of
            the same name, or number, drive it; none when empty.
        placeMoving: Put the moving volume under the transform.
    """

    scene: Any
    fixedNode: Any
    movingNode: Any
    options: RegistrationOptions = RegistrationOptions()
    outputs: Outputs = Outputs()
    fixedMaskNode: Any = None
    movingMaskNode: Any = None
    initialTransformNode: Any = None
    fixedLandmarks: Any = None
    movingLandmarks: Any = None
    drivingLandmarks: tuple = ()
    drivingSegments: tuple = ()
    placeMoving: bool = True

    command: ClassVar[str] = "register"
    activity: ClassVar[str] = "the registration"

    @classmethod
    def chosen(
        cls,
        scene,
        fixedNode,
        movingNode,
        options: RegistrationOptions | None,
        outputs: Outputs | None,
        given: dict[str, Any],
    ) -> RegistrationRequest:
        """A request from options, outputs, and whatever is given by name.

        Args:
            given: Attributes of this class, of ``RegistrationOptions`` and of ``Outputs``.

        Raises:
            TypeError: A name is of none of them.
        """
        own = {name: given[name] for name in cls.__dataclass_fields__ if name in given}
        choices = {name: value for name, value in given.items() if name not in own}
        options, outputs = chosen(options or RegistrationOptions(), outputs or Outputs(), choices)
        return cls(scene, fixedNode, movingNode, options, outputs, **own)

    def task(self) -> Task:
        """Everything that the engine needs, as views of the nodes' memory.

        A moving volume that lies under an earlier result of the same pair is taken as if it did
        not.

        Raises:
            RegistrationError: Something that the user can correct.
        """
        check_volume_node(self.fixedNode, "the fixed volume")
        check_volume_node(self.movingNode, "the moving volume")
        if self.fixedNode is self.movingNode:
            raise RegistrationError(
                f"{self.fixedNode.GetName()!r} was chosen both as fixed and as moving volume; "
                "choose two different volumes."
            )
        above = results.result_above(self.fixedNode, self.movingNode)
        initial = self.initialTransformNode
        pairs_of(self.fixedLandmarks, self.movingLandmarks, above, initial)  # refuse early
        fixed = volume_from_node(self.fixedNode, "the fixed volume")
        start = None
        if initial is not None:
            start = map_from_node(initial, fixed.grid, "the initial transform")
        _ = self._initial_places  # as it is now
        driving, segments = self._driving, self.drivingSegments
        return Task(
            fixed=fixed,
            moving=volume_from_node(self.movingNode, "the moving volume", ignoring=above),
            fixed_mask=mask_from_node(self.fixedMaskNode, "the fixed mask"),
            moving_mask=mask_from_node(self.movingMaskNode, "the moving mask", ignoring=above),
            initial=start,
            guide=None if driving is None else _plain(driving.pairs),
            guide_labels=label_pair(*segments, ignoring=above) if segments else None,
            options=self.options,
            outputs=self.outputs | self._earlier_outputs(),
        )

    def payload(self) -> dict[str, Any]:
        """The engine's request."""
        return {"task": self.task()}

    def preparing(
        self, outcome: RegistrationOutcome
    ) -> Generator[None, None, results.PreparedNodes]:
        """Copy the outcome in steps; touches no scene."""
        return results.preparing(outcome)

    def commit(
        self,
        prepared: results.PreparedNodes,
        outcome: RegistrationOutcome,
        registration: Registration | None = None,
    ) -> RegistrationResult:
        """Put the results into the scene, all or nothing."""
        fixed, moving = self.fixedNode, self.movingNode
        above = results.result_above(fixed, moving)
        start = self.initialTransformNode
        if start is not None and not self.scene.IsNodePresent(start):
            start = None
        pairs, driving = pairs_of(*self._present_landmarks(), above, start), self._driving
        if driving is not None:
            pairs = driving.without(pairs)
        method = self.options.method
        contents, parents = results.changed_by_commit(self.scene, fixed, moving, method)
        with reversible(self.scene, contents, parents) as record:
            nodes = results.commit(
                prepared,
                self.scene,
                fixed,
                moving,
                method=method,
                place_moving=self.placeMoving,
                start=start,
            )
            if driving is not None:
                driving.remember(nodes.transform)
            remember_segments(nodes.transform, outcome.driving_labels)
            remember_made(nodes.transform, outcome.provenance, outcome.seconds)
            remember_initial(nodes.transform, self._initial_places)
            take_out_start(record, nodes.transform)
            for role in results.outdated_roles(prepared):
                record.take_out(nodes.transform, role)
            evaluation = None if pairs is None else tabulate(nodes.transform, pairs)
        return RegistrationResult(
            nodes,
            evaluation,
            record,
            outcome.seconds,
            outcome.notes,
            outcome.provenance,
            outcome.folding,
            outcome.error_statistics,
            registration,
            () if driving is None else driving.pairs.labels,
            outcome.driving_labels,
        )

    def needed(self) -> list[tuple[str, Any]]:
        return [("fixed volume", self.fixedNode), ("moving volume", self.movingNode)]

    @cached_property
    def _driving(self) -> DrivingPairs | None:
        """What drives it: as the point lists were at the start."""
        if not self.drivingLandmarks:
            return None
        above = results.result_above(self.fixedNode, self.movingNode)
        return DrivingPairs.chosen(*self.drivingLandmarks, ignoring=above)

    @cached_property
    def _initial_places(self) -> list[float] | None:
        """What the initial transform is known by again."""
        if self.initialTransformNode is None:
            return None
        grid = volume_from_node(self.fixedNode, "the fixed volume").grid
        return places_under(self.initialTransformNode, grid)

    def _earlier_outputs(self) -> Outputs:
        """What an earlier run, or somebody later, made of a result that this one replaces."""
        pair = self.fixedNode, self.movingNode
        earlier = results.earlier_result(self.scene, *pair, self.options.method)
        there = {} if earlier is None else outputs_of(earlier)
        return Outputs(**{name: name in there for name in names_of(Outputs)})

    def _present_landmarks(self) -> tuple:
        """The point lists, or none where one of them was removed during the run."""
        lists = (self.fixedLandmarks, self.movingLandmarks)
        there = all(node is None or self.scene.IsNodePresent(node) for node in lists)
        return lists if there else (None, None)
