"""Going to a landmark: all slice views show it, and the moving image's views its counterpart."""

from __future__ import annotations

import numpy as np

from DeepRegistrationLib.errors import RegistrationError
from DeepRegistrationLib.scene.landmarks.state import LandmarkState
from DeepRegistrationLib.scene.nodes.coordinates import flipped
from DeepRegistrationLib.scene.views.crosshair import bring_to
from DeepRegistrationLib.scene.views.layouts import side_views


def jump_to_landmark(scene, state: LandmarkState, row: int) -> None:
    """Show a landmark in all views.

    The moving views (see :func:`layouts.side_views`), which show the moving image in its own space,
    go to the moving landmark; where it is not placed yet to T(fixed), where it is expected. All
    other slice views go to the fixed landmark, or to the moving one where it is alone.

    Raises:
        RegistrationError: The row holds no placed point.
    """
    fixed, moving, mapped = state.fixed[row], state.moving[row], state.mapped[row]
    fixed, counterpart = _first_known(fixed, moving), _first_known(moving, mapped, fixed)
    if fixed is None or counterpart is None:
        raise RegistrationError(
            f"Landmark {state.labels[row]!r} is not placed yet; place it in a slice view."
        )
    jump_to(scene, flipped(fixed), flipped(counterpart))


def jump_to(scene, fixed_point, moving_point) -> None:
    """Show RAS points: one in the moving views, the other in all other slice views."""
    moving_views = side_views(scene, "Moving")
    for k in range(scene.GetNumberOfNodesByClass("vtkMRMLSliceNode")):
        view = scene.GetNthNodeByClass(k, "vtkMRMLSliceNode")
        bring_to(view, moving_point if view in moving_views else fixed_point)


def _first_known(*points: np.ndarray) -> np.ndarray | None:
    return next((point for point in points if np.isfinite(point).all()), None)
