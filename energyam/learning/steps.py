"""Steps: rules that write one pair of a key and a value into weights, and the loop over many pairs.

Every step is `step(weights, key, value=None, *, rate=None, decay=1.0)`; without a value, the key is also the
value. Steps can be used inside `jit`, `scan`, `vmap` and `grad`.
"""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
from jaxtyping import Array, ArrayLike, Float, ScalarLike

from energyam import checks
from energyam.least_squares import dot

Weights = Float[Array, "Dv Dk"]
Rate = ScalarLike | None
Step = Callable[..., Any]


def hebbian_step(
    weights: ArrayLike,
    key: ArrayLike,
    value: ArrayLike | None = None,
    *,
    rate: Rate = None,
    decay: ScalarLike = 1.0,
) -> Weights:
    """Write one pair by Hebb's rule: neurons that are active together are joined.

        W <- decay · W + rate · v kᵀ

    With a decay below 1 and a read after each step this is linear attention with a forget gate (Katharopoulos
    et al. 2020; Yang et al. 2024, "Gated linear attention transformers").

    **Arguments:** `weights` (Dv, Dk); `key` (Dk,) and `value` (Dv,): any real numbers; without a value the
    key is also the value, and weights must be square; `rate`: at least 0, 1/Dk by default (use `forget` to
    erase); `decay`: one number of at least 0. The diagonal is written like every other entry: `hebbian`
    removes it, fast weights (Ba et al. 2016) keep it. Whole numbers are taken as floats. Raises `ValueError`
    for other shapes, a rate or decay that is not one finite number or is negative, and, without a value, a
    key of 0s and 1s only (couplings would only grow).

        >>> eam.learning.hebbian_step(jnp.zeros((2, 2)), jnp.array([1.0, -1.0]))
        Array([[ 0.5, -0.5],
               [-0.5,  0.5]], dtype=float32)
    """
    W, k, v = _pair(weights, key, value)
    if value is None:
        must_have_signs("key", k)
    return as_decay(decay, W) * W + rate_or(rate, k) * jnp.outer(v, k)


def delta_step(
    weights: ArrayLike,
    key: ArrayLike,
    value: ArrayLike | None = None,
    *,
    rate: Rate = None,
    decay: ScalarLike = 1.0,
) -> Weights:
    """Write one pair by the delta rule: correct the error of the value that is read for the key.

        W <- decay · W;    W <- W + rate · (v − W k) kᵀ

    What was stored under the key is replaced by the fraction rate · ‖k‖²; other keys change by their overlap
    with it. This is one step of gradient descent on ½‖v − W k‖² (Widrow & Hoff 1960), the write of a DeltaNet
    (Schlag, Irie & Schmidhuber 2021, "Linear transformers are secretly fast weight programmers"), and with a
    decay the gated delta rule (Yang, Kautz & Hatamizadeh 2024, "Gated delta networks").

    **Arguments:** as for `hebbian_step`; `rate`: 1/‖k‖² unless given, which stores the pair exactly. It is
    stable for 0 < rate · ‖k‖² < 2, and raises `ValueError` if this is known not to hold (a rate of 0 is
    allowed, and writes nothing).

        >>> key = jnp.array([1.0, 2.0])
        >>> weights = eam.learning.delta_step(jnp.ones((1, 2)), key, jnp.array([7.0]))
        >>> weights @ key  # what was there is replaced
        Array([7.], dtype=float32)
    """
    W, k, v = _pair(weights, key, value)
    rate = _stable_rate(rate, k, "‖key‖²")
    W = as_decay(decay, W) * W
    return W + rate * jnp.outer(v - dot(W, k), k)


def oja_step(
    weights: ArrayLike,
    key: ArrayLike,
    value: ArrayLike | None = None,
    *,
    rate: Rate = None,
    decay: ScalarLike = 1.0,
) -> Weights:
    """Write one pair by Oja's rule: Hebb's rule with a term that keeps the weights bounded.

        W <- decay · W;    W <- W + rate · v (k − Wᵀ v)ᵀ

    Without a value, v = W k: the rows of W turn towards the principal subspace of the keys, and W Wᵀ towards
    the identity (Oja 1982, "Simplified neuron model as a principal component analyzer", for one row; 1989 for
    several). With a value it is the delta rule of Wᵀ, which reads keys for values (Irie, Faccio & Schmidhuber
    2022, "Neural differential equations for learning to program neural nets").

    **Arguments:** as for `hebbian_step`, without a value for weights of any shape; `rate`: 1/‖v‖² unless
    given. It is stable for 0 < rate · ‖v‖² < 2, and raises `ValueError` where this is known not to hold.

        >>> weights = eam.learning.oja_step(jnp.array([[0.6, 0.8]]), jnp.array([1.0, 0.0]), rate=0.5)
        >>> np.asarray(weights).round(2)  # it turns towards the key
        array([[0.79, 0.66]], dtype=float32)
    """
    W = checks.as_floats("weights", weights, "Dv Dk")
    k = checks.as_vector("key", key, W.shape[1]).astype(W.dtype)
    W = as_decay(decay, W) * W
    v = dot(W, k) if value is None else _vector("value", value, W.shape[0], W)
    return W + _stable_rate(rate, v, "‖value‖²") * jnp.outer(v, k - dot(v, W))


def storkey_step(
    weights: ArrayLike,
    key: ArrayLike,
    value: ArrayLike | None = None,
    *,
    rate: Rate = None,
    decay: ScalarLike = 1.0,
) -> Weights:
    """Write one state by Storkey's rule: Hebb's rule, corrected by the field of the weights so far.

        W_ij <- decay · W_ij + rate · (x_i x_j - x_i h_ji - h_ij x_j),    h_ij = Σ_{k ≠ i,j} W_ik x_k

    The state x is the key, and a value must not be given. `weights` (D, D) must be symmetric; their diagonal
    is not read, and the result has none. `key` (D,) holds any real numbers; `rate` is 1/D unless given. For
    i ≠ j, with h_i = Σ_{k ≠ i} W_ik x_k, h_ij is h_i - W_ij x_j, so no D×D×D sum is needed. (Storkey 1997,
    "Increasing the capacity of a Hopfield network without sacrificing functionality".)

    Code in circulation often takes h = (W + x xᵀ / D) x, which counts k = i, j and the new state in the
    field. That is another rule, with nearly the same capacity; this is the published one. Raises
    `ValueError` as `hebbian_step` does.

        >>> weights = eam.learning.storkey_step(jnp.zeros((4, 4)), jnp.array([1, 1, -1, -1]))
        >>> weights @ jnp.array([1, 1, -1, -1])  # the state holds itself
        Array([ 0.75,  0.75, -0.75, -0.75], dtype=float32)
    """
    if value is not None:
        raise ValueError("value must be None, as Storkey's rule writes states (hebbian_step writes pairs)")
    W, x, _ = _pair(weights, key, None)
    must_have_signs("key", x)
    h = dot(W, x) - jnp.diagonal(W) * x
    row, column, h_row, h_column = x[:, None], x[None, :], h[:, None], h[None, :]
    change = row * column - (row * h_column + h_row * column) + W * (row**2 + column**2)
    return hollow(as_decay(decay, W) * W + rate_or(rate, x) * change)


def forget(weights: ArrayLike, state: ArrayLike, rate: Rate = None) -> Weights:
    """Erase a state (D,), or unlearn it: one Hebbian step of the opposite sign, zero diagonal.

        W_ij <- W_ij - rate · x_i x_j,    i ≠ j

    At the default rate 1/D, a pattern that `hebbian` has written is removed exactly. At a small rate (.01/D),
    applied to states that random queries end in, it weakens spurious states more than stored ones (Hopfield,
    Feinstein & Palmer 1983, "'Unlearning' has a stabilizing effect in collective memories"). Raises
    `ValueError` as `hebbian_step` does.

        >>> pattern = jnp.array([1, -1, 1, 1])
        >>> float(jnp.abs(eam.learning.forget(eam.hebbian(pattern[None]), pattern)).max())
        0.0
    """
    W = checks.as_square("weights", weights)
    x = _vector("state", state, W.shape[0], W)
    must_have_signs("state", x)
    return hollow(W - rate_or(rate, x) * jnp.outer(x, x))


@jax.jit
def hollow(weights: Float[Array, "D D"]) -> Float[Array, "D D"]:
    """Weights without their diagonal."""
    return jnp.where(jnp.eye(weights.shape[0], dtype=bool), 0, weights)


def _pair(weights, key, value):
    """Weights, a key and a value as floats: a rate of 1/D times whole numbers must not be cut to 0."""
    W = (
        checks.as_square("weights", weights)
        if value is None
        else checks.as_floats("weights", weights, "Dv Dk")
    )
    k = _vector("key", key, W.shape[1], W)
    return W, k, k if value is None else _vector("value", value, W.shape[0], W)


def _vector(name, vector, size, like):
    return checks.as_vector(name, vector, size).astype(like.dtype)


def rate_or(rate: Rate, like: Float[Array, " N"]) -> Float[Array, ""]:
    """A rate as a float like a vector's, 1/N where there is none; raises `ValueError` for negative ones."""
    rate = as_number("rate", 1 / like.shape[0] if rate is None else rate, like)
    must_not_erase(rate)
    return rate


def must_not_erase(rate: Float[Array, "..."]) -> None:
    """Raises `ValueError` for rates below 0, as far as they are known."""
    if checks.is_known(rate) and jax.device_get(rate).min() < 0:
        got = f"{jax.device_get(rate).min():g} (energyam.learning.forget takes a state away)"
        raise ValueError(f"rate must not be negative; got {got}")


def must_have_signs(name: str, states: Float[Array, "..."]) -> None:
    """Raises `ValueError` for entries 0 and 1 alone, as far as they are known: ±1 was meant."""
    if not checks.passes(_no_bits, states):
        wanted = "entries −1 and 1, or real ones of both signs"
        raise ValueError(f"{name} must have {wanted}; got 0 and 1 alone (x becomes ±1 by 2 * x - 1)")


_no_bits = jax.jit(lambda x: ((x != 0) & (x != 1)).any() | ~x.any() | (x != 0).all())


def _stable_rate(rate, vector, name):
    """A rate for which the error of what is read shrinks: 1/‖vector‖² where it is None, and 0 for zeros."""
    square = jnp.sum(vector**2)
    if rate is None:
        return jnp.where(square > 0, 1 / jnp.where(square > 0, square, 1), 0)
    rate = as_number("rate", rate, vector)
    must_be_stable(rate, square, name)
    return rate


def must_be_stable(rate: Float[Array, "*T"], square: Float[Array, "*T"], name: str) -> None:
    """Raises `ValueError` unless errors shrink, 0 ≤ rate · ‖vector‖² < 2, as far as this is known."""
    if not checks.passes(lambda rate, square: ((rate >= 0) & (rate * square < 2)).all(), rate, square):
        most = (
            f"below {2 / float(jnp.max(square)):.4g} here"
            if checks.passes(lambda x: x.any(), square)
            else "above 0"
        )
        got = f"{float(jnp.max(rate)):g}" if checks.passes(lambda r: (r >= 0).all(), rate) else "less than 0"
        raise ValueError(f"rate must be stable, 0 < rate · {name} < 2 ({most}); got {got}")


def as_number(name: str, value: ScalarLike, like: Float[Array, "..."]) -> Float[Array, ""]:
    """One finite number in the dtype of an array; raises `ValueError` for others."""
    return checks.as_floats(name, value, "").astype(like.dtype)


def as_decay(decay: ScalarLike, like: Float[Array, "..."]) -> Float[Array, ""]:
    """A decay as a float like an array's; raises `ValueError` unless it is one number of at least 0."""
    return checks.not_negative("decay", decay, "").astype(like.dtype)
