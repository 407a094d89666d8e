"""Similarity terms, shared by instance optimization and training."""

from __future__ import annotations

from functools import lru_cache

import torch

from DeepRegistrationLib.images.gaussian import (
    AxisMatrix,
    along_axes,
    distances,
    window_matrices,
)
from DeepRegistrationLib.images.reductions import mean, total


@lru_cache(maxsize=64)
def _hat_matrix(n: int, stride: int, device: str) -> AxisMatrix:
    """Linear interpolation of the samples of an axis at the centers of its windows."""
    return AxisMatrix((1 - distances(n, stride).abs()).clamp(min=0).float().to(device))


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
        stride: Windows stand at every stride-th voxel along each axis with a window. Windows of
            several voxels overlap so much that every second one shows nearly the same.
    """

    def __init__(
        self,
        fixed: torch.Tensor,
        weight: torch.Tensor,
        sigma: tuple[float, float, float],
        noise: float,
        stride: int = 1,
    ) -> None:
        self.noise = noise
        self.windows = window_matrices(fixed.shape, sigma, fixed.device, stride)
        # Means near zero keep the float32 differences below exact.
        self.offset = mean(fixed).to(fixed)
        self.fixed = fixed - self.offset
        self.mean, square = self.local_mean(torch.stack([self.fixed, self.fixed**2]))
        self.scale = (square - self.mean**2).clamp(min=0).add(noise).rsqrt()
        x, y, z = (
            None if m is None else _hat_matrix(n, stride, str(fixed.device))
            for n, m in zip(fixed.shape[::-1], self.windows, strict=True)
        )
        weight = weight if stride == 1 else along_axes(weight, (x, y, z))
        self.weight = weight / total(weight).to(weight)

    def local_mean(self, values: torch.Tensor) -> torch.Tensor:
        """Means of [..., z, y, x] in the windows."""
        return along_axes(values, self.windows)

    def map(self, warped: torch.Tensor) -> torch.Tensor:
        """The local correlation in [-1, 1] at the windows: [z, y, x], fewer with a stride."""
        return self._statistics(warped - self.offset)[3]

    def __call__(self, warped: torch.Tensor) -> torch.Tensor:
        """The loss, a scalar in [0, 2]; its gradient is computed in closed form."""
        return _CorrelationLoss.apply(warped, self)

    def _statistics(self, warped: torch.Tensor) -> tuple[torch.Tensor, ...]:
        """Mean of W, 1 / (var W + e), its root, and rho, given W less the offset."""
        channels = torch.stack([warped, warped * warped, self.fixed * warped])
        mean, square, product = self.local_mean(channels)
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
        terms_of_windows = torch.stack([by_mean, by_variance, by_covariance])
        back = along_axes(terms_of_windows, terms.windows, adjoint=True)
        gradient = back[0].addcmul_(centered, back[1], value=2).addcmul_(terms.fixed, back[2])
        ctx.save_for_backward(gradient)
        return loss

    @staticmethod
    def backward(ctx, upstream: torch.Tensor) -> tuple[torch.Tensor, None]:
        (gradient,) = ctx.saved_tensors
        return gradient * upstream, None
