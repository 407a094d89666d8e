"""How well a velocity field brings one heart onto another, measured in the frame."""

from __future__ import annotations

import torch

from DeepRegistrationLib.images.image import Image
from DeepRegistrationLib.images.sampling import sample
from DeepRegistrationLib.methods.heart.preparation import standard_frame
from DeepRegistrationLib.training.shapes.template import STRUCTURES, Shape, distance_grid
from DeepRegistrationLib.transforms import DisplacementField, exponential, field_jacobian

_SOFT = 1.5  # mm


def frame_labels(shape: Shape) -> torch.Tensor:
    """The signed distances of the structures on the standard frame: [structures, 16, 64, 64].

    Distances, not labels: interpolated and cut at 0, they show a wall to a part of a voxel.
    """
    grid, frame = distance_grid(), standard_frame()
    maps = [Image(torch.from_numpy(values), grid) for values in shape.distances]
    return torch.stack([values.resampled(frame, fill=None).data for values in maps])


def pair_overlap(
    velocity: torch.Tensor, fixed: torch.Tensor, moving: torch.Tensor
) -> dict[str, float]:
    """Dice of each structure after warping with exp(v), their mean, and the share that folds.

    Args:
        velocity: In voxels of the frame: [3, 16, 64, 64].
        fixed, moving: Signed distances: [structures, 16, 64, 64].

    Returns:
        ``Dice``, ``Dice <structure>``, ``folding`` (0 to 1).
    """
    flow, warped = _warped(velocity, moving)
    a, b = fixed < 0, warped < 0
    both = (a & b).sum(dim=(1, 2, 3)).double()
    dice = 2 * both / (a.sum(dim=(1, 2, 3)) + b.sum(dim=(1, 2, 3))).clamp(min=1)
    result = {f"Dice {name}": float(d) for name, d in zip(STRUCTURES, dice, strict=True)}
    folding = float((field_jacobian(flow) <= 0).double().mean())
    return {"Dice": float(dice.mean()), **result, "folding": folding}


def missed_overlap(
    velocity: torch.Tensor, distances: torch.Tensor, right: float = 1.0
) -> torch.Tensor:
    """1 - Dice after warping with exp(v), with soft borders: a loss with useful gradients.

    The border of a structure is 1 / (1 + exp(d / 1.5 mm)); the muscle, epicardium without LV, is a
    structure of its own, as its wall is thin and easily missed.

    Args:
        velocity: In voxels of the frame: [n, 3, 16, 64, 64].
        distances: Signed, mm, of the fixed and the moving image: [n, 2, structures, 16, 64, 64].
        right: Weight of the right ventricle; each structure of the left heart has 1.

    Returns:
        Mean over pairs and, weighted, structures.
    """
    total = velocity.new_zeros(())
    weights = velocity.new_ones(len(STRUCTURES) + 1)
    weights[list(STRUCTURES).index("RV")] = right
    for field, (fixed, moving) in zip(velocity, distances, strict=True):
        a, b = _soft(fixed), _soft(_warped(field, moving)[1])
        both = (a * b).sum(dim=(1, 2, 3))
        sizes = (a.square() + b.square()).sum(dim=(1, 2, 3))
        missed = 1 - 2 * both / sizes.clamp(min=1)
        total = total + (weights * missed).sum() / weights.sum()
    return total / len(velocity)


def _warped(velocity: torch.Tensor, moving: torch.Tensor) -> tuple[DisplacementField, torch.Tensor]:
    """exp(v), and distances moved with it."""
    frame = standard_frame()
    spacing = velocity.new_tensor(frame.spacing)[:, None, None, None]
    flow = exponential(DisplacementField(velocity * spacing, frame))
    return flow, sample(moving, frame, flow.at_voxels(frame), fill=None)


def _soft(distances: torch.Tensor) -> torch.Tensor:
    """Share of each voxel inside the structures, and last inside the muscle."""
    inside = torch.sigmoid(-distances / _SOFT)
    names = list(STRUCTURES)
    muscle = inside[names.index("epicardium")] - inside[names.index("LV")]
    return torch.cat([inside, muscle.clamp(min=0)[None]])
