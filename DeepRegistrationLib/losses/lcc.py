"""The force of the local correlation coefficient between two images that both move.

Lorenzi, Ayache, Frisoni, Pennec, LCC-Demons: a robust and accurate symmetric diffeomorphic
registration algorithm, NeuroImage 81, 2013. Written from the paper.
"""

from __future__ import annotations

import torch

from DeepRegistrationLib.images.gaussian import gaussian_mean
from DeepRegistrationLib.images.geometry import Grid
from DeepRegistrationLib.transforms.operations import field_gradient

Sigma = tuple[float, float, float]


def correlation_force(
    fixed: torch.Tensor, moving: torch.Tensor, weight: torch.Tensor, grid: Grid, sigma: Sigma
) -> tuple[torch.Tensor, torch.Tensor]:
    """rho and the gradient of sum(weight log rho^2) when both images move by half.

    rho = G(FM) / sqrt(G(F^2) G(M^2)) with a Gaussian window G. To first order
    F(x - u/2) = F - grad F u/2 and M(x + u/2) = M + grad M u/2, and with G' the transpose of G

        Lambda = (F grad M - M grad F) G'(w / G(FM)) + F grad F G'(w / G(F^2))
                 - M grad M G'(w / G(M^2)),

    so the sum grows by ``sum Lambda . u``. (The paper leaves G' out of the last step, as if the
    local means were constant over their window.)

    Args:
        fixed, moving: Positive images, [z, y, x].
        weight: Where the correlation counts, [z, y, x].
        grid: Of the images, with axes along x, y, z.
        sigma: Standard deviation of the window in voxels (x, y, z).

    Returns:
        rho [z, y, x] in [0, 1], and Lambda [3, z, y, x] per mm.
    """
    products = torch.stack([fixed * moving, fixed * fixed, moving * moving])
    means = gaussian_mean(products, sigma)
    back = gaussian_mean(weight / means, sigma, adjoint=True)
    rho = means[0] * (means[1] * means[2]).rsqrt()
    by_moving = fixed * back[0] - moving * back[2]
    by_fixed = fixed * back[1] - moving * back[0]
    slope_fixed, slope_moving = field_gradient(torch.stack([fixed, moving]), grid)
    return rho, by_moving * slope_moving + by_fixed * slope_fixed


def demons_step(rho: torch.Tensor, force: torch.Tensor, noise: float, reach: float) -> torch.Tensor:
    """The update that the force asks for: 2 Lambda / (|Lambda|^2 + 4 / rho^2 noise^2 / reach^2).

    The paper's denominator has a minus sign and turns round where the force is strong. With the
    plus sign (the Gauss-Newton step of log rho) no update is longer than rho reach / (2 noise).

    Args:
        rho: [z, y, x].
        force: Lambda, per mm, [3, z, y, x].
        noise: sigma_I, the trade between similarity and length of the step, without unit.
        reach: sigma_x, the uncertainty of a correspondence, mm.

    Returns:
        Update of the velocity, mm: [3, z, y, x].
    """
    friction = (2 * noise / reach) ** 2 / rho.square().clamp(min=1e-4)
    return 2 * force / (force.square().sum(0) + friction)
