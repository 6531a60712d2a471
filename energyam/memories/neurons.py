"""Neurons: what values a state takes, the energy it costs, and how it answers a field."""

import abc
from typing import Any

import equinox as eqx
import jax.numpy as jnp
from jaxtyping import Array, Float, Shaped

from energyam import checks


class AbstractNeurons(eqx.Module):
    """The visible neurons of a memory: their energy R(x), and argmin_x R(x) − field · x."""

    @abc.abstractmethod
    def check(self, name: str, states: Any, dims: str) -> Shaped[Array, "..."]:
        """`states` as an array of such neurons; raises `ValueError` if they can't be."""

    @abc.abstractmethod
    def energy(self, state: Float[Array, " D"]) -> Float[Array, ""]:
        """R(x)."""

    @abc.abstractmethod
    def respond(self, field: Float[Array, " D"], state: Float[Array, " D"]) -> Float[Array, " D"]:
        """argmin_x R(x) − field · x; neurons without a field stay as in `state`."""


class Binary(AbstractNeurons):
    """Neurons ±1: R = 0, and the answer to a field is its sign."""

    def check(self, name: str, states: Any, dims: str) -> Shaped[Array, "..."]:
        return checks.as_binary(name, states, dims)

    def energy(self, state: Float[Array, " D"]) -> Float[Array, ""]:
        return jnp.zeros((), state.dtype)

    def respond(self, field: Float[Array, " D"], state: Float[Array, " D"]) -> Float[Array, " D"]:
        return jnp.where(field == 0, state, jnp.sign(field))


class Continuous(AbstractNeurons):
    """Real neurons: R = ½‖x‖², and the answer to a field is the field."""

    def check(self, name: str, states: Any, dims: str) -> Shaped[Array, "..."]:
        return checks.as_floats(name, states, dims)

    def energy(self, state: Float[Array, " D"]) -> Float[Array, ""]:
        return 0.5 * jnp.sum(state**2)

    def respond(self, field: Float[Array, " D"], state: Float[Array, " D"]) -> Float[Array, " D"]:
        return field


class Spherical(AbstractNeurons):
    """Unit vectors: R = 0 on the sphere, and the answer to a field is its direction."""

    def check(self, name: str, states: Any, dims: str) -> Shaped[Array, "..."]:
        states = checks.as_floats(name, states, dims)
        norms = checks.now(lambda x: jnp.linalg.norm(x, axis=-1), states)
        if not checks.passes(lambda r: (jnp.abs(r - 1) < 1e-3).all(), norms):
            raise ValueError(
                f"{name} must be unit vectors; got norms from {norms.min():.4g} to {norms.max():.4g} "
                "(divide by the norm first)"
            )
        return states

    def energy(self, state: Float[Array, " D"]) -> Float[Array, ""]:
        return jnp.zeros((), state.dtype)

    def respond(self, field: Float[Array, " D"], state: Float[Array, " D"]) -> Float[Array, " D"]:
        norm = jnp.sqrt(jnp.sum(field**2))
        return jnp.where(norm > 0, field / jnp.where(norm > 0, norm, 1), state)
