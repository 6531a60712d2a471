"""What a claim is: a published number, the same number computed again, and a verdict on the two."""

import dataclasses
import math
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np


class Ours(NamedTuple):
    """A number computed here, with the ends of its 95 % interval where it was sampled."""

    value: float
    low: float | None = None
    high: float | None = None


def mean_of(values: Any) -> Ours:
    """The mean of independent values, and the interval of a normal mean."""
    values = np.asarray(values, float).ravel()
    half = 1.96 * values.std(ddof=1) / math.sqrt(values.size)
    return Ours(values.mean(), values.mean() - half, values.mean() + half)


def share_of(successes: Any) -> Ours:
    """The share of successes among independent tries, and Wilson's interval."""
    hits = np.asarray(successes, float).ravel()
    n, p, z = hits.size, hits.mean(), 1.96
    centre, half = p + z**2 / (2 * n), z * math.sqrt(p * (1 - p) / n + z**2 / (4 * n**2))
    low, high = (centre - half) / (1 + z**2 / n), (centre + half) / (1 + z**2 / n)
    return Ours(p, max(0.0, min(p, low)), min(1.0, max(p, high)))


@dataclasses.dataclass
class Claim:
    """A published statement. `published` is a number; `kind` says what it is: the value, or a bound of it.

    Ours agrees if its interval comes within `tolerance` of it: half a unit of the last digit published, or
    what a finite size is expected to do. `correction`: why the published number is off, if we know.
    `note`: what else a reader should know, such as why ours differs.
    """

    name: str
    field: str
    claim: str
    source: str
    formula: str
    published: float
    tolerance: float
    measure: Callable[[bool], Ours]
    kind: str = "value"
    correction: str = ""
    note: str = ""
    command: str = ""

    def verdict(self, ours: Ours) -> str:
        """Reproduced, corrected, or not reproduced."""
        low = ours.value if ours.low is None else ours.low
        high = ours.value if ours.high is None else ours.high
        above = low - self.published if self.kind != "at least" else 0.0
        below = self.published - high if self.kind != "at most" else 0.0
        if max(above, below) <= self.tolerance:
            return "reproduced"
        return "corrected" if self.correction else "not reproduced"

    def row(self, quick: bool) -> dict[str, Any]:
        """The claim computed: what the atlas shows of it."""
        ours = self.measure(quick)
        verdict = self.verdict(ours)
        published = {
            "value": self.published,
            "at most": f"≤ {self.published:g}",
            "at least": f"≥ {self.published:g}",
        }
        return {
            "name": self.name,
            "field": self.field,
            "claim": self.claim,
            "source": self.source,
            "formula": self.formula,
            "command": self.command or f"python -m benchmarks.claims {self.name}",
            "published": published[self.kind],
            "ours": float(ours.value),
            "low": None if ours.low is None else float(ours.low),
            "high": None if ours.high is None else float(ours.high),
            "verdict": verdict,
            "why": self.correction if verdict == "corrected" else self.note,
        }


CLAIMS: dict[str, Claim] = {}


def claim(field: str, text: str, source: str, formula: str, published: float, tolerance: float, **more: Any):
    """Register what a function of `quick` measures; its name, with hyphens, is the claim's."""

    def register(measure: Callable[[bool], Ours | float]) -> Callable[[bool], Ours | float]:
        name = more.pop("name", measure.__name__.replace("_", "-"))

        def measured(quick: bool) -> Ours:
            ours = measure(quick)
            return ours if isinstance(ours, Ours) else Ours(float(ours))

        CLAIMS[name] = Claim(name, field, text, source, formula, published, tolerance, measured, **more)
        return measure

    return register
