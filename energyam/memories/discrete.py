"""Neurons of few values: ±1, 0/1, and one-hot units. They move from one value to another."""

from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import jax.random as jr
import numpy as np
from jax.typing import ArrayLike
from jaxtyping import Array, Float, Num, PRNGKeyArray, Shaped

from energyam import checks
from energyam.memories.neurons import AbstractNeurons, Layer, Number, Shape, Wide, whole_patterns


class Binary(AbstractNeurons):
    """Neurons ±1: R = 0, and the answer to a field is its sign."""

    shape: Shape = eqx.field(static=True, default=None)

    @property
    def values(self) -> tuple[int, int]:
        return (-1, 1)

    def check(self, name: str, states: ArrayLike, dims: str) -> Shaped[Array, "..."]:
        return checks.as_binary(name, states, dims)

    def check_patterns(self, patterns: Num[Array, "K D"]) -> Num[Array, "K D"]:
        if jnp.issubdtype(patterns.dtype, jnp.floating):
            return checks.as_floats("patterns", patterns, "K D")
        return checks.as_binary("patterns", patterns, "K D")

    def energy(self, state: Layer) -> Number:
        return jnp.zeros((), state.dtype)

    def respond(self, field: Layer, state: Layer, curvature: ArrayLike = 0.0) -> Layer:
        return jnp.where(field == 0, state, jnp.sign(field))

    def retract(self, state: Layer) -> Layer:
        return jnp.where(state < 0, -1, 1).astype(state.dtype)

    def draw(self, field: Layer, curvature: Number, temperature: Number, *, key: PRNGKeyArray) -> Layer:
        return _drawn_of_two(2 * field, (-1, 1), temperature, key=key)  # P(x = 1) = σ(2 field/T)

    def log_partition(self, field: Wide, curvature: ArrayLike, temperature: ArrayLike) -> Wide:
        h = field / temperature
        return field.__array_namespace__().logaddexp(h, -h) - 0.5 * curvature / temperature


class ZeroOne(AbstractNeurons):
    """Neurons 0 or 1: R = 0, and the answer to a field is 1 where it is positive.

    The activity codes of Willshaw's and of sparse memories, and of Boltzmann machines.
    """

    shape: Shape = eqx.field(static=True, default=None)

    @property
    def values(self) -> tuple[int, int]:
        return (0, 1)

    def check(self, name: str, states: ArrayLike, dims: str) -> Shaped[Array, "..."]:
        return _as_zero_one(name, states, dims)

    def check_patterns(self, patterns: Num[Array, "K D"]) -> Num[Array, "K D"]:
        if jnp.issubdtype(patterns.dtype, jnp.floating):
            return checks.as_floats("patterns", patterns, "K D")
        if patterns.dtype == bool:
            return patterns.astype(jnp.int8)
        return whole_patterns(patterns, self)

    def energy(self, state: Layer) -> Number:
        return jnp.zeros((), state.dtype)

    def respond(self, field: Layer, state: Layer, curvature: ArrayLike = 0.0) -> Layer:
        pull = field - 0.5 * jnp.asarray(curvature, field.dtype)
        return jnp.where(pull == 0, state, jnp.where(pull > 0, 1, jnp.where(pull < 0, 0, pull)))

    def retract(self, state: Layer) -> Layer:
        return jnp.where(state < 0.5, 0, 1).astype(state.dtype)

    def draw(self, field: Layer, curvature: Number, temperature: Number, *, key: PRNGKeyArray) -> Layer:
        return _drawn_of_two(field - 0.5 * curvature, (0, 1), temperature, key=key)

    def log_partition(self, field: Wide, curvature: ArrayLike, temperature: ArrayLike) -> Wide:
        return field.__array_namespace__().logaddexp(0 * field, (field - 0.5 * curvature) / temperature)


class Categorical(AbstractNeurons):
    """Units of q values, one-hot along the last axis: R = 0, and the largest field of a unit wins.

    A layer is (…, q), or (D,) with D a multiple of q: units one after another, as a `DenseAM` or a
    `HopfieldNetwork` has them. The units of Potts networks.

    **Arguments:** `q`: how many values a unit has, at least 2; `shape`: that of the layer. Raises
    `ValueError` for others.

    Kanter, Phys. Rev. A 37 (1988).
    """

    q: int = eqx.field(static=True)
    shape: Shape = eqx.field(static=True, default=None)

    def __check_init__(self):
        checks.count("q", self.q, least=2)

    @property
    def unit(self) -> int:
        return self.q

    @property
    def coupled(self) -> bool:
        return True

    def others(self, state: Float[Array | np.ndarray, " q"]) -> Float[Array, "n q"]:
        rows = (jnp.argmax(state) + jnp.arange(1, self.q)) % self.q
        return jax.nn.one_hot(rows, self.q, dtype=state.dtype)

    def check(self, name: str, states: ArrayLike, dims: str) -> Shaped[Array, "..."]:
        states = _as_zero_one(name, states, dims)
        if states.ndim == 0 or states.shape[-1] % self.q:
            raise ValueError(
                f"{name} must have a last axis of q = {self.q} values, or of a multiple; got shape "
                f"{states.shape}"
            )
        if not checks.passes(lambda x: (self._by_unit(x).sum(-1) == 1).all(), states):
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


def _drawn_of_two(drive, values, temperature, *, key):
    """The upper value with probability σ(drive/T); NaN where the drive is."""
    drive = drive - temperature * jr.logistic(key, drive.shape, drive.dtype)
    low, high = values
    return jnp.where(drive > 0, high, jnp.where(drive <= 0, low, drive)).astype(drive.dtype)


def _as_zero_one(name: str, value: Any, dims: str) -> Shaped[Array, "..."]:
    """`value` as an array of entries 0 and 1: integers and bools become int8 and floats stay as they are."""
    array = checks.as_array(name, value, dims)
    if not checks.passes(lambda x: ((x == 0) | (x == 1)).all(), array):
        got = np.unique(np.asarray(array, dtype=np.float64))
        shown = ", ".join(f"{v:g}" for v in got[:4]) + (", …" if got.size > 4 else "")
        fix = " (states ±1 become 0/1 by (x + 1) / 2)" if set(got) <= {-1, 1} else ""
        raise ValueError(f"{name} must have entries 0 and 1; got entries {shown}{fix}")
    return array if jnp.issubdtype(array.dtype, jnp.floating) else array.astype(jnp.int8)
