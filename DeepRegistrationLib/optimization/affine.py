"""Affine alignment by normalized correlation, coarse to fine."""

from __future__ import annotations

import numpy as np
import torch

from DeepRegistrationLib.image import Image
from DeepRegistrationLib.progress import Progress, part
from DeepRegistrationLib.pyramid import smoothed
from DeepRegistrationLib.sampling import sample
from DeepRegistrationLib.transforms import Affine

_LEVELS = (10.0, 6.0, 4.0)  # mm
_ROTATION_UNIT = 0.1  # parameters of the matrix and of the shift (mm) get the same scale, so that
_SHIFT_UNIT = 10.0  # a step of 1 moves a point 100 mm off the centre equally far by either
_MARGIN = 8.0  # mm around the fixed mask: its edge is what tells most about the position
_MOST_POINTS = 60_000
_STAGES = {  # of the search at each level
    "translation": ("translation",),
    "rigid": ("rigid",),
    "affine": ("rigid", "affine"),
}


def align(
    fixed: Image,
    moving: Image,
    fixed_mask: Image | None,
    moving_mask: Image | None,
    *,
    freedom: str = "affine",
    iterations: int = 30,
    start: Affine | None = None,
    progress: Progress,
) -> Affine:
    """The affine transform fixed to moving with the highest normalized correlation.

    Args:
        fixed_mask: Where the fixed image counts (with a margin); everywhere when None.
        moving_mask: Only its centroid is used, as one of the starts.
        start: Replaces the starts; refined like them.
        progress: Called at every evaluation.
    """
    center = _centroid(fixed_mask) if fixed_mask is not None else fixed.grid.center()
    matrix = np.eye(3) if start is None else start.matrix
    if start is not None:
        shifts = [start.matrix @ center + start.translation - center]
    else:
        shifts = [np.zeros(3), moving.grid.center() - fixed.grid.center()]
        if fixed_mask is not None and moving_mask is not None:
            shifts.append(_centroid(moving_mask) - center)
    region = None if fixed_mask is None else _grown(fixed_mask)
    levels = [_Level(fixed, moving, region, center, matrix, h) for h in _LEVELS]
    found = []
    for k, shift in enumerate(_distinct(shifts)):
        begin = torch.zeros(12, device=fixed.data.device)
        begin[9:] = torch.as_tensor(shift / _SHIFT_UNIT)
        report = part(progress, 0.1 * k, 0.1 * (k + 1))
        found.append(levels[0].search(begin, "translation", 20, report))
    parameters = min(found, key=lambda pair: pair[1])[0]
    steps = [(level, stage) for level in levels for stage in _STAGES[freedom]]
    for k, (level, stage) in enumerate(steps):
        report = part(progress, 0.3 + 0.7 * k / len(steps), 0.3 + 0.7 * (k + 1) / len(steps))
        parameters, _ = level.search(parameters, stage, iterations, report)
    values = parameters.double().cpu()
    total = _matrix(values, freedom).numpy() @ matrix
    return Affine.about(
        center, total, values[9:].numpy() * _SHIFT_UNIT, device=str(fixed.data.device)
    )


def _distinct(shifts: list[np.ndarray]) -> list[np.ndarray]:
    kept: list[np.ndarray] = []
    for shift in shifts:
        if all(np.linalg.norm(shift - other) > 2.0 for other in kept):
            kept.append(shift)
    return kept


def _centroid(mask: Image) -> np.ndarray:
    index = torch.nonzero(mask.data != 0).double().mean(0).flip(0)
    return mask.grid.to_physical(index.cpu().numpy())


def _matrix(parameters: torch.Tensor, freedom: str) -> torch.Tensor:
    generator = parameters[:9].reshape(3, 3) * _ROTATION_UNIT
    if freedom == "translation":
        generator = generator * 0
    elif freedom == "rigid":
        generator = (generator - generator.T) / 2
    return torch.linalg.matrix_exp(generator)


class _Level:
    """One resolution: fixed samples, the moving image, and the search on them."""

    def __init__(
        self,
        fixed: Image,
        moving: Image,
        region: Image | None,
        center: np.ndarray,
        matrix: np.ndarray,
        spacing: float,
    ) -> None:
        coarse = smoothed(fixed, spacing)
        points, values = coarse.grid.points(device=fixed.data.device).reshape(-1, 3), coarse.data
        values = values.reshape(-1)
        if region is not None:
            chosen = region.sample(points) > 0.5
            points, values = points[chosen], values[chosen]
        stride = max(1, len(points) // _MOST_POINTS)
        origin = torch.as_tensor(center, dtype=torch.float32, device=points.device)
        base = torch.as_tensor(matrix, dtype=torch.float32, device=points.device)
        self.center = origin
        self.offsets = (points[::stride] - origin) @ base.T
        values = values[::stride]
        self.fixed = (values - values.mean()) / (values.std() + 1e-6)
        self.moving = smoothed(moving, spacing)
        self.spread = float(self.moving.data.std()) * 1e-3 + 1e-6

    def loss(self, parameters: torch.Tensor, freedom: str) -> torch.Tensor:
        """1 - normalized correlation; the moving image is continued by its border."""
        points = self.offsets @ _matrix(parameters, freedom).T
        points = points + self.center + parameters[9:] * _SHIFT_UNIT
        values = sample(self.moving.data[None], self.moving.grid, points, fill=None)[0]
        return 1 - (self.fixed * (values - values.mean())).mean() / (values.std() + self.spread)

    def search(
        self, begin: torch.Tensor, freedom: str, iterations: int, progress: Progress
    ) -> tuple[torch.Tensor, float]:
        """The best parameters near ``begin`` and their loss."""
        parameters = begin.clone().requires_grad_(True)
        optimizer = torch.optim.LBFGS(
            [parameters],
            max_iter=iterations,
            history_size=12,
            tolerance_change=1e-6,
            line_search_fn="strong_wolfe",
        )
        calls = 0

        def closure() -> torch.Tensor:
            nonlocal calls
            calls += 1
            progress(min(1.0, calls / (1.3 * iterations)), "Aligning (affine)")
            optimizer.zero_grad()
            loss = self.loss(parameters, freedom)
            loss.backward()
            return loss

        with torch.enable_grad():
            optimizer.step(closure)
        with torch.no_grad():
            return parameters.detach(), float(self.loss(parameters, freedom))


def _grown(mask: Image) -> Image:
    """The mask with the margin around it as 0 and 1: a box of the margin's size dilates it.

    Bytes and shifts of growing length, which take a twentieth of the time of a pooling.
    """
    grown = (mask.data != 0).to(torch.uint8)
    for axis, spacing in enumerate(mask.grid.spacing[::-1]):
        radius, n, done = max(1, round(_MARGIN / spacing)), grown.shape[axis], 0
        while done < radius:
            shift = min(2 * done + 1, radius - done, n)  # no gap between the shifted windows
            near, far = grown.narrow(axis, 0, n - shift), grown.narrow(axis, shift, n - shift)
            wider = grown.clone()
            wider.narrow(axis, 0, n - shift).bitwise_or_(far)
            wider.narrow(axis, shift, n - shift).bitwise_or_(near)
            grown, done = wider, done + shift
    return Image(grown, mask.grid, mask.name)
