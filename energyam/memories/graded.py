"""Graded neurons: layers whose energy R is the Legendre dual of a Lagrangian L, and which answer with ∇L.

For the answer g = ∇L(x) to a field x, R(g) = x · g − L(x) (Fenchel and Young). The parameters of a layer,
such as its β or its gain, are array leaves, so that they can be trained. An answer that needs the root of an
equation is compiled: a loop by itself would be compiled anew at each call.

Krotov & Hopfield, ICLR 2021; Krotov, "Hierarchical associative memory" (2021).
"""

import math
from functools import partial

import equinox as eqx
import jax
import jax.numpy as jnp
from jax import lax
from jax.scipy.special import xlog1py, xlogy
from jax.typing import ArrayLike
from jaxtyping import Array, Float, Shaped

from energyam import checks
from energyam.memories.neurons import AbstractNeurons, Layer, Number, Shape
from energyam.roots import held_field

Real = Float[Array | float, ""]


class Rectified(AbstractNeurons):
    """Neurons of at least 0: R = ½‖g‖², and the answer to a field is max(field, 0).

    L(x) = ½ Σ max(x, 0)². `shape`: that of the layer.

        >>> eam.Rectified().respond(jnp.array([-2.0, 3.0]), jnp.zeros(2))
        Array([0., 3.], dtype=float32)
    """

    shape: Shape = eqx.field(static=True, default=None)

    def check(self, name: str, states: ArrayLike, dims: str) -> Shaped[Array, "..."]:
        return in_range(name, states, dims, 0, math.inf)

    def energy(self, state: Layer) -> Number:
        return 0.5 * jnp.sum(state**2)

    def respond(self, field: Layer, state: Layer, curvature: ArrayLike = 0.0) -> Layer:
        return jax.nn.relu(field) / (1 + jnp.asarray(curvature, field.dtype))

    def retract(self, state: Layer) -> Layer:
        return jnp.maximum(state, 0)

    def lagrangian(self, field: Layer) -> Number:
        return 0.5 * jnp.sum(jax.nn.relu(field) ** 2)


class Tanh(AbstractNeurons):
    """Neurons from −1 to 1: the answer to a field is tanh(β · field), as in Hopfield's graded network.

    R(g) = Σ [(1+g) ln(1+g) + (1−g) ln(1−g)] / 2β and L(x) = Σ ln cosh(βx) / β. With temperature T = 1/β this
    is mean-field annealing: R is −T times the entropy of independent ±1 neurons of mean g, up to the constant
    D T ln 2. At ±1, where the slope of R is infinite, the slope at the next float inside is used.

    **Arguments:** `beta`: β, the steepness; `shape`: that of the layer. Raises `ValueError` for β ≤ 0.

    Hopfield, PNAS 81 (1984); Peterson & Anderson, Complex Systems 1 (1987).

        >>> network = eam.HopfieldNetwork(jnp.array([[0.0, 1.0], [1.0, 0.0]]), neurons=eam.Tanh(2.0))
        >>> np.asarray(eam.recall(network, jnp.array([0.1, 0.2]), max_steps=100).state).round(3)
        array([0.958, 0.958], dtype=float32)
    """

    beta: Real = eqx.field(converter=partial(checks.positive_float, "beta"))
    shape: Shape = eqx.field(static=True, default=None)

    def check(self, name: str, states: ArrayLike, dims: str) -> Shaped[Array, "..."]:
        return in_range(name, states, dims, -1, 1)

    def energy(self, state: Layer) -> Number:
        g = moved_into(state, *_open(state, -1))
        return jnp.sum(xlog1py(1 + g, g) + xlog1py(1 - g, -g)) / (2 * _like(self.beta, g))

    @jax.jit
    def respond(self, field: Layer, state: Layer, curvature: ArrayLike = 0.0) -> Layer:
        beta = _like(self.beta, field)

        def activation(u):
            value = jnp.tanh(beta * u)
            return value, beta * (1 - value**2)

        return activation(held_field(activation, field, curvature, -1, 1))[0]

    def retract(self, state: Layer) -> Layer:
        return jnp.clip(state, *_open(state, -1))

    def lagrangian(self, field: Layer) -> Number:
        # ln cosh x = softplus(2x) − x − ln 2, from the side on which nothing overflows.
        size, beta = jnp.abs(field), _like(self.beta, field)
        return jnp.sum(size + (jnp.log1p(jnp.exp(-2 * beta * size)) - math.log(2)) / beta)


class Sigmoid(AbstractNeurons):
    """Neurons from 0 to 1: the answer to a field is the logistic function σ(β · field).

    R(g) = Σ [g ln g + (1−g) ln(1−g)] / β and L(x) = Σ softplus(βx) / β. At 0 and 1, where the slope of R is
    infinite, the slope at the next float inside is used.

    **Arguments:** `beta`: β, the steepness; `shape`: that of the layer. Raises `ValueError` for β ≤ 0.

        >>> np.asarray(eam.Sigmoid(1.0).respond(jnp.log(jnp.array([1.0, 3.0])), jnp.zeros(2))).round(3)
        array([0.5 , 0.75], dtype=float32)
    """

    beta: Real = eqx.field(converter=partial(checks.positive_float, "beta"))
    shape: Shape = eqx.field(static=True, default=None)

    def check(self, name: str, states: ArrayLike, dims: str) -> Shaped[Array, "..."]:
        return in_range(name, states, dims, 0, 1)

    def energy(self, state: Layer) -> Number:
        g = moved_into(state, jnp.finfo(state.dtype).tiny, _open(state, 0)[1])
        return jnp.sum(xlogy(g, g) + xlog1py(1 - g, -g)) / _like(self.beta, g)

    @jax.jit
    def respond(self, field: Layer, state: Layer, curvature: ArrayLike = 0.0) -> Layer:
        beta = _like(self.beta, field)

        def activation(u):
            value = jax.nn.sigmoid(beta * u)
            return value, beta * value * (1 - value)

        return activation(held_field(activation, field, curvature, 0, 1))[0]

    def retract(self, state: Layer) -> Layer:
        return jnp.clip(state, *_open(state, 0))

    def lagrangian(self, field: Layer) -> Number:
        beta = _like(self.beta, field)
        return jnp.sum(jax.nn.softplus(beta * field)) / beta


def _as_offset(offset):
    array = checks.as_array("offset", offset, "...")
    return checks.as_floats("offset", array, "" if array.ndim == 0 else "D")


class LayerNorm(AbstractNeurons):
    """Neurons that answer a field with its layer norm, along the last axis of D neurons.

    The answer to x is γ (x − x̄) / √(var + ε) + δ; with L(x) = D γ √(var + ε) + δ · x and, for g − δ of mean 0
    and of length at most √D γ, R(g) = −√(Dε) √(Dγ² − ‖g − δ‖²); sums over all axes but the last.

    **Arguments:** `gain`: γ, above 0; `offset`: δ, a number or (D,); `eps`: ε, above 0; `shape`: that of the
    layer. Raises `ValueError` for others.

    Ba, Kiros & Hinton, "Layer normalization" (2016); as a Lagrangian, Hoover et al., "Energy transformer",
    NeurIPS 2023.

        >>> np.asarray(eam.LayerNorm().respond(jnp.array([1.0, 2.0, 3.0]), jnp.zeros(3))).round(3)
        array([-1.225,  0.   ,  1.225], dtype=float32)
    """

    gain: Real = eqx.field(converter=partial(checks.positive_float, "gain"), default=1.0)
    offset: Float[Array | float, "..."] = eqx.field(converter=_as_offset, default=0.0)
    eps: Real = eqx.field(converter=partial(checks.positive_float, "eps"), default=1e-5)
    shape: Shape = eqx.field(static=True, default=None)
    coupled = True

    def check(self, name: str, states: ArrayLike, dims: str) -> Shaped[Array, "..."]:
        states = checks.as_floats(name, states, dims)
        shape = states.shape
        if jnp.shape(self.offset) not in ((), shape[-1:]):
            raise ValueError(
                f"{name} must be (..., {jnp.size(self.offset)}), as offset is; got shape {shape}"
            )
        if not checks.passes(bool, checks.now(_reachable, self, states)):
            wanted = "mean 0 and length at most √D · gain"
            hint = "(neurons.retract(state) is the nearest such state)"
            raise ValueError(f"{name} minus the offset must have {wanted}; got others {hint}")
        return states

    def energy(self, state: Layer) -> Number:
        D, gain, eps = state.shape[-1], _like(self.gain, state), _like(self.eps, state)
        room = D * gain**2 - jnp.sum(self._from_offset(state) ** 2, axis=-1)
        return -jnp.sum(jnp.sqrt(D * eps) * _root(room))

    @jax.jit
    def respond(self, field: Layer, state: Layer, curvature: ArrayLike = 0.0) -> Layer:
        c, most = _like(curvature, field), field.shape[-1] ** 0.5 * _like(self.gain, field)
        room = field.shape[-1] * _like(self.eps, field)
        h = field - c * self._broadcast(field)
        h = h - jnp.mean(h, axis=-1, keepdims=True)

        def activation(u):
            spread = u**2 + room
            return most * u / jnp.sqrt(spread), most * room / spread**1.5

        size = _root(jnp.sum(h**2, axis=-1, keepdims=True))
        left = held_field(activation, size, c, 0, most)
        # The answer is along h, by activation(left) / |h|; for h = 0, and without curvature, 1 / √(…).
        spread = jnp.sqrt(left**2 + room)
        ratio = jnp.where(size > 0, left / jnp.where(size > 0, size, 1), 1)
        return h * (ratio * most / spread) + self._broadcast(field)

    def retract(self, state: Layer) -> Layer:
        g = self._from_offset(state)
        g = g - jnp.mean(g, axis=-1, keepdims=True)
        most = g.shape[-1] ** 0.5 * _like(self.gain, g) * (1 - jnp.finfo(g.dtype).eps)
        size = _root(jnp.sum(g**2, axis=-1, keepdims=True))
        return g * jnp.where(size > most, most / jnp.where(size > 0, size, 1), 1) + self._broadcast(state)

    def lagrangian(self, field: Layer) -> Number:
        roots = jnp.sqrt(jnp.var(field, axis=-1) + _like(self.eps, field))
        return jnp.sum(field.shape[-1] * _like(self.gain, field) * roots) + jnp.sum(
            self._broadcast(field) * field
        )

    def _broadcast(self, like):
        return jnp.broadcast_to(_like(self.offset, like), like.shape)

    def _from_offset(self, state):
        return state - self._broadcast(state)

    def _sizes(self, states):
        """The lengths of g − δ over √D γ, infinite where the mean is not 0."""
        g = self._from_offset(states)
        gain, mean = _like(self.gain, g), jnp.abs(jnp.mean(g, axis=-1))
        return jnp.where(mean < 1e-2 * gain, jnp.sqrt(jnp.mean(g**2, axis=-1)) / gain, jnp.inf)


_reachable = jax.jit(lambda norm, states: (norm._sizes(states.astype(float)) < 1 + 1e-2).all())


def _like(number, array):
    """A number in the dtype of the array that it meets."""
    return jnp.asarray(number, array.dtype)


@partial(jax.jit, static_argnums=(1, 2))
def _lie_within(x, low, high):
    return ((x >= low) & (x <= high)).all()


def in_range(name: str, states: ArrayLike, dims: str, low: int | float, high: int | float) -> Array:
    """States as floats; raises `ValueError` for any below `low` or above `high`."""
    states = checks.as_floats(name, states, dims)
    if not checks.passes(_lie_within, states, low, high):
        wanted = f"from {low} to {high}" if high < math.inf else f"of at least {low}"
        got = f"entries from {states.min():.4g} to {states.max():.4g}"
        hint = "(neurons.retract(state) is the nearest state that these neurons can take)"
        raise ValueError(f"{name} must be {wanted}; got {got} {hint}")
    return states


def _open(state, low):
    """`low` and 1, moved to the inside by the least that floats near 1 can hold."""
    least = jnp.finfo(state.dtype).eps
    return low + least, 1 - least


def moved_into(state: Layer, low: ArrayLike, high: ArrayLike) -> Layer:
    """`state` from `low` to `high`, with the derivatives of the state itself: slopes there stay finite."""
    return state + lax.stop_gradient(jnp.clip(state, low, high) - state)


def _root(square):
    """√max(square, 0), of slope 0 where the square is not above 0."""
    return jnp.where(square > 0, jnp.sqrt(jnp.where(square > 0, square, 1)), 0)
