"""Rules that compute a matrix of weights from patterns (K, D), or from pairs of keys and values.

    rule               weights                                        patterns D neurons hold
    hebbian            XᵀX / D                                        0.138 D
    storkey            one Storkey step a pattern                     D / √(2 ln D)
    pseudo_inverse     X⁺X, the projection onto the patterns          D (independent ones)
    dreaming           from hebbian to pseudo_inverse, as it sleeps   0.138 D to D
    minover            of the largest margin                          up to 2 D, if not symmetric
    sequence_weights   XᵀX / D + transitions; not symmetric           states that follow one another

All have a zero diagonal. For ±1 states the diagonal adds a constant to the energy -1/2 xᵀWx, but in
a synchronous update it holds every neuron at the value it has.
"""

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, ArrayLike, Float, ScalarLike

from energyam import checks
from energyam.learning.steps import hollow, storkey_step
from energyam.learning.writing import write
from energyam.least_squares import dot, least_squares, projection

Weights = Float[Array, "D D"]
Map = Float[Array, "Dv Dk"]


def hebbian(
    patterns: ArrayLike, strengths: ArrayLike | None = None, activity: ScalarLike | None = None
) -> Weights:
    """The Hebbian weights of patterns (K, D) with entries ±1, or 0 and 1 if an activity is given.

        W = Σ_μ s_μ ξ_μ ξ_μᵀ / D, zero diagonal
        W = Σ_μ s_μ (ξ_μ - a) (ξ_μ - a)ᵀ / (a (1 - a) D), zero diagonal, with the activity a

    A Hopfield network with these weights and `CHN(patterns)` flip the same neurons in asynchronous recall:
    their energies are -1/2 xᵀWx and -1/2 Σ_μ (ξ_μ·x)² = -D/2 xᵀWx - K D/2, which differ by a factor and a
    constant from the missing diagonal. (Hopfield 1982.)

    **Arguments:** `strengths` s (K,): how strongly each pattern is written, 1 unless given; `activity` a,
    between 0 and 1: the share of active neurons, for neurons `ZeroOne()`. The field of a pattern is then 1 -
    a at its active neurons and -a at the others, so that a bias near a - 1/2 separates them. (Tsodyks &
    Feigelman 1988.) Raises `ValueError` for patterns that are not (K, D) or have other entries, strengths
    that are not (K,) finite numbers, and an activity that does not lie between 0 and 1.

        >>> eam.hebbian(jnp.array([[1, 1], [1, 1]]))
        Array([[0., 1.],
               [1., 0.]], dtype=float32)
    """
    x = _states(patterns) if activity is None else _centred(patterns, activity)
    if strengths is not None:
        s = checks.as_vector("strengths", strengths, x.shape[0]).astype(x.dtype)
        return hollow(correlation_matrix_memory(x, s[:, None] * x) / x.shape[1])
    return hollow(correlation_matrix_memory(x, x) / x.shape[1])


def storkey(patterns: ArrayLike) -> Weights:
    """The weights after writing patterns (K, D) with entries ±1 one by one with `storkey_step`.

    Zero diagonal; K·D² work in one compiled loop, no array larger than the weights. Raises `ValueError` for
    patterns that are not (K, D) or not ±1. (Storkey 1997.)

        >>> patterns = eam.datasets.random_patterns(6, 32, key=jr.key(1))
        >>> matrices = eam.hebbian(patterns), eam.storkey(patterns)
        >>> [int((jnp.sign(patterns @ W) != patterns).sum()) for W in matrices]  # wrong neurons
        [1, 0]
    """
    x = _states(patterns)
    return write(jnp.zeros((x.shape[1], x.shape[1]), x.dtype), x, step=storkey_step)


def pseudo_inverse(patterns: ArrayLike) -> Weights:
    """The projection rule: weights under which every stored pattern is a fixed point, however correlated.

        W = X⁺X, zero diagonal

    P = X⁺X projects onto the span of patterns (K, D) with entries ±1; dependent patterns are no problem. The
    field at neuron i of a pattern ξ is (1 - P_ii) ξ_i, so that removing the diagonal keeps the fixed points
    and widens their basins. Where P_ii is 1 the row is exactly 0, because the patterns don't determine this
    neuron from the others, and the tie leaves it as it is. If the patterns span all D dimensions, this holds
    for every neuron: the weights are 0, and every state is a fixed point.

    Symmetric to the bit. A singular value decomposition in double precision, except on TPUs, which have none:
    min(K, D) K D work. Raises `ValueError` for patterns that are not (K, D) or not ±1. (Personnaz, Guyon &
    Dreyfus 1986; Kanter & Sompolinsky 1987.)

        >>> patterns = jnp.array([[1, 1, 1, -1], [1, -1, 1, 1]])
        >>> np.asarray(eam.pseudo_inverse(patterns) @ patterns[0]).round(3)  # the signs are the pattern
        array([ 0.5,  0.5,  0.5, -0.5], dtype=float32)
    """
    return hollow(projection(_states(patterns)))


def transition_weights(patterns: ArrayLike, transitions: ArrayLike) -> Weights:
    """Weights that turn each pattern into the one that follows it.

        W = Σ_ij T_ij ξ_j ξ_iᵀ / D, zero diagonal

    `transitions` T (K, K) has T_ij = 1 where pattern i is followed by pattern j; other numbers weigh several
    followers against each other. By themselves they are the delayed weights of a `SequenceNetwork`. Raises
    `ValueError` for patterns that are not (K, D) or not ±1 and for transitions that are not (K, K). (Amit
    1989, "Modeling Brain Function", section 5.2; Sompolinsky & Kanter 1986.)

        >>> steps = jnp.array([[1, 1, 1, 1], [1, -1, 1, -1]])
        >>> weights = eam.learning.transition_weights(steps, jnp.array([[0, 1], [0, 0]]))
        >>> jnp.sign(weights @ steps[0])
        Array([ 1., -1.,  1., -1.], dtype=float32)
    """
    x = _states(patterns)
    followers = dot(as_transitions(transitions, x.shape[0]).astype(x.dtype), x)
    return hollow(correlation_matrix_memory(x, followers) / x.shape[1])


def sequence_weights(patterns: ArrayLike, transitions: ArrayLike, strength: ScalarLike) -> Weights:
    """Weights under which the state hops from pattern to pattern: Hebb's, and transitions.

        W = (Σ_i ξ_i ξ_iᵀ + strength · Σ_ij T_ij ξ_j ξ_iᵀ) / D, zero diagonal

    `sign(W ξ_i)` goes towards ξ_j where T_ij = 1 and `strength` is above 1. W is not symmetric, so there is
    no energy: run it with `SequenceNetwork`. Raises `ValueError` as `transition_weights` does, and for a
    strength that is not one finite number. (Amit 1989, "Modeling Brain Function", section 5.2.)

        >>> steps = jnp.array([[1, 1, 1, 1], [1, -1, 1, -1]])
        >>> weights = eam.sequence_weights(steps, jnp.array([[0, 1], [0, 0]]), 2.0)  # 0 calls 1
        >>> jnp.sign(weights @ steps[0])
        Array([ 1., -1.,  1., -1.], dtype=float32)
    """
    weight = checks.as_floats("strength", strength, "")
    return hebbian(patterns) + weight * transition_weights(patterns, transitions)


def correlation_matrix_memory(keys: ArrayLike, values: ArrayLike) -> Map:
    """The correlation matrix of keys (K, Dk) and values (K, Dv), the simplest heteroassociative memory.

        W = Σ_μ v_μ k_μᵀ

    `W @ key` is the value where the keys are orthonormal, and a mixture of values elsewhere. Raises
    `ValueError` for keys and values of different K, empty or not finite. (Kohonen 1972, "Correlation matrix
    memories".)

        >>> keys, values = jnp.array([[1.0, 0.0], [0.0, 1.0]]), jnp.array([[10.0], [20.0]])
        >>> eam.correlation_matrix_memory(keys, values) @ keys[1]
        Array([20.], dtype=float32)
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

        >>> keys, values = jnp.array([[1.0, 0.0], [1.0, 1.0]]), jnp.array([[10.0], [20.0]])
        >>> weights = eam.optimal_linear_associator(keys, values)
        >>> np.asarray(weights @ keys.T).round(3)  # exact, though the keys overlap
        array([[10., 20.]], dtype=float32)
    """
    checks.not_negative("ridge", ridge, "")
    k, v = checks.as_pairs(keys, values)
    if not checks.passes(lambda k: k.any(), k):
        raise ValueError("keys must not all be zero, as no value could be read; got zeros only")
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


def _centred(patterns: ArrayLike, activity: ScalarLike) -> Float[Array, "K D"]:
    """Patterns 0/1 about their activity, and of variance 1 if they have it."""
    x, a = checks.as_floats("patterns", patterns, "K D"), checks.as_floats("activity", activity, "")
    x, a = x.astype(float), a.astype(float)
    if not checks.passes(lambda x: ((x == 0) | (x == 1)).all(), x):
        raise ValueError("patterns must have entries 0 and 1 where an activity is given; got others")
    if not checks.passes(lambda a: (a > 0) & (a < 1), a):
        raise ValueError(f"activity must lie between 0 and 1, exclusive; got {activity}")
    return (x - a) / jnp.sqrt(a * (1 - a))
