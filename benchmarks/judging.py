"""What the judge asks of a memory, on instances that never change: each test is a function of one callable.

A callable takes patterns (K, D) and queries (Q, D), both ±1 in float64, and returns states (Q, D), of which
the signs count, or a pair of these and (Q,) truth values: whether it holds each of its answers for right.
"""

import time
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np

from benchmarks.intervals import Ours, share_of
from benchmarks.peak import peak_mb

D = 64
UNIT_OF_ADMITS = "of its answers judged truly"
Recall = Callable[[np.ndarray, np.ndarray], Any]


class AnswerError(Exception):
    """The callable answered with something that can't be judged."""


class Answer(NamedTuple):
    """Signs (Q, D) of the states that came back, and which of them the callable is sure of, if it says."""

    signs: np.ndarray
    sure: np.ndarray | None


def ask(recall: Recall, patterns: np.ndarray, queries: np.ndarray) -> Answer:
    """One call, its answer checked; raises `AnswerError` for another shape, NaN, or what is no array."""
    found, sure = recall(patterns.copy(), queries.copy()), None
    if isinstance(found, tuple):
        if len(found) != 2:
            raise AnswerError(f"returned {len(found)} things, not states or a pair (states, sure)")
        found, sure = found
        sure = _array("sure", sure, (len(queries),)) != 0
    states = _array("states", found, queries.shape)
    return Answer(np.sign(states), sure)


def _array(name, value, shape):
    try:
        array = np.asarray(value, dtype=float)
    except (TypeError, ValueError):
        raise AnswerError(f"returned {name} that are no array of numbers: {type(value).__name__}") from None
    if array.shape != shape:
        raise AnswerError(f"returned {name} of shape {array.shape}, not {shape}")
    if not np.isfinite(array).all():
        raise AnswerError(f"returned {name} with NaN or infinity")
    return array


def drawn(seed: int, K: int, size: int = D) -> tuple[np.ndarray, np.random.Generator]:
    """K random patterns, and the generator that goes on from there."""
    random = np.random.default_rng(seed)
    return random.choice([-1.0, 1.0], (K, size)), random


def flipped(states: np.ndarray, share: float, random: np.random.Generator) -> np.ndarray:
    """The same with this share of the bits of each flipped, rounded to whole bits."""
    order = np.argsort(random.random(states.shape), axis=1)
    return np.where(order < round(share * states.shape[1]), -states, states)


def returned(answer: Answer, targets: np.ndarray) -> np.ndarray:
    """Whether each target came back, bit for bit."""
    return (answer.signs == targets).all(axis=1)


def capacity(recall: Recall) -> dict[str, Any]:
    """The largest of 4, 8, … 2,048 patterns of 64 bits, a tenth flipped, of which nine in ten come back."""
    shares, largest = {}, 0
    for K in (2**power for power in range(2, 12)):
        right = []
        for seed in range(max(1, 64 // K)):  # 64 queries, of several sets where one has fewer
            X, random = drawn(1000 * K + seed, K)
            right += returned(ask(recall, X, flipped(X[:64], 0.1, random)), X[:64]).tolist()
        shares[K] = float(np.mean(right))
        if shares[K] < 0.9:
            break
        largest = K
    return {"score": largest, "unit": "patterns", "detail": _listed(shares)}


def basin(recall: Recall) -> dict[str, Any]:
    """The share of flipped bits at which half of six patterns of 64 bits come back, over ten sets."""
    shares = {}
    for flips in np.arange(0.05, 0.51, 0.05):
        right = []
        for seed in range(10):
            X, random = drawn(seed, 6)
            right += returned(ask(recall, X, flipped(X, flips, random)), X).tolist()
        shares[round(float(flips), 2)] = float(np.mean(right))
    levels, rates = np.array([0.0, *shares]), np.array([1.0, *shares.values()])
    below = int(np.argmax(rates < 0.5)) if (rates < 0.5).any() else 0
    around = slice(below - 1, below + 1)
    half = np.interp(-0.5, -rates[around], levels[around]) if below else levels[-1]
    return {"score": round(float(half), 3), "unit": "of the bits", "detail": _listed(shares)}


def noise(recall: Recall) -> dict[str, Any]:
    """The share of twelve patterns of 64 bits that come back from a fifth flipped, over twenty sets."""
    return _share(recall, [drawn(100 + seed, 12) for seed in range(20)], 0.2)


def correlated(recall: Recall) -> dict[str, Any]:
    """The same for patterns that are one prototype with a fifth of its bits flipped, 5 % flipped again."""
    sets = []
    for seed in range(20):
        prototype, random = drawn(200 + seed, 1)
        sets.append((flipped(np.repeat(prototype, 12, axis=0), 0.2, random), random))
    return _share(recall, sets, 0.05)


def _share(recall, sets, flips):
    right = [returned(ask(recall, X, flipped(X, flips, random)), X) for X, random in sets]
    return _scored(share_of(right)) | {"unit": "of the patterns"}


def inverse(recall: Recall) -> dict[str, Any]:
    """The share of six inverted patterns that come back as what was asked, and not as what was stored."""
    kept, turned = [], []
    for seed in range(20):
        X, _ = drawn(300 + seed, 6)
        answer = ask(recall, X, -X)
        kept += returned(answer, -X).tolist()
        turned += returned(answer, X).tolist()
    detail = f"turned into the pattern: {np.mean(turned):.2f}"
    return _scored(share_of(kept)) | {"unit": "stay inverted", "detail": detail}


def admits(recall: Recall) -> dict[str, Any]:
    """Whether it says when it failed: the share of its answers whose rightness it states truly.

    Half of the queries are near no pattern. The mean of two shares: right answers of which it is sure, and
    wrong ones of which it is not. One that is always sure, or never, has ½.
    """
    right, said = [], []
    for seed in range(20):
        X, random = drawn(400 + seed, 6)
        queries = np.concatenate([flipped(X, 0.1, random), random.choice([-1.0, 1.0], X.shape)])
        answer = ask(recall, X, queries)
        if answer.sure is None:
            return {"score": None, "unit": UNIT_OF_ADMITS, "detail": "it does not say when it failed"}
        right += returned(answer, np.concatenate([X, np.full_like(X, np.nan)])).tolist()
        said += answer.sure.tolist()
    right, said = np.array(right), np.array(said)
    rates = {"sure of right answers": said[right].mean() if right.any() else 0.0}
    rates["unsure of wrong ones"] = (~said[~right]).mean()
    score = round(float(np.mean(list(rates.values()))), 3)
    return {"score": score, "unit": UNIT_OF_ADMITS, "detail": _listed(rates)}


def memory(recall: Recall) -> dict[str, Any]:
    """Megabytes that six calls need at most beside what was there before: 256 patterns of 256 bits."""
    before, _ = peak_mb(), _seconds(recall)
    return {"score": round(peak_mb() - before, 1), "unit": "MB"}


def speed(recall: Recall) -> dict[str, Any]:
    """Microseconds per query, 256 patterns of 256 bits and 64 queries: the best of five later calls."""
    first, *later = _seconds(recall)
    detail = f"first call {first:.2f} s"
    return {"score": round(1e6 * min(later) / 64, 1), "unit": "µs per query", "detail": detail}


def _seconds(recall):
    X, random = drawn(500, 256, 256)
    queries, seconds = flipped(X[:64], 0.1, random), []
    for _ in range(6):
        start = time.perf_counter()
        ask(recall, X, queries)
        seconds.append(time.perf_counter() - start)
    return seconds


def _scored(share: Ours) -> dict[str, Any]:
    return {"score": round(share.value, 3), "low": round(share.low, 3), "high": round(share.high, 3)}


def _listed(values: dict) -> str:
    return ", ".join(f"{key}: {value:.2f}" for key, value in values.items())


TESTS = {test.__name__: test for test in (capacity, basin, noise, correlated, inverse, admits, memory, speed)}
