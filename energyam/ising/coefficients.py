"""The pairwise energy that the user gave, in double precision on the host: Σ h_i v_i + Σ q_ij v_i v_j + c."""

from dataclasses import dataclass
from functools import cached_property

import numpy as np

_DENSE = 16  # a matrix serves where more than one in so many of its entries isn't 0
_MOST = 2000  # variables for which a matrix is made at all


@dataclass(frozen=True, eq=False)
class Coefficients:
    """The energy Σ_i h_i v_i + Σ_pairs q_ij v_i v_j + c of D variables v, each pair i < j once.

    Searches may compute with rounded numbers; the energies of answers are computed from these.
    """

    linear: np.ndarray  # (D,)
    pairs: np.ndarray  # (E, 2)
    quadratic: np.ndarray  # (E,)
    constant: float = 0.0

    def energies(self, values: np.ndarray) -> np.ndarray:
        """The energy of each of n rows of values (n, D)."""
        linear = values @ self.linear
        return linear + 0.5 * np.sum(values * self._drives(values), axis=1) + self.constant

    def slopes(self, values: np.ndarray) -> np.ndarray:
        """∂E/∂v_i at each of n rows of values (n, D): what one unit of v_i adds to the energy."""
        return self.linear + self._drives(values)

    def descended(self, values: np.ndarray, low: int) -> np.ndarray:
        """Rows of values `low` or 1, after the move that lowers the energy most, over and over, until none
        does."""
        values, rows = values.copy(), np.arange(len(values))
        sizes = np.abs(self.linear).max(initial=0) + np.abs(self.quadratic).max(initial=0)
        least = np.finfo(float).eps * self.linear.size * sizes  # what rounding may feign
        while rows.size:
            gains = self.slopes(values[rows]) * (2 * values[rows] - (1 + low))  # E(v) − E(v, i moved)
            best = np.argmax(gains, axis=1)
            falls = gains[np.arange(rows.size), best] > least
            rows, best = rows[falls], best[falls]
            values[rows, best] = 1 + low - values[rows, best]
        return values

    def substituted(self, shift: float, scale: float) -> "Coefficients":
        """The same energy for variables u, where v = shift + scale · u."""
        drives, even = self._drives(np.ones((1, self.linear.size)))[0], float(np.sum(self.quadratic))
        linear = scale * (self.linear + shift * drives)
        constant = self.constant + shift * float(np.sum(self.linear)) + shift**2 * even
        return Coefficients(linear, self.pairs, scale**2 * self.quadratic, constant)

    def plus(self, other: "Coefficients") -> "Coefficients":
        """The sum of two energies; the variables of the shorter one are the first of the longer one."""
        D = max(self.linear.size, other.linear.size)
        linear = np.zeros(D)
        linear[: self.linear.size] += self.linear
        linear[: other.linear.size] += other.linear
        pairs = np.concatenate([self.pairs, other.pairs])
        merged = merge(pairs, np.concatenate([self.quadratic, other.quadratic]), D)
        return Coefficients(linear, *merged, self.constant + other.constant)

    def _drives(self, values):
        """Σ_j q_ij v_j, (n, D)."""
        if self._matrix is not None:
            return values @ self._matrix
        (i, j), drives = self.pairs.T, np.zeros(values.shape)
        for row, value in zip(drives, values, strict=True):
            row += np.bincount(i, self.quadratic * value[j], row.size)
            row += np.bincount(j, self.quadratic * value[i], row.size)
        return drives

    @cached_property
    def _matrix(self):
        D = self.linear.size
        if D > _MOST or 2 * _DENSE * len(self.pairs) < D**2:
            return None
        matrix = np.zeros((D, D))
        matrix[tuple(self.pairs.T)] = self.quadratic
        return matrix + matrix.T


def merge(pairs: np.ndarray, values: np.ndarray, D: int) -> tuple[np.ndarray, np.ndarray]:
    """Pairs (E, 2) of different variables with i < j, each once, and the sums of their values."""
    low, high = np.sort(pairs.reshape(-1, 2), axis=1).T.astype(np.int64)
    keys, inverse = np.unique(low * D + high, return_inverse=True)
    return np.stack([keys // D, keys % D], axis=1), np.bincount(inverse.ravel(), values, keys.size)
