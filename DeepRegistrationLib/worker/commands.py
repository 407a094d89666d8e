"""What the engine's process can be asked for.

A command is a function ``(request, progress) -> result``: two payloads (see :mod:`payload`) and a
progress that raises ``Cancelled``. One that knows a part of its answer early is a generator: it
yields the part, a dict of plain data without arrays, and returns the answer. Adding a command is
adding a function here; PyTorch is imported inside.
"""

from __future__ import annotations

from collections.abc import Callable, Generator
from typing import Any

from DeepRegistrationLib.errors import RegistrationError
from DeepRegistrationLib.images.plain_data import RegistrationOutcome
from DeepRegistrationLib.progress import Progress

Command = Callable[[dict[str, Any], Progress], Any]

_COMMANDS: dict[str, Command] = {}


def command(function: Command) -> Command:
    """Decorator: offer the function under its own name."""
    _COMMANDS[function.__name__] = function
    return function


def command_named(name: str) -> Command:
    """The command of this name.

    Raises:
        RegistrationError: There is none.
    """
    if name not in _COMMANDS:
        raise RegistrationError(f"The engine cannot do {name!r}; it can do {', '.join(_COMMANDS)}.")
    return _COMMANDS[name]


@command
def register(request: dict[str, Any], progress: Progress) -> RegistrationOutcome:
    """``{"task": Task}`` to an :class:`RegistrationOutcome`."""
    from DeepRegistrationLib.registration.numpy_interface import outcome_of, run

    return outcome_of(run(request["task"], progress))


@command
def leave_out(request: dict[str, Any], progress: Progress) -> dict[str, Any]:
    """``{"task": Task}`` to the error at each pair that drives it, in mm: ``{"left_out": [n]}``."""
    from DeepRegistrationLib.registration.numpy_interface import left_out

    return left_out(request["task"], progress)


@command
def inverse(request: dict[str, Any], progress: Progress) -> dict[str, Any]:
    """The inverse of a finished transform, on demand.

    ``{"transform": Map, "grid": Grid of the moving image}`` to ``{"inverse": Map, "residual_mm":
    {...}}``.
    """
    from DeepRegistrationLib.registration.numpy_interface import inverse_of

    return inverse_of(request["transform"], request["grid"], progress)


@command
def improve(request: dict[str, Any], progress: Progress) -> dict[str, Any]:
    """A transform improved around places; the request is ``improved_transform``'s arguments."""
    from DeepRegistrationLib.registration.numpy_interface import improved_transform

    return improved_transform(**request, progress=progress)


@command
def imported(request: dict[str, Any], progress: Progress) -> dict[str, Any]:
    """A transform of other programs; the request is ``jobs.imported_transform``'s arguments."""
    from DeepRegistrationLib.registration.numpy_interface import imported_transform
    from DeepRegistrationLib.reports.driving_files import what_drove

    progress(0.1, "Reading the transform")
    found = imported_transform(**request)
    drove = [what_drove(file, None) for file in request["files"]]
    return {**found, "drove": next((each.text() for each in drove if each), "")}


@command
def exported(request: dict[str, Any], progress: Progress) -> dict[str, Any]:
    """A DICOM object of a transform; the request is ``write_registration_of``'s arguments."""
    from DeepRegistrationLib.files.dicom_export import write_registration_of

    progress(0.1, "Reading the headers of the series")
    return {"path": write_registration_of(**request)}


@command
def derive(request: dict[str, Any], progress: Progress) -> dict[str, Any]:
    """A volume made of a transform; the request is ``jobs.derived_volume``'s arguments."""
    from DeepRegistrationLib.registration.numpy_interface import derived_volume

    return {"volume": derived_volume(**request, progress=progress)}


@command
def quality(
    request: dict[str, Any], progress: Progress
) -> Generator[dict[str, Any], None, dict[str, Any]]:
    """All measures that the verdict rests on; see ``function.numpy_interface.quality_of``.

    The request holds its arguments, as ``scene.runs.quality.quality_request`` makes them.
    """
    from DeepRegistrationLib.function.numpy_interface import quality_of

    return (yield from quality_of(**request, progress=progress))


@command
def phantom(request: dict[str, Any], progress: Progress) -> dict[str, Any]:
    """A pair of images with a known motion: the request is ``jobs.phantom_pair``'s arguments."""
    from DeepRegistrationLib.registration.numpy_interface import phantom_pair

    return phantom_pair(**request, progress=progress)


@command
def lungs(request: dict[str, Any], progress: Progress) -> dict[str, Any]:
    """``{"image": Volume}`` of a chest CT to its lungs.

    Returns:
        ``mask``: Volume, uint8; ``text``: what was found; ``failed_checks``: clauses against it;
        ``missing``: a clause where much of a lung is not in it, or "".
    """
    from DeepRegistrationLib.images.lungs import require_lungs
    from DeepRegistrationLib.transforms.tensors import image_of, volume_of

    progress(0.1, "Looking for the lungs")
    mask, evidence, _ = require_lungs(image_of(request["image"]))
    assert mask is not None
    return {
        "mask": volume_of(mask),
        "text": evidence.text,
        "failed_checks": list(evidence.failed_checks),
        "missing": evidence.missing,
    }


@command
def places(request: dict[str, Any], progress: Progress) -> dict[str, Any]:
    """``{"fixed": Volume, "moving": Volume, "count": int, ...}`` to ``{"points": LPS mm, [n, 3]}``.

    The other entries are ``registration.landmark_places.landmark_places``'s arguments.
    """
    from DeepRegistrationLib.registration.landmark_places import landmark_places

    return {"points": landmark_places(**request, progress=progress)}


@command
def ventilation(request: dict[str, Any], progress: Progress) -> dict[str, Any]:
    """Ventilation of a pair; the request is ``ventilation_of``'s arguments."""
    from DeepRegistrationLib.function.numpy_interface import ventilation_of

    return ventilation_of(**request, progress=progress)


@command
def phase(request: dict[str, Any], progress: Progress) -> dict[str, Any]:
    """The lungs' regions in one phase of a 4D-CT; the request is ``phase_of``'s arguments."""
    from DeepRegistrationLib.function.numpy_interface import phase_of

    return phase_of(**request, progress=progress)


@command
def strain(request: dict[str, Any], progress: Progress) -> dict[str, Any]:
    """Strain over a cine series; the request is ``strain_of``'s arguments."""
    from DeepRegistrationLib.function.numpy_interface import strain_of

    return strain_of(**request, progress=progress)
