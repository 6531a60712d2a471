"""Attention approximates SDM: the β at which a softmax falls with the cosine as an intersection does.

n is the dimension and `radius` the Hamming radius. The intersection of two circles (or caps) falls nearly
exponentially with the distance of their centres while that is small, I ≈ exp(β cos + c), and a softmax over
β times the cosine then weighs stored keys as sparse distributed memory does.
"""

from collections.abc import Sequence
from functools import partial
from typing import Literal, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax
from jaxtyping import Array, ArrayLike, Float

from energyam import checks
from energyam.checks import Whole
from energyam.hypercube import check_radius, hamming_to_cosine, log_cap_intersection, log_circle_intersection
from energyam.shown import shown

Kind = Literal["circle", "cap"]
Distances = Sequence[int] | range | np.ndarray


@shown()
class BetaFit(NamedTuple):
    """A line ln weight ≈ β cos + intercept, fitted to the logarithm of an intersection.

    >>> fit = eam.theory.fit_beta(64, 11)
    >>> fit.r_squared > 0.9, fit.published_beta > fit.beta
    (True, True)
    """

    beta: float  # the least-squares slope
    published_beta: float  # β · N/(N−1) for N points, as the paper's program computes it
    intercept: int | float
    r_squared: int | float


def fit_beta(n: Whole, radius: Whole, kind: Kind = "circle", distances: Distances | None = None) -> BetaFit:
    """β by ordinary least squares of the log intersection on the cosine 1 − 2h/n.

    The published program divides a covariance over N−1 by a variance over N, so that every published β is
    N/(N−1) times the slope: 15.85 at n = 64, radius 11, where least squares gives 14.41. The result has both.

    **Arguments:** `n`; `radius`: at least 2 by default, for two points; `kind`: `"circle"` (counts of the
    hypercube's points) or `"cap"` (fractions of the sphere); `distances`: the Hamming distances h to fit at,
    0..radius−1 by default; an even step, `range(0, radius, 2)`, leaves out the circle's staircase.

    Raises `ValueError` for another kind, a radius outside 0..n, fewer than two different distances, distances
    outside 0..n, or where the intersection is empty.

    Bricken & Pehlevan, "Attention approximates sparse distributed memory", NeurIPS 2021.

        >>> fit = eam.theory.fit_beta(64, 11)
        >>> round(fit.beta, 2), round(fit.published_beta, 2)
        (14.41, 15.85)
    """
    radius = check_radius(n, radius)
    h = np.arange(radius) if distances is None else _as_distances(n, distances)
    if np.unique(h).size < 2:
        raise ValueError(f"a slope needs two different distances (a radius of at least 2); got {h.tolist()}")
    x, y = hamming_to_cosine(h, n), _log_intersection(n, radius, kind)[h]
    if not np.isfinite(y).all():
        raise ValueError(f"distances must be where the intersection isn't empty; got up to {h.max()}")
    x0, y0 = x - x.mean(), y - y.mean()
    beta = (x0 @ y0) / (x0 @ x0)
    return BetaFit(
        beta=float(beta),
        published_beta=float(beta * h.size / (h.size - 1)),
        intercept=float(y.mean() - beta * x.mean()),
        r_squared=float((x0 @ y0) ** 2 / ((x0 @ x0) * (y0 @ y0))),
    )


def fit_softmax_beta(n: Whole, radius: Whole, kind: Kind = "circle", steps: Whole = 400) -> float:
    """The β whose softmax over all distances 0..n comes closest to the normalised intersection.

    argmin_β Σ_h (softmax(β cos)_h − I_h / Σ I)², by Adam on log β from the β of `fit_beta`, `steps` steps.

    Raises `ValueError` as `fit_beta` does, and for a number of steps below 1 or above a million.

    Bricken & Pehlevan, NeurIPS 2021, take this as the best β for a softmax.

        >>> round(eam.theory.fit_softmax_beta(64, 11, steps=100), 1)
        18.8
    """
    steps = checks.count("steps", steps, most=10**6)
    logs = _log_intersection(n, check_radius(n, radius), kind)
    target = jnp.asarray(np.exp(logs - np.logaddexp.reduce(logs)), dtype=float)
    cosines = jnp.asarray(hamming_to_cosine(np.arange(n + 1), n), dtype=float)
    start = jnp.log(jnp.asarray(fit_beta(n, radius, kind).beta, dtype=float))
    return float(_best_beta(target, cosines, start, steps))


@partial(jax.jit, static_argnames="steps")
def _best_beta(target, cosines, start, steps):
    optimizer = optax.adam(optax.cosine_decay_schedule(0.1, steps))

    def loss(log_beta):
        error = jax.nn.softmax(jnp.exp(log_beta) * cosines) - target
        return jnp.sum(error**2) / jnp.sum(target**2)

    def step(carry, _):
        log_beta, state = carry
        updates, state = optimizer.update(jax.grad(loss)(log_beta), state)
        return (optax.apply_updates(log_beta, updates), state), None

    with jax.numpy_dtype_promotion("standard"):  # optax multiplies whole and real numbers
        (log_beta, _), _ = jax.lax.scan(step, (start, optimizer.init(start)), length=steps)
    return jnp.exp(log_beta)


@shown()
class EffectiveBeta(NamedTuple):
    """The β of an attention head in two senses.

    >>> queries, keys = jnp.array([[2.0, 0.0, 0.0, 0.0]]), jnp.array([[0.0, 3.0, 0.0, 0.0]])
    >>> found = eam.theory.effective_beta(queries, keys)
    >>> found.max_logit, found.norm_product  # the logit is 0, whatever the norms
    (Array([0.], dtype=float32), Array([[3.]], dtype=float32))
    """

    max_logit: Float[Array, " Q"]
    norm_product: Float[Array, "Q K"]


def effective_beta(queries: ArrayLike, keys: ArrayLike) -> EffectiveBeta:
    """The β at which a transformer head reads, as if queries and keys were unit vectors.

    `max_logit` (Q,): max_j q·k_j/√d, what the paper calls the effective β (it is β where the best key points
    along the query); `norm_product` (Q, K): ‖q‖‖k‖/√d, the factor of the cosine in each logit.

    **Arguments:** `queries` (Q, d) and `keys` (K, d) of one head, before the softmax and its scale. A causal
    head's query sees only the keys up to its own: pass those.

    Raises `ValueError` for other ranks, widths that differ, or entries that are not finite.

    Bricken & Pehlevan, NeurIPS 2021, section 4 (the last token's query of GPT-2, all keys).

        >>> queries, keys = jnp.array([[2.0, 0.0, 0.0, 0.0]]), jnp.array([[3.0, 0.0, 0.0, 0.0]])
        >>> eam.theory.effective_beta(queries, keys).max_logit  # 2 · 3 / √4
        Array([3.], dtype=float32)
    """
    queries = checks.as_floats("queries", queries, "Q d")
    keys = checks.as_floats("keys", keys, f"K {queries.shape[1]}")
    scale = queries.shape[1] ** -0.5
    logits = jnp.matmul(queries, keys.T, precision="highest") * scale
    norms = jnp.linalg.norm(queries, axis=1)[:, None] * jnp.linalg.norm(keys, axis=1)[None] * scale
    return EffectiveBeta(logits.max(axis=1), norms)


def _as_distances(n, distances):
    h = np.asarray(checks.as_array("distances", distances, "N"))
    if not np.issubdtype(h.dtype, np.integer):
        raise ValueError(f"distances must be integers within 0..n = 0..{n}; got {distances}")
    checks.within("distances", h, 0, n)
    return h


def _log_intersection(n, radius, kind):
    if checks.one_of("kind", kind, ("circle", "cap")) == "circle":
        return log_circle_intersection(n, radius)
    return log_cap_intersection(n, radius, hamming_to_cosine(np.arange(n + 1), n))
