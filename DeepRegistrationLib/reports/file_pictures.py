"""The pictures of a page about images of files: overviews, and single places."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import torch

from DeepRegistrationLib.images.image import Image
from DeepRegistrationLib.images.intensity import background, finite
from DeepRegistrationLib.reports import slice_pictures
from DeepRegistrationLib.reports.content import Picture, ReportContent
from DeepRegistrationLib.reports.file_pair import FilePair
from DeepRegistrationLib.reports.worst_places import WorstPlace, worst_places
from DeepRegistrationLib.transforms import Transform
from DeepRegistrationLib.transforms.warping import warped_image

_OVERLAY = "Green: only in the fixed image, magenta: only in the moving image, gray: both agree."
_JACOBIAN = (
    "Volume change over the fixed image. Blue: the tissue is smaller in the moving image (dark: by "
    "half or more), red: larger (dark: twice or more), yellow: folding."
)


def places_in(content: ReportContent, pair: FilePair) -> list[WorstPlace]:
    """Where the transform looks worst."""
    points = np.empty((0, 3)) if pair.landmarks is None else pair.landmarks.fixed
    return worst_places(content.quality, content.landmarks, points)


def with_places(
    content: ReportContent,
    transform: Transform,
    pair: FilePair,
    places: Sequence[WorstPlace],
    warped: Image | None = None,
) -> ReportContent:
    """The page with a picture of each place, where there are pictures.

    Args:
        warped: The moving image on the fixed one's grid, where it is known.
    """
    if pair.fixed is None or pair.moving is None or not places:
        return content
    grid = pair.fixed.grid
    with torch.no_grad():
        warped = warped_image(pair.moving, transform, grid) if warped is None else warped
    fixed, after = (image.data.cpu().numpy() for image in (finite(pair.fixed), warped))
    added = [
        _picture(_titled(place), fixed, after, grid, slice_pictures.near(grid, place.point))
        for place in places
    ]
    return replace(content, pictures=[*content.pictures, *added])


def _titled(place: WorstPlace) -> str:
    return place.title if place.where in place.title else f"{place.title} ({place.where})"


def overviews(
    transform: Transform,
    pair: FilePair,
    determinant: Image | None,
    warped: Image | None,
    region: Image | None,
) -> list[Picture]:
    """Overviews of the body or, where that is much smaller, of the region: before, after, J."""
    if pair.fixed is None or pair.moving is None:
        return []
    grid = pair.fixed.grid
    clamped = finite(pair.moving)
    if warped is None:
        warped = warped_image(pair.moving, transform, grid)
    before = clamped.resampled(grid, fill=background(clamped))
    fixed, first, after = (i.data.cpu().numpy() for i in (finite(pair.fixed), before, warped))
    inside = None
    if region is not None and region.grid.same_as(grid):
        inside = region.data.cpu().numpy() != 0
    place = slice_pictures.overview(fixed, grid, inside)
    result = [
        _picture("Before registration", fixed, first, grid, place),
        _picture("After registration", fixed, after, grid, place),
    ]
    if determinant is not None:
        picture = slice_pictures.jacobian_picture(fixed, determinant.data.numpy(), grid, place)
        result.append(Picture("Volume change", picture, _JACOBIAN))
    return result


def _picture(title: str, fixed: np.ndarray, other: np.ndarray, grid: Any, place: Any) -> Picture:
    png = slice_pictures.overlay_picture(fixed, other, grid, place)
    return Picture(title, png, f"{title}. {_OVERLAY}")
