"""Elastic body splines: interpolate displacements of points as an elastic body would (Davis 1997).

u(x) = sum_k G(x - p_k) c_k + A x + b with G(x) = r (alpha r^2 I - 3 x x^T), r = |x| and
alpha = 12 (1 - nu) - 1. u = G(x) c solves Navier's equation of an elastic body of Poisson's ratio
nu, laplace u + grad div u / (1 - 2 nu) = f, with the body force f = 144 (1 - nu) r c. The side
conditions sum c_k = 0 and sum c_k p_k^T = 0 keep forces and moments in balance, so that affine
displacements are met exactly.
"""

from __future__ import annotations

import numpy as np

from DeepRegistrationLib.errors import RegistrationError

_CHUNK = 4096  # points at a time: what a CPU's cache holds


class ElasticBodySpline:
    """The displacement that takes given values at given points.

    Args:
        points: Centres p_k in mm: [n, 3], not all in one plane.
        displacements: u(p_k) in mm: [n, 3].
        poisson: Poisson's ratio nu; 0.5 is incompressible.
        ridge: Added to the diagonal, relative to the mean size of G: larger smooths.

    Raises:
        RegistrationError: Fewer than four points, or all of them in one plane.
    """

    def __init__(
        self,
        points: np.ndarray,
        displacements: np.ndarray,
        *,
        poisson: float = 0.25,
        ridge: float = 1e-6,
    ) -> None:
        points = np.asarray(points, dtype=np.float64)
        self._middle = points.mean(axis=0)
        offsets = points - self._middle
        # Lengths are counted in the points' spread: G grows like r^3, and the solver likes ones.
        self._scale = float(np.sqrt(np.square(offsets).sum(axis=1).mean())) or 1.0
        self._centers = offsets / self._scale
        self._alpha = 12 * (1 - poisson) - 1
        if np.linalg.matrix_rank(self._centers, tol=1e-6) < 3:
            raise RegistrationError(
                "An elastic body spline needs four or more points that do not lie in one plane."
            )
        values = np.asarray(displacements, dtype=np.float64)
        self._coefficients, self._affine = self._solve(values, ridge)

    def __call__(self, points: np.ndarray) -> np.ndarray:
        """u in mm at points in mm, both [n, 3], float64."""
        where = (np.asarray(points, dtype=np.float64) - self._middle) / self._scale
        parts = [self._evaluate(where[k : k + _CHUNK]) for k in range(0, len(where), _CHUNK)]
        return np.concatenate(parts)

    def _solve(self, values: np.ndarray, ridge: float) -> tuple[np.ndarray, np.ndarray]:
        """Coefficients c [n, 3], and b over A^T [4, 3]."""
        n = len(self._centers)
        offsets = self._centers[:, None] - self._centers[None]
        r = np.linalg.norm(offsets, axis=2)
        blocks = -3 * r[..., None, None] * offsets[..., :, None] * offsets[..., None, :]
        blocks += (self._alpha * r**3)[..., None, None] * np.eye(3)
        matrix = np.zeros((3 * n + 12, 3 * n + 12))
        matrix[: 3 * n, : 3 * n] = blocks.transpose(0, 2, 1, 3).reshape(3 * n, 3 * n)
        size = float(np.abs(matrix[: 3 * n, : 3 * n]).mean())
        matrix[np.arange(3 * n), np.arange(3 * n)] += ridge * size
        linear = np.kron(np.column_stack([np.ones(n), self._centers]), np.eye(3))
        matrix[: 3 * n, 3 * n :] = linear
        matrix[3 * n :, : 3 * n] = linear.T
        right = np.concatenate([values.ravel(), np.zeros(12)])
        solution = np.linalg.solve(matrix, right)
        return solution[: 3 * n].reshape(n, 3), solution[3 * n :].reshape(4, 3)

    def _evaluate(self, where: np.ndarray) -> np.ndarray:
        """u at scaled points [n, 3], by matrix products: sum w (x - p) = x sum w - sum w p."""
        squares = (
            np.square(where).sum(axis=1)[:, None]
            - 2 * where @ self._centers.T
            + np.square(self._centers).sum(axis=1)
        )
        squares = np.maximum(squares, 0)
        r = np.sqrt(squares)
        along = where @ self._coefficients.T - (self._centers * self._coefficients).sum(axis=1)
        along *= r
        result = self._alpha * (squares * r) @ self._coefficients
        result -= 3 * (where * along.sum(axis=1, keepdims=True) - along @ self._centers)
        return result + self._affine[0] + where @ self._affine[1:]
