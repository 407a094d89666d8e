"""A picture of the deformation families on a slice of the thorax phantom, and what they measure."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from DeepRegistrationLib.data.phantoms.thorax import thorax
from DeepRegistrationLib.errors import RegistrationError
from DeepRegistrationLib.images.atomic_output import atomic_file
from DeepRegistrationLib.training.synthesis.images import deformed, voxel_jacobian
from DeepRegistrationLib.training.synthesis.smoothed_points import (
    AUGMENTATION,
    FAMILIES,
    smoothed_points,
)
from DeepRegistrationLib.training.synthesis.spline_fields import spline_pair

_SPACING = 2.0  # mm: RegNet's lengths are halved for these voxels, Eppenhof's go with the size
_SIZE = (128, 128, 128)


@dataclass(frozen=True, eq=False)
class Example:
    """One field of a family.

    Attributes:
        title: The family.
        field: [3, z, y, x], voxels.
        jacobian: det(I + du/dx), [z, y, x].
    """

    title: str
    field: torch.Tensor
    jacobian: torch.Tensor

    def summary(self) -> str:
        """Largest displacement, range of the Jacobian determinant and share of folding."""
        largest = float(self.field.norm(dim=0).max()) * _SPACING
        low, high = float(self.jacobian.min()), float(self.jacobian.max())
        folding = 100 * float((self.jacobian <= 0).float().mean())
        return (
            f"{self.title}: largest {largest:.1f} mm, J {low:.2f} to {high:.2f}, "
            f"folding {folding:.3g} %"
        )


def examples(seed: int = 0) -> list[Example]:
    """One random field of every family on 128^3 voxels of 2 mm."""
    generator = torch.Generator().manual_seed(seed)
    fields = {
        f"RegNet, {name}": smoothed_points(family.scaled(1 / _SPACING), _SIZE, generator)
        for name, family in FAMILIES.items()
    }
    augmentation = AUGMENTATION.scaled(1 / _SPACING)
    fields["RegNet, augmentation"] = smoothed_points(augmentation, _SIZE, generator)
    pair = spline_pair(_SIZE, generator)
    fields["Eppenhof, to learn (coarse o fine)"] = pair.learned
    fields["Eppenhof, augmentation"] = pair.augmentation
    return [Example(title, field, voxel_jacobian(field)) for title, field in fields.items()]


def draw(path: str | Path, seed: int = 0) -> list[str]:
    """Write the figure (.png, .svg, .pdf) and return a line of measurements for each family.

    Raises:
        RegistrationError: matplotlib is missing, or the file cannot be written.
    """
    try:
        import matplotlib
    except ImportError as error:
        raise RegistrationError(
            "The figure needs matplotlib; install it with 'pip install deepregistration[train]'."
        ) from error
    matplotlib.use("Agg")
    from matplotlib import pyplot

    image = thorax(_SIZE, (_SPACING,) * 3, noise=10.0, seed=seed).fixed.data
    drawn = examples(seed)
    figure, rows = pyplot.subplots(3, len(drawn), figsize=(3.2 * len(drawn), 8.6))
    shades: Any = None
    for column, example in zip(rows.T, drawn, strict=True):
        warped = deformed(image, example.field, fill=-1000.0)
        shades = _draw_column(column, example, warped)
    for axes, label in zip(rows[:, 0], ("image(x + u(x))", "grid x + u(x)", "J"), strict=True):
        axes.set_ylabel(label)
    figure.colorbar(shades, ax=rows[2], fraction=0.012, pad=0.01, label="det(dT/dx)")
    with atomic_file(Path(path)) as partial:
        figure.savefig(partial, dpi=100, bbox_inches="tight")
    pyplot.close(figure)
    return [example.summary() for example in drawn]


def _draw_column(column, example: Example, warped: torch.Tensor):  # type: ignore[no-untyped-def]
    """The middle coronal slice: image, grid lines, Jacobian; returns the last one's colors."""
    middle = _SIZE[1] // 2
    title = example.title.replace(", ", "\n", 1)
    column[0].set_title(title, fontsize=10)
    column[0].imshow(warped[:, middle], cmap="gray", vmin=-1000, vmax=200, origin="lower")
    step = 6
    u = example.field[:, :, middle]
    x = torch.arange(_SIZE[0]) + u[0]
    z = torch.arange(_SIZE[2])[:, None] + u[2]
    column[1].plot(x[::step].T.numpy(), z[::step].T.numpy(), color="tab:blue", linewidth=0.6)
    column[1].plot(x[:, ::step].numpy(), z[:, ::step].numpy(), color="tab:blue", linewidth=0.6)
    column[1].set_aspect("equal")
    shades = column[2].imshow(
        example.jacobian[:, middle], cmap="RdBu_r", vmin=0.3, vmax=1.7, origin="lower"
    )
    for axes in column:
        axes.set_xticks([])
        axes.set_yticks([])
    return shades
