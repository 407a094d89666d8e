"""A picture beside weights: a case before and after registration by them."""

from __future__ import annotations

import io
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from DeepRegistrationLib.data.phantoms import heart, thorax
from DeepRegistrationLib.errors import RegistrationError
from DeepRegistrationLib.evaluation.landmarks import mapped_points
from DeepRegistrationLib.images.image import Image
from DeepRegistrationLib.images.intensity import background, is_ct
from DeepRegistrationLib.methods.weights import ModelCard
from DeepRegistrationLib.progress import Progress, silent
from DeepRegistrationLib.registration.engine import register
from DeepRegistrationLib.reports.overlays import overlay_png
from DeepRegistrationLib.training.small_png import write_small
from DeepRegistrationLib.transforms import Affine, warp

_WINDOW = (-1000.0, 300.0)  # HU that are shown
_PHANTOM = 777_000  # seed that no recipe trains with


@dataclass(frozen=True, eq=False)
class PicturedPair:
    """A pair to show.

    Attributes:
        title: What it is.
        fixed, moving: The images.
        fixed_mask, moving_mask: Where they count, or None.
        fixed_landmarks, moving_landmarks: LPS mm, [n, 3], or None.
    """

    title: str
    fixed: Image
    moving: Image
    fixed_mask: Image | None = None
    moving_mask: Image | None = None
    fixed_landmarks: np.ndarray | None = None
    moving_landmarks: np.ndarray | None = None


def phantom_case(method: str, progress: Progress = silent) -> PicturedPair:
    """A phantom of the anatomy that a method is for: no patient's image has to be shown."""
    if method == "svfnet":
        beat = heart(seed=_PHANTOM, progress=progress)
        return PicturedPair(
            f"Heart phantom {_PHANTOM}, end-diastole and end-systole",
            beat.fixed,
            beat.moving,
            beat.fixed_labels,
            beat.moving_labels,
            beat.fixed_landmarks,
            beat.moving_landmarks,
        )
    chest = thorax((128, 104, 116), (2.5, 2.5, 2.5), seed=_PHANTOM, progress=progress)
    return PicturedPair(
        f"Chest phantom {_PHANTOM}, inhale and exhale",
        chest.fixed,
        chest.moving,
        fixed_landmarks=chest.fixed_landmarks,
        moving_landmarks=chest.moving_landmarks,
    )


def draw_case(card: ModelCard, case: PicturedPair, path: Path, progress: Progress = silent) -> None:
    """Register a case by some weights, and draw it before and after with its landmarks' errors.

    Raises:
        RegistrationError: matplotlib is not installed, the registration cannot be done, or the
            file cannot be written.
    """
    try:
        from matplotlib.figure import Figure
    except ImportError as error:
        raise RegistrationError(
            "Pictures need matplotlib; install it with pip install 'deepregistration[train]'."
        ) from error
    result = register(
        case.fixed,
        case.moving,
        method=card.method,
        parameters={"weights": card.name},
        fixed_mask=case.fixed_mask,
        moving_mask=case.moving_mask,
        progress=progress,
        warped=True,
    )
    assert result.warped is not None
    before = warp(case.moving, Affine(), case.fixed.grid, fill=background(case.moving))
    figure = Figure(figsize=(9, 5.4), layout="constrained", dpi=80)
    grid = figure.add_gridspec(2, 2, width_ratios=(3, 1))
    for row, (when, image) in enumerate((("before", before), ("after", result.warped))):
        panel = figure.add_subplot(grid[row, 0])
        panel.imshow(_overlay(case.fixed, image, result.fixed_mask))
        panel.set_title(f"{when}: fixed green, moving magenta, both gray", fontsize=9)
        panel.set_axis_off()
    if case.fixed_landmarks is not None and case.moving_landmarks is not None:
        panel = figure.add_subplot(grid[:, 1])
        _draw_errors(panel, result.transform, case.fixed_landmarks, case.moving_landmarks)
    figure.suptitle(f"{case.title}; {card.name} alone, without refinement", fontsize=10)
    drawn = io.BytesIO()
    figure.savefig(drawn, format="png")
    write_small(drawn.getvalue(), path)


def _overlay(fixed: Image, other: Image, mask: Image | None) -> np.ndarray:
    """RGB of three slices through the mask and what is around it, or through the image."""
    from matplotlib.image import imread

    arrays = [image.data.float().cpu().numpy() for image in (fixed, other)]
    if is_ct(fixed):
        arrays = [np.clip(array, *_WINDOW) for array in arrays]
    region = None if mask is None else mask.data.cpu().numpy()
    return imread(io.BytesIO(overlay_png(arrays[0], arrays[1], fixed.grid, region)))


def _draw_errors(panel, transform, fixed: np.ndarray, moving: np.ndarray) -> None:  # type: ignore[no-untyped-def]
    """Shares of landmarks against their error, before and after."""
    for when, points in (("before", fixed), ("after", mapped_points(transform, fixed))):
        errors = np.sort(np.linalg.norm(points - moving, axis=1))
        share = 100 * (np.arange(len(errors)) + 1) / len(errors)
        panel.step(errors, share, where="post", label=f"{when}: mean {errors.mean():.2f} mm")
    panel.set_xlabel("landmark error, mm")
    panel.set_ylabel("% of landmarks")
    panel.legend(fontsize=8, loc="lower right")
    panel.grid(alpha=0.3)
