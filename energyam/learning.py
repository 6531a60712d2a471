"""Learning rules: patterns (K, D) or key-value pairs in, a matrix of weights out.

Two steps write one pattern at a time, `hebbian_step` and `storkey_step`. They take any real state, a rate
and a decay, and go into `jit`, `scan` and `grad` as they are. Whole rules are built from them.

    rule               weights                                        patterns D neurons hold
    hebbian            XᵀX / D                                        0.138 D
    storkey            one Storkey step a pattern                     D / √(2 ln D)
    pseudo_inverse     X⁺X, the projection onto the patterns          D (independent ones)
    sequence_weights   XᵀX / D + transitions; not symmetric           states that follow one another

All four have a zero diagonal. For ±1 states the diagonal adds a constant to the energy -1/2 xᵀWx, but in
a synchronous update it holds every neuron at the value it has.
"""

from collections.abc import Callable

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jax.scipy.linalg import cho_factor, cho_solve
from jaxtyping import Array, ArrayLike, Float, ScalarLike, Shaped

from energyam import checks

Step = Callable[..., Float[Array, "D D"]]


def hebbian_step(
    weights: Float[Array, "D D"],
    state: Shaped[Array, " D"],
    rate: ScalarLike | None = None,
    decay: ScalarLike = 1.0,
) -> Float[Array, "D D"]:
    """Write one state by Hebb's rule: neurons that are active together are joined.

        W <- decay · W + rate · x xᵀ

    `state` (D,) holds any real numbers; `rate` is 1/D unless given, and a negative rate erases. The diagonal
    is written like every other entry: `hebbian` removes it, fast weights (Ba et al. 2016) keep it.
    """
    x = state.astype(weights.dtype)
    return jnp.asarray(decay, x.dtype) * weights + _rate(rate, x) * jnp.outer(x, x)


def storkey_step(
    weights: Float[Array, "D D"],
    state: Shaped[Array, " D"],
    rate: ScalarLike | None = None,
    decay: ScalarLike = 1.0,
) -> Float[Array, "D D"]:
    """Write one state by Storkey's rule: Hebb's, less what the weights already say about the state.

        W_ij <- decay · W_ij + rate · (x_i x_j - x_i h_ji - h_ij x_j),    h_ij = Σ_{k ≠ i,j} W_ik x_k

    `weights` (D, D) must be symmetric; their diagonal is not read, and the result has none. `state` (D,)
    holds any real numbers; `rate` is 1/D unless given. For i ≠ j, with h_i = Σ_{k ≠ i} W_ik x_k,
    h_ij is h_i - W_ij x_j, so no D×D×D sum is needed. (Storkey 1997, "Increasing the capacity of a Hopfield
    network without sacrificing functionality".)

    Code in circulation often takes h = (W + x xᵀ / D) x, which counts k = i, j and the new state in the
    field. That is another rule, with nearly the same capacity; this is the published one.
    """
    x = state.astype(weights.dtype)
    h = _dot(weights, x) - jnp.diagonal(weights) * x
    row, column, h_row, h_column = x[:, None], x[None, :], h[:, None], h[None, :]
    change = row * column - (row * h_column + h_row * column) + weights * (row**2 + column**2)
    return _hollow(jnp.asarray(decay, x.dtype) * weights + _rate(rate, x) * change)


def store(
    weights: Float[Array, "D D"],
    patterns: Shaped[ArrayLike, "..."],
    step: Step = storkey_step,
    rate: ScalarLike | None = None,
    decay: ScalarLike = 1.0,
) -> Float[Array, "D D"]:
    """Write patterns (K, D) into `weights` one after another, in the order given.

        W <- step(W, ξ_μ, rate, decay)    for μ = 1 … K

    One compiled loop (`lax.scan`), whatever K. `step` is `hebbian_step`, `storkey_step` or your own. With a
    decay below 1 old patterns fade and new ones always fit. Raises `ValueError` for patterns that are not
    (K, D), empty or not finite.
    """
    states = checks.as_floats("patterns", patterns, "K D").astype(weights.dtype)
    D = weights.shape[0]
    if states.shape[1] != D:
        raise ValueError(f"patterns must be (K, {D}) for weights ({D}, {D}); got shape {states.shape}")
    return _store(weights, states, step, _rate(rate, states[0]), jnp.asarray(decay, weights.dtype))


def forget(
    weights: Float[Array, "D D"], state: Shaped[ArrayLike, "..."], rate: ScalarLike | None = None
) -> Float[Array, "D D"]:
    """Erase a state (D,): one Hebbian step of the opposite sign, zero diagonal.

        W_ij <- W_ij - rate · x_i x_j,    i ≠ j

    At the default rate 1/D a pattern written by `hebbian` is gone exactly. At a small rate (.01/D), applied
    to states that random queries end in, it weakens spurious states more than stored ones (Hopfield,
    Feinstein & Palmer 1983, "'Unlearning' has a stabilizing effect in collective memories"). Raises
    `ValueError` for a state of another length or with NaN.
    """
    x = checks.as_vector("state", state, weights.shape[0]).astype(weights.dtype)
    return _hollow(hebbian_step(weights, x, -_rate(rate, x)))


def hebbian(patterns: Shaped[ArrayLike, "..."]) -> Float[Array, "D D"]:
    """The Hebbian weights of patterns (K, D) with entries ±1.

        W = XᵀX / D, zero diagonal

    A Hopfield network with these weights and `CHN(patterns)` take the same asynchronous decisions: their
    energies are -1/2 xᵀWx and -1/2 Σ_μ (ξ_μ·x)² = -D/2 xᵀWx - K D/2, so they differ by a factor and by what
    the missing diagonal would add, which is the same for every ±1 state. Raises `ValueError` for patterns
    that are not (K, D) or not ±1. (Hopfield 1982.)
    """
    x = _states(patterns)
    return _hollow(correlation_matrix_memory(x, x) / x.shape[1])


def storkey(patterns: Shaped[ArrayLike, "..."]) -> Float[Array, "D D"]:
    """The weights after writing patterns (K, D) with entries ±1 one by one with `storkey_step`.

    Zero diagonal; K·D² work in one compiled loop, no array larger than the weights. Raises `ValueError` for
    patterns that are not (K, D) or not ±1. (Storkey 1997.)
    """
    x = _states(patterns)
    return store(jnp.zeros((x.shape[1], x.shape[1]), x.dtype), x, storkey_step)


def pseudo_inverse(patterns: Shaped[ArrayLike, "..."]) -> Float[Array, "D D"]:
    """The projection rule: weights under which every one of up to D independent patterns is a fixed point.

        W = X⁺X, zero diagonal

    X⁺X projects onto the span of patterns (K, D) with entries ±1; dependent patterns are no problem.
    Removing the diagonal keeps the fixed points and widens their basins. When the patterns span all D
    dimensions the projection is the identity, and nothing is left to recall by. Raises `ValueError` for
    patterns that are not (K, D) or not ±1. (Personnaz, Guyon & Dreyfus 1986; Kanter & Sompolinsky 1987.)
    """
    x = _states(patterns)
    return _hollow(optimal_linear_associator(x, x))


def transition_weights(
    patterns: Shaped[ArrayLike, "..."], transitions: Shaped[ArrayLike, "..."]
) -> Float[Array, "D D"]:
    """Weights that turn each pattern into the one that follows it.

        W = Σ_ij T_ij ξ_j ξ_iᵀ / D, zero diagonal

    `transitions` T (K, K) has T_ij = 1 where pattern i is followed by pattern j; other numbers weigh several
    followers against each other. Alone they drive a `SequenceNetwork` with a delay. Raises `ValueError` for
    patterns that are not (K, D) or not ±1 and for transitions that are not (K, K). (Amit 1989, "Modeling
    Brain Function", section 5.2; Sompolinsky & Kanter 1986.)
    """
    x = _states(patterns)
    T = checks.as_floats("transitions", transitions, "K K").astype(x.dtype)
    if T.shape != (x.shape[0], x.shape[0]):
        raise ValueError(f"transitions must be (K, K) with K = {x.shape[0]}; got shape {T.shape}")
    followers = _dot(T, x)
    return _hollow(correlation_matrix_memory(x, followers) / x.shape[1])


def sequence_weights(
    patterns: Shaped[ArrayLike, "..."], transitions: Shaped[ArrayLike, "..."], strength: ScalarLike
) -> Float[Array, "D D"]:
    """Weights under which the state hops from pattern to pattern: Hebb's, and transitions.

        W = (Σ_i ξ_i ξ_iᵀ + strength · Σ_ij T_ij ξ_j ξ_iᵀ) / D, zero diagonal

    `sign(W ξ_i)` goes towards ξ_j where T_ij = 1 and `strength` is above 1. W is not symmetric, so there is
    no energy: run it with `SequenceNetwork`. Raises `ValueError` as `transition_weights` does, and for a
    strength that is not one finite number. (Amit 1989, "Modeling Brain Function", section 5.2.)
    """
    return hebbian(patterns) + checks.as_floats("strength", strength, "") * transition_weights(
        patterns, transitions
    )


def correlation_matrix_memory(
    keys: Shaped[ArrayLike, "..."], values: Shaped[ArrayLike, "..."]
) -> Float[Array, "Dv Dk"]:
    """The correlation matrix of keys (K, Dk) and values (K, Dv), the simplest heteroassociative memory.

        W = Σ_μ v_μ k_μᵀ

    `W @ key` is the value where the keys are orthonormal, and a mixture of values elsewhere. Raises
    `ValueError` for keys and values of different K, empty or not finite. (Kohonen 1972, "Correlation matrix
    memories".)
    """
    k, v = checks.as_pairs(keys, values)
    return _dot(v.T, k)


def optimal_linear_associator(
    keys: Shaped[ArrayLike, "..."], values: Shaped[ArrayLike, "..."], ridge: ScalarLike = 0.0
) -> Float[Array, "Dv Dk"]:
    """The matrix that maps keys (K, Dk) to values (K, Dv) with the least squared error.

        W = V K⁺ = argmin_W Σ_μ ‖v_μ - W k_μ‖² + ridge ‖W‖²

    Exact recall for up to Dk independent keys; among equal minima, the smallest W. Well-conditioned keys
    cost two passes of K·Dk² or K²·Dk. For others, dependent ones among them, a singular value decomposition
    drops what is zero to rounding.

    Raises `ValueError` for keys and values of different K, empty or not finite, keys that are all zero, or a
    negative ridge. (Kohonen & Ruohonen 1973, "Representation of associated data by matrix operators".)
    """
    checks.not_negative("ridge", ridge)
    k, v = checks.as_pairs(keys, values)
    if checks.is_known(k) and not bool(jnp.any(k)):
        raise ValueError("keys must not all be zero; got zeros only, which no value can be read from")
    if not checks.is_known(ridge) or np.any(ridge):  # as Dk more pairs: √ridge times an axis, and no value
        k = jnp.concatenate([k, jnp.sqrt(jnp.asarray(ridge, k.dtype)) * jnp.eye(k.shape[1], dtype=k.dtype)])
        v = jnp.pad(v, [(0, k.shape[0] - v.shape[0]), (0, 0)])
    return _least_squares(k, v).T


def _states(patterns: Shaped[ArrayLike, "..."]) -> Float[Array, "K D"]:
    return checks.as_binary("patterns", patterns, "K D").astype(float)


def _rate(rate: ScalarLike | None, state: Float[Array, " D"]) -> Float[Array, ""]:
    return jnp.asarray(1 / state.shape[0] if rate is None else rate, state.dtype)


def _hollow(weights: Float[Array, "D D"]) -> Float[Array, "D D"]:
    return jnp.where(jnp.eye(weights.shape[0], dtype=bool), 0, weights)


@eqx.filter_jit
def _store(
    weights: Float[Array, "D D"], states: Float[Array, "K D"], step: Step, rate: ScalarLike, decay: ScalarLike
) -> Float[Array, "D D"]:
    def write(weights: Float[Array, "D D"], state: Float[Array, " D"]):
        return step(weights, state, rate, decay), None

    return jax.lax.scan(write, weights, states)[0]


@jax.jit
def _least_squares(keys: Float[Array, "K Dk"], values: Float[Array, "K Dv"]) -> Float[Array, "Dk Dv"]:
    """keys⁺ values: by Cholesky and one refinement where that settles, else by `_least_squares_by_svd`.

    The refinement shows how much the squared condition of the Gram matrix costs; it leaves the square of it.
    """
    many = keys.shape[0] > keys.shape[1]
    factor = cho_factor(_dot(keys.T, keys) if many else _dot(keys, keys.T))

    def solve(targets: Float[Array, "K Dv"]) -> Float[Array, "Dk Dv"]:
        return cho_solve(factor, _dot(keys.T, targets)) if many else _dot(keys.T, cho_solve(factor, targets))

    first = solve(values)
    correction = solve(values - _dot(keys, first))
    pivots = jnp.diagonal(factor[0])
    regular = jnp.min(pivots) ** 2 > pivots.size * jnp.finfo(keys.dtype).eps * jnp.max(pivots) ** 2
    settles = jnp.linalg.norm(correction) < 1e-3 * jnp.linalg.norm(first)  # False for NaN
    return jax.lax.cond(
        regular & settles, lambda: first + correction, lambda: _least_squares_by_svd(keys, values)
    )


def _least_squares_by_svd(keys: Float[Array, "K Dk"], values: Float[Array, "K Dv"]) -> Float[Array, "Dk Dv"]:
    """keys⁺ values, for any keys: through the small factor of keys = Q R (many) or keysᵀ = Q R (few)."""
    many = keys.shape[0] > keys.shape[1]
    Q, R = jnp.linalg.qr(keys if many else keys.T)
    U, s, Vt = jnp.linalg.svd(R if many else R.T)
    kept = s > s[0] * s.size * jnp.finfo(s.dtype).eps
    inverse = jnp.where(kept, 1 / jnp.where(kept, s, 1), 0)[:, None]
    inner = _dot(Vt.T, inverse * _dot(U.T, _dot(Q.T, values) if many else values))
    return inner if many else _dot(Q, inner)


def _dot(a: Float[Array, "..."], b: Float[Array, "..."]) -> Float[Array, "..."]:
    return jnp.matmul(a, b, precision="highest")
