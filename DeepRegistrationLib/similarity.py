"""Similarity terms, shared by instance optimization and training.

Windowed means are products with small banded matrices along each axis: on CPUs that is about ten
times faster than pooling or convolution, and it is exact at the border (weights renormalized).
"""

from __future__ import annotations

from functools import lru_cache

import torch

from DeepRegistrationLib.reductions import mean, total


@lru_cache(maxsize=64)
def _window_matrix(n: int, sigma: float, device: str) -> torch.Tensor:
    """Row-normalized Gaussian weights between the samples of one axis: [n, n]."""
    position = torch.arange(n, dtype=torch.float64)
    weight = torch.exp(-0.5 * ((position[:, None] - position) / sigma) ** 2)
    weight[weight < 0.03] = 0.0  # 2.6 sigma
    return (weight / weight.sum(1, keepdim=True)).float().to(device)


def gaussian_mean(
    values: torch.Tensor, sigma: tuple[float, float, float], *, adjoint: bool = False
) -> torch.Tensor:
    """Gaussian-weighted local mean.

    Args:
        values: [..., z, y, x].
        sigma: Standard deviation in voxels along x, y, z; below 0.3 the axis is left as it is.
        adjoint: Apply the transpose (it differs at the border, where weights are renormalized).

    Returns:
        Same shape.
    """
    depth, height, width = values.shape[-3:]

    def matrix(n: int, sd: float) -> torch.Tensor:
        weights = _window_matrix(n, sd, str(values.device)).to(values.dtype)
        return weights.T if adjoint else weights

    if sigma[0] >= 0.3 and width > 1:
        values = values @ matrix(width, sigma[0]).T
    if sigma[1] >= 0.3 and height > 1:
        values = matrix(height, sigma[1]) @ values
    if sigma[2] >= 0.3 and depth > 1:
        flat = values.reshape(*values.shape[:-3], depth, height * width)
        values = (matrix(depth, sigma[2]) @ flat).reshape(values.shape)
    return values


class LocalCorrelation:
    """1 - local normalized correlation with a fixed image, averaged with weights.

    The correlation of Gaussian windows, rho = (cov(F, W) + e) / sqrt(var F + e) / sqrt(var W + e):
    that of both images with one common noise of variance e added, which keeps windows without
    structure from counting (after Cachier & Ayache 2000, who add it below alone; then an image is
    not most alike to itself). It is 1 where the images are equal, and nowhere more.

    Args:
        fixed: [z, y, x].
        weight: [z, y, x], non-negative.
        sigma: Window, in voxels (x, y, z).
        noise: e, in squared intensity.
    """

    def __init__(
        self,
        fixed: torch.Tensor,
        weight: torch.Tensor,
        sigma: tuple[float, float, float],
        noise: float,
    ) -> None:
        self.sigma, self.noise = sigma, noise
        # Means near zero keep the float32 differences below exact.
        self.offset = mean(fixed).to(fixed)
        self.fixed = fixed - self.offset
        self.mean, square = gaussian_mean(torch.stack([self.fixed, self.fixed**2]), sigma)
        self.scale = (square - self.mean**2).clamp(min=0).add(noise).rsqrt()
        self.weight = weight / total(weight).to(weight)

    def map(self, warped: torch.Tensor) -> torch.Tensor:
        """The local correlation in [-1, 1] at every voxel: [z, y, x]."""
        return self._statistics(warped - self.offset)[3]

    def __call__(self, warped: torch.Tensor) -> torch.Tensor:
        """The loss, a scalar in [0, 2]; its gradient is computed in closed form."""
        return _CorrelationLoss.apply(warped, self)

    def _statistics(self, warped: torch.Tensor) -> tuple[torch.Tensor, ...]:
        """Mean of W, 1 / (var W + e), its root, and rho, given W less the offset."""
        channels = torch.stack([warped, warped * warped, self.fixed * warped])
        mean, square, product = gaussian_mean(channels, self.sigma)
        inverse = square.addcmul_(mean, mean, value=-1).clamp_(min=0).add_(self.noise).reciprocal_()
        root = inverse.sqrt()
        rho = product.addcmul_(self.mean, mean, value=-1).add_(self.noise)
        rho = rho.mul_(self.scale).mul_(root)
        return mean, inverse, root, rho


class _CorrelationLoss(torch.autograd.Function):
    """Sum of weight (1 - rho), with the gradient written out: a third of autograd's passes.

    With G the windowed mean, d rho / d cov = s_F s_W and d rho / d var = -rho / (2 (var + e)), so
    dL/dW = G'(d mean) + 2 W G'(d var) + F G'(d cov), d mean = -mean_F d cov - 2 mean_W d var.
    """

    @staticmethod
    def forward(ctx, warped: torch.Tensor, terms: LocalCorrelation) -> torch.Tensor:
        centered = warped - terms.offset
        mean, inverse, root, rho = terms._statistics(centered)
        loss = terms.weight.sum() - (terms.weight * rho).sum()
        by_covariance = root.mul_(terms.scale).mul_(terms.weight).neg_()
        by_variance = inverse.mul_(rho).mul_(terms.weight).mul_(0.5)
        by_mean = mean.mul_(by_variance).mul_(-2).addcmul_(terms.mean, by_covariance, value=-1)
        back = gaussian_mean(
            torch.stack([by_mean, by_variance, by_covariance]), terms.sigma, adjoint=True
        )
        gradient = back[0].addcmul_(centered, back[1], value=2).addcmul_(terms.fixed, back[2])
        ctx.save_for_backward(gradient)
        return loss

    @staticmethod
    def backward(ctx, upstream: torch.Tensor) -> tuple[torch.Tensor, None]:
        (gradient,) = ctx.saved_tensors
        return gradient * upstream, None
