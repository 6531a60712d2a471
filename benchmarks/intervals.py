"""Numbers that were computed here, and their 95 % intervals."""

import math
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np


class Ours(NamedTuple):
    """A number computed here, with the ends of its 95 % interval where it was sampled.

    `limit`: what it becomes for infinite size, extrapolated, an `Ours` of its own; `control`: what the same
    measurement gives where the claim must not hold, in words and numbers.
    """

    value: float
    low: float | None = None
    high: float | None = None
    limit: "Ours | None" = None
    control: str = ""

    def ends(self) -> tuple[float, float]:
        """The ends of the interval; of a closed form, the value twice."""
        return (self.value if self.low is None else self.low, self.value if self.high is None else self.high)


STUDENT = (12.706, 4.303, 3.182, 2.776, 2.571, 2.447, 2.365, 2.306, 2.262)  # for 2 to 10 values


def mean_of(values: Any) -> Ours:
    """The mean of independent values, and Student's interval of it."""
    values = np.asarray(values, float).ravel()
    free, z = values.size - 1, 1.96
    wide = STUDENT[free - 1] if free <= len(STUDENT) else z + (z**3 + z) / (4 * free) + 3 / free**2
    half = wide * values.std(ddof=1) / math.sqrt(values.size)
    return Ours(float(values.mean()), float(values.mean() - half), float(values.mean() + half))


def share_of(successes: Any) -> Ours:
    """The share of successes among independent tries, and Wilson's interval."""
    hits = np.asarray(successes, float).ravel()
    n, p, z = hits.size, float(hits.mean()), 1.96
    centre, half = p + z**2 / (2 * n), z * math.sqrt(p * (1 - p) / n + z**2 / (4 * n**2))
    low, high = (centre - half) / (1 + z**2 / n), (centre + half) / (1 + z**2 / n)
    return Ours(p, max(0.0, min(p, low)), min(1.0, max(p, high)))


def at_infinity(x: Sequence[float], measured: Sequence[Ours]) -> Ours:
    """The value at x = 0 of a straight line through values at small x, weighted by their intervals."""
    ends = np.array([one.ends() for one in measured])
    spread = np.maximum((ends[:, 1] - ends[:, 0]) / (2 * 1.96), 1e-12)
    design = np.stack([np.ones(len(x)), np.asarray(x, float)], axis=1) / spread[:, None]
    covariance = np.linalg.inv(design.T @ design)
    residual = np.array([one.value for one in measured]) / spread
    start = float((covariance @ design.T @ residual)[0])
    half = 1.96 * math.sqrt(covariance[0, 0])
    return Ours(start, start - half, start + half)
