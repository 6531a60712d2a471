"""Neurons: what values a layer takes, the energy they cost, and how they answer a field."""

import abc

import equinox as eqx
import jax.numpy as jnp
import jax.random as jr
from jax.typing import ArrayLike
from jaxtyping import Array, Float, PRNGKeyArray, Shaped

from energyam import checks
from energyam.flips.capabilities import AbstractFlippable
from energyam.memories.hidden import AbstractDrawn

Shape = tuple[int, ...] | None


class AbstractNeurons(eqx.Module):
    """The neurons of one layer: their values, their energy R(x), and argmin_x R(x) − field · x.

    With a convex Lagrangian L of the literature, R is its Legendre dual and `respond` is ∇L. `shape` is that
    of the layer, where a memory of several layers needs it.
    """

    shape: eqx.AbstractVar[Shape]

    def __check_init__(self):
        if self.shape is not None:
            _check_shape("shape", self.shape)

    @abc.abstractmethod
    def check(self, name: str, states: ArrayLike, dims: str) -> Shaped[Array, "..."]:
        """`states` as an array of such neurons; raises `ValueError` if they can't be."""

    @abc.abstractmethod
    def energy(self, state: Float[Array, "..."]) -> Float[Array, ""]:
        """R(x), a scalar for one layer."""

    @abc.abstractmethod
    def respond(
        self, field: Float[Array, "..."], state: Float[Array, "..."], curvature: ArrayLike = 0.0
    ) -> Float[Array, "..."]:
        """argmin_x R(x) + ½ curvature ‖x‖² − field · x; neurons that nothing pulls at stay as in `state`."""

    @abc.abstractmethod
    def retract(self, state: Float[Array, "..."]) -> Float[Array, "..."]:
        """The nearest state that these neurons can take."""


class AbstractCoupled(AbstractNeurons):
    """Neurons that constrain one another along the last axis (a sphere): a clamp holds all or none there."""


class AbstractCurved(AbstractCoupled):
    """Coupled neurons that know the shortest ways on their surface, which exact real sampling goes along."""

    @abc.abstractmethod
    def tangent(self, state: Float[Array, "..."], vector: Float[Array, "..."]) -> Float[Array, "..."]:
        """The part of `vector` along the surface at `state`."""

    @abc.abstractmethod
    def moved(
        self, state: Float[Array, "..."], step: Float[Array, "..."]
    ) -> tuple[Float[Array, "..."], Float[Array, "..."]]:
        """Where a tangent step leads, and the step as carried there: its opposite leads back."""


class Binary(AbstractNeurons, AbstractFlippable, AbstractDrawn):
    """Neurons ±1: R = 0, and the answer to a field is its sign."""

    shape: Shape = eqx.field(static=True, default=None)

    def check(self, name: str, states: ArrayLike, dims: str) -> Shaped[Array, "..."]:
        return checks.as_binary(name, states, dims)

    def energy(self, state: Float[Array, "..."]) -> Float[Array, ""]:
        return jnp.zeros((), state.dtype)

    def respond(
        self, field: Float[Array, "..."], state: Float[Array, "..."], curvature: ArrayLike = 0.0
    ) -> Float[Array, "..."]:
        return jnp.where(field == 0, state, jnp.sign(field))

    def retract(self, state: Float[Array, "..."]) -> Float[Array, "..."]:
        return jnp.where(state < 0, -1, 1).astype(state.dtype)

    def flip(self, state: Shaped[Array, "..."]) -> Shaped[Array, "..."]:
        return -state

    def draw(
        self,
        field: Float[Array, "..."],
        curvature: Float[Array, ""],
        temperature: Float[Array, ""],
        *,
        key: PRNGKeyArray,
    ) -> Float[Array, "..."]:
        drive = 2 * field - temperature * jr.logistic(
            key, field.shape, field.dtype
        )  # P(x = 1) = σ(2 field/T)
        return jnp.where(drive > 0, 1, jnp.where(drive <= 0, -1, drive)).astype(field.dtype)


class Continuous(AbstractNeurons, AbstractDrawn):
    """Real neurons: R = ½‖x‖², and the answer to a field is the field."""

    shape: Shape = eqx.field(static=True, default=None)

    def check(self, name: str, states: ArrayLike, dims: str) -> Shaped[Array, "..."]:
        return checks.as_floats(name, states, dims)

    def energy(self, state: Float[Array, "..."]) -> Float[Array, ""]:
        return 0.5 * jnp.sum(state**2)

    def respond(
        self, field: Float[Array, "..."], state: Float[Array, "..."], curvature: ArrayLike = 0.0
    ) -> Float[Array, "..."]:
        return field / (1 + jnp.asarray(curvature, field.dtype))

    def retract(self, state: Float[Array, "..."]) -> Float[Array, "..."]:
        return state

    def draw(
        self,
        field: Float[Array, "..."],
        curvature: Float[Array, ""],
        temperature: Float[Array, ""],
        *,
        key: PRNGKeyArray,
    ) -> Float[Array, "..."]:
        return _normal(field, 1 + curvature, temperature, key=key)


class Free(AbstractNeurons, AbstractDrawn):
    """Real neurons that cost nothing, R = 0: for energies that hold their states by themselves.

    The answer to a field is field / curvature; where the curvature is 0 they stay.
    """

    shape: Shape = eqx.field(static=True, default=None)

    def check(self, name: str, states: ArrayLike, dims: str) -> Shaped[Array, "..."]:
        return checks.as_floats(name, states, dims)

    def energy(self, state: Float[Array, "..."]) -> Float[Array, ""]:
        return jnp.zeros((), state.dtype)

    def respond(
        self, field: Float[Array, "..."], state: Float[Array, "..."], curvature: ArrayLike = 0.0
    ) -> Float[Array, "..."]:
        held = jnp.asarray(curvature, field.dtype)
        return jnp.where(held > 0, field / jnp.where(held > 0, held, 1), state)

    def retract(self, state: Float[Array, "..."]) -> Float[Array, "..."]:
        return state

    def draw(
        self,
        field: Float[Array, "..."],
        curvature: Float[Array, ""],
        temperature: Float[Array, ""],
        *,
        key: PRNGKeyArray,
    ) -> Float[Array, "..."]:
        return _normal(field, curvature, temperature, key=key)


class Spherical(AbstractCurved):
    """Unit vectors: R = 0 on the sphere, and the answer to a field is its direction."""

    shape: Shape = eqx.field(static=True, default=None)

    def check(self, name: str, states: ArrayLike, dims: str) -> Shaped[Array, "..."]:
        states = checks.as_floats(name, states, dims)
        norms = checks.now(lambda x: jnp.linalg.norm(x.astype(float), axis=-1), states)
        if not checks.passes(lambda r: (jnp.abs(r - 1) < 1e-2).all(), norms):
            raise ValueError(
                f"{name} must be unit vectors; got norms from {norms.min():.4g} to {norms.max():.4g} "
                "(divide by the norm first)"
            )
        return states

    def energy(self, state: Float[Array, "..."]) -> Float[Array, ""]:
        return jnp.zeros((), state.dtype)

    def respond(
        self, field: Float[Array, "..."], state: Float[Array, "..."], curvature: ArrayLike = 0.0
    ) -> Float[Array, "..."]:
        # Scaled by the largest entry first: squares of small or large fields leave the range of floats.
        size = jnp.max(jnp.abs(field), axis=-1, keepdims=True)
        scaled = field / jnp.where(size > 0, size, 1)
        norm = jnp.sqrt(jnp.sum(jnp.where(size > 0, scaled, 1) ** 2, axis=-1, keepdims=True))
        return jnp.where(size > 0, scaled / norm, state)

    def retract(self, state: Float[Array, "..."]) -> Float[Array, "..."]:
        return self.respond(state, state)

    def tangent(self, state: Float[Array, "..."], vector: Float[Array, "..."]) -> Float[Array, "..."]:
        return vector - jnp.sum(state * vector, axis=-1, keepdims=True) * state

    def moved(
        self, state: Float[Array, "..."], step: Float[Array, "..."]
    ) -> tuple[Float[Array, "..."], Float[Array, "..."]]:
        angle = jnp.sqrt(jnp.sum(step**2, axis=-1, keepdims=True))
        arrived = jnp.cos(angle) * state + jnp.sinc(angle / jnp.pi) * step
        return self.retract(arrived), jnp.cos(angle) * step - angle * jnp.sin(angle) * state


def _normal(field, curvature, temperature, *, key):
    """Numbers from exp((field x − ½ curvature x²)/T)."""
    curvature = jnp.asarray(curvature, field.dtype)
    noise = jr.normal(key, field.shape, field.dtype)
    return field / curvature + jnp.sqrt(temperature / curvature).astype(field.dtype) * noise


def _check_shape(name, value):
    """Raise `ValueError` unless a layer's shape is a tuple of whole numbers above 0."""
    if not isinstance(value, tuple):
        raise ValueError(f"{name} must be a tuple of whole numbers, such as (28, 28); got {value!r:.80}")
    for i, size in enumerate(value):
        checks.count(f"{name}[{i}]", size)
