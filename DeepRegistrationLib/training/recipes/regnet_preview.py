"""RegNet as far as a CPU core comes in two hours."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from DeepRegistrationLib.methods.parameters import parameter
from DeepRegistrationLib.training.recipe import register_recipe
from DeepRegistrationLib.training.recipes.regnet import RegNetRecipe


@register_recipe
@dataclass(frozen=True)
class RegNetPreview(RegNetRecipe):
    """Not the paper's: as far as a CPU core comes in two hours, to show that the method works.

    A patch gives 5^3 vectors instead of one for about twice the work, and parts of 176^3 voxels
    are deformed instead of whole images, by fields of whole ones. It begins with random textures:
    on CTs alone, 800 steps left the error where it began. The images of a pair differ as scans do.
    """

    name: ClassVar[str] = "regnet-preview"
    title: ClassVar[str] = "RegNet, hours on a CPU"

    iterations: int = parameter(8000, "Steps.", minimum=1)
    validate_every: int = parameter(250, "Steps between validations.", minimum=1)
    patches: int = parameter(8, "Patches per step.", minimum=1)
    outputs: int = parameter(5, "Vectors per patch along each axis.", minimum=1, maximum=16)
    epoch: int = parameter(
        1000, "Steps after which the learning rate is divided by 1.25.", minimum=1
    )
    textures: int = parameter(1500, "First steps, on random textures.", minimum=0)
    steps_per_pair: int = parameter(
        60, "Steps that a deformed pair is used.", minimum=1, former="life"
    )
    sources: int = parameter(6, "Deformed pairs in use at a time.", minimum=1)
    block: int = parameter(176, "Edge of the part that is deformed, voxels.", minimum=0)
    appearance: float = parameter(
        1.0, "How much the appearance of the two images differs.", minimum=0.0, maximum=2.0
    )
    density: float = parameter(
        1.0, "Largest share of the change of volume in the density.", minimum=0.0, maximum=1.0
    )
