"""Affine transforms."""

from __future__ import annotations

import numpy as np
import torch

from DeepRegistrationLib.errors import RegistrationError
from DeepRegistrationLib.images.sampling import map_points
from DeepRegistrationLib.transforms.base import Transform


class Affine(Transform):
    """T(x) = matrix @ x + translation, kept in float64.

    Args:
        matrix: [3, 3].
        translation: LPS mm, [3].
        device: Where points of the calls live.

    Raises:
        RegistrationError: The matrix is singular or not finite.
    """

    def __init__(
        self,
        matrix: np.ndarray | None = None,
        translation: np.ndarray | tuple[float, ...] = (0.0, 0.0, 0.0),
        device: torch.device | str = "cpu",
    ) -> None:
        try:
            self.matrix = np.array(np.eye(3) if matrix is None else matrix, dtype=np.float64)
            self.translation = np.array(translation, dtype=np.float64).reshape(3)
        except (TypeError, ValueError):
            raise RegistrationError(
                "An affine transform takes a matrix [3, 3] and a translation [3] of numbers."
            ) from None
        self._device = torch.device(device)
        values = np.append(self.matrix.ravel(), self.translation)
        if self.matrix.shape != (3, 3) or not np.all(np.isfinite(values)):
            raise RegistrationError("The affine transform is not a finite 3 x 3 matrix and shift.")
        if abs(np.linalg.det(self.matrix)) < 1e-9:
            raise RegistrationError("The affine transform is singular and cannot be inverted.")

    @classmethod
    def about(
        cls, center: np.ndarray, matrix: np.ndarray, shift: np.ndarray, device: str = "cpu"
    ) -> Affine:
        """T(x) = matrix @ (x - center) + center + shift."""
        center = np.asarray(center, dtype=np.float64)
        return cls(matrix, center + np.asarray(shift) - np.asarray(matrix) @ center, device)

    @property
    def device(self) -> torch.device:
        return self._device

    def to(self, device: torch.device | str) -> Affine:
        return Affine(self.matrix, self.translation, device)

    def __call__(self, points: torch.Tensor) -> torch.Tensor:
        return map_points(points, self.matrix, self.translation)

    def inverse(self) -> Affine:
        matrix = np.linalg.inv(self.matrix)
        return Affine(matrix, -matrix @ self.translation, self._device)

    def then(self, other: Affine) -> Affine:
        """The map that applies this transform first and ``other`` to its result."""
        return Affine(
            other.matrix @ self.matrix,
            other.matrix @ self.translation + other.translation,
            self._device,
        )
