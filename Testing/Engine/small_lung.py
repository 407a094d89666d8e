"""A small lung whose motion is known, registered by the optimization, for the tests of it."""

import dataclasses
from dataclasses import replace

import numpy as np
import torch

from DeepRegistrationLib.data.phantoms import thorax
from DeepRegistrationLib.evaluation import mapped_points
from DeepRegistrationLib.images.geometry import Grid
from DeepRegistrationLib.images.image import Image
from DeepRegistrationLib.methods import make_parameters
from DeepRegistrationLib.methods.context import Context
from DeepRegistrationLib.methods.optimize.method import Optimize
from DeepRegistrationLib.transforms import Affine

VOXEL = 4.0  # mm


@dataclasses.dataclass(frozen=True)
class Pair:
    """Two images with masks and matching points."""

    fixed: Image
    moving: Image
    fixed_mask: Image | None
    moving_mask: Image | None
    points: np.ndarray
    targets: np.ndarray

    def errors(self, transform):
        """Target registration errors, mm."""
        return np.linalg.norm(mapped_points(transform, self.points) - self.targets, axis=1)

    @property
    def before(self):
        return np.linalg.norm(self.points - self.targets, axis=1).mean()


def phantom(**options):
    p = thorax((80, 64, 72), (VOXEL,) * 3, **options)
    return Pair(
        p.fixed, p.moving, p.fixed_lungs, p.moving_lungs, p.fixed_landmarks, p.moving_landmarks
    )


def cropped(image, low, high):
    part = tuple(slice(a, b) for a, b in zip(low[::-1], high[::-1], strict=True))
    return Image(image.data[part].contiguous(), image.grid.cropped(low, high), image.name)


def lung_of(chest):
    """The middle of the right lung: small, so that it can be registered often."""
    images = (chest.fixed, chest.moving, chest.fixed_mask, chest.moving_mask)
    images = [cropped(image, (6, 6, 18), (42, 54, 60)) for image in images]
    inside = images[0].grid.contains(chest.points, -2) & images[1].grid.contains(chest.targets, -2)
    return Pair(*images, chest.points[inside], chest.targets[inside])


def run(pair, *, quality="fast", initial=None, progress=None, notes=None, masks=True, **parameters):
    """Register without an affine stage: the pairs here lie on one another."""
    method = Optimize(make_parameters(Optimize, {"iterations": 0.2, **parameters}))
    context = Context(
        initial=initial or Affine(),
        fixed_mask=pair.fixed_mask if masks else None,
        moving_mask=pair.moving_mask if masks else None,
        quality=quality,
        progress=progress or (lambda fraction, message: None),
        notes=[] if notes is None else notes,
    )
    return method.register(pair.fixed, pair.moving, context)


def mapped_grid(transform, grid):
    """T at all voxels, float64 [z, y, x, 3]."""
    return transform(grid.points(dtype=torch.float64)).numpy()


def physically_moved(image, affine):
    """The same voxels somewhere else: every physical point goes through a rigid map."""
    grid = image.grid
    origin = mapped_points(affine, np.array([grid.origin]))[0]
    direction = affine.matrix @ np.array(grid.direction).reshape(3, 3)
    return Image(image.data, Grid(grid.size, grid.spacing, origin, direction.ravel()), image.name)


def flipped(image):
    """The same image with its x and y axes reversed, as in RAS files."""
    grid = image.grid
    corner = grid.to_physical(np.array([grid.size[0] - 1, grid.size[1] - 1, 0]))
    direction = np.array(grid.direction).reshape(3, 3) @ np.diag([-1.0, -1.0, 1.0])
    other = Grid(grid.size, grid.spacing, tuple(corner), tuple(direction.ravel()))
    return Image(image.data.flip((1, 2)).contiguous(), other, image.name)


def all_images(pair, function, moving_only=False):
    """The pair with a function applied to its images and masks."""
    names = ["moving", "moving_mask"] if moving_only else []
    names = names or ["fixed", "moving", "fixed_mask", "moving_mask"]
    return replace(pair, **{name: function(getattr(pair, name)) for name in names})
