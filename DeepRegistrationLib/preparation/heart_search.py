"""The heart's frame from the image alone: where the image looks most like the mean heart.

The paper aligns by segmentation. Without one, the mean of the training images in their frames is
compared with the image at every place in the slice, every turn about the slice axis, three sizes
and both orders of the slices, by normalized correlation inside a disk (our choice). Bright fat,
liver and the picture's edge can look like a blurred heart, so two things hold the search:

- The correlation is the mean of two: of the values, and of the values after local normalization,
  where the shapes of walls count and brightness does not.
- In a planned short-axis stack the heart lies near the middle of the slice, turned about as usual,
  and the slices mostly run from base to apex: what differs costs some correlation.

Along the slice axis the few thick slices say little; there the frame's middle is put a little to
the basal side of the image's, as short-axis stacks are planned (10 mm; 3 mm standard deviation over
the training data). Slices that the stack does not have are left out of the comparison.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import torch
import torch.nn.functional as F

from DeepRegistrationLib.geometry import Grid
from DeepRegistrationLib.image import Image
from DeepRegistrationLib.preparation.heart import FRAME_SIZE, FRAME_SPACING, USUAL_TURN, heart_frame

_STEP = 5.0  # mm in the slice
_REACH = 20  # steps from the middle of the slice that are tried along x and y
_RADIUS = 57.0  # mm, of the disk that is compared
_WIDTH = 23  # steps across it
_PLANES = 10  # of the frame, its middle ones
_BASAL = 10.0  # mm from the image's middle towards the base
_TURNS = np.arange(-180.0, 180.0, 15.0)  # degrees against the rows of the image
_FINER = np.array([-10.0, -5.0, 0.0, 5.0, 10.0])  # around the best of them
_SIZES = (0.85, 1.0, 1.18)  # of the heart against the mean heart
_BLUR = 15.0  # mm, standard deviation of the window of the local normalization
_FLOOR = 0.1  # of the image's range: smaller local deviations are noise

# Correlation that an unusual place costs; chosen, as all numbers here, on ACDC patients 001-060.
_OFF_MIDDLE = 0.03  # at 50 mm from the slice's middle, rising with the square
_TURNED = 0.03  # at 90 degrees from the usual turn: times 1 - cos
_REVERSED = 0.06  # slices from apex to base

_OTHER_PLACE, _OTHER_TURN = 30.0, 45.0  # mm, degrees: farther candidates are other answers


# Below one of these the search is not sure. On ACDC patients 001-060 with the mean heart of
# end-diastole: all 10 wrong frames (9 of end-systole; more than 20 mm or 40 degrees off, or upside
# down) and 19 of the 110 right ones, 2 of them of end-diastole. On 061-080 none is wrong, 4 unsure.
_SURE_SCORE, _SURE_LEAD = 0.45, 0.03


class Found(NamedTuple):
    """Where the heart was found.

    Attributes:
        frame: Around it.
        score: Correlation with the mean heart (-1 to 1), less what an unusual place costs.
        lead: By how much that exceeds the best other answer: more than 30 mm or 45 degrees away,
            or with the slices in the other order.
    """

    frame: Grid
    score: float
    lead: float

    @property
    def sure(self) -> bool:
        """Whether the frame can be relied on without a look."""
        return self.score >= _SURE_SCORE and self.lead >= _SURE_LEAD


def frame_of_image(image: Image, mean: torch.Tensor) -> Found:
    """The frame in which the image is most like the mean heart.

    Args:
        image: A short-axis stack.
        mean: The mean of framed images: [16, 64, 64].
    """
    mean = mean.to(image.data.device).float()
    looks = mean, _normalized(mean, FRAME_SPACING[0])
    turns, sizes = (v.ravel() for v in np.meshgrid(_TURNS, _SIZES))
    templates = [_templates(look, turns, sizes) for look in looks]
    fields = [_Field(image, side) for side in (1.0, -1.0)]
    scores = torch.stack([field.scores(templates, turns) for field in fields])
    best = float(scores.max())
    place = _highest(scores)
    lead = best - float(_others(scores, turns, place).max())
    side, number = place[:2]

    finer = turns[number] + _FINER
    templates = [_templates(look, finer, np.full(len(finer), sizes[number])) for look in looks]
    near = fields[side].scores(templates, finer)
    number, row, column = _highest(near)
    return Found(fields[side].frame(finer[number], row, column), best, lead)


class _Field:
    """The slices around the ventricles, unturned, in steps of the search."""

    def __init__(self, image: Image, side: float) -> None:
        """Sample them.

        Args:
            image: A short-axis stack.
            side: 1 when the slices are stored from base to apex, -1 the other way.
        """
        axis = int(np.argmax(image.grid.spacing))
        direction = np.asarray(image.grid.direction).reshape(3, 3)
        first, second = (direction[:, k] for k in range(3) if k != axis)
        apex = side * direction[:, axis]
        self._side = side
        self._axes = np.stack([first, np.cross(apex, first), apex], axis=1)
        self._usual = USUAL_TURN * float(np.sign(self._axes[:, 1] @ second))
        self._center = image.grid.center() - _BASAL * apex
        size = (2 * _REACH + _WIDTH, 2 * _REACH + _WIDTH, _PLANES)
        spacing = (_STEP, _STEP, FRAME_SPACING[2])
        origin = self._center - self._axes @ (0.5 * (np.array(size) - 1) * spacing)
        grid = Grid(size, spacing, tuple(origin), tuple(self._axes.ravel()))  # type: ignore[arg-type]
        values = image.resampled(grid, fill=0.0).data.float()
        whole = Image(torch.ones_like(image.data, dtype=torch.float32), image.grid)
        inside = whole.resampled(grid, fill=0.0).data > 0.5
        self._planes = inside.any(dim=2).any(dim=1)
        share = torch.tensor([0.02, 0.98], device=values.device)
        low, high = torch.quantile(values[inside], share).tolist()
        scaled = ((values - low) / max(high - low, 1e-6)).clamp(0.0, 1.0) * inside
        self._looks = scaled, _normalized(scaled, _STEP, inside)

    def scores(self, templates: list[torch.Tensor], turns: np.ndarray) -> torch.Tensor:
        """How heart-like each place is, by template: [turn, row, column]."""
        window = _disk().to(self._looks[0])
        total = torch.zeros(())
        for look, template in zip(self._looks, templates, strict=True):
            total = (
                total
                + 0.5
                * _correlation(look[self._planes][None], template[:, self._planes], window)[0].cpu()
            )
        offset = (torch.arange(2 * _REACH + 1) - _REACH) * _STEP
        distance = offset[:, None].square() + offset[None].square()
        turned = 1 - np.cos(np.deg2rad(turns) - self._usual)
        cost = _TURNED * torch.from_numpy(turned).float()[:, None, None]
        cost = cost + _OFF_MIDDLE * distance / 50.0**2
        return total - cost - (_REVERSED if self._side < 0 else 0.0)

    def frame(self, turn: float, row: int, column: int) -> Grid:
        """The heart's frame at a place of the scores."""
        place = np.array([column - _REACH, row - _REACH, 0.0]) * _STEP
        angle = np.deg2rad(turn)
        turned = np.array(
            [
                [np.cos(angle), -np.sin(angle), 0.0],
                [np.sin(angle), np.cos(angle), 0.0],
                [0.0, 0.0, 1.0],
            ]
        )
        return heart_frame(self._center + self._axes @ place, self._axes @ turned)


def _templates(look: torch.Tensor, turns: np.ndarray, sizes: np.ndarray) -> torch.Tensor:
    """The mean heart's middle planes, turned and sized, in steps: [n, _PLANES, _WIDTH, _WIDTH]."""
    offset = (torch.arange(_WIDTH, device=look.device) - (_WIDTH - 1) / 2) * _STEP
    first = (look.shape[0] - _PLANES) // 2
    planes = look[first : first + _PLANES, None]
    half = 0.5 * (FRAME_SIZE[0] - 1) * FRAME_SPACING[0]  # mm to the outermost voxels' centers
    found = []
    for turn, size in zip(np.deg2rad(turns), sizes, strict=True):
        x = (np.cos(turn) * offset[None] + np.sin(turn) * offset[:, None]) / size
        y = (np.cos(turn) * offset[:, None] - np.sin(turn) * offset[None]) / size
        places = (torch.stack([x, y], dim=-1) / half).float().expand(_PLANES, -1, -1, -1)
        found.append(F.grid_sample(planes, places, padding_mode="border", align_corners=True)[:, 0])
    return torch.stack(found)


def _disk() -> torch.Tensor:
    """1 inside, 0 outside: [1, 1, _WIDTH, _WIDTH]."""
    offset = (torch.arange(_WIDTH) - (_WIDTH - 1) / 2) * _STEP
    inside = offset[:, None].square() + offset[None].square() <= _RADIUS**2
    return inside.float()[None, None]


def _normalized(
    values: torch.Tensor, step: float, inside: torch.Tensor | None = None
) -> torch.Tensor:
    """(values - local mean) / (local deviation + floor) in each plane; 0 outside: [z, y, x]."""
    weight = torch.ones_like(values) if inside is None else inside.to(values)
    share = _blurred(weight, _BLUR / step).clamp(min=1e-3)
    offset = (values - _blurred(values * weight, _BLUR / step) / share) * weight
    deviation = (_blurred(offset.square(), _BLUR / step) / share).sqrt()
    return offset / (deviation + _FLOOR)


def _blurred(values: torch.Tensor, sigma: float) -> torch.Tensor:
    """Each plane convolved with a Gaussian of ``sigma`` voxels, 0 outside: [z, y, x]."""
    radius = int(3 * sigma + 0.5)
    offset = torch.arange(-radius, radius + 1, device=values.device)
    kernel = torch.exp(-0.5 * (offset / sigma).square())
    kernel = kernel / kernel.sum()
    rows = F.conv2d(values[:, None], kernel[None, None, :, None], padding=(radius, 0))
    return F.conv2d(rows, kernel[None, None, None], padding=(0, radius))[:, 0]


def _correlation(
    field: torch.Tensor, templates: torch.Tensor, window: torch.Tensor
) -> torch.Tensor:
    """Normalized correlation of templates with every part of the field, inside the window.

    Args:
        field: [1, z, y, x].
        templates: [n, z, height, width], as deep as the field: its planes are channels.
        window: [1, 1, height, width], the same for every plane.

    Returns:
        [1, n, y - height + 1, x - width + 1].
    """
    weight = (window / window.sum() / templates.shape[1]).expand(1, templates.shape[1], -1, -1)
    centered = templates - (templates * weight).sum(dim=(1, 2, 3), keepdim=True)
    energy = (centered.square() * weight).sum(dim=(1, 2, 3))[:, None, None]
    mean = torch.conv2d(field, weight)
    variance = (torch.conv2d(field.square(), weight) - mean.square()).clamp(min=1e-5)
    return torch.conv2d(field, centered * weight) / (variance * energy).clamp(min=1e-12).sqrt()


def _highest(scores: torch.Tensor) -> tuple[int, ...]:
    """Where the largest score stands."""
    return tuple(int(k) for k in np.unravel_index(int(scores.argmax()), scores.shape))


def _others(scores: torch.Tensor, turns: np.ndarray, best: tuple[int, ...]) -> torch.Tensor:
    """The scores of all answers that differ from the best one: -1 where they do not."""
    side, number, row, column = best
    apart = np.abs((turns - turns[number] + 180.0) % 360.0 - 180.0)
    rows, columns = (torch.arange(n) for n in scores.shape[2:])
    distance = (rows - row).square()[:, None] + (columns - column).square()[None]
    same = torch.zeros_like(scores, dtype=torch.bool)
    same[side, torch.from_numpy(apart <= _OTHER_TURN)] = distance <= (_OTHER_PLACE / _STEP) ** 2
    return scores.masked_fill(same, -1.0)
