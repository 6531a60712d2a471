"""What a claim is: a published number, the same number computed again, and a verdict on the two."""

import dataclasses
import math
import time
from collections.abc import Callable
from typing import Any

from benchmarks.atlas.source import Source
from benchmarks.intervals import Ours

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


class NotTestedError(Exception):
    """The measurement needs results that nobody has kept yet; its message says which."""


@dataclasses.dataclass
class Claim:
    """A published statement. `published` is a number; `kind` says what it is: the value, or a bound of it.

    `tolerance`: half a unit of the last digit published, or what `note` says about it.
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
        start = time.process_time()  # of all cores together: other work on the machine hardly shows
        try:
            ours, verdict, missing = self.measure(quick), None, ""
        except NotTestedError as error:
            ours, verdict, missing = Ours(math.nan), "not tested", str(error)
        seconds = time.process_time() - start
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
