"""Real neurons: with a quadratic energy, with none, and on the unit sphere."""

import equinox as eqx
import jax.numpy as jnp
import jax.random as jr
import numpy as np
from jax.typing import ArrayLike
from jaxtyping import Num, PRNGKeyArray, Shaped

from energyam import checks
from energyam.memories.neurons import AbstractNeurons, Layer, Number, Shape, Wide, near_one
from energyam.on_disk import AnyArray, RowsLike


class Continuous(AbstractNeurons):
    """Real neurons: R = ½‖x‖², and the answer to a field is the field.

    >>> neurons, state = eam.Continuous(), jnp.array([3.0, 4.0])
    >>> neurons.energy(state), neurons.respond(jnp.array([0.3, 0.2]), state)
    (Array(12.5, dtype=float32), Array([0.3, 0.2], dtype=float32))
    """

    shape: Shape = eqx.field(static=True, default=None)

    def check(self, name: str, states: RowsLike, dims: str) -> Shaped[AnyArray, "..."]:
        return checks.as_floats(name, states, dims)

    def energy(self, state: Layer) -> Number:
        return 0.5 * jnp.sum(state**2)

    def respond(self, field: Layer, state: Layer, curvature: ArrayLike = 0.0) -> Layer:
        return field / (1 + jnp.asarray(curvature, field.dtype))

    def retract(self, state: Layer) -> Layer:
        return state

    def draw(self, field: Layer, curvature: Number, temperature: Number, *, key: PRNGKeyArray) -> Layer:
        return _normal(field, 1 + curvature, temperature, key=key)

    def log_partition(self, field: Wide, curvature: ArrayLike, temperature: ArrayLike) -> Wide:
        return _log_gaussian(field, 1 + curvature, temperature)


class Free(AbstractNeurons):
    """Real neurons that cost nothing, R = 0: for energies that are bounded below without a cost of the
    neurons.

    The answer to a field is field / curvature; where the curvature is 0, the neurons stay as they are.

        >>> eam.GaussianDenseAM(jnp.array([[1.0, 2.0]]), beta=1.0).neurons  # its energy holds the state
        Free()
        >>> eam.Free().energy(jnp.array([3.0, 4.0]))
        Array(0., dtype=float32)
    """

    shape: Shape = eqx.field(static=True, default=None)

    def check(self, name: str, states: RowsLike, dims: str) -> Shaped[AnyArray, "..."]:
        return checks.as_floats(name, states, dims)

    def energy(self, state: Layer) -> Number:
        return jnp.zeros((), state.dtype)

    def respond(self, field: Layer, state: Layer, curvature: ArrayLike = 0.0) -> Layer:
        held = jnp.asarray(curvature, field.dtype)
        return jnp.where(held > 0, field / jnp.where(held > 0, held, 1), state)

    def retract(self, state: Layer) -> Layer:
        return state

    def draw(self, field: Layer, curvature: Number, temperature: Number, *, key: PRNGKeyArray) -> Layer:
        return _normal(field, curvature, temperature, key=key)

    def log_partition(self, field: Wide, curvature: ArrayLike, temperature: ArrayLike) -> Wide:
        return _log_gaussian(field, curvature, temperature)


class Spherical(AbstractNeurons):
    """Unit vectors: R = 0 on the sphere, and the answer to a field is its direction.

    >>> eam.Spherical().respond(jnp.array([3.0, 4.0]), jnp.zeros(2))
    Array([0.6, 0.8], dtype=float32)
    """

    shape: Shape = eqx.field(static=True, default=None)
    coupled = True

    def check_patterns(self, patterns: Num[AnyArray, "K D"]) -> Num[AnyArray, "K D"]:
        return self.check("patterns", patterns, "K D")

    def check(self, name: str, states: RowsLike, dims: str) -> Shaped[AnyArray, "..."]:
        states = checks.as_floats(name, states, dims)
        norms = checks.now(lambda x: jnp.linalg.norm(x.astype(float), axis=-1), states)
        if not checks.passes(near_one, norms):
            raise ValueError(
                f"{name} must be unit vectors; got norms from {norms.min():.4g} to {norms.max():.4g} "
                "(divide by the norm first)"
            )
        return states

    def energy(self, state: Layer) -> Number:
        return jnp.zeros((), state.dtype)

    def respond(self, field: Layer, state: Layer, curvature: ArrayLike = 0.0) -> Layer:
        # Scaled by the largest entry first: squares of small or large fields leave the range of floats.
        size = jnp.max(jnp.abs(field), axis=-1, keepdims=True)
        scaled = field / jnp.where(size > 0, size, 1)
        norm = jnp.sqrt(jnp.sum(jnp.where(size > 0, scaled, 1) ** 2, axis=-1, keepdims=True))
        return jnp.where(size > 0, scaled / norm, state)

    def retract(self, state: Layer) -> Layer:
        return self.respond(state, state)

    def tangent(self, state: Layer, vector: Layer) -> Layer:
        return vector - jnp.sum(state * vector, axis=-1, keepdims=True) * state

    def geodesic(self, state: Layer, step: Layer) -> tuple[Layer, Layer]:
        angle = jnp.sqrt(jnp.sum(step**2, axis=-1, keepdims=True))
        arrived = jnp.cos(angle) * state + jnp.sinc(angle / jnp.pi) * step
        return self.retract(arrived), jnp.cos(angle) * step - angle * jnp.sin(angle) * state


def _normal(field, curvature, temperature, *, key):
    """Numbers from exp((field x − ½ curvature x²)/T)."""
    curvature = jnp.asarray(curvature, field.dtype)
    noise = jr.normal(key, field.shape, field.dtype)
    return field / curvature + jnp.sqrt(temperature / curvature).astype(field.dtype) * noise


def _log_gaussian(field, curvature, temperature):
    """The log of the integral of exp((field x − ½ curvature x²)/T) over all x, for each field."""
    xp = field.__array_namespace__()
    return field**2 / (2 * temperature * curvature) + 0.5 * xp.log(2 * np.pi * temperature / curvature)
