"""DeepRegistrationLogic: what the panel's buttons do, usable from any Python with MRML."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import slicer

from DeepRegistrationLib.errors import RegistrationError
from DeepRegistrationLib.options import Outputs, RegistrationOptions
from DeepRegistrationLib.scene import results
from DeepRegistrationLib.scene.derived import DerivedRequest
from DeepRegistrationLib.scene.imported import ImportRequest
from DeepRegistrationLib.scene.inverse import InverseRequest
from DeepRegistrationLib.scene.lung_mask import LungMaskRequest
from DeepRegistrationLib.scene.request import RegistrationResult, Request
from DeepRegistrationLib.scene.samples import SampleRequest
from DeepRegistrationLib.scene.sequences import SequenceRun
from DeepRegistrationLib.scene.session import RegistrationRun
from DeepRegistrationLib.scene.space import require_node
from DeepRegistrationLib.scene.tre_tables import LandmarkEvaluation, pairs_of, tabulate

if TYPE_CHECKING:
    from DeepRegistrationLib.worker import EngineProcess


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

    def start(
        self,
        engine: EngineProcess,
        fixedNode,
        movingNode,
        options: RegistrationOptions | None = None,
        outputs: Outputs | None = None,
        *,
        onChange: Callable[[RegistrationRun], None] | None = None,
        **given: Any,
    ) -> RegistrationRun:
        """Register in the engine's process; returns at once. PyTorch is not loaded here.

        Args:
            engine: The process; stays warm for the next run.
            fixedNode, movingNode: Scalar volumes.
            options, outputs: How to register, and what to make besides the transform.
            onChange: Called with the run whenever something about it changed.
            **given: Masks and more, see :class:`~DeepRegistrationLib.scene.request.Request`; and
                any field of options and outputs, by its name.

        Raises:
            RegistrationError: Something that the user can correct, found before any start.
        """
        scene = self.mrmlScene
        request = Request.chosen(scene, fixedNode, movingNode, options, outputs, given)
        return RegistrationRun(engine, request, onChange)

    def startInverse(
        self,
        engine: EngineProcess,
        transformNode,
        *,
        onChange: Callable[[RegistrationRun], None] | None = None,
    ) -> RegistrationRun:
        """Compute the inverse of a registration's transform; as :meth:`start`.

        The run's ``result`` is an :class:`~DeepRegistrationLib.scene.inverse.InverseResult`.

        Raises:
            RegistrationError: Not the transform of a registration.
        """
        return RegistrationRun(engine, InverseRequest(self.mrmlScene, transformNode), onChange)

    def startDerived(
        self,
        engine: EngineProcess,
        kind: str,
        transformNode,
        fixedNode,
        movingNode,
        *,
        onChange: Callable[[RegistrationRun], None] | None = None,
    ) -> RegistrationRun:
        """Make a volume of any transform of the scene; as :meth:`start`.

        The run's ``result`` is a :class:`~DeepRegistrationLib.scene.derived.DerivedResult`.

        Args:
            engine: The process.
            kind: ``warped``, ``jacobian`` or ``displacement``.
            transformNode: A moving volume placed under it appears registered.
            fixedNode: The volume is made on its grid.
            movingNode: What is resampled for ``warped``.

        Raises:
            RegistrationError: A node is missing or of the wrong kind.
        """
        request = DerivedRequest(self.mrmlScene, transformNode, fixedNode, movingNode, kind)
        return RegistrationRun(engine, request, onChange)

    def startImport(
        self,
        engine: EngineProcess,
        files: Sequence[str],
        fixedNode=None,
        movingNode=None,
        *,
        onChange: Callable[[RegistrationRun], None] | None = None,
    ) -> RegistrationRun:
        """Read a transform of ITK, elastix, ANTs, ... or a DICOM registration; as :meth:`start`.

        The run's ``result`` is an :class:`~DeepRegistrationLib.scene.imported.ImportResult`.

        Args:
            engine: The process.
            files: One file; of ANTs its affine and its warp.
            fixedNode, movingNode: The volumes that it registers, where they are known.
            onChange: Called with the run whenever something about it changed.

        Raises:
            RegistrationError: A volume without voxels.
        """
        request = ImportRequest(self.mrmlScene, tuple(files), fixedNode, movingNode)
        return RegistrationRun(engine, request, onChange)

    def startLungs(
        self,
        engine: EngineProcess,
        volumeNode,
        *,
        onChange: Callable[[RegistrationRun], None] | None = None,
    ) -> RegistrationRun:
        """Find the lungs of a chest CT; as :meth:`start`.

        The run's ``result`` is a :class:`~DeepRegistrationLib.scene.lung_mask.LungMaskResult`.

        Raises:
            RegistrationError: Not a scalar volume.
        """
        return RegistrationRun(engine, LungMaskRequest(self.mrmlScene, volumeNode), onChange)

    def startSample(
        self,
        engine: EngineProcess,
        name: str,
        *,
        onChange: Callable[[RegistrationRun], None] | None = None,
        **options: Any,
    ) -> RegistrationRun:
        """Make a phantom with a known motion; as :meth:`start`.

        The run's ``result`` is a :class:`~DeepRegistrationLib.scene.samples.Sample`.

        Args:
            engine: The process.
            name: A key of :data:`~DeepRegistrationLib.scene.samples.PHANTOMS`.
            onChange: Called with the run whenever something about it changed.
            **options: Of the phantom's function: size, spacing, seed.
        """
        request = SampleRequest(self.mrmlScene, name, options)
        return RegistrationRun(engine, request, onChange)

    def startSequence(
        self,
        engine: EngineProcess,
        sequenceNode,
        fixedFrame: int = 0,
        options: RegistrationOptions | None = None,
        *,
        browserNode=None,
        onChange: Callable[[SequenceRun], None] | None = None,
        **choices: Any,
    ) -> SequenceRun:
        """Register every frame of a sequence of volumes to one of them; as :meth:`start`.

        Args:
            engine: The process.
            sequenceNode: vtkMRMLSequenceNode of scalar volumes.
            fixedFrame: Number of the frame that stays, from 0.
            options: How to register.
            browserNode: The sequence browser that plays it; it will play the transforms too.
            onChange: Called with the run whenever something about it changed.
            **choices: Any field of the options, by its name.

        Raises:
            RegistrationError: Not such a sequence.
        """
        return SequenceRun(
            engine,
            self.mrmlScene,
            sequenceNode,
            fixedFrame,
            browser=browserNode,
            options=replace(options or RegistrationOptions(), **choices),
            on_change=onChange,
        )

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
        from DeepRegistrationLib import jobs  # loads torch

        scene = self.mrmlScene
        request = Request.chosen(scene, fixedNode, movingNode, options, outputs, given)
        registration = jobs.run(request.task(), *(() if progress is None else (progress,)))
        outcome = jobs.outcome_of(registration)
        return request.commit(results.prepare(outcome), outcome, registration)

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
        pairs = pairs_of(fixedLandmarks, movingLandmarks, transformNode)
        if pairs is None:
            raise RegistrationError(
                "No landmarks were given; choose two point lists with corresponding points."
            )
        return tabulate(transformNode, pairs)
