"""The template brought onto every case: currents matching by LDDMM shooting, a batch at once.

Minimizes gamma/2 sum a_i K(q_i, q_j) a_j + sum_s |phi(T_s) - S_s|^2 / |S_s|^2 over the initial
momenta a (Rohe et al. 2017). Our choices: the currents' kernel shrinks from 20 over 10 to 5 mm, and
the meshes get finer with it; sigma_V is 15 mm; each structure's distance is divided by its own
norm, so that the weight does not depend on its size; the momenta sit at control points spread
evenly over the template's vertices.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch

from DeepRegistrationLib.progress import Progress, silent
from DeepRegistrationLib.training.shapes.currents import currents_of, moved_currents, product
from DeepRegistrationLib.training.shapes.shooting import energy, shoot
from DeepRegistrationLib.training.shapes.surfaces import Surface, decimate

CURRENTS_WIDTHS = (20.0, 10.0, 5.0)  # mm, from coarse to fine
KERNEL_WIDTH = 15.0  # mm, sigma_V

_CELL = 0.9  # size of the triangles in widths of the currents' kernel, but no finer than given


@dataclass(frozen=True)
class MatchingSettings:
    """How the template is matched.

    Attributes:
        controls: Number of control points.
        iterations: Of Adam, for each width of the currents, from coarse to fine.
        rate: Step of Adam on the momenta, in mm.
        gamma: Weight of the deformation's energy, in 1 / mm^2.
    """

    controls: int = 200
    iterations: tuple[int, int, int] = (30, 20, 20)
    rate: float = 0.4
    gamma: float = 2e-5


def spread(points: np.ndarray, count: int) -> np.ndarray:
    """Numbers of ``count`` points, each the farthest from those before it: int64 [count]."""
    count = min(count, len(points))
    chosen = [int(np.argmax(np.linalg.norm(points - points.mean(axis=0), axis=1)))]
    nearest = np.linalg.norm(points - points[chosen[0]], axis=1)
    while len(chosen) < count:
        chosen.append(int(np.argmax(nearest)))
        nearest = np.minimum(nearest, np.linalg.norm(points - points[chosen[-1]], axis=1))
    return np.array(chosen)


def match(
    template: Sequence[Surface],
    cases: Sequence[Sequence[Surface]],
    settings: MatchingSettings | None = None,
    *,
    device: torch.device | str = "cpu",
    progress: Progress = silent,
) -> tuple[np.ndarray, np.ndarray]:
    """Where the template's vertices lie in each case.

    Args:
        template: One surface a structure.
        cases: For each case, one surface a structure, in the same order.
        settings: How.
        device: Where to compute; all cases are one batch.
        progress: May raise ``Cancelled``.

    Returns:
        The vertices of all structures, one after the other, in each case: float64 [cases, n, 3];
        and the share of the currents' norm that is left unmatched, |phi(T) - S|^2 / |S|^2 at the
        middle width, where the choice of triangles hardly counts: [cases, structures].
    """
    settings = settings or MatchingSettings()
    vertices = np.concatenate([surface.vertices for surface in template])
    start = torch.from_numpy(vertices).float().to(device).expand(len(cases), -1, -1)
    controls = start[:, torch.from_numpy(spread(vertices, settings.controls))]
    momenta = torch.zeros_like(controls, requires_grad=True)
    done = 0
    for width, iterations in zip(CURRENTS_WIDTHS, settings.iterations, strict=True):
        meshes = _Meshes(template, cases, width, device)
        optimizer = torch.optim.Adam([momenta], lr=settings.rate)
        for iteration in range(iterations):
            rate = settings.rate * 0.5 * (1 + np.cos(np.pi * iteration / iterations))
            optimizer.param_groups[0]["lr"] = rate
            optimizer.zero_grad()
            _, _, moved = shoot(controls, momenta, meshes.vertices, KERNEL_WIDTH)
            cost = 0.5 * settings.gamma * energy(controls, momenta, KERNEL_WIDTH)
            (cost + meshes.unmatched(moved).sum(dim=1)).sum().backward()
            optimizer.step()
            done += 1
            progress(done / sum(settings.iterations), "Matching the template")
    meshes = _Meshes(template, cases, CURRENTS_WIDTHS[1], device)
    with torch.no_grad():
        left = meshes.unmatched(shoot(controls, momenta, meshes.vertices, KERNEL_WIDTH)[2])
        moved = shoot(controls, momenta, start, KERNEL_WIDTH)[2]
    return moved.double().cpu().numpy(), left.cpu().numpy()


class _Meshes:
    """Template and cases with the triangles that suit one width of the currents."""

    def __init__(
        self,
        template: Sequence[Surface],
        cases: Sequence[Sequence[Surface]],
        width: float,
        device: torch.device | str,
    ) -> None:
        coarser = [decimate(surface, _CELL * width) for surface in template]
        self.width = width
        offsets = np.cumsum([0] + [len(surface.vertices) for surface in coarser])
        self.faces = [
            torch.from_numpy(surface.faces + start).to(device)
            for surface, start in zip(coarser, offsets, strict=False)
        ]
        vertices = np.concatenate([surface.vertices for surface in coarser])
        self.vertices = torch.from_numpy(vertices).float().to(device).expand(len(cases), -1, -1)
        self.targets = [
            currents_of([decimate(case[s], _CELL * width) for case in cases]).to(device)
            for s in range(len(template))
        ]
        self.norms = [product(target, target, width) for target in self.targets]

    def unmatched(self, moved: torch.Tensor) -> torch.Tensor:
        """|phi(T_s) - S_s|^2 / |S_s|^2 of vertices [cases, n, 3]: [cases, structures]."""
        parts = []
        for faces, target, norm in zip(self.faces, self.targets, self.norms, strict=True):
            source = moved_currents(moved, faces)
            cross = product(source, target, self.width)
            parts.append((product(source, source, self.width) - 2 * cross + norm) / norm)
        return torch.stack(parts, dim=1)
