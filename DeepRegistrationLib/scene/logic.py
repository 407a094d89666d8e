"""RegistrationLogic: what the panel's buttons do, usable from any Python with MRML."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import slicer

from DeepRegistrationLib.errors import RegistrationError
from DeepRegistrationLib.options import Outputs, RegistrationOptions
from DeepRegistrationLib.scene.landmarks.tre_tables import LandmarkEvaluation, pairs_of, tabulate
from DeepRegistrationLib.scene.nodes.coordinates import require_node
from DeepRegistrationLib.scene.runs import results
from DeepRegistrationLib.scene.runs.request import RegistrationRequest, RegistrationResult
from DeepRegistrationLib.scene.runs.run import Run

if TYPE_CHECKING:
    from DeepRegistrationLib.worker import EngineProcess


class RegistrationLogic:
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

    def start(
        self,
        engine: EngineProcess,
        fixedNode,
        movingNode,
        options: RegistrationOptions | None = None,
        outputs: Outputs | None = None,
        *,
        onChange: Callable[[Run], None] | None = None,
        **given: Any,
    ) -> Run:
        """Register in the engine's process; returns at once. PyTorch is not loaded here.

        Args:
            engine: The process; stays warm for the next run.
            fixedNode, movingNode: Scalar volumes.
            options, outputs: How to register, and what to make besides the transform.
            onChange: Called with the run whenever something about it changed.
            **given: Masks and more, see
                :class:`~DeepRegistrationLib.scene.runs.request.RegistrationRequest`; and any field
                of options and outputs, by its name.

        Raises:
            RegistrationError: Something that the user can correct, found before any start.
        """
        scene = self.mrmlScene
        request = RegistrationRequest.chosen(scene, fixedNode, movingNode, options, outputs, given)
        return Run(engine, request, onChange)

    def register(
        self,
        fixedNode,
        movingNode,
        options: RegistrationOptions | None = None,
        outputs: Outputs | None = None,
        *,
        progress: Callable[[float, str], None] | None = None,
        **given: Any,
    ) -> RegistrationResult:
        """Register in this process (scripts, tests): as :meth:`start`, but returns the result.

        Registering a pair again with the same method updates the earlier result; a moving volume
        that lies under an earlier result of the same pair is taken as if it did not.

        Args:
            fixedNode, movingNode, options, outputs: As for :meth:`start`.
            progress: Called with (fraction, stage); may raise ``Cancelled``.
            **given: As for :meth:`start`.

        Raises:
            RegistrationError: Something that the user can correct. The scene is unchanged then, as
                after ``Cancelled`` and any other error.
        """
        from DeepRegistrationLib.registration import numpy_interface  # loads torch

        scene = self.mrmlScene
        request = RegistrationRequest.chosen(scene, fixedNode, movingNode, options, outputs, given)
        registration = numpy_interface.run(
            request.task(), *(() if progress is None else (progress,))
        )
        outcome = numpy_interface.outcome_of(registration)
        return request.commit(results.prepare(outcome), outcome, registration)

    def evaluate(self, transformNode, fixedLandmarks, movingLandmarks) -> LandmarkEvaluation:
        """Target registration error of any transform of the scene.

        Moving landmarks that lie under the transform are taken where they were before: the error
        is measured in the moving image's space, |T(fixed) - moving|.

        Args:
            transformNode: A moving volume placed under it appears registered.
            fixedLandmarks, movingLandmarks: Point lists in the same order. Pairs with an
                unselected or unplaced point are left out, and those that drove the transform.

        Returns:
            The tables; evaluating the transform again updates them.

        Raises:
            RegistrationError: Wrong nodes or lists of different length.
        """
        require_node(transformNode, "vtkMRMLTransformNode", "the transform")
        pairs = pairs_of(fixedLandmarks, movingLandmarks, transformNode, transformNode)
        if pairs is None:
            raise RegistrationError(
                "No landmarks were given; choose two point lists with corresponding points."
            )
        return tabulate(transformNode, pairs)
