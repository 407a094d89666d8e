"""Reference velocity fields from segmentations: what SVF-Net is trained with (Rohe et al. 2017).

A template is matched to every case; its vertices then correspond between any two cases. For a pair,
an elastic body spline takes the vertices of the fixed heart to those of the moving one, and the
logarithm of that map is the reference. Our choices where the paper is silent:

- The frame of the box is held by 26 fixed points around it, so that the map is near the identity
  away from the heart.
- The spline is smoothed more and more until its map has a logarithm; a pair is rejected when even
  the smoothest has none.
- Only one direction of a pair is computed: the inverse map's logarithm is -v.
- The logarithm is taken on 32 x 32 x 16 points over the frame, 5 x 5 x 7.5 mm apart: the spline
  knows no detail finer than the distance of its centres, which is larger.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
import torch
import torch.nn.functional as F

from DeepRegistrationLib.errors import RegistrationError
from DeepRegistrationLib.images.geometry import Grid
from DeepRegistrationLib.methods.heart.preparation import standard_frame
from DeepRegistrationLib.training.shapes.elastic_body_spline import ElasticBodySpline
from DeepRegistrationLib.training.shapes.matching import MatchingSettings, spread
from DeepRegistrationLib.transforms import DisplacementField, exponential, logarithm


@dataclass(frozen=True)
class ReferenceSettings:
    """How references are made.

    Attributes:
        cell: Size of the surfaces' triangles in mm.
        matching: Of the template to the cases.
        centers: Number of vertices that the spline interpolates.
        poisson: Poisson's ratio of the elastic body.
        ridges: The spline's smoothing, tried one after the other.
        tolerance: Largest |exp(v) - phi| in voxels of the frame.
        unmatched: Largest share of a wall that the template may leave unmatched.
    """

    cell: float = 9.0
    matching: MatchingSettings = field(default_factory=MatchingSettings)
    centers: int = 220
    poisson: float = 0.25
    ridges: tuple[float, ...] = (1e-2, 1e-1)
    tolerance: float = 0.5
    unmatched: float = 0.5


def reference_velocity(
    fixed: np.ndarray, moving: np.ndarray, settings: ReferenceSettings | None = None
) -> torch.Tensor:
    """The stationary velocity field whose flow takes the fixed heart's points to the moving one's.

    Args:
        fixed, moving: Corresponding points in mm of the standard frame: [n, 3].
        settings: How.

    Returns:
        v in voxels of the frame, components (x, y, z), on :func:`velocity_grid`: float32
        [3, 16, 32, 32].

    Raises:
        RegistrationError: The map has no logarithm, even smoothed: rejected, with the error.
    """
    settings = settings or ReferenceSettings()
    grid = velocity_grid()
    held = _held_points()
    chosen = spread(fixed, settings.centers)
    start = np.concatenate([fixed[chosen], held])
    shift = np.concatenate([(moving - fixed)[chosen], np.zeros_like(held)])
    points = grid.points(dtype=torch.float64).reshape(-1, 3).numpy()
    spacing = torch.tensor(standard_frame().spacing)[:, None, None, None]
    error = np.inf
    for ridge in settings.ridges:
        spline = ElasticBodySpline(start, shift, poisson=settings.poisson, ridge=ridge)
        vectors = torch.from_numpy(spline(points)).float().reshape(*grid.shape, 3)
        phi = DisplacementField(vectors.movedim(-1, 0).contiguous(), grid)
        velocity, _ = logarithm(phi)
        difference = exponential(velocity.field).vectors - phi.vectors
        error = float((difference / spacing).norm(dim=0).max())
        if error <= settings.tolerance:
            return velocity.vectors / spacing
    raise RegistrationError(
        "The two hearts are too different: the map between them has no logarithm (error "
        f"{error:.1f} voxels, {settings.tolerance} allowed); leave the pair out."
    )


def velocity_grid() -> Grid:
    """Where references are computed and kept: 32 x 32 x 16 points, corners at the frame's."""
    frame = standard_frame()
    size = (32, 32, 16)
    return Grid(size, tuple(frame.extent / (np.asarray(size) - 1)), frame.origin)  # type: ignore[arg-type]


def on_frame(velocity: torch.Tensor) -> torch.Tensor:
    """References [n, 3, 16, 32, 32] on the voxels of the frame: float32 [n, 3, 16, 64, 64]."""
    shape = standard_frame().shape
    return F.interpolate(velocity.float(), size=shape, mode="trilinear", align_corners=True)


def _held_points() -> np.ndarray:
    """Corners, edge and face centres of a box a good 15 mm around the frame: [26, 3]."""
    half = 0.5 * standard_frame().extent + [16.0, 16.0, 24.0]
    signs = [s for s in itertools.product((-1, 0, 1), repeat=3) if any(s)]
    return np.array(signs) * half


def check_matching(unmatched: Sequence[float], names: Sequence[str], limit: float) -> str | None:
    """Why a case is rejected, or None: the template left too much of a wall unmatched."""
    for name, share in zip(names, unmatched, strict=True):
        if not share <= limit:
            return (
                f"the template leaves {100 * share:.0f} % of the {name}'s wall unmatched "
                f"({100 * limit:.0f} % allowed); look at this segmentation"
            )
    return None
