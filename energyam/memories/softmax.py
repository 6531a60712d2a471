"""Softmax neurons: a layer whose activity sums to 1."""

from functools import partial

import equinox as eqx
import jax
import jax.numpy as jnp
from jax import lax
from jax.scipy.special import xlogy
from jax.typing import ArrayLike
from jaxtyping import Array, Shaped

from energyam import checks
from energyam.memories.graded import Real, in_range, moved_into
from energyam.memories.neurons import AbstractNeurons, Layer, Number, Shape, near_one
from energyam.roots import entmax, held_field, increasing_root


class Softmax(AbstractNeurons):
    """Neurons whose values are positive and sum to 1 along the last axis: the answer to a field is softmax(β
    · field).

    R(g) = Σ g ln g / β and L(x) = Σ ln Σ exp(βx) / β, the outer sum over all axes but the last. At 0, where
    the slope of R is infinite, the slope at the smallest float above is used.

    **Arguments:** `beta`: β, the inverse temperature; `shape`: that of the layer. Raises `ValueError` for
    β ≤ 0.

        >>> np.asarray(eam.Softmax(1.0).respond(jnp.log(jnp.array([1.0, 3.0])), jnp.zeros(2))).round(3)
        array([0.25, 0.75], dtype=float32)
    """

    beta: Real = eqx.field(converter=partial(checks.positive_float, "beta"))
    shape: Shape = eqx.field(static=True, default=None)
    coupled = True

    def check(self, name: str, states: ArrayLike, dims: str) -> Shaped[Array, "..."]:
        states = in_range(name, states, dims, 0, 1)
        totals = checks.now(lambda x: jnp.sum(x.astype(float), axis=-1), states)
        if not checks.passes(near_one, totals):
            got = f"sums from {totals.min():.4g} to {totals.max():.4g} (divide by the sum first)"
            raise ValueError(f"{name} must sum to 1 along the last axis; got {got}")
        return states

    def energy(self, state: Layer) -> Number:
        g = moved_into(state, jnp.finfo(state.dtype).tiny, jnp.inf)
        return jnp.sum(xlogy(g, g)) / jnp.asarray(self.beta, g.dtype)

    @jax.jit  # as the search for a root by itself would be compiled anew at each call
    def respond(self, field: Layer, state: Layer, curvature: ArrayLike = 0.0) -> Layer:
        return jax.nn.softmax(jnp.asarray(self.beta, field.dtype) * self._held(field, curvature), axis=-1)

    def retract(self, state: Layer) -> Layer:
        nearest = entmax(state, jnp.asarray(2.0, state.dtype))  # the Euclidean projection
        least = jnp.finfo(state.dtype).eps
        return (nearest + least) / (1 + state.shape[-1] * least)

    def lagrangian(self, field: Layer) -> Number:
        beta = jnp.asarray(self.beta, field.dtype)
        return jnp.sum(jax.nn.logsumexp(beta * field, axis=-1)) / beta

    def _held(self, field, curvature):
        """The u = field − curvature · softmax(βu), by the normaliser λ for which Σ exp(βu − λ) is 1."""
        c = jnp.asarray(curvature, field.dtype)
        c = jnp.where(c >= 0, c, 0)
        beta = lax.stop_gradient(jnp.asarray(self.beta, field.dtype))
        top = jax.nn.logsumexp(beta * field, axis=-1, keepdims=True)

        def field_of(level):
            def activation(u):
                value = jnp.exp(beta * u - level)
                return value, beta * value

            most = jnp.maximum(1, (field - level / beta) / jnp.where(c > 0, c, 1))
            return held_field(activation, field, c, 0, most)

        def missing(level):
            p = jnp.exp(beta * field_of(level) - level)
            slope = jnp.sum(p / (1 + c * beta * p), axis=-1, keepdims=True)
            return 1 - jnp.sum(p, axis=-1, keepdims=True), slope

        fixed = lax.stop_gradient(field_of(increasing_root(missing, top - c * beta, top, top)))
        return self._with_derivatives(fixed, field, c)

    def _with_derivatives(self, u, field, c):
        """One of Newton's steps for u + c softmax(βu) = field, whose matrix is diagonal and of rank one."""
        beta = jnp.asarray(self.beta, field.dtype)
        p = jax.nn.softmax(beta * u, axis=-1)
        excess, fixed = u + c * p - field, lax.stop_gradient(p)
        held = 1 + lax.stop_gradient(c * beta) * fixed
        pull = jnp.sum(fixed * excess / held, axis=-1, keepdims=True)
        pull = pull / jnp.sum(fixed / held, axis=-1, keepdims=True)
        return u - (excess + (held - 1) * pull) / held
