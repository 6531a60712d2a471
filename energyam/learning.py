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
from jaxtyping import Array, ArrayLike, Float, ScalarLike

from energyam import checks
from energyam.least_squares import dot, least_squares, projection
from energyam.names import public_names

Weights = Float[Array, "D D"]
Map = Float[Array, "Dv Dk"]
Scalar = ScalarLike
Rate = ScalarLike | None  # 1/D where there is none
Step = Callable[..., Weights]


def hebbian_step(weights: ArrayLike, state: ArrayLike, rate: Rate = None, decay: Scalar = 1.0) -> Weights:
    """Write one state by Hebb's rule: neurons that are active together are joined.

        W <- decay · W + rate · x xᵀ

    `state` (D,) holds any real numbers; `rate` is 1/D unless given, and a negative rate erases. The diagonal
    is written like every other entry: `hebbian` removes it, fast weights (Ba et al. 2016) keep it. Whole
    numbers are taken as floats. Raises `ValueError` for weights that are not (D, D), a state that is not
    (D,), or a rate or decay that is not one finite number.
    """
    W, x = _written(weights, state)
    return _number("decay", decay, x) * W + _rate(rate, x) * jnp.outer(x, x)


def storkey_step(weights: ArrayLike, state: ArrayLike, rate: Rate = None, decay: Scalar = 1.0) -> Weights:
    """Write one state by Storkey's rule: Hebb's, less what the weights already say about the state.

        W_ij <- decay · W_ij + rate · (x_i x_j - x_i h_ji - h_ij x_j),    h_ij = Σ_{k ≠ i,j} W_ik x_k

    `weights` (D, D) must be symmetric; their diagonal is not read, and the result has none. `state` (D,)
    holds any real numbers; `rate` is 1/D unless given. For i ≠ j, with h_i = Σ_{k ≠ i} W_ik x_k,
    h_ij is h_i - W_ij x_j, so no D×D×D sum is needed. (Storkey 1997, "Increasing the capacity of a Hopfield
    network without sacrificing functionality".)

    Code in circulation often takes h = (W + x xᵀ / D) x, which counts k = i, j and the new state in the
    field. That is another rule, with nearly the same capacity; this is the published one. Raises
    `ValueError` as `hebbian_step` does.
    """
    W, x = _written(weights, state)
    h = dot(W, x) - jnp.diagonal(W) * x
    row, column, h_row, h_column = x[:, None], x[None, :], h[:, None], h[None, :]
    change = row * column - (row * h_column + h_row * column) + W * (row**2 + column**2)
    return _hollow(_number("decay", decay, x) * W + _rate(rate, x) * change)


def store(
    weights: ArrayLike, patterns: ArrayLike, step: Step = storkey_step, rate: Rate = None, decay: Scalar = 1.0
) -> Weights:
    """Write patterns (K, D) into `weights` one after another, in the order given.

        W <- step(W, ξ_μ, rate, decay)    for μ = 1 … K

    One compiled loop (`lax.scan`), whatever K. `step` is `hebbian_step`, `storkey_step` or your own. With a
    decay below 1 old patterns fade and new ones always fit. Raises `ValueError` for patterns that are not
    (K, D), empty or not finite, for weights that are not (D, D), for a step that is no function, and for a
    rate or decay that is not one finite number.
    """
    checks.function("step", step)
    weights = checks.as_square("weights", weights)
    states = checks.as_floats("patterns", patterns, f"K {weights.shape[0]}").astype(weights.dtype)
    return _store(weights, states, step, _rate(rate, states[0]), _number("decay", decay, states))


def forget(weights: ArrayLike, state: ArrayLike, rate: Rate = None) -> Weights:
    """Erase a state (D,): one Hebbian step of the opposite sign, zero diagonal.

        W_ij <- W_ij - rate · x_i x_j,    i ≠ j

    At the default rate 1/D a pattern written by `hebbian` is gone exactly. At a small rate (.01/D), applied
    to states that random queries end in, it weakens spurious states more than stored ones (Hopfield,
    Feinstein & Palmer 1983, "'Unlearning' has a stabilizing effect in collective memories"). Raises
    `ValueError` as `hebbian_step` does.
    """
    W, x = _written(weights, state)
    return _hollow(hebbian_step(W, x, -_rate(rate, x)))


def hebbian(patterns: ArrayLike) -> Weights:
    """The Hebbian weights of patterns (K, D) with entries ±1.

        W = XᵀX / D, zero diagonal

    A Hopfield network with these weights and `CHN(patterns)` take the same asynchronous decisions: their
    energies are -1/2 xᵀWx and -1/2 Σ_μ (ξ_μ·x)² = -D/2 xᵀWx - K D/2, so they differ by a factor and by what
    the missing diagonal would add, which is the same for every ±1 state. Raises `ValueError` for patterns
    that are not (K, D) or not ±1. (Hopfield 1982.)
    """
    x = _states(patterns)
    return _hollow(correlation_matrix_memory(x, x) / x.shape[1])


def storkey(patterns: ArrayLike) -> Weights:
    """The weights after writing patterns (K, D) with entries ±1 one by one with `storkey_step`.

    Zero diagonal; K·D² work in one compiled loop, no array larger than the weights. Raises `ValueError` for
    patterns that are not (K, D) or not ±1. (Storkey 1997.)
    """
    x = _states(patterns)
    return store(jnp.zeros((x.shape[1], x.shape[1]), x.dtype), x, storkey_step)


def pseudo_inverse(patterns: ArrayLike) -> Weights:
    """The projection rule: weights under which every stored pattern is a fixed point, however correlated.

        W = X⁺X, zero diagonal

    P = X⁺X projects onto the span of patterns (K, D) with entries ±1; dependent patterns are no problem.
    The field at neuron i of a pattern ξ is (1 - P_ii) ξ_i, so that removing the diagonal keeps the fixed
    points and widens their basins. Where P_ii is 1 the row is exactly 0, and the tie keeps the neuron: the
    patterns don't say how this one follows from others. When they span all D dimensions that is so of every
    neuron, the weights are 0, and every state is a fixed point.

    Symmetric to the bit. A singular value decomposition in double precision, except on TPUs, which have none:
    min(K, D) K D work. Raises `ValueError` for patterns that are not (K, D) or not ±1. (Personnaz, Guyon &
    Dreyfus 1986; Kanter & Sompolinsky 1987.)
    """
    return _hollow(projection(_states(patterns)))


def transition_weights(patterns: ArrayLike, transitions: ArrayLike) -> Weights:
    """Weights that turn each pattern into the one that follows it.

        W = Σ_ij T_ij ξ_j ξ_iᵀ / D, zero diagonal

    `transitions` T (K, K) has T_ij = 1 where pattern i is followed by pattern j; other numbers weigh several
    followers against each other. Alone they drive a `SequenceNetwork` with a delay. Raises `ValueError` for
    patterns that are not (K, D) or not ±1 and for transitions that are not (K, K). (Amit 1989, "Modeling
    Brain Function", section 5.2; Sompolinsky & Kanter 1986.)
    """
    x = _states(patterns)
    followers = dot(as_transitions(transitions, x.shape[0]).astype(x.dtype), x)
    return _hollow(correlation_matrix_memory(x, followers) / x.shape[1])


def sequence_weights(patterns: ArrayLike, transitions: ArrayLike, strength: ScalarLike) -> Weights:
    """Weights under which the state hops from pattern to pattern: Hebb's, and transitions.

        W = (Σ_i ξ_i ξ_iᵀ + strength · Σ_ij T_ij ξ_j ξ_iᵀ) / D, zero diagonal

    `sign(W ξ_i)` goes towards ξ_j where T_ij = 1 and `strength` is above 1. W is not symmetric, so there is
    no energy: run it with `SequenceNetwork`. Raises `ValueError` as `transition_weights` does, and for a
    strength that is not one finite number. (Amit 1989, "Modeling Brain Function", section 5.2.)
    """
    weight = checks.as_floats("strength", strength, "")
    return hebbian(patterns) + weight * transition_weights(patterns, transitions)


def correlation_matrix_memory(keys: ArrayLike, values: ArrayLike) -> Map:
    """The correlation matrix of keys (K, Dk) and values (K, Dv), the simplest heteroassociative memory.

        W = Σ_μ v_μ k_μᵀ

    `W @ key` is the value where the keys are orthonormal, and a mixture of values elsewhere. Raises
    `ValueError` for keys and values of different K, empty or not finite. (Kohonen 1972, "Correlation matrix
    memories".)
    """
    k, v = checks.as_pairs(keys, values)
    return dot(v.T, k)


def optimal_linear_associator(keys: ArrayLike, values: ArrayLike, ridge: ScalarLike = 0.0) -> Map:
    """The matrix that maps keys (K, Dk) to values (K, Dv) with the least squared error.

        W = V K⁺ = argmin_W Σ_μ ‖v_μ - W k_μ‖² + ridge ‖W‖²

    Exact recall for up to Dk independent keys; among equal minima, the smallest W. Well-conditioned keys
    cost two passes of K·Dk² or K²·Dk. For others, dependent ones among them, a singular value decomposition
    drops what is zero to rounding.

    Raises `ValueError` for keys and values of different K, empty or not finite, keys that are all zero, or a
    negative ridge. (Kohonen & Ruohonen 1973, "Representation of associated data by matrix operators".)
    """
    checks.not_negative("ridge", ridge, "")
    k, v = checks.as_pairs(keys, values)
    if not checks.passes(jnp.any, k):
        raise ValueError("keys must not all be zero; got zeros only, which no value can be read from")
    if not checks.is_known(ridge) or np.any(ridge):  # as Dk more pairs: √ridge times an axis, and no value
        k = jnp.concatenate([k, jnp.sqrt(jnp.asarray(ridge, k.dtype)) * jnp.eye(k.shape[1], dtype=k.dtype)])
        v = jnp.pad(v, [(0, k.shape[0] - v.shape[0]), (0, 0)])
    return least_squares(k, v).T


def as_transitions(transitions: ArrayLike, num_patterns: int) -> Float[Array, "K K"]:
    """Transitions T (K, K) between K patterns as floats; raises `ValueError` for another shape."""
    T = checks.as_floats("transitions", transitions, "K K")
    if T.shape != (num_patterns, num_patterns):
        raise ValueError(f"transitions must be (K, K) with K = {num_patterns}; got shape {T.shape}")
    return T


def _states(patterns: ArrayLike) -> Float[Array, "K D"]:
    return checks.as_binary("patterns", patterns, "K D").astype(float)


def _written(weights: ArrayLike, state: ArrayLike) -> tuple[Weights, Float[Array, " D"]]:
    """Weights and a state as floats: a rate of 1/D times whole numbers must not be cut to 0."""
    W = checks.as_square("weights", weights)
    return W, checks.as_vector("state", state, W.shape[0]).astype(W.dtype)


def _rate(rate: ScalarLike | None, state: Float[Array, " D"]) -> Float[Array, ""]:
    return _number("rate", 1 / state.shape[0] if rate is None else rate, state)


def _number(name: str, value: ScalarLike, like: Float[Array, "..."]) -> Float[Array, ""]:
    return checks.as_floats(name, value, "").astype(like.dtype)


def _hollow(weights: Weights) -> Weights:
    return jnp.where(jnp.eye(weights.shape[0], dtype=bool), 0, weights)


@eqx.filter_jit
def _store(weights, states, step, rate, decay):
    def write(weights, state):
        D = len(state)
        return checks.as_array("step(…)", step(weights, state, rate, decay), f"{D} {D}"), None

    return jax.lax.scan(write, weights, states)[0]


__all__, __dir__ = public_names(__name__, without="as_transitions")
