"""What a claim is: a published number, the same number computed again, and a verdict on the two."""

import dataclasses
import math
import time
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import numpy as np

from benchmarks.atlas.sources import Source

VERDICTS = (
    "reproduced",
    "undecided",
    "finite size",
    "other set-up",
    "corrected",
    "not reproduced",
    "not tested",
)
# What a row's number is: one that somebody published, an equality or bound that must hold, or one of our own.
NATURES = ("published", "identity", "own check")


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
        return (
            self.value if self.low is None else self.low,
            self.value if self.high is None else self.high,
        )


class NotTestedError(Exception):
    """The measurement needs results that nobody has kept yet; its message says which."""


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


@dataclasses.dataclass
class Claim:
    """A published statement. `published` is a number; `kind` says what it is: the value, or a bound of it.

    `tolerance`: half a unit of the last digit published, or what `note` says that a finite size does.
    `nature`: one of `NATURES`; `setup`: how ours differs from what was published, where it does, so that it
    is no test of it. `correction`: why the published number is off, if we know. `note`: what else a reader
    should know.
    """

    name: str
    field: str
    claim: str
    source: Source
    formula: str
    published: float
    tolerance: float
    measure: Callable[[bool], Ours]
    kind: str = "value"
    nature: str = "published"
    where: str = ""
    setup: str = ""
    correction: str = ""
    note: str = ""
    command: str = ""

    def agreement(self, ours: Ours) -> str:
        """Whether the interval lies "within" the tolerance, "outside", or across its edge."""
        low, high = ours.ends()
        if not math.isfinite(low) or not math.isfinite(high):
            return "across"
        least = -math.inf if self.kind == "at most" else self.published - self.tolerance
        most = math.inf if self.kind == "at least" else self.published + self.tolerance
        if least <= low and high <= most:
            return "within"
        return "outside" if high < least or low > most else "across"

    def verdict(self, ours: Ours) -> str:
        """One of `VERDICTS`. A wider interval can turn none into "reproduced"."""
        if self.setup:
            return "other set-up"
        agreement = self.agreement(ours)
        if agreement == "within":
            return "reproduced"
        if agreement == "across":
            return "undecided"
        limit = "outside" if ours.limit is None else self.agreement(ours.limit)
        if limit != "outside":
            return "finite size" if limit == "within" else "undecided"
        return "corrected" if self.correction else "not reproduced"

    def row(self, quick: bool) -> dict[str, Any]:
        """The claim computed: what the atlas shows of it."""
        start = time.perf_counter()
        try:
            ours, verdict, missing = self.measure(quick), None, ""
        except NotTestedError as error:
            ours, verdict, missing = Ours(math.nan), "not tested", str(error)
        seconds = time.perf_counter() - start
        verdict = verdict or self.verdict(ours)
        return {
            "name": self.name,
            "field": self.field,
            "nature": self.nature,
            "year": self.source.year,
            "claim": self.claim,
            "source": f"{self.source}{', ' * bool(self.where)}{self.where}",
            "formula": self.formula,
            "command": self.command or f"python -m benchmarks.claims {self.name}",
            "published": self.stated(),
            "tolerance": self.tolerance,
            "ours": _number(None if missing else ours.value),
            "low": _number(ours.low),
            "high": _number(ours.high),
            "limit": None if ours.limit is None else [_number(x) for x in ours.limit[:3]],
            "control": ours.control,
            "verdict": verdict,
            "why": missing or self.why(verdict),
            "seconds": round(seconds, 2),
        }

    def stated(self) -> float | str:
        """The published number, with the sign of a bound."""
        sign = {"value": "", "at most": "≤ ", "at least": "≥ "}[self.kind]
        return f"{sign}{self.published:g}" if sign else self.published

    def why(self, verdict: str) -> str:
        """What a reader should know beside the verdict."""
        of = {"corrected": self.correction, "other set-up": self.setup}
        return of.get(verdict, self.note)


CLAIMS: dict[str, Claim] = {}


def claim(
    field: str, text: str, source: Source, formula: str, published: float, tolerance: float, **more: Any
):
    """Register what a function of `quick` measures; its name, with hyphens, is the claim's."""

    def register(measure: Callable[[bool], Ours | float]) -> Callable[[bool], Ours | float]:
        name = more.pop("name", measure.__name__.replace("_", "-"))
        if name in CLAIMS:
            raise ValueError(f"two claims are called {name}")

        def measured(quick: bool) -> Ours:
            ours = measure(quick)
            return ours if isinstance(ours, Ours) else Ours(float(ours))

        CLAIMS[name] = Claim(name, field, text, source, formula, published, tolerance, measured, **more)
        return measure

    return register


def _number(value):
    return None if value is None else float(value)
