"""A memory of fixed size by random features: the sum of all patterns' kernels, estimated from one vector."""

from typing import NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
import jax.random as jr
from jax import lax
from jax.typing import ArrayLike
from jaxtyping import Array, Float, Num, PRNGKeyArray

from energyam import checks
from energyam.linalg import dot, float_dtype
from energyam.memories.base import as_state
from energyam.memories.continuous import Free
from energyam.memories.rows import as_wide
from energyam.shown import shown

Number = Float[Array, ""]


class Estimate(NamedTuple):
    """An estimate, and its standard error as estimated from the memory itself."""

    value: Float[Array, ""]
    error: Float[Array, ""]


@shown()
class DistributedDenseAM(eqx.Module):
    """A Gaussian memory of fixed size: E(x) ≈ −1/β log H(x), H(x) = Σ_μ exp(−β/2 ‖x − ξ_μ‖²).

        Ĥ(x) = (1/Y) Σ_y Σ_μ cos ω_y · (x − ξ_μ) = φ(x) · m / Y,    ω_y = √β w_y,  w_y ~ N(0, 1),
        φ(x) = (cos ω_y · x, sin ω_y · x)_y,                        m = Σ_μ φ(ξ_μ)

    The memory is one vector m of 2Y numbers, however many patterns there are: writing adds to it in O(Y D),
    and forgetting subtracts the same. How much room this saves depends on the error that you allow: for
    patterns far from each other the relative error of H at one of them is about √(K / 2Y). If m takes as much
    room as the patterns, 2Y = K D, the error is 1/√D for every K; for smaller errors the patterns themselves
    take less room. The frequencies take another Y D numbers.

    Nothing is clipped. Far from all patterns the estimate is noise and may be negative, as `estimate` shows;
    the energy is +∞ there, and a recall from there ends with the status "not finite". Recall by
    `GradientDescent`. Don't change β after writing, because m depends on it.

    **Arguments:** see `random`; `written` (2Y,) is m.

    Hoover, Chau, Strobelt, Ram & Krotov, "Dense associative memory through the lens of random features",
    NeurIPS 2024; Rahimi & Recht, NeurIPS 2007.

        >>> memory = eam.DistributedDenseAM.random(8, 1000, beta=1.0, key=jr.key(0))
        >>> memory = memory.write(jnp.eye(8) * 4)
        >>> float(memory.energy(jnp.eye(8)[0] * 4)) < float(memory.energy(jnp.zeros(8)))
        True
    """

    frequencies: Float[Array, "Y D"]  # w
    beta: Float[Array, ""]
    written: Float[Array, " N"]
    neurons: Free

    def __init__(self, frequencies: ArrayLike, beta: ArrayLike, written: ArrayLike | None = None):
        self.frequencies = checks.as_floats("frequencies", frequencies, "Y D")
        self.beta = checks.positive_float("beta", beta)
        size = 2 * self.frequencies.shape[0]
        zeros = jnp.zeros(size, float_dtype(self.frequencies.dtype))
        self.written = zeros if written is None else checks.as_vector("written", written, size)
        self.neurons = Free()

    def __check_init__(self):
        checks.as_vector("written", self.written, 2 * self.frequencies.shape[0])

    @staticmethod
    def random(dim: int, num_features: int, beta: ArrayLike, *, key: PRNGKeyArray) -> "DistributedDenseAM":
        """An empty memory of D = `dim` real neurons with Y = `num_features` random frequencies.

        **Arguments:** `beta`: β, per squared distance; `key`: for the frequencies. Raises `ValueError` for
        counts below 1, a β that is not positive, or a `key` that is none.
        """
        checks.key("key", key)
        shape = checks.count("num_features", num_features), checks.count("dim", dim)
        return DistributedDenseAM(jr.normal(key, shape), beta)

    @property
    def num_features(self) -> int:
        """Y, the number of random frequencies."""
        return self.frequencies.shape[0]

    @property
    def state_shape(self) -> tuple[int]:
        """(D,), the shape of a state."""
        return (self.frequencies.shape[1],)

    def write(self, patterns: ArrayLike) -> "DistributedDenseAM":
        """The memory with the patterns (n, D) added; raises `ValueError` for other shapes or not finite."""
        return self._added(1, patterns)

    def forget(self, patterns: ArrayLike) -> "DistributedDenseAM":
        """The memory without patterns (n, D) that were written, up to rounding; raises as `write` does.

        The memory can't know whether they were written: it subtracts them in any case.
        """
        return self._added(-1, patterns)

    def estimate(self, state: ArrayLike) -> Estimate:
        """Ĥ(x) for one state (D,), with its standard error from the spread of the Y features.

        The value is unbiased over the draw of the frequencies, and may be negative where H is smaller than
        the error. The square of the error is unbiased too; `error` gives the exact error for known patterns.
        """
        terms = _terms(self, as_state(state, self.frequencies.shape[1]))
        spread = jnp.sum((terms - jnp.mean(terms)) ** 2) / max(self.num_features - 1, 1)
        return Estimate(jnp.mean(terms), jnp.sqrt(spread / self.num_features))

    def error(self, state: ArrayLike, patterns: ArrayLike) -> Float[Array, ""]:
        """The exact standard deviation of Ĥ(x) over the draw of the frequencies, for these patterns (K, D).

            Var = { ½ Σ_{μν} [k(ξ_μ, ξ_ν) + k(2x, ξ_μ + ξ_ν)] − H² } / Y,    k(a, b) = exp(−β/2 ‖a − b‖²)

        The error of the energy is about error / (β Ĥ), where that is small. Costs O(K² D). Raises
        `ValueError` for another shape.
        """
        state = as_state(state, self.frequencies.shape[1])
        return jnp.sqrt(kernel_variance(state, self._rows(patterns), self.beta) / self.num_features)

    def energy(self, state: ArrayLike) -> Float[Array, ""]:
        """−1/β log Ĥ(x), a scalar for one state (D,); +∞ where the estimate Ĥ is not positive.

        Raises `ValueError` for another shape.
        """
        return _energy(self, as_state(state, self.frequencies.shape[1]))

    def _rows(self, patterns):
        rows = checks.as_floats("patterns", patterns, "K D")
        return as_wide("patterns", rows, self.frequencies.shape[1], self.written.dtype)

    def _added(self, sign, patterns):
        total = _features_of_all(self, self._rows(patterns))
        return eqx.tree_at(lambda m: m.written, self, self.written + sign * total)


@jax.jit
def kernel_variance(state: Float[Array, " D"], patterns: Num[Array, "K D"], beta: Number) -> Number:
    """The variance of Σ_μ cos ω · (x − ξ_μ) over ω ~ N(0, β), for one frequency."""
    apart = patterns.astype(state.dtype) - state[None]

    def of_row(total, row):
        near = jnp.sum(jnp.exp(-0.5 * beta * jnp.sum((apart - row[None]) ** 2, axis=1)))
        far = jnp.sum(jnp.exp(-0.5 * beta * jnp.sum((apart + row[None]) ** 2, axis=1)))
        return total + 0.5 * (near + far), None

    squares, _ = lax.scan(of_row, jnp.zeros((), state.dtype), apart)
    mean = jnp.sum(jnp.exp(-0.5 * beta * jnp.sum(apart**2, axis=1)))
    return jnp.maximum(squares - mean**2, 0)


@eqx.filter_jit
def _energy(memory, state):
    value = jnp.mean(_terms(memory, state))
    positive = value > 0
    return jnp.where(positive, -jnp.log(jnp.where(positive, value, 1)) / memory.beta, jnp.inf)


def _terms(memory, state):
    """Σ_μ cos ω_y · (x − ξ_μ) for each y, (Y,), from the sums of the patterns' cosines and sines."""
    waves = _waves(memory, state) * memory.written.astype(state.dtype)
    return jnp.sum(waves.reshape(2, -1), axis=0)


def _waves(memory, state):
    """cos ω_y · x and then sin ω_y · x, (2Y,)."""
    phases = jnp.sqrt(memory.beta) * dot(memory.frequencies, state)
    return jnp.concatenate([jnp.cos(phases), jnp.sin(phases)])


@eqx.filter_jit
def _features_of_all(memory, patterns):
    """Σ_μ of the patterns' waves, one pattern after another: nothing of the size K·Y is made."""
    add = lambda total, row: (total + _waves(memory, row), None)  # noqa: E731
    return lax.scan(add, jnp.zeros_like(memory.written), patterns)[0]
