"""How large an error in mm may be: AAPM TG-132's tolerance, by the voxels of the two images.

AAPM Task Group 132 (Brock et al., Med Phys 44(7):e43-e76, 2017, doi 10.1002/mp.12256), table III,
gives one tolerance for target registration error, consistency and (besides the contouring
uncertainty) mean surface distance: "maximum voxel dimension (~2-3 mm)"; 1 mm in stereotactic
radiosurgery. So the limit is the largest voxel dimension of the two images. Read literally that
fails at both ends, and this program holds it (own choice) between two other figures of the report:

- no less than 2 mm, the lower end of "~2-3 mm": observers place landmarks with about 1 mm of error,
  and an isotropic voxel of 1 mm does not make them better;
- no more than 5 mm, the largest error that the report accepts of deformable registration in its
  tests on phantoms (2 mm on average; Latifi et al., J Appl Clin Med Phys 19(4):125, 2018): a slice
  distance of 10 mm says nothing about 10 mm within the slice.

The table's wording is quoted after others who cite it; the report itself is not open to all.
"""

from __future__ import annotations

from dataclasses import dataclass

from DeepRegistrationLib.evaluation.finding import OWN, TG132

LEAST_MM, MOST_MM = 2.0, 5.0
UNKNOWN_MM = 3.0  # the upper end of "~2-3 mm", where the voxels are not known


@dataclass(frozen=True)
class Tolerance:
    """A limit and why it is that.

    Attributes:
        limit: In mm.
        short: What it is, to follow the number in a sentence.
        basis: The same with its source.
    """

    limit: float
    short: str
    basis: str


def tolerance(voxel: float | None) -> Tolerance:
    """The limit for images whose largest voxel dimension in mm this is; None: not known."""
    if voxel is None:
        short, limit = "voxels not known", UNKNOWN_MM
        why = f"the voxels are not known; the upper end of 2-3 mm, {TG132}"
    elif voxel < LEAST_MM:
        short, limit = f"voxels up to {voxel:.3g} mm", LEAST_MM
        why = f"the largest voxel dimension, {voxel:.3g} mm, but no less than the lower end of "
        why += f"2-3 mm, {TG132}; that it ends there: {OWN}"
    elif voxel > MOST_MM:
        short, limit = f"voxels up to {voxel:.3g} mm", MOST_MM
        why = f"the largest voxel dimension, {voxel:.3g} mm, {TG132}, but no more than the largest "
        why += f"error it accepts on phantoms; that it ends there: {OWN}"
    else:
        short, limit = "the largest voxel dimension", round(voxel, 2)
        why = f"the largest voxel dimension of the two images, {TG132}"
    return Tolerance(limit, short, f"limit {limit:g} mm: {why}")
