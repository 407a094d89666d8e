"""DeepRegistrationLogic: what the panel's buttons do, usable from any Python with MRML."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

import slicer

from DeepRegistrationLib.errors import RegistrationError
from DeepRegistrationLib.scene import landmarks
from DeepRegistrationLib.scene.space import require_node
from DeepRegistrationLib.scene.transaction import undone_on_error

if TYPE_CHECKING:
    from DeepRegistrationLib.engine import Registration
    from DeepRegistrationLib.scene.results import ResultNodes

ERRORS = "DeepRegistration.LandmarkErrors"
SUMMARY = "DeepRegistration.LandmarkSummary"

METHODS = {
    "optimize": "Deformable, by optimization",
    "affine": "Affine",
}
"""Methods and their titles, for a panel that must not load the engine to show them."""

QUALITIES = {
    "fast": "Fast",
    "default": "Default",
    "best": "Best",
}


@dataclass(frozen=True, eq=False)
class LandmarkEvaluation:
    """The target registration error of a transform node.

    Attributes:
        errorTable: A row a landmark: label, before, after, dx, dy, dz in mm (LPS).
        summaryTable: Mean, std, median, p95 and max before and after, in mm.
        statistics: The same as ``{n, before: {mean, ...}, after: {mean, ...}}``.
    """

    errorTable: slicer.vtkMRMLTableNode
    summaryTable: slicer.vtkMRMLTableNode
    statistics: dict


@dataclass(frozen=True, eq=False)
class RegistrationResult:
    """What :meth:`DeepRegistrationLogic.register` made.

    Attributes:
        nodes: Transform, Jacobian, displacement, and where asked for warped volume and inverse.
        registration: The engine's own result: transform, images, timings, notes, provenance.
        landmarks: Where landmarks were given.
    """

    nodes: ResultNodes
    registration: Registration
    landmarks: LandmarkEvaluation | None

    def summary(self) -> list[str]:
        """What to tell the user, a sentence a line."""
        seconds = sum(self.registration.seconds.values())
        lines = [f"Registered in {seconds:.1f} s."]
        if self.landmarks is not None:
            before, after = (self.landmarks.statistics[when] for when in ("before", "after"))
            lines.append(
                f"Target registration error over {self.landmarks.statistics['n']} landmarks: "
                f"{before['mean']:.2f} mm before, {after['mean']:.2f} mm after."
            )
        folded = self.registration.jacobian.data <= 0
        where = f"{100 * float(folded.float().mean()):.3f} % of the image"
        if self.registration.fixed_mask is not None:
            inside = folded[self.registration.fixed_mask.data != 0]
            where += f" and {100 * float(inside.float().mean()):.3f} % of the mask"
        lines.append(f"Folding (Jacobian <= 0) in {where}.")
        return lines + list(self.registration.notes)


class DeepRegistrationLogic:
    """Registers volume nodes and evaluates transform nodes.

    PyTorch is imported when a method needs it, never when this class is made: Slicer starts
    modules long before anybody uses them.
    """

    def __init__(self, scene=None) -> None:
        self._scene = scene

    @property
    def mrmlScene(self):
        """The scene that was given, or the application's."""
        return self._scene or slicer.mrmlScene

    def register(
        self,
        fixedNode,
        movingNode,
        *,
        method: str = "optimize",
        quality: str = "default",
        parameters: dict | None = None,
        fixedMaskNode=None,
        movingMaskNode=None,
        initialTransformNode=None,
        fixedLandmarks=None,
        movingLandmarks=None,
        device: str = "auto",
        inverse: bool = False,
        seed: int = 0,
        placeMoving: bool = True,
        resample: bool = False,
        progress: Callable[[float, str], None] | None = None,
    ) -> RegistrationResult:
        """Register one volume node to another and add the results to the scene.

        Registering a pair again with the same method updates the earlier result; a moving volume
        that lies under an earlier result of the same pair is taken as if it did not.

        Args:
            fixedNode, movingNode: Scalar volumes; parent transforms are honored.
            method, quality, parameters, device, inverse, seed: As in the engine's ``register``.
            fixedMaskNode, movingMaskNode: Label map, volume or segmentation; non-zero counts.
            initialTransformNode: Any transform that moves the moving volume near the fixed one
                when placed above it; replaces the affine stage.
            fixedLandmarks, movingLandmarks: Point lists in the same order. They are used for the
                evaluation afterwards and never reach the method.
            placeMoving: Put the moving volume under the transform.
            resample: Also add the moving volume resampled on the fixed one's grid.
            progress: Called with (fraction, stage); may raise ``Cancelled``.

        Raises:
            RegistrationError: Something that the user can mend. The scene is unchanged then, as it
                is after ``Cancelled`` and any other error.
        """
        from DeepRegistrationLib.engine import register  # loads torch
        from DeepRegistrationLib.scene import results
        from DeepRegistrationLib.scene.masks import mask_from_node
        from DeepRegistrationLib.scene.transforms import transform_from_node
        from DeepRegistrationLib.scene.volumes import check_volume_node, image_from_node

        check_volume_node(fixedNode, "the fixed volume")
        check_volume_node(movingNode, "the moving volume")
        if fixedNode is movingNode:
            raise RegistrationError(
                f"{fixedNode.GetName()!r} was chosen both as fixed and as moving volume; choose "
                "two different volumes."
            )
        earlier = results.result_above(fixedNode, movingNode)
        pairs = _pairs(fixedLandmarks, movingLandmarks, earlier)
        fixed = image_from_node(fixedNode, "the fixed volume")
        moving = image_from_node(movingNode, "the moving volume", ignoring=earlier)
        initial = None
        if initialTransformNode is not None:
            initial = transform_from_node(initialTransformNode, fixed.grid, "the initial transform")
        optional = {} if progress is None else {"progress": progress}
        registration = register(
            fixed,
            moving,
            method=method,
            quality=quality,  # type: ignore[arg-type]
            parameters=parameters,
            fixed_mask=mask_from_node(fixedMaskNode, fixed, "the fixed mask"),
            moving_mask=mask_from_node(movingMaskNode, moving, "the moving mask", ignoring=earlier),
            initial=initial,
            device=device,
            inverse=inverse,
            seed=seed,
            **optional,
        )
        prepared = results.prepare(registration, resample=resample)
        with undone_on_error(self.mrmlScene):
            nodes = results.commit(
                prepared,
                self.mrmlScene,
                fixedNode,
                movingNode,
                method=method,
                place_moving=placeMoving,
            )
            evaluation = None if pairs is None else self._tables(nodes.transform, pairs)
        return RegistrationResult(nodes, registration, evaluation)

    def evaluate(self, transformNode, fixedLandmarks, movingLandmarks) -> LandmarkEvaluation:
        """Target registration error of any transform of the scene.

        Moving landmarks that lie under the transform are taken where they were before: the error
        is measured in the moving image's space, |T(fixed) - moving|.

        Args:
            transformNode: A moving volume placed under it appears registered.
            fixedLandmarks, movingLandmarks: Point lists in the same order. Pairs with an
                unselected or unplaced point are left out.

        Returns:
            The tables; evaluating the transform again updates them.

        Raises:
            RegistrationError: Wrong nodes or lists of different length.
        """
        require_node(transformNode, "vtkMRMLTransformNode", "the transform")
        pairs = _pairs(fixedLandmarks, movingLandmarks, transformNode)
        if pairs is None:
            raise RegistrationError(
                "No landmarks were given; choose two point lists with corresponding points."
            )
        return self._tables(transformNode, pairs)

    def _tables(self, transform, pairs: landmarks.LandmarkPairs) -> LandmarkEvaluation:
        before, after = landmarks.registration_errors(transform, pairs)
        statistics = landmarks.summary(before, after)
        errors = self._table(transform, ERRORS, f"TRE, {transform.GetName()}")
        landmarks.fill_error_table(errors, pairs.labels, before, after)
        totals = self._table(transform, SUMMARY, f"TRE summary, {transform.GetName()}")
        landmarks.fill_summary_table(totals, statistics)
        return LandmarkEvaluation(errors, totals, statistics)

    def _table(self, transform, role: str, name: str):
        node = transform.GetNodeReference(role)
        if node is None:
            scene = transform.GetScene()
            node = scene.AddNewNodeByClass("vtkMRMLTableNode", scene.GenerateUniqueName(name))
            transform.SetNodeReferenceID(role, node.GetID())
        return node


def _pairs(fixed, moving, transform) -> landmarks.LandmarkPairs | None:
    if fixed is None and moving is None:
        return None
    return landmarks.landmark_pairs(fixed, moving, ignoring=transform)
