"""One-hot units of q values, which move from one value to another."""

import equinox as eqx
import jax
import jax.numpy as jnp
import jax.random as jr
import numpy as np
from jax.typing import ArrayLike
from jaxtyping import Array, Float, PRNGKeyArray, Shaped

from energyam import checks
from energyam.memories.neurons import AbstractNeurons, Layer, Number, Shape, Wide, as_zero_one

_have_one_1 = jax.jit(lambda units: (units.sum(-1) == 1).all())


class Categorical(AbstractNeurons):
    """Units of q values, one-hot along the last axis: R = 0, and the largest field of a unit wins.

    These are the units of Potts networks. A layer is (…, q), or (D,) with D a multiple of q: units one after
    another, as a `DenseAM` or a `HopfieldNetwork` has them.

    **Arguments:** `q`: how many values a unit has, at least 2; `shape`: the shape of the layer. Raises
    `ValueError` for other values.

    Kanter, Phys. Rev. A 37 (1988).

        >>> colours = eam.Categorical(3)
        >>> colours.respond(jnp.array([0.1, 0.7, 0.2, 2.0, 1.0, 0.0]), jnp.zeros(6))  # two units
        Array([0., 1., 0., 1., 0., 0.], dtype=float32)
    """

    q: int = eqx.field(static=True)
    shape: Shape = eqx.field(static=True, default=None)
    coupled = True

    def __check_init__(self):
        checks.count("q", self.q, least=2)

    @property
    def unit(self) -> int:  # type: ignore[override]
        return self.q

    def others(self, state: Float[Array | np.ndarray, " q"]) -> Float[Array, "n q"]:
        rows = (jnp.argmax(state) + jnp.arange(1, self.q)) % self.q
        return jax.nn.one_hot(rows, self.q, dtype=state.dtype)

    def check(self, name: str, states: ArrayLike, dims: str) -> Shaped[Array, "..."]:
        states = as_zero_one(name, states, dims)
        if states.ndim == 0 or states.shape[-1] % self.q:
            raise ValueError(
                f"{name} must have a last axis of q = {self.q} values, or of a multiple; got shape "
                f"{states.shape}"
            )
        if not checks.passes(_have_one_1, self._by_unit(states)):
            raise ValueError(
                f"{name} must be one-hot in each unit of {self.q} values; got units with none or several 1s "
                "(jax.nn.one_hot(labels, q) makes such rows)"
            )
        return states

    def energy(self, state: Layer) -> Number:
        return jnp.zeros((), state.dtype)

    def respond(self, field: Layer, state: Layer, curvature: ArrayLike = 0.0) -> Layer:
        fields, now = self._by_unit(field), self._by_unit(state)
        best = jax.nn.one_hot(jnp.argmax(fields, axis=-1), self.q, dtype=field.dtype)
        most = jnp.max(fields, axis=-1, keepdims=True)
        stays = jnp.sum(jnp.where(now > 0, fields, 0), axis=-1, keepdims=True) == most
        answer = jnp.where(stays, now, jnp.where(jnp.isnan(most), most, best))
        return answer.reshape(field.shape)

    def retract(self, state: Layer) -> Layer:
        best = jax.nn.one_hot(jnp.argmax(self._by_unit(state), axis=-1), self.q, dtype=state.dtype)
        return best.reshape(state.shape)

    def draw(self, field: Layer, curvature: Number, temperature: Number, *, key: PRNGKeyArray) -> Layer:
        noise = temperature * jr.gumbel(key, field.shape, field.dtype)
        return self.retract(field + noise)

    def log_partition(self, field: Wide, curvature: ArrayLike, temperature: ArrayLike) -> Wide:
        xp, logits = field.__array_namespace__(), (self._by_unit(field) - 0.5 * curvature) / temperature
        top = xp.max(logits, axis=-1)
        return top + xp.log(xp.sum(xp.exp(logits - top[..., None]), axis=-1))

    def _by_unit(self, state):
        return state.reshape(*state.shape[:-1], -1, self.q)
