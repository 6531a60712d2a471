"""The separations of sparse distributed memory: how many neurons two circles, or two caps, have in common."""

import math
from functools import partial
from itertools import pairwise
from typing import Any, ClassVar, NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
import jax.random as jr
import numpy as np
from jax import lax
from jax.typing import ArrayLike
from jaxtyping import Array, Float, Int, Num, PRNGKeyArray

from energyam import checks
from energyam.flips.abstract import Change
from energyam.flips.bounds import Bounds, of_terms
from energyam.hypercube import MAX_DIMENSION, log_circle_intersection, log_number, log_of
from energyam.hypersphere import log_cap_integral, log_cap_intersection
from energyam.log_scale import ZERO_EXPONENT, largest_exponent, two_to, wide_floats
from energyam.memories.separation import AbstractSeparation, Pair, Similarities, by_blocks, check_similarities

Key = PRNGKeyArray | None
Count = int | float | None  # of neurons; None for infinitely many
_WEIGHTS, _STEPS, _SUMS = range(3)  # rows of the tables


class CircleIntersection(AbstractSeparation):
    """Kanerva's weights: how many neurons lie within `radius` of both a pattern and the query.

    With the Hamming distance h = (dim − s)/2 of overlap s, weights(s) = I(h), linear between whole h, and
    potential(s) = Σ_μ C(h_μ) with C(h) = Σ_{j > h} I(j) + I(j−1), the running sum. C is convex, since I falls
    with h. Both are in units of I(0), the neurons of one circle, unless `num_neurons` is given.

    Intersections range over a factor of 2^1000, so the tables hold powers of 2 beside the floats. A gain
    counts in whole numbers how often each step of C is gained and lost; a change within rounding is a tie.

    **Arguments:** `dim`: D; `radius`: 0..dim; `num_neurons`: r, for weights r I(h)/2^D (expected numbers of
    neurons); `cosines`: similarities are cosines, s = dim · cos, instead of overlaps; `key`: draw the numbers
    of neurons in common once, as a falling table over h, in which each number is binomial, as it is for r
    random neurons at that distance. A sweep over radii compiles once.

    Raises `ValueError` for a radius outside 0..dim, `num_neurons` below 1, or a key without `num_neurons`.

    Kanerva, *Sparse Distributed Memory* (1988); Bricken & Pehlevan, NeurIPS 2021.

        >>> eam.hypercube.circle_intersection(8, 2)  # neurons within 2 of both, by distance 0 … 8
        [37, 16, 16, 6, 6, 0, 0, 0, 0]
        >>> circle = eam.CircleIntersection(8, 2)
        >>> weights = eqx.filter_jit(circle.weights)(jnp.array([8.0, 4.0, 0.0]))  # at 0, 2 and 4
        >>> (37 * np.asarray(weights)).round(2)
        array([37., 16.,  6.], dtype=float32)
    """

    mantissas: Float[Array, "3 L"]
    exponents: Int[Array, "3 L"]
    cosines: bool = eqx.field(static=True, converter=partial(checks.flag, "cosines"))

    def __init__(
        self, dim: int, radius: int, num_neurons: Count = None, *, cosines: bool = False, key: Key = None
    ):
        dim = checks.count("dim", dim, most=MAX_DIMENSION)
        logs = log_circle_intersection(dim, radius)
        if num_neurons is None:
            if key is not None:
                raise ValueError("num_neurons must be given with a key; infinitely many can't be drawn")
            logs = logs - logs[0]
        else:
            logs = logs + log_number("num_neurons", num_neurons) - dim * math.log(2)
        if key is not None:
            checks.key("key", key)
            logs = log_of(_drawn_counts(logs, num_neurons, key))
        steps = np.append(-np.inf, np.logaddexp(logs[1:], logs[:-1]))  # of C, from h to h − 1
        sums = np.append(np.logaddexp.accumulate(steps[:0:-1])[::-1], -np.inf)
        self.mantissas, self.exponents = wide_floats(np.stack([logs, steps, sums]))
        self.cosines = cosines

    @property
    def dim(self) -> int:
        """D, the length of the vectors compared."""
        return self.mantissas.shape[1] - 1

    def potential(self, similarities: Similarities) -> Float[Array, ""]:
        return by_blocks(self, similarities)[0]

    def blocks(self) -> "CircleIntersection":
        return self

    def check(self, dim: int, neurons: Any) -> None:
        check_similarities(self, dim, neurons, self.cosines, self.dim)

    def scale(self, similarities: Similarities) -> Float[Array, ""]:
        return similarities.max()

    def relative(self, similarities: Float[Array, "..."], scale: Float[Array, ""]) -> Pair:
        (term, weight), tops = self._at(scale, None)
        pairs = zip(self._at(similarities, tops)[0], (term, weight), strict=True)
        terms, weights = (value / jnp.where(own > 0, own, 1) for value, own in pairs)
        return terms, weights

    def total(self, scale: Float[Array, ""], total: Float[Array, ""]) -> Pair:
        (term, weight), (term_top, weight_top) = self._at(scale, None)
        most = largest_exponent(term.dtype)
        potential = total * term * two_to(jnp.minimum(term_top, most), term.dtype) / self._scale
        return potential, weight * two_to(jnp.clip(weight_top, -most // 2, most), term.dtype)

    def gain(self, similarities: Similarities, direction: Num[Array, " K"], step: ArrayLike) -> Change | None:
        cells = self._cells(step)
        if cells is None:
            return None
        mantissas, exponents = cells.mantissas[cells.row], cells.exponents[cells.row]
        places = self._places(similarities, step)
        crossed = jnp.clip(places + (direction < 0).astype(int), 0, exponents.shape[0] - 1)  # which step of C
        counts = jnp.zeros(exponents.shape, jnp.int32).at[crossed].add(direction.astype(jnp.int32))
        exponents = jnp.where(counts == 0, ZERO_EXPONENT, exponents)
        top = exponents.max()
        terms = counts.astype(mantissas.dtype) * mantissas * two_to(exponents - top, similarities.dtype)
        total, bound = terms.sum(), largest_exponent(terms.dtype)
        rounding = 16 * jnp.finfo(terms.dtype).eps * jnp.abs(terms).sum()
        change = total * two_to(jnp.clip(top, -bound, bound), terms.dtype) / self._scale
        return Change(jnp.where(jnp.abs(total) > rounding, change, 0), jnp.zeros_like(change))

    def bounds(self, similarities: Similarities, step: ArrayLike) -> Bounds | None:
        cells = self._cells(step)
        if cells is None:
            return None
        places = self._places(similarities, step)
        steps = jnp.stack([places, places + 1]).clip(0, cells.exponents.shape[1] - 1)
        (rises, falls), top = _relative(cells.mantissas, cells.exponents, cells.row, steps)
        bound = largest_exponent(rises.dtype)
        unit = two_to(jnp.clip(top, -bound, bound), rises.dtype) / self._scale
        return of_terms(rises, falls, unit, self.potential(similarities))

    def _places(self, similarities, step):
        """Which step of C leads down to each similarity: distances in units of a move."""
        return jnp.round((self.dim - similarities * self._scale) / step).astype(jnp.int32)

    def _cells(self, step):
        """The gains of C in each move of the similarities by `step`, and their rows of the tables; None for
        other steps.

        A step of 2 is a Hamming distance. In one of 1, half of that, I is read between its whole distances.
        """
        if step == 2:
            return _Cells(self.mantissas, self.exponents, _STEPS)
        if step != 1:
            return None
        cell = np.arange(2 * self.dim + 1)  # from h = cell/2 to the half distance below
        near = cell // 2
        far = np.clip(near + np.where(cell % 2 == 0, -1, 1), 0, self.dim)
        exponents = jnp.maximum(self.exponents[_WEIGHTS, near], self.exponents[_WEIGHTS, far])

        def part(share, k):
            scaled = two_to(self.exponents[_WEIGHTS, k] - exponents, self.mantissas.dtype)
            return share * self.mantissas[_WEIGHTS, k] * scaled

        total = jnp.where(cell == 0, 0, part(0.75, near) + part(0.25, far))
        return _Cells(total[None], jnp.where(cell == 0, ZERO_EXPONENT, exponents)[None], 0)

    @property
    def _scale(self):
        return self.dim if self.cosines else 1

    def _at(self, similarities, tops):
        """C and I relative to powers of 2, and these: as given, else those of the largest."""
        distance = (self.dim - similarities * self._scale) / 2
        below = jnp.clip(jnp.floor(distance), 0, self.dim - 1)
        k = below.astype(jnp.int32)  # k + 1 is in the tables
        rest, gap = distance - below, 1 - (distance - below)
        term_top, weight_top = (None, None) if tops is None else tops
        rows = np.array([_SUMS, _WEIGHTS, _WEIGHTS]).reshape((3,) + (1,) * k.ndim)
        relative = partial(_relative, self.mantissas, self.exponents)
        parts, term_top = relative(rows, jnp.stack([k + 1, k, k + 1]), term_top)
        (at, after), weight_top = relative(_WEIGHTS, jnp.stack([k, k + 1]), weight_top)
        term = parts[0] + gap**2 * parts[1] + gap * (1 + rest) * parts[2]
        return (term, gap * at + rest * after), (term_top, weight_top)


class _Cells(NamedTuple):
    mantissas: Float[Array, "R L"]
    exponents: Int[Array, "R L"]
    row: int


def _relative(mantissas, exponents, rows, k, top=None):
    """Entries of the tables relative to 2^top, and top: by default the largest of their exponents."""
    exponents = exponents[rows, k]
    top = exponents.max() if top is None else top
    return mantissas[rows, k] * two_to(exponents - top, mantissas.dtype), top


class CapIntersection(AbstractSeparation):
    """The continuous form of Kanerva's weights: how much of the sphere lies within both of two caps.

    weights(c) = F(c)/F(1), with F the fraction of the sphere within both caps at cosine c, and potential(c) =
    Σ_μ ∫_{−1}^{c_μ} F/F(1); both need one integral for each pattern. The edge of a cap is at cosine 1 − 2
    radius/dim. Similarities are cosines: keys and queries are unit vectors.

    **Arguments:** `dim`: D, at least 2; `radius`: above 0 (a cap of radius 0 is a point) and at most dim, the
    Hamming radius with that cosine, any real number; an array leaf, so that a sweep compiles once. Raises
    `ValueError` for numbers out of range.

    Lee & Kim (2014) for the area; Bricken & Pehlevan, NeurIPS 2021.

        >>> cap = eam.CapIntersection(3, 0.5)
        >>> np.asarray(eqx.filter_jit(cap.weights)(jnp.array([1.0, 0.9, 0.0]))).round(2)  # by cosine
        array([1.  , 0.68, 0.02], dtype=float32)
    """

    dim: int = eqx.field(static=True, converter=partial(checks.count, "dim", least=2))
    radius: Float[ArrayLike, ""] = eqx.field(converter=partial(checks.positive_float, "radius"))
    cosines: ClassVar[bool] = True

    def __check_init__(self):
        checks.within("radius", self.radius, 0, self.dim)

    def potential(self, similarities: Similarities) -> Float[Array, ""]:
        return by_blocks(self, similarities)[0]

    def blocks(self) -> "CapIntersection":
        return self

    def check(self, dim: int, neurons: Any) -> None:
        check_similarities(self, dim, neurons, self.cosines, self.dim)

    def scale(self, similarities: Similarities) -> Float[Array, ""]:
        return similarities.max()

    def relative(self, similarities: Float[Array, "..."], scale: Float[Array, ""]) -> Pair:
        own, log_own = self._share(scale), _log_cap_weights(self.dim, self.radius, scale)
        logs = _log_cap_weights(self.dim, self.radius, similarities)
        weights = jnp.exp(logs - jnp.where(jnp.isfinite(log_own), log_own, 0))
        return self._share(similarities) / jnp.where(own > 0, own, 1), weights

    def total(self, scale: Float[Array, ""], total: Float[Array, ""]) -> Pair:
        log_own = _log_cap_weights(self.dim, self.radius, scale)
        least = 0.5 * math.log(jnp.finfo(log_own.dtype).tiny)
        # A query far from all patterns still weighs them: a multiple, where floats can't hold the weights.
        raised = lax.stop_gradient(jnp.maximum(least - log_own, 0))
        finite = jnp.isfinite(log_own)
        return total * self._share(scale), jnp.exp(jnp.where(finite, log_own + raised, -jnp.inf))

    def _share(self, similarities):
        return _cap_share(self.dim, self.radius, similarities)

    def gain(self, similarities: Similarities, direction: Num[Array, " K"], step: ArrayLike) -> Change:
        before = _cap_share(self.dim, self.radius, similarities)
        after = _cap_share(self.dim, self.radius, similarities + step * direction.astype(similarities.dtype))
        changes, sizes = after - before, after + before
        rounding = 16 * jnp.finfo(changes.dtype).eps * jnp.sum(jnp.where(changes != 0, sizes, 0))
        return Change(changes.sum(), rounding)


def _log_cap_weights(dim, radius, cosine):
    whole = log_cap_intersection(dim, radius, jnp.ones_like(radius))
    return log_cap_intersection(dim, radius, cosine) - whole


@partial(jax.custom_jvp, nondiff_argnums=(0,))
def _cap_share(dim, radius, cosine):
    """∫_{−1}^c F/F(1), whose slope in c is the weight itself: at c = 1 too, where the angle has none."""
    return _quadrature(dim, radius, cosine)


@_cap_share.defjvp
def _cap_share_jvp(dim, primals, tangents):
    radius, cosine = primals
    share, by_radius = jax.jvp(lambda r: _quadrature(dim, r, cosine), (radius,), tangents[:1])
    return share, by_radius + jnp.exp(_log_cap_weights(dim, radius, cosine)) * tangents[1]


def _quadrature(dim, radius, cosine):
    whole = log_cap_intersection(dim, radius, jnp.ones_like(radius))
    return jnp.exp(log_cap_integral(dim, radius, cosine) - whole)


def _drawn_counts(logs, num_neurons, key):
    """Numbers of neurons by distance, each binomial(r, I(h)/2^D), those farther on some of those before."""
    expected = np.exp(np.minimum(logs, 700))
    if expected[0] > 2**53:
        return expected  # to all digits
    rng = np.random.default_rng(np.asarray(jr.key_data(key)).ravel())
    if num_neurons < 2**62:
        counts = [rng.binomial(int(num_neurons), min(expected[0] / num_neurons, 1))]
    else:
        counts = [rng.poisson(expected[0])]
    for before, after in pairwise(expected):
        counts.append(rng.binomial(counts[-1], min(after / before, 1) if before > 0 else 0))
    return np.array(counts, dtype=float)
